"""Effects of alignment: gain, gap to the pivot, retention and verdict, with their intervals and corrections."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.stats

from isogloss.stats.jackknife import Interval, Jackknife, combine, covariance, critical_value
from isogloss.stats.metric import TIE
from isogloss.stats.thresholds import THRESHOLDS

Verdict = Literal["reached", "weakened", "lagging", "not reached", "reversed", "confounded", "inconclusive"]


@dataclass(frozen=True, kw_only=True)
class Retention:
    """A language's gain over the pivot's, with its simultaneous Fieller set.

    `value` is NaN, and `low` and `high` are, where the pivot's gain is not clear of zero; `reason` says so.
    """

    value: float
    low: float
    high: float
    reason: str | None = None

    @property
    def verdict(self) -> Verdict:
        """What the set allows to say, first match; "confounded" is not decided here."""
        return read_verdict(Interval(low=self.low, high=self.high))


def read_verdict(found: Interval) -> Verdict:
    """Read the verdict off a set of retention.

    >>> read_verdict(Interval(low=0.85, high=1.3)), read_verdict(Interval(low=-0.1, high=0.2))
    ('reached', 'not reached')
    """
    if math.isnan(found.low) or math.isnan(found.high):
        return "inconclusive"
    reached, not_reached = THRESHOLDS.reached, THRESHOLDS.not_reached
    rules: tuple[tuple[bool, Verdict], ...] = (
        (found.high < 0, "reversed"),
        (found.high < not_reached, "not reached"),
        (found.low > not_reached and found.high < reached, "weakened"),
        (found.high < reached, "lagging"),
        (found.low > reached, "reached"),
    )
    return next((verdict for holds, verdict in rules if holds), "inconclusive")


def gain(reference: Jackknife, aligned: Jackknife) -> Jackknife:
    """Aligned minus reference; the same texts, so paired unit by unit."""
    return combine((1.0, aligned), (-1.0, reference))


def gap(pivot: Jackknife, own: Jackknife) -> Jackknife:
    """The pivot's gain minus a language's: paired where they share items, else independent."""
    return combine((1.0, pivot), (-1.0, own))


def mde(found: Jackknife) -> float:
    """Smallest true gap that this many texts would show with 90 % power (two-sided, 5 %): 3.24 standard errors."""
    return THRESHOLDS.mde_standard_errors * found.se


def fieller(own: Jackknife, pivot: Jackknife, critical: float) -> Interval:
    """Fieller's set for the ratio of two estimates: all r with |own - r pivot| <= critical * se(own - r pivot).

    Args:
        own: numerator.
        pivot: denominator.
        critical: of t.

    Returns:
        The roots; NaN where the denominator is within `critical` standard errors of zero (the set is unbounded).
    """
    cov = covariance([own, pivot])
    a = pivot.value**2 - critical**2 * cov[1, 1]
    b = own.value * pivot.value - critical**2 * cov[0, 1]
    c = own.value**2 - critical**2 * cov[0, 0]
    if not (a > 0 and pivot.value != 0):
        return Interval(low=float("nan"), high=float("nan"))
    half = math.sqrt(max(b**2 - a * c, 0.0))
    return Interval(low=(b - half) / a, high=(b + half) / a)


def retentions(
    gains: Mapping[str, tuple[Jackknife, Jackknife]], level: float, rng: np.random.Generator
) -> dict[str, Retention]:
    """Retention of several languages with sets that hold all together.

    The critical value is that of the largest |t| among the pivot's gain and all own - r pivot, r being the estimate.

    Args:
        gains: language -> its own gain and the pivot's gain to compare with (the same for all, or of a matched sample).
        level: such as 0.95.
        rng: for the critical value.
    """
    if not gains:
        return {}
    contrasts = []
    for own, pivot in gains.values():
        ratio = own.value / pivot.value if pivot.value else 0.0
        contrasts.append(combine((1.0, own), (-ratio, pivot)))
    pivots = list({id(pivot): pivot for _, pivot in gains.values()}.values())
    critical = critical_value([*pivots, *contrasts], level, rng)
    found = {}
    for code, (own, pivot) in gains.items():
        if not pivot.interval(critical=critical).low > 0:
            nan = float("nan")
            found[code] = Retention(value=nan, low=nan, high=nan, reason="the pivot's gain is not clear of zero")
            continue
        kept = fieller(own, pivot, critical)
        found[code] = Retention(value=own.value / pivot.value, low=kept.low, high=kept.high)
    return found


def disagree(primary_family: tuple[Verdict, Interval], probe_family: tuple[Verdict, Interval]) -> bool:
    """Whether class variance share and linear separability say different things of a language: each a verdict and a gain's interval.

    They do if both gains are clear of zero with opposite signs, or if one says "reached" and the other that it was not.
    """
    (one, first), (other, second) = primary_family, probe_family
    opposite = (first.low > 0 and second.high < 0) or (first.high < 0 and second.low > 0)
    short = {"weakened", "lagging", "not reached", "reversed"}
    return opposite or (one == "reached" and other in short) or (other == "reached" and one in short)


def max_p(observed: np.ndarray, null: np.ndarray) -> np.ndarray:
    """Family-wise p values of the hypothesis of no separation, by the largest of all (Westfall and Young, 1993).

    Each cell is put on a scale of its own (mean 0, sd 1), so that cells of different spread weigh the same. The true
    labels count among the permutations for that: left out, they are judged on a scale that they had no part in, and too
    many are rejected.

    Args:
        observed: (cells,), statistics; a cell that is NaN has no p and plays no part.
        null: (B, cells), the same under permuted labels, one shuffle a row; what is NaN plays no part.

    Returns:
        (cells,), (1 + permutations whose largest cell reaches this one) / (1 + B).
    """
    found = np.full(len(observed), np.nan)
    known = ~np.isnan(observed) & ~np.isnan(null).all(axis=0)
    if not known.any():
        return found
    null = null[:, known]
    everything = np.vstack([observed[known], null[~np.isnan(null).all(axis=1)]])
    mean, spread = np.nanmean(everything, axis=0), np.nanstd(everything, axis=0)
    scaled = (everything - mean) / np.where(spread > 0, spread, np.inf)
    largest = np.nanmax(scaled[1:], axis=1)
    reached = largest[:, None] >= scaled[0] - TIE
    found[known] = (1 + reached.sum(axis=0)) / len(everything)
    return found


def false_discovery(p_values: np.ndarray) -> np.ndarray:
    """Benjamini-Hochberg adjusted p values ("FDR"), for exploratory tables only; NaN stays NaN and does not count.

    >>> false_discovery(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    adjusted = np.full(len(p_values), np.nan)
    known = ~np.isnan(p_values)
    if known.any():
        adjusted[known] = scipy.stats.false_discovery_control(p_values[known])
    return adjusted


@dataclass(frozen=True, kw_only=True)
class GapRatio:
    """Mean gaps of two aligned models, and the second over the first with its Fieller set (NaN if unbounded)."""

    before: float
    after: float
    value: float
    low: float
    high: float


def mean_gap(gains: Mapping[str, Jackknife], pivot: str, languages: Sequence[str]) -> Jackknife:
    """Average, over languages, the pivot's gain minus that of the language; what shares pairs is paired.

    Args:
        gains: language -> gain.
        pivot: code.
        languages: to average over.
    """
    share = 1 / len(languages)
    return combine((1.0, gains[pivot]), *((-share, gains[code]) for code in languages))


def gap_ratio(
    before: Mapping[str, Jackknife],
    after: Mapping[str, Jackknife],
    *,
    pivot: str,
    languages: Sequence[str],
    level: float = 0.95,
) -> GapRatio:
    """Compare the mean gaps that two aligned models of one reference leave on the same texts.

    Args:
        before: language -> gain of the first model.
        after: language -> gain of the second; pairs that both were scored on are paired in the interval.
        pivot: code.
        languages: those that were weak.
        level: of the interval.

    Returns:
        The ratio of the mean gaps. Its interval is over pairs: it holds for these two models, not for others that the
        same training with another seed would give.
    """
    first, second = (mean_gap(gains, pivot, languages) for gains in (before, after))
    critical = float(scipy.stats.t.isf((1 - level) / 2, min(first.df, second.df)))
    found = fieller(second, first, critical)
    return GapRatio(
        before=first.value,
        after=second.value,
        value=second.value / first.value if first.value else float("nan"),
        low=found.low,
        high=found.high,
    )
