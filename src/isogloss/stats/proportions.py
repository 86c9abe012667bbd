"""Upper bounds and intervals of shares and ratios."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import scipy.stats

from isogloss.stats.jackknife import Interval


class Bounded(NamedTuple):
    """A number and its one-sided upper bound; NaN where there is none."""

    value: float
    high: float


def share_at_most(events: int, n: int, level: float = 0.95) -> Bounded:
    """Share of events with its exact (Clopper-Pearson) one-sided upper bound.

    >>> share_at_most(0, 59).high < 0.05 < share_at_most(0, 58).high
    True
    """
    if not n:
        return Bounded(math.nan, math.nan)
    high = 1.0 if events == n else float(scipy.stats.beta.ppf(level, events + 1, n - events))
    return Bounded(events / n, high)


def texts_needed(limit: float, level: float = 0.95) -> int:
    """Fewest texts without an event that bound a share below `limit`, from 0 to 1, one-sided.

    >>> texts_needed(0.05), texts_needed(0.03)
    (59, 99)
    """
    n = math.ceil(math.log(1 - level) / math.log(1 - limit))
    return n if share_at_most(0, n, level).high < limit else n + 1


def relative_rise(
    before: np.ndarray, after: np.ndarray, units_before: np.ndarray, units_after: np.ndarray, level: float = 0.95
) -> Bounded:
    """Relative increase of a ratio of sums, with its one-sided upper bound.

    The ratio is that of amounts to units over all texts together (bits to characters). The bound is from the
    delete-one jackknife over texts of the logarithm of the two ratios' quotient, and Student's t.

    Args:
        before: amounts of each text before, float64 (texts,).
        after: amounts after, in the same order.
        units_before: units of each text before, (texts,).
        units_after: units after; the same as before where the tokenizer is the same.
        level: of the bound.

    Returns:
        0.02 means 2 % more; the bound is NaN for fewer than two texts.
    """
    n = len(before)
    if not n or not before.sum() > 0 or not units_before.sum() > 0 or not units_after.sum() > 0:
        return Bounded(math.nan, math.nan)
    whole = _log_quotient(before.sum(), after.sum(), units_before.sum(), units_after.sum())
    value = math.expm1(float(whole))
    if n < 2:  # noqa: PLR2004 - one text has no spread
        return Bounded(value, math.nan)
    without = _log_quotient(
        *(column.sum() - column for column in (before, after, units_before, units_after))  # each text left out in turn
    )
    error = math.sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum()))
    return Bounded(value, math.expm1(float(whole) + float(scipy.stats.t.ppf(level, n - 1)) * error))


def _log_quotient(
    before: np.ndarray, after: np.ndarray, units_before: np.ndarray, units_after: np.ndarray
) -> np.ndarray:
    quotient: np.ndarray = np.log(after / units_after) - np.log(before / units_before)
    return quotient


def exact_interval(events: int, n: int, level: float = 0.95) -> Interval:
    """Two-sided exact (Clopper-Pearson) interval of a share; NaN for 0 of 0.

    >>> exact_interval(0, 10).low, round(exact_interval(0, 10).high, 4)
    (0.0, 0.3085)
    """
    if not n:
        return Interval(low=math.nan, high=math.nan)
    tail = (1 - level) / 2
    low = 0.0 if events == 0 else float(scipy.stats.beta.ppf(tail, events, n - events + 1))
    high = 1.0 if events == n else float(scipy.stats.beta.ppf(1 - tail, events + 1, n - events))
    return Interval(low=low, high=high)
