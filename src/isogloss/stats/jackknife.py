"""Jackknife: the source of every interval, an estimate together with how each unit moves it.

A `Jackknife` holds one column of the audit's pseudo-value matrix: a centred and scaled entry for each unit of
resampling, so that squares add up to the variance and products over shared units to the covariance. Gains, gaps and
other contrasts are sums of columns; simultaneous bands and Fieller sets read the same columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.stats

#: Draws of the multivariate t for simultaneous bands; its error in the critical value is below .02.
BAND_DRAWS = 40_000
#: Numbers in memory at a time.
DRAWS_AT_ONCE, UNITS_AT_ONCE = 4_000, 8_192


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A confidence interval; NaN where there is none."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Jackknife:
    """An estimate and how each unit moves it.

    Attributes:
        value: the estimate.
        influence: float64 (units,), sums to about zero; the variance of `value` is the sum of its squares.
        units: uint64 (units,), sorted ids; two estimates share a unit if they share its id.
        df: degrees of freedom of the standard error.
    """

    value: float
    influence: np.ndarray
    units: np.ndarray
    df: int

    @property
    def se(self) -> float:
        """Standard error."""
        return float(np.sqrt((self.influence**2).sum()))

    @property
    def t(self) -> float:
        """Value over standard error; NaN where there is no standard error."""
        return self.value / self.se if self.se > 0 else float("nan")

    @property
    def p_value(self) -> float:
        """Two-sided p of "the true value is zero", from t with `df` degrees of freedom."""
        return float(2 * scipy.stats.t.sf(abs(self.t), self.df))

    def interval(self, level: float = 0.95, critical: float | None = None) -> Interval:
        """Value plus or minus t times the standard error; `critical` takes the place of the t quantile."""
        if critical is None:
            critical = float(scipy.stats.t.ppf((1 + level) / 2, self.df))
        half = critical * self.se
        return Interval(low=self.value - half, high=self.value + half)


def bias(plug_in: float | np.ndarray, left_out: np.ndarray, strata: np.ndarray | None = None) -> float | np.ndarray:
    """Jackknife estimate of the bias of order 1/n: (n - 1) times the mean of (left-out value - value).

    With strata (classes of unpaired texts) the biases add up over the strata.

    Args:
        plug_in: the statistic on all units; a number, or (B,) for B labelings.
        left_out: (units,) or (units, B), the statistic without each unit.
        strata: bool or 0/1, (units,) or (units, B); None for one stratum.
    """
    if strata is None:
        return np.asarray((len(left_out) - 1) * (left_out.mean(axis=0) - plug_in))
    total = np.zeros(left_out.shape[1:])
    for side in (strata == 0, strata == 1):
        n = side.sum(axis=0)
        total = total + (n - 1) * (np.where(side, left_out, 0.0).sum(axis=0) / n - plug_in)
    return total


def delete_one(plug_in: float, left_out: np.ndarray, units: np.ndarray, strata: np.ndarray | None = None) -> Jackknife:
    """Jackknife of an estimate from its values with each unit left out (Efron and Tibshirani, 1993, 11).

    The estimate is the mean of the pseudo-values n * plug_in - (n - 1) * left_out: the plug-in value less `bias`. With
    strata variances add up over the strata.

    For a mean it gives the mean and its usual standard error, sd / sqrt(n):

    >>> x = np.array([1.0, 2.0, 6.0])
    >>> mean = delete_one(3.0, np.array([4.0, 3.5, 1.5]), np.arange(3))
    >>> mean.value, bool(np.isclose(mean.se, x.std(ddof=1) / np.sqrt(3)))
    (3.0, True)

    Args:
        plug_in: the statistic on all units.
        left_out: (units,), the statistic without each unit.
        units: (units,) ids.
        strata: (units,) of 0 and 1, or None for one stratum.
    """
    influence = np.empty(len(left_out))
    n_strata = 1 if strata is None else 2
    for stratum in range(n_strata):
        members = slice(None) if strata is None else strata == stratum
        values = left_out[members]
        influence[members] = np.sqrt((len(values) - 1) / len(values)) * (values.mean() - values)
    order = np.argsort(units)
    return Jackknife(
        value=float(plug_in - bias(plug_in, left_out, strata)),
        influence=influence[order],
        units=np.asarray(units)[order],
        df=len(left_out) - n_strata,
    )


def with_null(estimate: Jackknife, null: np.ndarray, draws: np.ndarray) -> Jackknife:
    """Add the spread of the null to the variance of an estimate.

    Where there is no separation the statistic is quadratic in the data and its jackknife variance goes to zero with
    the value. Then the spread under permuted labels remains. It enters as further rows of the pseudo-value matrix, one
    a permutation, so that estimates which share permutations stay paired.

    Args:
        estimate: with one entry a unit.
        null: (B,), the estimate under permuted labels.
        draws: uint64 (B,), ids of the permutations.
    """
    mean = null.mean() if len(null) else 0.0
    spread = (null - mean) / np.sqrt(max(1, len(null) - 1))
    units = np.concatenate([estimate.units, draws])
    order = np.argsort(units)
    return replace(estimate, influence=np.concatenate([estimate.influence, spread])[order], units=units[order])


def combine(*terms: tuple[float, Jackknife]) -> Jackknife:
    """Weighted sum of estimates; shared units are paired, others are independent. Takes the least df.

    >>> estimate = Jackknife(value=3.0, influence=np.array([1.0, -1.0]), units=np.array([1, 2]), df=1)
    >>> combine((1.0, estimate), (-1.0, estimate)).se
    0.0
    """
    matrix, units = stack([estimate for _, estimate in terms])
    weights = np.array([weight for weight, _ in terms])
    return Jackknife(
        value=float(sum(weight * estimate.value for weight, estimate in terms)),
        influence=matrix @ weights,
        units=units,
        df=min(estimate.df for _, estimate in terms),
    )


def stack(estimates: Sequence[Jackknife]) -> tuple[np.ndarray, np.ndarray]:
    """Put estimates side by side: the pseudo-value matrix (units, estimates), zero where a unit is not in an estimate.

    Returns:
        The matrix and the ids of its rows.
    """
    units = np.unique(np.concatenate([estimate.units for estimate in estimates]))
    matrix = np.zeros((len(units), len(estimates)))
    for column, estimate in enumerate(estimates):
        matrix[np.searchsorted(units, estimate.units), column] = estimate.influence
    return matrix, units


def covariance(estimates: Sequence[Jackknife]) -> np.ndarray:
    """Covariance matrix (estimates, estimates) of estimates, zero where they share no unit."""
    units = np.unique(np.concatenate([estimate.units for estimate in estimates]))
    total = np.zeros((len(estimates), len(estimates)))
    # Most estimates of an audit share no unit, so the whole matrix would be large and nearly all zero.
    for start in range(0, len(units), UNITS_AT_ONCE):
        chunk = units[start : start + UNITS_AT_ONCE]
        matrix = np.zeros((len(chunk), len(estimates)))
        for column, estimate in enumerate(estimates):
            first, last = np.searchsorted(estimate.units, chunk[[0, -1]])
            span = slice(first, last + 1)
            inside = estimate.units[span] <= chunk[-1]
            matrix[np.searchsorted(chunk, estimate.units[span][inside]), column] = estimate.influence[span][inside]
        total += matrix.T @ matrix
    return total


def critical_value(estimates: Sequence[Jackknife], level: float, rng: np.random.Generator) -> float:
    """Max-t critical value: all intervals value +- c * se hold together with probability `level`.

    The quantile of the largest |t| of a multivariate t with the correlation of the estimates. It equals a multiplier
    bootstrap with Gaussian multipliers on the pseudo-value matrix, studentised with a chi-square of `df`.

    Args:
        estimates: those that no unit moves do not count.
        level: such as 0.95.
        rng: its draws decide the third decimal.
    """
    df = min(estimate.df for estimate in estimates)
    moved = [estimate for estimate in estimates if estimate.se > 0]
    if len(moved) <= 1:
        return float(scipy.stats.t.ppf((1 + level) / 2, df))
    cov = covariance(moved)
    scale = np.sqrt(np.diag(cov))
    values, vectors = np.linalg.eigh(cov / np.outer(scale, scale))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    sizes = [min(DRAWS_AT_ONCE, BAND_DRAWS - start) for start in range(0, BAND_DRAWS, DRAWS_AT_ONCE)]
    parts = [np.abs(rng.standard_normal((size, len(moved))) @ root.T).max(axis=1) for size in sizes]
    largest = np.concatenate(parts) / np.sqrt(rng.chisquare(df, BAND_DRAWS) / df)
    return float(np.quantile(largest, level))
