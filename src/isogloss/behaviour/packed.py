"""All answers after a text in one row: the text is read once, and no answer sees another.

A row is the text and then every answer; the mask lets an answer see the text and itself, and positions begin anew after
the text. That costs a fraction of a row for each answer. Not every architecture takes such a mask or such positions, so
`fits` compares a few texts with plain rows first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from isogloss.activations.batching import plan_batches
from isogloss.activations.execution import Execution
from isogloss.behaviour.likelihood import head_nats, target_nats
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
    """Whether a model scores packed rows as it scores plain ones.

    Args:
        model: with the wanted adapter active.
        prompts: a few, the longest among them: windows of attention show there only.
        answers: as they will be scored.
        plain: ln p(answer | prompt) from rows of their own, (prompts, answers).
    """
    try:
        found = np.vstack([_score(model, [prompt], answers)[0] for prompt in prompts])
    except (TypeError, ValueError, RuntimeError):
        return False  # it takes no such mask, or no positions
    relative = RELATIVE.get(next(model.causal.parameters()).dtype, RELATIVE[torch.bfloat16])
    return bool(np.isfinite(found).all() and (np.abs(found - plain) <= ABSOLUTE + relative * np.abs(plain)).all())


def _score(
    model: LoadedModel, prompts: Sequence[tuple[int, ...]], answers: Sequence[tuple[int, ...]]
) -> tuple[np.ndarray, np.ndarray]:
    lengths = torch.tensor([len(one) for one in prompts])
    sizes = [len(one) for one in answers]
    width, tail = int(lengths.max()), sum(sizes)
    ids = torch.zeros((len(prompts), width + tail), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = torch.tensor(prompt)
    ids[:, width:] = torch.tensor([token for answer in answers for token in answer])
    offsets = torch.cat([torch.arange(size) for size in sizes])
    owner = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    # Answers stand behind the padding of shorter prompts, but count on from the end of their own prompt.
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
    # Padding sees itself, for a row that sees nothing has no softmax; nobody reads it.
    real = (torch.arange(size)[None, :] < lengths[:, None]) | ~of_prompt[None, :]
    earlier = torch.arange(size)[None, :] <= torch.arange(size)[:, None]
    own = of_prompt[None, :] | (group[None, :] == group[:, None])
    itself = torch.eye(size, dtype=torch.bool)
    return ((earlier & own)[None] & real[:, None, :]) | itself.expand(n, -1, -1)
