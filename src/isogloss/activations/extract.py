"""Batches -> hidden states of the read-out token at the wanted layers; forward hooks, no LM head, no generation."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from isogloss.activations.batching import TOKEN_BUDGET, plan_batches
from isogloss.activations.spec import Layer, Position
from isogloss.models.load import LoadedModel


def hidden_states(
    model: LoadedModel,
    rows: Sequence[tuple[int, ...]],
    layers: Sequence[Layer],
    *,
    position: Position = "last",
    bos: bool = True,
    token_budget: int = TOKEN_BUDGET,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[Layer, np.ndarray]:
    """Run rows of token ids forward and keep one vector per row and layer.

    Rows are padded on the right and read by gathering, so that padding never stands before or at a token that is read.

    Args:
        model: with the wanted adapter active.
        rows: token ids, at least one each.
        layers: resolved for this model.
        position: "last" token, or "mean" over all tokens but BOS.
        bos: whether rows begin with a BOS token, which the mean leaves out.
        token_budget: most tokens in a padded batch.
        advance: called with the number of texts done.

    Returns:
        Layer -> float32 array (len(rows), width), in the order of `rows`.
    """
    plan = plan_batches(rows, token_budget)
    kept: dict[Layer, np.ndarray] = {}
    for batch in plan.batches:
        states = _forward(model, [plan.distinct[i] for i in batch], layers, position, bos=bos)
        for layer, state in states.items():
            if layer not in kept:
                kept[layer] = np.empty((len(plan.distinct), state.shape[1]), dtype=np.float32)
            kept[layer][list(batch)] = state
        advance(len(batch))
    advance(len(rows) - len(plan.distinct))
    return {layer: state[list(plan.inverse)] for layer, state in kept.items()}


def _forward(
    model: LoadedModel,
    rows: Sequence[tuple[int, ...]],
    layers: Sequence[Layer],
    position: Position,
    *,
    bos: bool,
) -> dict[Layer, np.ndarray]:
    ids, mask = pad_right(rows, model.device)
    lengths = mask.sum(dim=1)
    kept: dict[Layer, np.ndarray] = {}

    def keep(layer: Layer, hidden: torch.Tensor) -> None:
        read = _last(hidden, lengths) if position == "last" else _mean(hidden, mask, lengths, bos=bos)
        kept[layer] = read.float().cpu().numpy()

    with torch.inference_mode(), _hooks(model, layers, keep):
        out = model.decoder(input_ids=ids, attention_mask=mask.long(), use_cache=False)
        for layer in layers:
            if layer.norm == "post":
                keep(layer, out.last_hidden_state)
    return kept


def pad_right(rows: Sequence[tuple[int, ...]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Stack rows of token ids, padded at their ends: ids int64 (rows, tokens), and a bool mask of the real ones."""
    ids = torch.zeros(len(rows), max(len(row) for row in rows), dtype=torch.long)
    mask = torch.zeros(ids.shape, dtype=torch.bool)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = True
    return ids.to(device), mask.to(device)


def _last(hidden: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Gather the last real token: (rows, tokens, width) -> (rows, width); a copy, so the batch can be freed."""
    lengths = lengths.to(hidden.device)
    return hidden[torch.arange(len(lengths), device=hidden.device), lengths - 1]


def _mean(hidden: torch.Tensor, mask: torch.Tensor, lengths: torch.Tensor, *, bos: bool) -> torch.Tensor:
    """Mean over the real tokens, BOS left out: (rows, tokens, width) -> (rows, width), summed in float32."""
    real = mask.to(hidden.device).clone()
    if bos:
        real[:, 0] = False
    # Filled with zeros, not multiplied: what stands at a padded place may be infinite.
    total = hidden.float().masked_fill(~real[..., None], 0.0).sum(dim=1)
    return total / (lengths.to(hidden.device) - int(bos))[:, None]


@contextlib.contextmanager
def _hooks(model: LoadedModel, layers: Sequence[Layer], keep: Callable[[Layer, torch.Tensor], None]) -> Iterator[None]:
    handles = []

    def before_first(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ANN401
        del module
        keep(Layer(0, ""), args[0] if args else kwargs["hidden_states"])

    def after(layer: Layer) -> Callable[[Any, Any, Any], None]:
        def hook(module: Any, args: Any, output: Any) -> None:  # noqa: ANN401
            del module, args
            keep(layer, output[0] if isinstance(output, tuple) else output)

        return hook

    try:
        for layer in layers:
            if layer.index == 0:
                handles.append(model.blocks[0].register_forward_pre_hook(before_first, with_kwargs=True))
            elif layer.norm != "post":
                handles.append(model.blocks[layer.index - 1].register_forward_hook(after(layer)))
        yield
    finally:
        for handle in handles:
            handle.remove()
