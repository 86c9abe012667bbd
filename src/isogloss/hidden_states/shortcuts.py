"""The shortcuts that a model takes: those that it supports, and that leave its states as they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from isogloss.hidden_states.drift import Drift, States, attempt, plan_sample
from isogloss.hidden_states.execution import SHORTCUTS, Execution, Shortcut, ShortcutOff
from isogloss.hidden_states.extract import Wanted
from isogloss.hidden_states.forward import shared_cache
from isogloss.hidden_states.kernels import fast_linears
from isogloss.models.architecture import attends_ahead
from isogloss.models.load import LoadedModel
from isogloss.models.prompts import Prompts

#: Why a shortcut is off.
NO_CACHE = "the model has no cache that holds keys and values alone"
RECURRENT = "rounding may grow along its recurrent states"
LOOKS_AHEAD = "tokens attend to later ones"
CHANGES = "it changes the states of this model"
NO_STATES = "no state of the model is usable, so nothing can be compared"
#: Shortcuts that some architectures do not take, in the order in which a model is run without them.
DOUBTFUL: tuple[tuple[Shortcut, ...], ...] = (
    ("fused MLP",),
    ("shared beginning",),
    ("fused MLP", "shared beginning"),
    ("packed weights",),
    ("packed weights", "shared beginning"),
)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A few rows with the model's own states, with which ways to run the model are compared.

    Attributes:
        model: with the wanted adapter active.
        sample: the rows.
        wanted: position -> layers.
        expected: the model's own states, one row at a time.
        tolerance: most that a shortcut may move a state, relative to its length.
        most: most that it may do so where batches alone move states by half of that.
    """

    model: LoadedModel
    sample: Prompts
    wanted: Wanted
    expected: States
    tolerance: float
    most: float

    def fastest(self, execution: Execution) -> tuple[Execution, Drift]:
        """Find the fastest execution that leaves the states as they are, and its drift.

        The last resort is the execution without shortcuts, whatever its drift is.
        """
        execution = without_unsupported(self.model, self.sample, self.wanted, execution)
        drift = self.measure(execution)
        if drift.within(self.tolerance):
            return execution, drift
        plain = replace(execution, kernel="plain", shortcuts=False)
        rounding = self.measure(plain)
        if not rounding.texts:
            off = tuple(_off(shortcut, NO_STATES) for shortcut in SHORTCUTS if execution.takes(shortcut))
            return replace(plain, off=(*execution.off, *off)), rounding
        tolerance = min(max(self.tolerance, 2 * rounding.max), self.most)
        for candidate, drift_of_candidate in self._candidates(execution, drift):
            if drift_of_candidate.within(tolerance):
                return candidate, drift_of_candidate
        return replace(plain, off=(*execution.off, *self._culprits(execution, tolerance))), rounding

    def measure(self, execution: Execution) -> Drift:
        """Measure the drift of an execution."""
        with fast_linears(self.model, execution):
            return attempt(self.expected, self.model, self.sample, self.wanted, execution)

    def _candidates(self, execution: Execution, drift: Drift) -> Iterator[tuple[Execution, Drift]]:
        """Yield the execution, and those without doubtful shortcuts, with their drifts."""
        yield execution, drift
        taken = {shortcut for shortcut in SHORTCUTS if execution.takes(shortcut)}
        if not plan_sample(self.sample, execution, self.wanted).prefix:
            taken -= {"shared beginning"}
        if "packed weights" not in taken:
            taken -= {"fused MLP"}
        for shortcuts in DOUBTFUL:
            if taken.issuperset(shortcuts):
                candidate = execution
                for shortcut in shortcuts:
                    candidate = without(candidate, shortcut, CHANGES, drift)
                yield candidate, self.measure(candidate)

    def _culprits(self, execution: Execution, tolerance: float) -> tuple[ShortcutOff, ...]:
        """Try every shortcut by itself, to say which of them change states."""
        culprits = []
        for shortcut in (shortcut for shortcut in SHORTCUTS if execution.takes(shortcut)):
            packs = shortcut in {"packed weights", "fused MLP"}
            off = tuple(_off(other, "untried") for other in SHORTCUTS if other != shortcut)
            drift = self.measure(replace(execution, kernel=execution.kernel if packs else "plain", off=off))
            if not drift.within(tolerance):
                culprits.append(_off(shortcut, CHANGES, drift))
        return tuple(culprits)


def without_unsupported(model: LoadedModel, sample: Prompts, wanted: Wanted, execution: Execution) -> Execution:
    """Leave out the shortcuts that a model does not support, by its configuration and by the cache that it fills."""
    if execution.shortcuts and attends_ahead(model):
        off = (_off("unmasked padding", LOOKS_AHEAD), _off("shared beginning", LOOKS_AHEAD))
        return replace(execution, shortcuts=False, off=(*execution.off, *off))
    if not execution.shortcuts:
        return execution
    # Two tokens fill a cache, where the rows share no beginning.
    beginning = plan_sample(sample, execution, wanted).beginning or sample.ids[-1][:2]
    if shared_cache(model, beginning) is None:
        plain = without(execution, "shared beginning", NO_CACHE)
        if execution.takes("packed weights"):
            plain = without(plain, "packed weights", RECURRENT)
        return replace(plain, shortcuts=False)
    return execution


def without(execution: Execution, shortcut: Shortcut, why: str, drift: Drift | None = None) -> Execution:
    """Take a shortcut out of an execution, and say why."""
    kernel = "plain" if shortcut == "packed weights" else execution.kernel
    return replace(execution, kernel=kernel, off=(*execution.off, _off(shortcut, why, drift)))


def _off(shortcut: Shortcut, why: str, drift: Drift | None = None) -> ShortcutOff:
    moved = drift.max if drift is not None and np.isfinite(drift.max) else None
    return ShortcutOff(shortcut=shortcut, why=why, drift=moved)
