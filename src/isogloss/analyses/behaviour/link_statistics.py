"""The link: whether the shift of the hidden states predicts the shift of behaviour.

Within a language the items are pairs: the shift of behaviour is regressed on the shift of the hidden states, all as
ranks, with possible common causes as covariates. Across languages a rank correlation takes the two from disjoint halves
of the pairs, because shared noise would make a correlation by itself. Its p value comes from permutations of whole
languages. Cells of language, layer or checkpoint are never rows.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.stats

from isogloss.analyses.behaviour.statistics import left_out_coefficients
from isogloss.stats.jackknife import Jackknife, combine, delete_one

#: Random halves of the pairs.
SPLITS = 50
#: Up to so many languages all orders are counted (9! = 362,880); above, so many orders are drawn.
EXACT, DRAWN = 9, 100_000
#: With fewer languages no rank correlation reaches p = .05.
FEWEST_LANGUAGES = 5
#: Items that the regression needs beyond its coefficients.
SPARE = 10
#: Orders that agree in their sum but for rounding.
ROUNDING = 1e-9


def rank_slope(
    behaviour: np.ndarray, latent: np.ndarray, covariates: np.ndarray, folds: np.ndarray, units: np.ndarray
) -> Jackknife | None:
    """Regress the ranks of behaviour on those of the latent shift, with ranks of covariates and the folds held.

    The slope is in standard deviations of ranks, about -1 to 1: alone it would be Spearman's correlation. Its error is
    a delete-one jackknife with the ranks held, which holds for unequal spread too.

    Args:
        behaviour: float64 (n,), shift of each item.
        latent: float64 (n,), in the same order.
        covariates: float64 (n, k).
        folds: int (n,): probe scores of different folds are not comparable, so each fold has its own mean.
        units: uint64 (n,), ids of the items.

    Returns:
        The slope; None where a shift is the same for all items, or there are too few.
    """
    inside = [folds == fold for fold in np.unique(folds)[1:]]
    columns = [np.ones(len(behaviour)), _ranks(latent), *(_ranks(column) for column in covariates.T), *inside]
    design = np.column_stack(columns).astype(np.float64)
    target = _ranks(behaviour)
    df = len(target) - np.linalg.matrix_rank(design)
    if df < SPARE or not target.any() or not design[:, 1].any():
        return None
    values, without = left_out_coefficients(design, target)
    if np.isnan(without[:, 1]).any():
        return None
    slope = delete_one(float(values[1]), without[:, 1], units)
    return replace(slope, value=float(values[1]), df=int(df))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks with mean 0 and variance 1, ties at their mean; all 0 where all values are equal."""
    ranks = scipy.stats.rankdata(values)
    spread = ranks.std()
    return np.asarray((ranks - ranks.mean()) / spread if spread > 0 else np.zeros(len(ranks)))


def mean_slope(slopes: Sequence[Jackknife]) -> Jackknife:
    """Mean of the slopes of independent languages: t with one degree of freedom less than there are languages.

    Where languages share items their slopes share noise that their spread does not show. The error is then at least
    that of the mean over the shared items.

    >>> slope = Jackknife(value=0.25, influence=np.array([0.1, -0.1]), units=np.array([1, 2]), df=9)
    >>> mean = mean_slope([slope, replace(slope, value=0.75, units=np.array([3, 4]))])
    >>> mean.value, round(mean.se, 6), mean.df
    (0.5, 0.25, 1)
    """
    values = np.array([slope.value for slope in slopes])
    n = len(values)
    mean = delete_one(float(values.mean()), (values.sum() - values) / (n - 1), np.arange(n))
    if not share_units(slopes):
        return mean
    within = combine(*((1 / n, slope) for slope in slopes)).se
    return replace(mean, influence=np.sqrt(mean.influence**2 + max(0.0, within**2 - mean.se**2) / n))


def share_units(estimates: Sequence[Jackknife]) -> bool:
    """Whether any two estimates share a unit."""
    everything = np.concatenate([estimate.units for estimate in estimates])
    return len(np.unique(everything)) < len(everything)


def halves(units: np.ndarray, n_splits: int, seed: int) -> np.ndarray:
    """Split units into two halves, many times; languages that share items share the halves.

    Args:
        units: uint64 (n,), ids.
        n_splits: how often.
        seed: of the draw.

    Returns:
        bool (n_splits, n), true for floor(n / 2) units.
    """
    numbers = np.column_stack([np.random.default_rng([seed, 4, int(unit)]).random(n_splits) for unit in units])
    order = numbers.argsort(axis=1).argsort(axis=1)
    return np.asarray(order < len(units) // 2)


@dataclass(frozen=True, kw_only=True)
class LanguageCorrelation:
    """A rank correlation over languages.

    Attributes:
        value: Spearman's correlation, the mean over the splits.
        p_value: two-sided, from permutations of whole languages.
        n: languages.
        exact: whether all orders were counted, or some drawn.
        power: chance of p <= .05 at this number of languages if the true correlation is `POWER_AT`.
    """

    value: float
    p_value: float
    n: int
    exact: bool
    power: float


#: True correlation for which power is stated.
POWER_AT = 0.6


def correlate_languages(latent: np.ndarray, behaviour: np.ndarray, seed: int) -> LanguageCorrelation:
    """Correlate the ranks of languages: latent scores from one half of the pairs, behaviour from the other.

    The mean over splits of Spearman's correlation is a sum of one entry of a matrix for each language, so that every
    order of the languages costs an addition for each of them.

    Args:
        latent: float64 (splits, languages), from one half.
        behaviour: float64 (splits, languages), from the other.
        seed: of drawn orders and of the simulation of power.

    Raises:
        ValueError: fewer than two languages, or numbers that are not finite.
    """
    n = latent.shape[1]
    if n < 2 or not (np.isfinite(latent).all() and np.isfinite(behaviour).all()):  # noqa: PLR2004
        raise ValueError("a correlation needs two languages and finite numbers")
    first, second = (np.vstack([_ranks(row) for row in side]) for side in (latent, behaviour))
    table = first.T @ second / len(first) / n
    observed = float(np.trace(table))
    rng = np.random.default_rng([seed, 5])
    p_value = _two_sided(observed, _sums(table, _orders(n, rng)), exact=n <= EXACT)
    power = spearman_power(n, POWER_AT, seed)
    return LanguageCorrelation(value=observed, p_value=p_value, n=n, exact=n <= EXACT, power=power)


def _orders(n: int, rng: np.random.Generator) -> np.ndarray:
    """All orders of n languages, or many random ones: int (orders, n)."""
    if n <= EXACT:
        return _all_orders(n)
    return rng.random((DRAWN, n)).argsort(axis=1)


@functools.cache
def _all_orders(n: int) -> np.ndarray:
    flat = itertools.chain.from_iterable(itertools.permutations(range(n)))
    return np.fromiter(flat, dtype=np.int8, count=n * math.factorial(n)).reshape(-1, n)


def _sums(table: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Sum of table[i, order[i]] of each order."""
    total = np.zeros(len(orders))
    for row, column in zip(table, orders.T, strict=True):
        total += row[column]
    return total


def _two_sided(observed: float, null: np.ndarray, *, exact: bool) -> float:
    reached = int((np.abs(null) >= abs(observed) - ROUNDING).sum())
    # The observed order is one of all orders, but need not be among the random ones.
    return reached / len(null) if exact else (1 + reached) / (1 + len(null))


@functools.cache
def spearman_power(n: int, correlation: float, seed: int, *, level: float = 0.05, runs: int = 2000) -> float:
    """Power of the test of a rank correlation over n languages, by simulation of normal scores without noise.

    Real scores are noisy, so this is an upper bound.

    Args:
        n: languages.
        correlation: true rank correlation.
        seed: of the simulation.
        level: of the two-sided permutation test.
        runs: of the simulation.
    """
    rng = np.random.default_rng([seed, 6, n])
    line = _ranks(np.arange(n))
    null = np.sort(np.abs(_sums(np.outer(line, line) / n, _orders(n, rng))))
    pearson = 2 * math.sin(math.pi * correlation / 6)  # of a normal pair with that rank correlation
    first, noise = rng.standard_normal((2, runs, n))
    second = pearson * first + math.sqrt(1 - pearson**2) * noise
    seen = np.abs([np.dot(_ranks(a), _ranks(b)) / n for a, b in zip(first, second, strict=True)])
    p_values = (len(null) - np.searchsorted(null, seen - ROUNDING)) / len(null)
    return float((p_values <= level).mean())
