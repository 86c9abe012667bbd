"""Score one block of hidden states: every metric with its estimate, what moves it, and its null."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isogloss.stats.behaviour_metrics import BEHAVIOURS
from isogloss.stats.jackknife import Jackknife
from isogloss.stats.metric import Metric
from isogloss.stats.metrics import METRICS

#: Values that differ by less than this share are equal but for rounding, such as those of opposite labelings.
TIE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Score:
    """One metric of one block.

    Attributes:
        plug_in: the statistic with the true labels, not debiased; NaN with a `reason`.
        found: the estimate and what moves it, on the metric's scale (see `Metric.scale`); None with a `reason`.
        plug_in_null: (B,), the statistic with permuted labels.
        null: (B,), the estimate with permuted labels, components and probe held, as a plain value (never a logit).
        effective_n: texts per class that an interval counts with where no text moves the score ("probe" metrics).
        approximate: why the interval is not exact, or None.
        reason: why a part is missing, or None.
    """

    metric: str
    components: int | None
    plug_in: float
    found: Jackknife | None
    plug_in_null: np.ndarray
    null: np.ndarray
    effective_n: float = float("nan")
    approximate: str | None = None
    reason: str | None = None

    @property
    def row(self) -> Metric:
        """The metric's row of METRICS or BEHAVIOURS."""
        return METRICS.get(self.metric) or BEHAVIOURS[self.metric]

    @property
    def p_value(self) -> float:
        """One-sided permutation p of "no separation": (1 + permutations that reach the score) / (1 + permutations)."""
        null = self.plug_in_null[~np.isnan(self.plug_in_null)]
        if np.isnan(self.plug_in) or not len(null):
            return float("nan")
        sign = -1 if self.row.falls else 1
        reached = sign * null >= sign * self.plug_in - TIE * abs(self.plug_in)
        return (1 + int(reached.sum())) / (1 + len(null))


def missing(row: Metric, components: int | None, reason: str) -> Score:
    """Return a score that could not be computed."""
    none = np.empty(0)
    return Score(
        metric=row.name,
        components=components,
        plug_in=float("nan"),
        found=None,
        plug_in_null=none,
        null=none,
        reason=reason,
    )
