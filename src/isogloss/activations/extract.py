"""Batches -> hidden states of the read-out token at the wanted layers; forward hooks, no LM head, no generation."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from isogloss.activations.batching import TOKEN_BUDGET, plan_batches
from isogloss.activations.spec import Layer, Position
from isogloss.errors import ModelError
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

    Raises:
        ModelError: a hidden state is not finite, or is all zeros.
    """
    plan = plan_batches(rows, token_budget)
    kept: dict[Layer, np.ndarray] = {}
    for batch in plan.batches:
        states = _forward(model, [plan.distinct[i] for i in batch], layers, position, bos)
        for layer, state in states.items():
            if layer not in kept:
                kept[layer] = np.empty((len(plan.distinct), state.shape[1]), dtype=np.float32)
            kept[layer][list(batch)] = state
        advance(len(batch))
    advance(len(rows) - len(plan.distinct))
    for layer, state in kept.items():
        _check(state, layer)
    return {layer: state[list(plan.inverse)] for layer, state in kept.items()}


def _forward(
    model: LoadedModel,
    rows: Sequence[tuple[int, ...]],
    layers: Sequence[Layer],
    position: Position,
    bos: bool,  # noqa: FBT001
) -> dict[Layer, np.ndarray]:
    lengths = torch.tensor([len(row) for row in rows])
    width = int(lengths.max())
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
    mask = torch.arange(width)[None, :] < lengths[:, None]
    weights = _weights(mask, lengths, position, bos).to(model.device)
    kept: dict[Layer, np.ndarray] = {}

    def keep(layer: Layer, hidden: torch.Tensor) -> None:
        # Zero weight is not enough: 0 * inf at a padded place would be NaN.
        real = hidden.float().masked_fill(~mask.to(hidden.device)[..., None], 0.0)
        kept[layer] = torch.einsum("bt,btd->bd", weights.to(hidden.device), real).cpu().numpy()

    with torch.inference_mode(), _hooks(model, layers, keep):
        out = model.decoder(
            input_ids=ids.to(model.device), attention_mask=mask.long().to(model.device), use_cache=False
        )
        for layer in layers:
            if layer.norm == "post":
                keep(layer, out.last_hidden_state)
    return {layer: kept[layer] for layer in layers}


def _weights(mask: torch.Tensor, lengths: torch.Tensor, position: Position, bos: bool) -> torch.Tensor:  # noqa: FBT001
    """Give each token its share in the read-out; rows sum to one."""
    if position == "last":
        return torch.nn.functional.one_hot(lengths - 1, mask.shape[1]).float()
    real = mask.clone()
    if bos:
        real[:, 0] = False
    return real.float() / real.sum(1, keepdim=True)


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


def _check(state: np.ndarray, layer: Layer) -> None:
    finite = np.isfinite(state).all(axis=1)
    zero = finite & ~state.any(axis=1)
    if finite.all() and not zero.any():
        return
    raise ModelError(
        f"hidden states of layer {layer.name}",
        found=f"{int((~finite).sum())} texts with infinite or undefined values and {int(zero.sum())} with zeros only",
        expected="finite numbers",
        do="use --dtype float32, and check that the weights are complete",
    )
