"""What a metric is (one row of a table), the block of states that it reads, and the score that comes out.

A row carries every function and every fact that is special to its metric. No code reads the name of a metric to decide
what to compute: a new metric is a new row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np

from isogloss.stats.components import Space, open_space
from isogloss.stats.jackknife import Jackknife
from isogloss.stats.leave_one_out import LEADING, LeftOut
from isogloss.stats.permutations import Draws

#: Values that differ by less than this share are equal but for rounding, such as those of opposite labelings.
TIE = 1e-9

#: How the intervals of metrics are made.
ONE_UNIT = "delete-one jackknife, components refitted"
HELD = "delete-one jackknife, corrected for shared training texts, logit scale"
GROUPS = "delete-group jackknife, not debiased"
CLOSED_FORM = "delete-one jackknife of an unbiased estimate"

#: (rows (n, d) or probe scores (B, n), labels (B, n), partners (n,) or None, folds (n,)) -> values (B,).
Many = Callable[[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray], np.ndarray]
#: (rows in k components (n, k), draws, plug-in values under permuted labels (B,)) -> estimates under them (B,).
Null = Callable[[np.ndarray, Draws, np.ndarray], np.ndarray]
#: (probe scores (n,), draws, folds (n,)) -> how far each unit moves the metric (units,).
Influence = Callable[[np.ndarray, Draws, np.ndarray], np.ndarray]


class WithoutUnits(Protocol):
    """A metric of one block in k components, opened up so that each unit of resampling can be left out."""

    @property
    def held(self) -> np.ndarray:
        """Values without each unit, in the components of all rows: float64 (units,)."""

    def refitted(self, space: Space, left: LeftOut) -> np.ndarray:
        """Values without each unit of a chunk, the components fitted without it too: float64 (u,)."""


#: (principal components of all rows, draws, number of components k) -> the metric without each unit.
OpenWithoutUnits = Callable[[Space, Draws, int], WithoutUnits]


def plug_in_null(z: np.ndarray, draws: Draws, plug_in: np.ndarray) -> np.ndarray:
    """Return the plug-in values under permuted labels as they are, for metrics whose estimate has no bias there."""
    del z, draws
    return plug_in


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One row of a table of metrics.

    Attributes:
        basis: what the metric reads. "pca" metrics read principal components, "probe" metrics read cross-fitted scores
            in the full space, "means" metrics read the states along the difference of the class means, and "answers"
            metrics read behaviour.
        family: label for lists. Component metrics say whether harm is a dominant direction, probe metrics how well a
            linear probe finds it, and published metrics are what others print, as they print it.
        low, high: range.
        chance: value without any class difference.
        about: what it measures, in one sentence.
        source: paper or formula.
        many: computes the metric for many labelings at once.
        method: how its intervals are made.
        scorer: scores a block by all metrics of one kind; None where an analysis scores the metric itself.
        without_units: opens a block to leave out each unit; needed by `component_scores.score_components`.
        null: estimate under permuted labels, the components held; used by `component_scores.score_components`.
        fit_bias: whether the bias from fitting the components is taken off.
        influence: how far each unit moves the metric; needed by `probe_scores.score_probe`.
        per_component: texts needed per class and component, else the value is not reported.
        needs_pairs: whether it compares a text with its partner.
        judges: whether verdicts may come from it.
        scale: scale on which differences are taken: shares that saturate are compared as log odds.
        log_axis: whether charts draw it on a logarithmic axis.
        decreasing: whether classes that lie farther apart give a smaller value.
    """

    name: str
    basis: Literal["pca", "probe", "means", "answers"]
    family: Literal["component", "probe", "published"]
    low: float
    high: float
    chance: float
    about: str
    source: str
    many: Many
    method: str
    scorer: Scorer | None = None
    without_units: OpenWithoutUnits | None = None
    null: Null = plug_in_null
    fit_bias: bool = True
    influence: Influence | None = None
    per_component: int = 0
    needs_pairs: bool = False
    judges: bool = False
    scale: Literal["plain", "logit"] = "plain"
    log_axis: bool = False
    decreasing: bool = False


@dataclass(frozen=True, kw_only=True)
class StateBlock:
    """Hidden states of one model, language and layer, with what metrics read of them.

    Attributes:
        x: float (n, d), the states.
        draws: of this language.
        components: numbers of principal components for the "pca" metrics, such as (2, 10).
        cross_fitted: float64 (1 + permutations, n), scores of cross-fitted probes, those of the true labels first; None
            where no metric reads them.
        scale: float (d,), what dimensions are divided by before components are fitted; None leaves them as they are.
            Probes standardise dimensions anyway, and the class distance reads the states as they are.
        spread: unit of the class distance: within-class spread of the pivot's states in the reference model; None takes
            that of the block.
    """

    x: np.ndarray
    draws: Draws
    components: tuple[int, ...]
    cross_fitted: np.ndarray | None = None
    scale: np.ndarray | None = None
    spread: float | None = None

    @cached_property
    def space(self) -> Space:
        """The scaled states in their leading principal components, with as many as leaving out units needs."""
        x = self.x if self.scale is None else (self.x - self.x.mean(axis=0, dtype=np.float64)) / self.scale
        return open_space(x, max(self.components) + LEADING)


@dataclass(frozen=True, kw_only=True)
class Score:
    """One metric of one block.

    Attributes:
        row: the metric.
        components: number of principal components; None where the metric reads none.
        plug_in: the statistic with the true labels, not debiased; NaN with a `reason`.
        jackknife: the estimate and how each unit moves it, on the scale of the metric; None with a `reason`.
        plug_in_null: (B,), the statistic with permuted labels.
        null: (B,), the estimate with permuted labels, components and probe held, as a plain value (never a logit).
        effective_n: texts per class that an interval counts with where no text moves the score ("probe" metrics).
        approximate: why the interval is not exact, or None.
        reason: why a value is missing, or None.
    """

    row: Metric
    components: int | None
    plug_in: float
    jackknife: Jackknife | None
    plug_in_null: np.ndarray
    null: np.ndarray
    effective_n: float = float("nan")
    approximate: str | None = None
    reason: str | None = None

    @property
    def metric(self) -> str:
        """Name of the metric."""
        return self.row.name

    @property
    def p_value(self) -> float:
        """One-sided permutation p of "no separation": (1 + permutations that reach the score) / (1 + permutations)."""
        null = self.plug_in_null[~np.isnan(self.plug_in_null)]
        if np.isnan(self.plug_in) or not len(null):
            return float("nan")
        sign = -1 if self.row.decreasing else 1
        reached = sign * null >= sign * self.plug_in - TIE * abs(self.plug_in)
        return (1 + int(reached.sum())) / (1 + len(null))


#: (block, metrics of one kind) -> their scores. Metrics with the same scorer are scored together and share its work.
Scorer = Callable[[StateBlock, Sequence[Metric]], list[Score]]


def missing(row: Metric, components: int | None, reason: str) -> Score:
    """Return a score that could not be computed."""
    none = np.empty(0)
    return Score(
        row=row,
        components=components,
        plug_in=float("nan"),
        jackknife=None,
        plug_in_null=none,
        null=none,
        reason=reason,
    )
