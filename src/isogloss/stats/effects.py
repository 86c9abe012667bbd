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
from isogloss.stats.thresholds import THRESHOLDS, Thresholds

Verdict = Literal["reached", "weakened", "lagging", "not reached", "reversed", "confounded", "inconclusive"]


@dataclass(frozen=True, kw_only=True)
class Retention:
    """Gain of a language divided by the gain of the pivot, with its simultaneous Fieller set.

    `value`, `low` and `high` are NaN where the gain of the pivot is not clear of zero; `reason` says so.
    """

    value: float
    low: float
    high: float
    reason: str | None = None

    @property
    def verdict(self) -> Verdict:
        """Verdict that the set allows; "confounded" is decided by a cross-check, not here."""
        return read_verdict(Interval(low=self.low, high=self.high))


def read_verdict(retained: Interval, thresholds: Thresholds = THRESHOLDS) -> Verdict:
    """Read the verdict off a set of retention: the first rule that holds.

    >>> read_verdict(Interval(low=0.85, high=1.3)), read_verdict(Interval(low=-0.1, high=0.2))
    ('reached', 'not reached')
    """
    if math.isnan(retained.low) or math.isnan(retained.high):
        return "inconclusive"
    reached, not_reached = thresholds.reached, thresholds.not_reached
    rules: tuple[tuple[bool, Verdict], ...] = (
        (retained.high < 0, "reversed"),
        (retained.high < not_reached, "not reached"),
        (retained.low > not_reached and retained.high < reached, "weakened"),
        (retained.high < reached, "lagging"),
        (retained.low > reached, "reached"),
    )
    return next((verdict for holds, verdict in rules if holds), "inconclusive")


def gain(reference: Jackknife, aligned: Jackknife) -> Jackknife:
    """Aligned minus reference; the same texts, so paired unit by unit."""
    return combine((1.0, aligned), (-1.0, reference))


def gap(pivot: Jackknife, language: Jackknife) -> Jackknife:
    """Gain of the pivot minus gain of a language: paired where they share items, else independent."""
    return combine((1.0, pivot), (-1.0, language))


def mde(difference: Jackknife) -> float:
    """Minimum detectable gap: the true gap that is found with 90 % power (two-sided, 5 %), 3.24 standard errors."""
    return THRESHOLDS.mde_standard_errors * difference.se


def fieller(numerator: Jackknife, denominator: Jackknife, critical: float) -> Interval:
    """Fieller's set for the ratio of two estimates: all r with |a - r b| <= critical * se(a - r b).

    Args:
        numerator: a.
        denominator: b.
        critical: of t.

    Returns:
        The roots; NaN where the denominator is within `critical` standard errors of zero (the set is unbounded).
    """
    cov = covariance([numerator, denominator])
    a = denominator.value**2 - critical**2 * cov[1, 1]
    b = numerator.value * denominator.value - critical**2 * cov[0, 1]
    c = numerator.value**2 - critical**2 * cov[0, 0]
    if not (a > 0 and denominator.value != 0):
        return Interval(low=float("nan"), high=float("nan"))
    half = math.sqrt(max(b**2 - a * c, 0.0))
    return Interval(low=(b - half) / a, high=(b + half) / a)


def retentions(
    gains: Mapping[str, tuple[Jackknife, Jackknife]], level: float, rng: np.random.Generator
) -> dict[str, Retention]:
    """Retention of several languages with sets that hold simultaneously.

    The critical value is that of the largest |t| among the gain of the pivot and all contrasts gain - r pivot gain,
    where r is the estimated retention.

    Args:
        gains: language -> its gain and the gain of the pivot (the same for all languages, or of a matched sample).
        level: such as 0.95.
        rng: for the critical value.
    """
    if not gains:
        return {}
    contrasts = []
    for language, pivot in gains.values():
        ratio = language.value / pivot.value if pivot.value else 0.0
        contrasts.append(combine((1.0, language), (-ratio, pivot)))
    pivots = list({id(pivot): pivot for _, pivot in gains.values()}.values())
    critical = critical_value([*pivots, *contrasts], level, rng)
    retained = {}
    for code, (language, pivot) in gains.items():
        if not pivot.interval(critical=critical).low > 0:
            nan = float("nan")
            retained[code] = Retention(value=nan, low=nan, high=nan, reason="the pivot's gain is not clear of zero")
            continue
        ratios = fieller(language, pivot, critical)
        retained[code] = Retention(value=language.value / pivot.value, low=ratios.low, high=ratios.high)
    return retained


def disagree(primary_family: tuple[Verdict, Interval], probe_family: tuple[Verdict, Interval]) -> bool:
    """Whether two families of metrics contradict each other about a language.

    They do if both gains are clear of zero with opposite signs, or if one verdict is "reached" and the other says that
    the language was not fully reached.

    Args:
        primary_family: verdict and interval of the gain by the primary metric.
        probe_family: the same by the probe (linear separability).
    """
    (verdict, interval), (probe_verdict, probe_interval) = primary_family, probe_family
    opposite = (interval.low > 0 and probe_interval.high < 0) or (interval.high < 0 and probe_interval.low > 0)
    short = {"weakened", "lagging", "not reached", "reversed"}
    return (
        opposite
        or (verdict == "reached" and probe_verdict in short)
        or (probe_verdict == "reached" and verdict in short)
    )


def max_p(observed: np.ndarray, null: np.ndarray) -> np.ndarray:
    """Family-wise p values of the hypothesis of no separation, by the largest of all (Westfall and Young, 1993).

    Each cell is standardised (mean 0, sd 1), so that cells of different spread weigh the same. The true labels count
    among the permutations for that. If they were left out of the scale, too many would be rejected.

    Args:
        observed: (cells,), statistics; a cell that is NaN has no p and is ignored.
        null: (B, cells), the same under permuted labels, one permutation a row; NaN is ignored.

    Returns:
        (cells,), (1 + permutations whose largest cell reaches this one) / (1 + B).
    """
    p_values = np.full(len(observed), np.nan)
    known = ~np.isnan(observed) & ~np.isnan(null).all(axis=0)
    if not known.any():
        return p_values
    null = null[:, known]
    everything = np.vstack([observed[known], null[~np.isnan(null).all(axis=1)]])
    mean, spread = np.nanmean(everything, axis=0), np.nanstd(everything, axis=0)
    scaled = (everything - mean) / np.where(spread > 0, spread, np.inf)
    largest = np.nanmax(scaled[1:], axis=1)
    reached = largest[:, None] >= scaled[0] - TIE
    p_values[known] = (1 + reached.sum(axis=0)) / len(everything)
    return p_values


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
    """Average over languages of the gap (gain of the pivot minus gain of the language); shared pairs are paired.

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
    """Compare the mean gaps of two aligned models of one reference on the same texts.

    Args:
        before: language -> gain of the first model.
        after: language -> gain of the second model; pairs that both models were scored on are paired in the interval.
        pivot: code.
        languages: to average over, such as the weak ones.
        level: of the interval.

    Returns:
        The ratio of the mean gaps. Its interval is over pairs: it holds for these two models, but not for models from
        the same training with another seed.
    """
    first, second = (mean_gap(gains, pivot, languages) for gains in (before, after))
    critical = float(scipy.stats.t.isf((1 - level) / 2, min(first.df, second.df)))
    ratios = fieller(second, first, critical)
    return GapRatio(
        before=first.value,
        after=second.value,
        value=second.value / first.value if first.value else float("nan"),
        low=ratios.low,
        high=ratios.high,
    )
