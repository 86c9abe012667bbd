"""What one model says of held-out texts: bits, log-odds of refusing, greedy refusals. One model, many languages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from isogloss.data.corpus import Corpus
from isogloss.errors import CorpusError
from isogloss.hidden_states.execution import Execution
from isogloss.hidden_states.kernels import fast_linears
from isogloss.io.files import sha256_text
from isogloss.likelihoods.answers import SIDES, USES, answered_languages, answers
from isogloss.likelihoods.compute import scored_characters
from isogloss.likelihoods.greedy_answers import begins_like, greedy
from isogloss.likelihoods.lm_head import check_head, text_bits
from isogloss.likelihoods.margins import refusal_log_odds
from isogloss.likelihoods.packed_answers import answer_ids, answer_likelihoods
from isogloss.models.adapters import use_checkpoint
from isogloss.models.checkpoints import Checkpoint
from isogloss.models.load import LoadedModel, load_model
from isogloss.models.prompts import encode

Advance = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Part:
    """The texts of one language; greedy answers are written to the first `generate` harmless ones."""

    language: str
    neutral: tuple[str, ...]
    harmful: tuple[str, ...]
    generate: int

    @property
    def work(self) -> int:
        """Rows that a model reads, for progress."""
        scored = sum(len(answers(self.language, side, "score")) for side in SIDES)
        return len(self.neutral) + scored * (len(self.neutral) + len(self.harmful)) + len(self.neutral[: self.generate])


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one model says of one language.

    Attributes:
        bits: float64 (harmless texts,).
        characters: that those bits stand for, int (harmless texts,).
        neutral_odds: refusal log-odds of harmless texts, float64 (texts,).
        harmful_odds: of harmful texts.
        generated: greedy answers that were looked at.
        refused: how many of them begin like a refusal of the table.
    """

    bits: np.ndarray
    characters: np.ndarray
    neutral_odds: np.ndarray
    harmful_odds: np.ndarray
    generated: int
    refused: int


def draw_parts(
    corpus: Corpus, languages: Sequence[str] | None, *, texts: int, generate: int, seed: int
) -> tuple[Part, ...]:
    """Draw texts by a hash of the seed and the text, so that a smaller draw is part of a larger one.

    Raises:
        CorpusError: a language has no answers or no harmless texts, or none has answers.
    """
    codes = languages or [code for code in corpus.languages if code in answered_languages()]
    if not codes:
        raise CorpusError(
            f"corpus {corpus.name}",
            found="no language with answers",
            expected=f"one of {', '.join(answered_languages())}",
            do="use another corpus",
        )
    parts = []
    for code in codes:
        answers(code, "refusal", "score")  # says so if there are none
        rank = pl.col("text_id").map_elements(lambda one: sha256_text(f"{seed}:{one}"), return_dtype=pl.String)
        ranked = corpus.part(code).sort(rank)
        harmful, neutral = (
            tuple(ranked.filter(pl.col("harmful") == kind)["text"].head(texts)) for kind in (True, False)
        )
        if not neutral:
            raise CorpusError(
                f"guards in {code}",
                found="no harmless texts",
                expected="some that the adapter was not trained on",
                do="leave the language out, or add texts",
            )
        parts.append(Part(language=code, neutral=neutral, harmful=harmful, generate=generate))
    return tuple(parts)


def read_group(
    checkpoints: Mapping[str, Checkpoint],
    parts: Sequence[Part],
    *,
    max_tokens: int,
    dtype: str,
    execution: Execution,
    advance: Advance,
) -> dict[str, dict[str, Reading]]:
    """Read texts with models that share their weights, which are freed on return: role -> language -> reading.

    Raises:
        ModelError: see `load_model`, `check_head`, `use_checkpoint` and `answer_ids`.
    """
    model = load_model(next(iter(checkpoints.values())), dtype=dtype, device=execution.device)
    check_head(model)
    found = {}
    for role, checkpoint in checkpoints.items():
        with use_checkpoint(model, checkpoint), fast_linears(model, execution):
            found[role] = {
                part.language: _read(model, part, max_tokens=max_tokens, execution=execution, advance=advance)
                for part in parts
            }
    return found


def _read(model: LoadedModel, part: Part, *, max_tokens: int, execution: Execution, advance: Advance) -> Reading:
    prompts = encode(model.tokenizer, part.neutral, max_tokens=max_tokens)
    harmful = encode(model.tokenizer, part.harmful, max_tokens=max_tokens).ids if part.harmful else ()
    refusals, engaged = (answer_ids(model.tokenizer, answers(part.language, side, "score")) for side in SIDES)

    def odds(rows: Sequence[tuple[int, ...]]) -> np.ndarray:
        if not rows:
            return np.zeros(0)
        both = answer_likelihoods(model, rows, [*refusals, *engaged], execution=execution, advance=advance).total
        return refusal_log_odds(both[:, : len(refusals)], both[:, len(refusals) :])

    first = prompts.ids[: part.generate]
    written = greedy(model, first, advance=advance) if first else []
    known = [one for use in USES for one in answers(part.language, "refusal", use)]
    return Reading(
        bits=text_bits(model, prompts.ids, execution=execution, advance=advance),
        characters=scored_characters(model.tokenizer, part.neutral, prompts, max_tokens),
        neutral_odds=odds(prompts.ids),
        harmful_odds=odds(harmful),
        generated=len(written),
        refused=sum(begins_like(one, known) for one in written),
    )
