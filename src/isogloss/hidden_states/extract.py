"""Token ids -> hidden states of the read-out tokens at the wanted layers, and the check of what came out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from isogloss.errors import ModelError, broken_texts
from isogloss.hidden_states.batching import BatchPlan, plan_batches
from isogloss.hidden_states.execution import Execution
from isogloss.hidden_states.forward import Batch, forward, pad_right, read_out, shared_cache
from isogloss.hidden_states.spec import Layer, Position
from isogloss.models.load import LoadedModel

#: What is read in one pass: position -> its layers.
Wanted = Mapping[Position, Sequence[Layer]]
LAST: tuple[Position, ...] = ("last",)


def plan_rows(
    rows: Sequence[tuple[int, ...]],
    execution: Execution,
    positions: Collection[Position] = LAST,
    *,
    text_ends: Sequence[int] | None = None,
) -> BatchPlan:
    """Plan the batches of rows of token ids, at least one each; `text_ends` as in `Prompts`."""
    return plan_batches(
        rows,
        token_budget=execution.token_budget,
        overhead=execution.overhead,
        text_ends=text_ends,
        share_prefix=execution.takes("shared beginning") and "mean" not in positions,
    )


def hidden_states(
    model: LoadedModel,
    plan: BatchPlan,
    wanted: Wanted,
    *,
    execution: Execution,
    bos: bool = True,
    advance: Callable[[int], None] = lambda _: None,
) -> dict[Position, dict[Layer, np.ndarray]]:
    """Run the batches of a plan forward, once, and keep one vector per text, position and layer.

    Call it inside `fast_linears`, or torch's own products are used. A beginning that the plan shares is run in every
    row if the model has no cache for it.

    Args:
        model: with the wanted adapter active.
        plan: from `plan_rows`, for these positions.
        wanted: position -> layers, resolved for this model.
        execution: how to run.
        bos: whether rows begin with a BOS token, which the mean leaves out.
        advance: called with the number of texts done.

    Returns:
        Position -> layer -> float32 array (texts, width), in the order of the rows that were planned. They are not
        checked: see `check_states`.

    Raises:
        ValueError: the plan has a shared beginning, and the execution no shortcuts.
    """
    if plan.prefix and not execution.shortcuts:
        raise ValueError("a shared beginning needs shortcuts: plan the rows with the execution that runs them")
    cache = shared_cache(model, plan.beginning) if plan.prefix else None
    if plan.prefix and cache is None:
        plan = _plan_whole_rows(plan, execution)
    pinned = model.device.type == "cuda"
    layers = sorted(
        {layer for of_position in wanted.values() for layer in of_position}, key=lambda layer: (layer.index, layer.norm)
    )
    kept: dict[tuple[Position, Layer], torch.Tensor] = {}
    done = 0
    for rows in plan.batches:
        batch = pad_right(
            [plan.distinct[i][plan.prefix :] for i in rows],
            model.device,
            text_ends=[plan.text_ends[i] - plan.prefix for i in rows],
        )
        run_rows = slice(done, done + len(rows))

        def keep(layer: Layer, hidden: torch.Tensor, batch: Batch = batch, run_rows: slice = run_rows) -> None:
            if hidden.shape[:2] != batch.ids.shape:
                raise _not_by_token(model, hidden, batch)
            for position in (position for position, of_position in wanted.items() if layer in of_position):
                state = read_out(hidden, batch, position, bos=bos).float()
                if (position, layer) not in kept:
                    kept[position, layer] = torch.empty(len(plan.distinct), state.shape[1], pin_memory=pinned)
                # From a GPU into pinned memory this does not wait, so the next batch is on its way meanwhile.
                kept[position, layer][run_rows].copy_(state, non_blocking=True)

        forward(
            model,
            batch,
            layers,
            keep,
            shortcuts=execution.takes("unmasked padding") or cache is not None,
            indices=batch.token_indices(wanted.keys()) if execution.takes("short last MLP") else None,
            cache=cache,
        )
        done = run_rows.stop
        advance(len(rows))
    if pinned:
        torch.cuda.synchronize(model.device)
    advance(len(plan.inverse) - len(plan.distinct))
    # Rows stand in the order in which they were run.
    run = np.argsort(np.concatenate([np.array(rows) for rows in plan.batches]))
    order = run[list(plan.inverse)]
    return {
        position: {layer: kept[position, layer].numpy()[order] for layer in of_position}
        for position, of_position in wanted.items()
    }


def _not_by_token(model: LoadedModel, hidden: torch.Tensor, batch: Batch) -> ModelError:
    return ModelError(
        f"hidden states of {type(model.causal).__name__}",
        found=f"the shape {tuple(hidden.shape)} for {batch.ids.shape[0]} texts of {batch.ids.shape[1]} tokens",
        expected="texts, tokens, width",
        do="report the model's architecture to isogloss",
    )


def _plan_whole_rows(plan: BatchPlan, execution: Execution) -> BatchPlan:
    """Plan the distinct rows of a plan again, without the shared beginning."""
    whole = plan_batches(
        plan.distinct, token_budget=execution.token_budget, overhead=execution.overhead, text_ends=plan.text_ends
    )
    return replace(whole, inverse=plan.inverse)


def broken_rows(state: np.ndarray) -> np.ndarray:
    """Find the texts whose hidden states (texts, width) no metric can use, infinite or zeros only: bool (texts,)."""
    finite = np.isfinite(state).all(axis=1)
    return np.asarray(~finite | ~state.any(axis=1))


def check_states(
    states: Mapping[Layer, np.ndarray], name: str, text_ids: Sequence[str], dtype: str | None = None
) -> None:
    """Refuse hidden states (texts, width) that no metric can use: the weights are broken, or the dtype is too narrow.

    `dtype` is that of the computation, where it is known.

    Raises:
        ModelError: some are not finite, or all zeros; names model, layer and the first such text.
    """
    for layer, state in states.items():
        broken = np.flatnonzero(broken_rows(state)).tolist()
        if not len(broken):
            continue
        undefined = int((~np.isfinite(state).all(axis=1)).sum())
        raise broken_texts(
            f"hidden states of {name} at layer {layer.name}",
            found=f"infinite or undefined values in {undefined} of {len(state)} texts, zeros only in "
            f"{len(broken) - undefined}; the first is text {text_ids[broken[0]]}",
            text_ids=[text_ids[row] for row in broken],
            dtype=dtype,
        )
