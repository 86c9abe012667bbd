"""How likely a model is to refuse: log-likelihoods of given answers after a text."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from isogloss.activations.execution import Execution
from isogloss.behaviour.likelihood import text_bits
from isogloss.behaviour.packed import fits, packed_likelihoods
from isogloss.errors import ModelError
from isogloss.models.load import LoadedModel
from isogloss.models.prompts import MARK


@dataclass(frozen=True, kw_only=True)
class AnswerLikelihoods:
    """Log-likelihoods of the same answers after each of some texts.

    Attributes:
        total: float64 (texts, answers), ln p(answer | text): the sum over the answer's tokens, 0 or less.
        tokens: int (answers,), tokens of each answer.
        first: float64 (texts, answers), ln p of the answer's first token.
    """

    total: np.ndarray
    tokens: np.ndarray
    first: np.ndarray

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

    The text is read once where the model takes all answers in one row (`packed`), else once for each answer.

    Raises:
        ModelError: the LM head cannot be found.
    """
    if not prompts:
        return _plain(model, prompts, answers, execution=execution)
    few = [min(prompts, key=len), max(prompts, key=len)]
    plain = _plain(model, few, answers, execution=execution)
    if fits(model, few, answers, plain.total):
        total, first = packed_likelihoods(
            model, prompts, answers, execution=execution, advance=lambda n: advance(n * len(answers))
        )
        return AnswerLikelihoods(total=total, tokens=plain.tokens, first=first)
    return _plain(model, prompts, answers, execution=execution, advance=advance)


def _plain(
    model: LoadedModel,
    prompts: Sequence[tuple[int, ...]],
    answers: Sequence[tuple[int, ...]],
    *,
    execution: Execution,
    advance: Callable[[int], None] = lambda _: None,
) -> AnswerLikelihoods:
    """A row for each prompt and answer, which every architecture takes."""
    rows = [prompt + answer for prompt in prompts for answer in answers]
    starts = [len(prompt) for prompt in prompts for _ in answers]
    bits = text_bits(model, rows, execution=execution, starts=starts, advance=advance)
    # The first tokens again, from prompts that are shorter by an answer each: a small part of the work.
    firsts = [prompt + answer[:1] for prompt in prompts for answer in answers]
    first = text_bits(model, firsts, execution=execution, starts=starts)
    return AnswerLikelihoods(
        total=-math.log(2) * bits.reshape(len(prompts), len(answers)),
        tokens=np.array([len(one) for one in answers]),
        first=-math.log(2) * first.reshape(len(prompts), len(answers)),
    )
