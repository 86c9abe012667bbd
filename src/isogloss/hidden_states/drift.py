"""Drift: how far the hidden states of a few rows move when the model is run in another way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from isogloss.engines.worker import out_of_memory
from isogloss.errors import ModelError
from isogloss.hidden_states.batching import BatchPlan
from isogloss.hidden_states.execution import Execution
from isogloss.hidden_states.extract import Wanted, broken_rows, hidden_states, plan_rows
from isogloss.hidden_states.forward import UNSUPPORTED
from isogloss.models.load import LoadedModel
from isogloss.models.prompts import Prompts

#: What a batch costs beside its tokens, in tokens, so that few rows come in as few batches as fit.
FEW_BATCHES = 10**6


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How far hidden states lie from those of one text at a time by torch's own products, over all that is read.

    Attributes:
        mean: distance of the two states relative to the length of the second, on average; 0 or more.
        max: the largest of these distances; infinite where a state is not finite and the model's own is.
        min_cosine: the smallest cosine of the two states.
        texts: how many texts were compared: those for which the model itself gives states that can be used. With none
            the other numbers are NaN.
    """

    mean: float
    max: float
    min_cosine: float
    texts: int

    def within(self, tolerance: float) -> bool:
        """Whether no state moved by more than the tolerance; False if nothing could be compared."""
        return self.texts > 0 and self.max <= tolerance


#: States of a few rows: float64 (rows, width) for each position and layer.
States = Sequence[np.ndarray]


def plan_sample(sample: Prompts, execution: Execution, wanted: Wanted) -> BatchPlan:
    """Plan as few batches as fit, so that rows of other lengths pad each other."""
    overhead = execution.overhead if execution.token_budget == 1 else FEW_BATCHES
    return plan_rows(sample.ids, replace(execution, overhead=overhead), wanted.keys(), text_ends=sample.text_ends)


def read_alone(model: LoadedModel, sample: Prompts, wanted: Wanted, execution: Execution) -> States:
    """Read the rows one at a time, by torch's own products and without shortcuts."""
    alone = replace(execution, kernel="plain", token_budget=1, overhead=0, shortcuts=False)
    return read_states(model, sample, wanted, alone)


def read_states(model: LoadedModel, sample: Prompts, wanted: Wanted, execution: Execution) -> States:
    """Read the rows as an execution does; call it inside `fast_linears`."""
    plan = plan_sample(sample, execution, wanted)
    states = hidden_states(model, plan, wanted, execution=execution, bos=sample.bos)
    return [states[position][layer].astype(np.float64) for position in wanted for layer in wanted[position]]


def attempt(expected: States, model: LoadedModel, sample: Prompts, wanted: Wanted, execution: Execution) -> Drift:
    """Compare with what an execution gives; a model that fails with it gives nothing that is near."""
    try:
        return compare(expected, read_states(model, sample, wanted, execution), rounded=False)
    except UNSUPPORTED as error:
        if out_of_memory(error):
            raise
    nothing = [np.full_like(states, np.nan) for states in expected]
    return compare(expected, nothing, rounded=False)


def cannot_compute(model: LoadedModel, dtype: str, error: Exception) -> ModelError:
    """Build the error for an architecture whose own code fails, in this dtype or on this device."""
    return ModelError(
        f"a forward pass of {type(model.causal).__name__}",
        found=f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}",
        expected=f"code of transformers that runs in {dtype} on {model.device}",
        do="use --dtype float32" if dtype != "float32" else "report the model's architecture to transformers",
    )


def compare(expected: States, tried: States, *, rounded: bool) -> Drift:
    """Measure the drift over the texts whose own states are usable; a rounded precision may be too narrow for more."""
    usable = ~np.any([broken_rows(states) for states in expected], axis=0)
    if rounded:
        usable &= ~np.any([broken_rows(states) for states in tried], axis=0)
    if not usable.any():
        return Drift(mean=np.nan, max=np.nan, min_cosine=np.nan, texts=0)
    moved, cosines = [], []
    for states, reference in ((a[usable], b[usable]) for a, b in zip(tried, expected, strict=True)):
        length = np.linalg.norm(reference, axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):  # what was tried may be infinite, or zeros only
            moved.append(np.linalg.norm(states - reference, axis=-1) / length)
            cosines.append((reference * states).sum(axis=-1) / (length * np.linalg.norm(states, axis=-1)))
    distances = np.concatenate(moved)
    distances = np.where(np.isfinite(distances), distances, np.inf)
    return Drift(
        mean=float(distances.mean()),
        max=float(distances.max()),
        min_cosine=float(np.concatenate(cosines).min()),
        texts=int(usable.sum()),
    )
