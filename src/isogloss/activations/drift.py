"""Do our forward passes give the model's own numbers? Asked of every model before its states are trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from isogloss.activations.execution import Execution
from isogloss.activations.extract import hidden_states, plan_rows
from isogloss.activations.kernels import fast_linears
from isogloss.activations.spec import ExtractSpec, Layer, Position, Precision
from isogloss.models.load import LoadedModel

#: Rows that are compared, and their longest.
ROWS = 6
TOKENS = 64
#: Most that a hidden state may move, relative to its length, where only rounding differs.
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.1}


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How far hidden states lie from those of one text at a time, in torch's own products, over all layers read.

    Relative to the length of the state; cosine of the two states.
    """

    mean: float
    max: float
    min_cosine: float
    texts: int


def sample_rows(rows: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Take rows spread over the lengths from short to long, cut to 64 tokens; equal rows in, equal rows out."""
    ordered = sorted(set(rows), key=lambda row: (len(row), row))
    places = np.unique(np.linspace(0, len(ordered) - 1, ROWS).round().astype(int))
    return [ordered[i][:TOKENS] for i in places]


def measure_drift(
    model: LoadedModel,
    rows: Sequence[tuple[int, ...]],
    layers: Sequence[Layer],
    *,
    execution: Execution,
    precision: Precision = "exact",
    position: Position = "last",
    bos: bool = True,
) -> Drift:
    """Compare the states of a few rows with those of the unchanged model, one row at a time.

    Args:
        model: with the wanted adapter active.
        rows: token ids, from `sample_rows`.
        layers: resolved for this model.
        execution: what is tried.
        precision: what is tried.
        position: read-out.
        bos: whether rows begin with a BOS token.
    """
    alone = replace(execution, kernel="plain", token_budget=1, shortcuts=False)
    usual = hidden_states(model, plan_rows(rows, alone), layers, execution=alone, position=position, bos=bos)
    with fast_linears(model, execution, precision):
        plan = plan_rows(rows, execution, position)
        ours = hidden_states(model, plan, layers, execution=execution, position=position, bos=bos)
    a = np.stack([usual[layer].astype(np.float64) for layer in layers])
    b = np.stack([ours[layer].astype(np.float64) for layer in layers])
    length = np.linalg.norm(a, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):  # broken states are named where they are checked
        moved = np.linalg.norm(b - a, axis=-1) / length
        cosine = (a * b).sum(axis=-1) / (length * np.linalg.norm(b, axis=-1))
    return Drift(mean=float(moved.mean()), max=float(moved.max()), min_cosine=float(cosine.min()), texts=len(rows))


def settle(
    model: LoadedModel,
    rows: Sequence[tuple[int, ...]],
    layers: Sequence[Layer],
    *,
    execution: Execution,
    spec: ExtractSpec,
    bos: bool = True,
) -> tuple[Execution, Drift]:
    """Keep to the execution if this model gives its own numbers with it; else drop its shortcuts and packed weights.

    Returns:
        The execution to use, and how far its states lie from the model's own: by rounding, or with "fast" by more.
    """

    def drift(tried: Execution, precision: Precision) -> Drift:
        return measure_drift(model, rows, layers, execution=tried, precision=precision, position=spec.position, bos=bos)

    found = drift(execution, "exact")
    if found.max > TOLERANCE[spec.dtype]:
        execution = replace(execution, kernel="plain", shortcuts=False)
        found = drift(execution, "exact")
    return execution, found if spec.precision == "exact" else drift(execution, "fast")
