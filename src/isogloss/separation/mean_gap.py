"""How much of the gap to the pivot a second adapter left: a ratio of mean gaps, with Fieller's set over pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import scipy.stats

from isogloss.separation.compare import fieller
from isogloss.separation.jackknife import Jackknife, combine


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
