"""Shuffled labels (the null) and groups of units left out (the jackknife); one set serves both models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.stats

from isogloss.separation.pairs import unit_codes

JACKKNIFE_GROUPS = 25


def label_shuffles(harmful: np.ndarray, twins: np.ndarray | None, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw labelings without any class difference.

    Within each pair the two labels are swapped or not, with even odds. Without twins the labels are permuted.

    Returns:
        bool (n, texts), each with as many harmful texts as `harmful`.
    """
    if twins is None:
        return np.asarray(rng.permuted(np.tile(harmful, (n, 1)), axis=1))
    units = unit_codes(len(harmful), twins)
    flips = rng.integers(0, 2, size=(n, units.max() + 1)).astype(bool)
    return np.asarray(harmful ^ flips[:, units])


def jackknife_groups(harmful: np.ndarray, twins: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """Deal the units into 25 groups of nearly equal size (fewer if there are fewer units), classes evenly.

    Returns:
        int (n,), the group of each row; twins share a group.
    """
    units = unit_codes(len(harmful), twins)
    n_groups = min(JACKKNIFE_GROUPS, int(units.max()) + 1)
    if twins is not None:
        return np.asarray(rng.permutation(np.arange(units.max() + 1) % n_groups)[units])
    groups = np.empty(len(harmful), dtype=np.intp)
    for label in (True, False):
        rows = np.flatnonzero(harmful == label)
        groups[rows] = rng.permutation(np.arange(len(rows)) % n_groups)
    return groups


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A confidence interval; NaN where it cannot be had."""

    low: float
    high: float


def jackknife_interval(value: float, left_out: np.ndarray, level: float) -> Interval:
    """Interval of the delete-group jackknife: value plus or minus t times the standard error.

    The standard error is sqrt((G - 1) / G * sum of (theta_g - mean)^2) over the G groups, with G - 1 degrees of
    freedom (Shao and Tu, 1995, 5.1).

    Args:
        value: the estimate on all units.
        left_out: (G,), the estimate without each group.
        level: confidence level, such as 0.95.
    """
    groups = len(left_out)
    spread = float(np.sqrt((groups - 1) / groups * ((left_out - left_out.mean()) ** 2).sum()))
    half = float(scipy.stats.t.ppf((1 + level) / 2, groups - 1)) * spread
    return Interval(low=value - half, high=value + half)
