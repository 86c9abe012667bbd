"""Held-out texts -> what one model gives for them: bits, refusal log-odds and greedy refusals, language by language."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from isogloss.data.corpus import Corpus
from isogloss.errors import CorpusError
from isogloss.hidden_states.execution import Execution
from isogloss.hidden_states.kernels import fast_linears
from isogloss.hidden_states.self_check import sample_rows
from isogloss.io.files import sha256_text
from isogloss.likelihoods.answers import SIDES, USES, answered_languages, answers
from isogloss.likelihoods.compute import scored_characters
from isogloss.likelihoods.greedy_answers import begins_like, greedy
from isogloss.likelihoods.lm_head import check_head, settle_head, text_bits
from isogloss.likelihoods.margins import refusal_log_odds
from isogloss.likelihoods.packed_answers import answer_ids, answer_likelihoods
from isogloss.models.adapters import use_checkpoint
from isogloss.models.checkpoints import Checkpoint
from isogloss.models.load import LoadedModel, load_model
from isogloss.models.prompts import encode

Advance = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class LanguageTexts:
    """The texts of one language. The model generates greedy answers to the first `generate` harmless texts."""

    language: str
    harmless: tuple[str, ...]
    harmful: tuple[str, ...]
    generate: int

    @property
    def work(self) -> int:
        """Number of rows that a model reads, for the progress display."""
        scored = sum(len(answers(self.language, side, "score")) for side in SIDES)
        texts = len(self.harmless) + len(self.harmful)
        return len(self.harmless) + scored * texts + len(self.harmless[: self.generate])


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The numbers of one model in one language.

    Attributes:
        bits: bits of each harmless text, float64 (harmless texts,).
        characters: characters that these bits encode, int (harmless texts,).
        harmless_odds: refusal log-odds after harmless texts, float64 (harmless texts,).
        harmful_odds: refusal log-odds after harmful texts, float64 (harmful texts,).
        generated: number of greedy answers.
        refused: number of greedy answers that begin like a refusal of the answer table.
    """

    bits: np.ndarray
    characters: np.ndarray
    harmless_odds: np.ndarray
    harmful_odds: np.ndarray
    generated: int
    refused: int


def draw_texts(
    corpus: Corpus, languages: Sequence[str] | None, *, texts: int, generate: int, seed: int
) -> tuple[LanguageTexts, ...]:
    """Draw texts by a hash of the seed and the text id, so that a smaller draw is a subset of a larger one.

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
    drawn = []
    for code in codes:
        answers(code, "refusal", "score")  # raises if the language has none
        rank = pl.col("text_id").map_elements(lambda text_id: sha256_text(f"{seed}:{text_id}"), return_dtype=pl.String)
        ranked = corpus.part(code).sort(rank)
        harmful, harmless = (
            tuple(ranked.filter(pl.col("harmful") == label)["text"].head(texts)) for label in (True, False)
        )
        if not harmless:
            raise CorpusError(
                f"side effects in {code}",
                found="no harmless texts",
                expected="harmless texts that the adapter was not trained on",
                do="leave the language out, or add texts",
            )
        drawn.append(LanguageTexts(language=code, harmless=harmless, harmful=harmful, generate=generate))
    return tuple(drawn)


def read_texts(
    checkpoints: Mapping[str, Checkpoint],
    texts: Sequence[LanguageTexts],
    *,
    max_tokens: int,
    dtype: str,
    execution: Execution,
    advance: Advance,
) -> dict[str, dict[str, Reading]]:
    """Read texts with models that share their base weights, which are freed on return.

    Args:
        checkpoints: name -> model.
        texts: the texts of each language.
        max_tokens: longer texts are truncated.
        dtype: dtype of weights and computation.
        execution: device and batch sizes.
        advance: progress display.

    Returns:
        Name -> language -> reading.

    Raises:
        ModelError: see `load_model`, `check_head`, `use_checkpoint` and `answer_ids`.
    """
    model = load_model(next(iter(checkpoints.values())), dtype=dtype, device=execution.device)
    check_head(model)
    readings = {}
    for name, checkpoint in checkpoints.items():
        with use_checkpoint(model, checkpoint):
            sample = [text for of_language in texts for text in of_language.harmless]
            rows = sample_rows(encode(model.tokenizer, sample, max_tokens=max_tokens)).ids
            settled = settle_head(model, rows, execution=execution)
            with fast_linears(model, settled):
                readings[name] = {
                    of_language.language: _read(
                        model, of_language, max_tokens=max_tokens, execution=settled, advance=advance
                    )
                    for of_language in texts
                }
    return readings


def _read(
    model: LoadedModel, texts: LanguageTexts, *, max_tokens: int, execution: Execution, advance: Advance
) -> Reading:
    prompts = encode(model.tokenizer, texts.harmless, max_tokens=max_tokens)
    harmful = encode(model.tokenizer, texts.harmful, max_tokens=max_tokens).ids if texts.harmful else ()
    refusals, engaged = (answer_ids(model.tokenizer, answers(texts.language, side, "score")) for side in SIDES)

    def odds(rows: Sequence[tuple[int, ...]]) -> np.ndarray:
        if not rows:
            return np.zeros(0)
        both = answer_likelihoods(model, rows, [*refusals, *engaged], execution=execution, advance=advance).total
        return refusal_log_odds(both[:, : len(refusals)], both[:, len(refusals) :])

    first = prompts.ids[: texts.generate]
    generated = greedy(model, first, advance=advance) if first else []
    known_refusals = [answer for use in USES for answer in answers(texts.language, "refusal", use)]
    return Reading(
        bits=text_bits(model, prompts.ids, execution=execution, advance=advance),
        characters=scored_characters(model.tokenizer, texts.harmless, prompts, max_tokens),
        harmless_odds=odds(prompts.ids),
        harmful_odds=odds(harmful),
        generated=len(generated),
        refused=sum(begins_like(answer, known_refusals) for answer in generated),
    )
