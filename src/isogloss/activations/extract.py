"""Token ids -> hidden states of the read-out token at the wanted layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from isogloss.activations.batching import Plan, plan_batches
from isogloss.activations.execution import Execution
from isogloss.activations.forward import forward, shared_cache
from isogloss.activations.readout import Batch, pad_right, read_out
from isogloss.activations.spec import Layer, Position
from isogloss.errors import ModelError
from isogloss.models.load import LoadedModel


def plan_rows(rows: Sequence[tuple[int, ...]], execution: Execution, position: Position = "last") -> Plan:
    """Plan the batches of rows of token ids, at least one each."""
    return plan_batches(
        rows,
        token_budget=execution.token_budget,
        overhead=execution.overhead,
        share_prefix=execution.shortcuts and position == "last",
    )


def hidden_states(
    model: LoadedModel,
    plan: Plan,
    layers: Sequence[Layer],
    *,
    execution: Execution,
    position: Position = "last",
    bos: bool = True,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[Layer, np.ndarray]:
    """Run the batches of a plan forward and keep one vector per text and layer.

    Call it inside `fast_linears`, or torch's own products are used.

    Args:
        model: with the wanted adapter active.
        plan: from `plan_rows`.
        layers: resolved for this model.
        execution: how to run.
        position: "last" token, or "mean" over all tokens but BOS.
        bos: whether rows begin with a BOS token, which the mean leaves out.
        advance: called with the number of texts done.

    Returns:
        Layer -> float32 array (texts, width), in the order of the rows that were planned. They are not checked: see
        `check_states`.
    """
    cache = shared_cache(model, plan.distinct[0][: plan.prefix]) if plan.prefix else None
    pinned = model.device.type == "cuda"
    kept: dict[Layer, torch.Tensor] = {}
    done = 0
    for rows in plan.batches:
        batch = pad_right([plan.distinct[i][plan.prefix :] for i in rows], model.device)
        place = slice(done, done + len(rows))

        def keep(layer: Layer, hidden: torch.Tensor, batch: Batch = batch, place: slice = place) -> None:
            state = read_out(hidden, batch, position, bos=bos).float()
            if layer not in kept:
                kept[layer] = torch.empty(len(plan.distinct), state.shape[1], pin_memory=pinned)
            # From a GPU into pinned memory this does not wait, so the next batch is on its way meanwhile.
            kept[layer][place].copy_(state, non_blocking=True)

        forward(model, batch, layers, keep, shortcuts=execution.shortcuts, last_only=position == "last", cache=cache)
        done = place.stop
        advance(len(rows))
    if pinned:
        torch.cuda.synchronize(model.device)
    advance(len(plan.inverse) - len(plan.distinct))
    # Rows stand in the order in which they were run.
    run = np.argsort(np.concatenate([np.array(rows) for rows in plan.batches]))
    return {layer: state.numpy()[run[list(plan.inverse)]] for layer, state in kept.items()}


def check_states(states: Mapping[Layer, np.ndarray], name: str, text_ids: Sequence[str]) -> None:
    """Refuse hidden states (texts, width) that no metric can use: the weights are broken, or the dtype is too narrow.

    Raises:
        ModelError: some are not finite, or all zeros; names model, layer and the first such text.
    """
    for layer, state in states.items():
        finite = np.isfinite(state).all(axis=1)
        zero = finite & ~state.any(axis=1)
        if finite.all() and not zero.any():
            continue
        first = text_ids[int(np.flatnonzero(~finite | zero)[0])]
        raise ModelError(
            f"hidden states of {name} at layer {layer.name}",
            found=f"infinite or undefined values in {int((~finite).sum())} of {len(state)} texts, zeros only in "
            f"{int(zero.sum())}; the first is text {first}",
            expected="finite numbers",
            do="use --dtype float32, and check that the weights are complete",
        )
