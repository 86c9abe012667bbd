"""Log-likelihoods of answers: all answers to a prompt in one masked sequence, so that the prompt is encoded once.

A row is the prompt and then every answer. The mask lets an answer see the prompt and itself, but no other answer, and
positions begin again after the prompt. An answer so costs a fraction of a row. Not every architecture takes such a mask
or such positions, so `fits` compares a few texts with plain rows first; other models get one row for each answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from isogloss.engines.worker import out_of_memory
from isogloss.errors import ModelError
from isogloss.hidden_states.batching import plan_batches
from isogloss.hidden_states.execution import Execution
from isogloss.hidden_states.forward import UNSUPPORTED
from isogloss.likelihoods.lm_head import head_nats, target_nats, text_bits
from isogloss.models.chat_prompts import MARK
from isogloss.models.load import LoadedModel
from isogloss.models.masks import layer_masks

#: Most that a packed log-likelihood may differ from a plain one: nats, and as a share. bfloat16 rounds to a 256th.
ABSOLUTE, RELATIVE = 1e-3, {torch.float32: 1e-4, torch.bfloat16: 0.02}


def packed_likelihoods(
    model: LoadedModel,
    prompts: Sequence[tuple[int, ...]],
    answers: Sequence[tuple[int, ...]],
    *,
    execution: Execution,
    advance: Callable[[int], None] = lambda _: None,
) -> tuple[np.ndarray, np.ndarray]:
    """Score every answer after every prompt.

    Args:
        model: with the wanted adapter active, for which `fits` is true.
        prompts: token ids, at least one each.
        answers: token ids, at least one each.
        execution: how to run.
        advance: called with the number of prompts done.

    Returns:
        ln p(answer | prompt) and ln p(its first token | prompt), both float64 (prompts, answers).
    """
    tail = sum(map(len, answers))
    # A row is as long as its prompt and all answers.
    budget = max(execution.token_budget, tail + 1)
    plan = plan_batches([prompt + (0,) * tail for prompt in prompts], token_budget=budget, overhead=execution.overhead)
    total, first = np.empty((2, len(plan.distinct), len(answers)))
    for batch in plan.batches:
        rows = [plan.distinct[i][: len(plan.distinct[i]) - tail] for i in batch]
        total[list(batch)], first[list(batch)] = _score(model, rows, answers)
        advance(len(batch))
    advance(len(prompts) - len(plan.distinct))
    back = list(plan.inverse)
    return total[back], first[back]


def fits(
    model: LoadedModel,
    prompts: Sequence[tuple[int, ...]],
    answers: Sequence[tuple[int, ...]],
    plain: np.ndarray,
) -> bool:
    """Whether a model scores packed rows as it scores plain rows.

    Args:
        model: with the wanted adapter active.
        prompts: a few, with the longest among them, where windows of attention show; they pad each other.
        answers: as they will be scored.
        plain: ln p(answer | prompt) with one row for each answer, (prompts, answers).
    """
    try:
        packed, _ = _score(model, prompts, answers)
    except UNSUPPORTED as error:
        if out_of_memory(error):
            raise
        return False  # the model takes no mask of this shape, or no positions
    relative = RELATIVE.get(next(model.causal.parameters()).dtype, RELATIVE[torch.bfloat16])
    return bool(np.isfinite(packed).all() and (np.abs(packed - plain) <= ABSOLUTE + relative * np.abs(plain)).all())


def _score(
    model: LoadedModel, prompts: Sequence[tuple[int, ...]], answers: Sequence[tuple[int, ...]]
) -> tuple[np.ndarray, np.ndarray]:
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    sizes = [len(answer) for answer in answers]
    width = int(lengths.max())
    # Padded with a real token: the embedding of a padding token may be undefined.
    tokens = [token for answer in answers for token in answer]
    ids = torch.tensor([[*prompt, *[prompt[-1]] * (width - len(prompt)), *tokens] for prompt in prompts])
    offsets = torch.cat([torch.arange(size) for size in sizes])
    owner = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    # Answers follow the padding of shorter prompts, but their positions continue from the end of the prompt.
    positions = torch.cat([torch.arange(width).expand(len(prompts), -1), lengths[:, None] + offsets[None, :]], dim=1)
    causal: Any = model.causal
    masks = layer_masks(
        causal.config.get_text_config(),
        _seen(lengths, width, owner, positions).to(model.device),
        positions.to(model.device),
        next(causal.parameters()).dtype,
    )
    with torch.inference_mode():
        hidden = model.decoder(
            input_ids=ids.to(model.device),
            attention_mask=masks,
            position_ids=positions.to(model.device),
            use_cache=False,
        ).last_hidden_state
        last = hidden[torch.arange(len(prompts)), lengths - 1]
        first = -head_nats(model, last, torch.tensor([answer[0] for answer in answers]))
        inner = width + torch.nonzero(offsets[1:] > 0)[:, 0]  # the states before each answer's second and later tokens
        states = hidden[:, inner].reshape(-1, hidden.shape[-1])
        targets = ids[:, inner + 1].reshape(-1).to(model.device)
        rest = -target_nats(model, states, targets).reshape(len(prompts), -1)
    whole = first.copy()
    np.add.at(whole.T, owner[1:][offsets[1:] > 0].numpy(), rest.T)
    return whole, first


def _seen(lengths: torch.Tensor, width: int, owner: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Which token sees which: bool (prompts, tokens, tokens)."""
    n, size = positions.shape
    of_prompt = torch.arange(size) < width
    group = torch.cat([torch.full((width,), -1), owner])
    # Padding sees itself: a token that sees nothing has no softmax. Nothing reads its state.
    real = (torch.arange(size)[None, :] < lengths[:, None]) | ~of_prompt[None, :]
    earlier = torch.arange(size)[None, :] <= torch.arange(size)[:, None]
    same_answer = of_prompt[None, :] | (group[None, :] == group[:, None])
    itself = torch.eye(size, dtype=torch.bool)
    return ((earlier & same_answer)[None] & real[:, None, :]) | itself.expand(n, -1, -1)


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
        mean: np.ndarray = self.total / self.tokens
        return mean


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
    # After a word, because some tokenizers begin every input with a space.
    before = tuple(tokenizer(MARK, add_special_tokens=False)["input_ids"])
    rows = [
        tuple(row)
        for row in tokenizer([f"{MARK} {answer}" for answer in answers], add_special_tokens=False)["input_ids"]
    ]
    if any(row[: len(before)] != before for row in rows):
        raise ModelError(
            "answers",
            found="a tokenizer that joins the end of a text with the answer after it",
            expected="a token boundary between them",
            do="use --prompt-format chat",
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

    The prompt is read once if the model takes all answers in one row (`fits`), else once for each answer.

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
    """Score one row for each prompt and answer, which every architecture takes."""
    rows = [prompt + answer for prompt in prompts for answer in answers]
    starts = [len(prompt) for prompt in prompts for _ in answers]
    bits = text_bits(model, rows, execution=execution, starts=starts, advance=advance)
    # The first tokens once more, with rows that are shorter by the rest of the answer: a small share of the work.
    firsts = [prompt + answer[:1] for prompt in prompts for answer in answers]
    first = text_bits(model, firsts, execution=execution, starts=starts)
    return AnswerLikelihoods(
        total=-math.log(2) * bits.reshape(len(prompts), len(answers)),
        tokens=np.array([len(answer) for answer in answers]),
        first=-math.log(2) * first.reshape(len(prompts), len(answers)),
    )
