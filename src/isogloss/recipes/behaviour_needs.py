"""Operations that `--behaviour` adds to an audit: answers and texts scored with the LM head, edits, greedy answers."""

from __future__ import annotations

from isogloss.analyses.ablation.edited_reading import ABLATED, RANDOMS
from isogloss.analyses.ablation.statistics import MOST_TRIED
from isogloss.auditing.config import ABLATE, AuditConfig
from isogloss.likelihoods.answers import SIDES, answered_languages, answers
from isogloss.likelihoods.cached import NEW_TOKENS
from isogloss.models.size import Size
from isogloss.recipes.facts import TextFacts

#: Tokens of an answer: what the table's have on average under Gemma 3's tokenizer, rounded up.
ANSWER_TOKENS = 10
#: Passes over the texts for each model: one with all answers behind a text, one for the text itself.
PASSES = 2


def behaviour_flops(size: Size, texts: TextFacts, tokens: int, config: AuditConfig, *, aligned: bool) -> float:
    """Count the operations for one model: 2 per parameter and token, with the LM head where it is used.

    Args:
        size: of the model.
        texts: of the corpus, their number known.
        tokens: of a text.
        config: of the audit, with behaviour.
        aligned: whether it is the model that is edited for the ablation control.
    """
    codes = [code for code in texts.languages if code in answered_languages()]
    if not codes or texts.texts is None:
        return 0.0
    share = len(codes) / len(texts.languages)
    told = ANSWER_TOKENS * sum(len(answers(codes[0], side, "score")) for side in SIDES)
    body, head = 2.0 * size.block_parameters, 2.0 * size.vocabulary * size.width
    one_text = (2 * tokens + told) * body + (tokens + told) * head
    total = one_text * texts.texts * share
    total += 2 * config.generate * len(codes) * (tokens * body + NEW_TOKENS * (body + head))
    if aligned and ABLATE in config.controls:
        edits, tried = len((ABLATED, *RANDOMS)), 2 * MOST_TRIED * len(codes)
        total += edits * tried * ((2 * tokens + told) * body + told * head)
    return total
