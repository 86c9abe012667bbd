"""How likely a model is to refuse: log-likelihoods of given answers after a text, and their log-odds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.special
from transformers import PreTrainedTokenizerBase

from isogloss.activations.execution import Execution
from isogloss.behaviour.likelihood import text_bits
from isogloss.errors import ModelError
from isogloss.models.load import LoadedModel
from isogloss.models.prompts import MARK


@dataclass(frozen=True, kw_only=True)
class AnswerLikelihoods:
    """Log-likelihoods of the same answers after each of some texts.

    Attributes:
        total: float64 (texts, answers), ln p(answer | text): the sum over the answer's tokens, 0 or less.
        tokens: int (answers,), tokens of each answer.
    """

    total: np.ndarray
    tokens: np.ndarray

    @property
    def per_token(self) -> np.ndarray:
        """Mean over the answer's tokens, float64 (texts, answers): short and long answers can be compared."""
        found: np.ndarray = self.total / self.tokens
        return found


def answer_ids(
    tokenizer: PreTrainedTokenizerBase, answers: Sequence[str], *, raw: bool = True
) -> list[tuple[int, ...]]:
    """Turn answers into the token ids that they have after a text, without BOS and EOS.

    On raw text an answer begins with a space, so that the text ends where a token ends; after a chat template's
    generation prompt it begins at once.

    Args:
        tokenizer: that of the model.
        answers: without a leading space.
        raw: whether they follow raw text.

    Raises:
        ModelError: the tokenizer joins a text and its answer in one token.
    """
    if not raw:
        return [tuple(row) for row in tokenizer(list(answers), add_special_tokens=False)["input_ids"]]
    # After a word, for some tokenizers begin every input with a space of their own.
    before = tuple(tokenizer(MARK, add_special_tokens=False)["input_ids"])
    rows = [
        tuple(row) for row in tokenizer([f"{MARK} {one}" for one in answers], add_special_tokens=False)["input_ids"]
    ]
    if any(row[: len(before)] != before for row in rows):
        raise ModelError(
            "answers",
            found="a tokenizer that joins the end of a text with the answer after it",
            expected="a token boundary between them",
            do="use chat rendering",
        )
    return [row[len(before) :] for row in rows]


def answer_likelihoods(
    model: LoadedModel,
    prompts: Sequence[tuple[int, ...]],
    answers: Sequence[tuple[int, ...]],
    *,
    execution: Execution,
    advance: Callable[[int], None] = lambda _: None,
) -> AnswerLikelihoods:
    """Score every answer after every prompt; call `check_head` once for a model of an unknown kind.

    Args:
        model: with the wanted adapter active.
        prompts: token ids, at least one each, from `encode`.
        answers: token ids, at least one each, from `answer_ids`.
        execution: how to run.
        advance: called with the number of (prompt, answer) rows done.

    Raises:
        ModelError: the LM head cannot be found.
    """
    rows = [prompt + answer for prompt in prompts for answer in answers]
    starts = [len(prompt) for prompt in prompts for _ in answers]
    bits = text_bits(model, rows, execution=execution, starts=starts, advance=advance)
    return AnswerLikelihoods(
        total=-math.log(2) * bits.reshape(len(prompts), len(answers)), tokens=np.array([len(one) for one in answers])
    )


def refusal_log_odds(refusals: np.ndarray, engaged: np.ndarray) -> np.ndarray:
    """Compare the two sides: log-mean-exp over refusals minus that over engaged answers, float64 (texts,).

    Above 0 the model is, on average over the answers of the table, more likely to refuse than to engage.

    Args:
        refusals: (texts, answers), log-likelihoods.
        engaged: (texts, answers); the numbers of answers may differ.

    >>> refusal_log_odds(np.log([[0.2, 0.4]]), np.log([[0.1]])).round(6) == np.log(3).round(6)
    array([ True])
    """
    odds: np.ndarray = _log_mean_exp(refusals) - _log_mean_exp(engaged)
    return odds


def _log_mean_exp(values: np.ndarray) -> np.ndarray:
    found: np.ndarray = scipy.special.logsumexp(values, axis=1) - math.log(values.shape[1])
    return found
