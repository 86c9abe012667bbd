"""Judge a cell: an estimate with its Monte Carlo error, compared with the band where it should lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.stats

#: Level of the Monte Carlo interval. A cell fails only when its interval excludes the band.
LEVEL = 0.99

Kind = Literal["share", "mean"]


@dataclass(frozen=True, kw_only=True)
class Band:
    """Where a number should lie; for shares in per cent.

    Attributes:
        low: or -inf.
        high: or inf.
        kind: "share" of runs (records are 0 or 1), or "mean" of the records.
        judged: False where the number is reported only.
    """

    low: float = -np.inf
    high: float = np.inf
    kind: Kind = "share"
    judged: bool = True

    def __str__(self) -> str:
        unit = " %" if self.kind == "share" else ""
        if not self.judged:
            return "reported"
        if self.low == self.high:
            return f"{self.low:g}{unit}"
        if np.isinf(self.high):
            return f"at least {self.low:g}{unit}"
        if np.isinf(self.low):
            return f"at most {self.high:g}{unit}"
        return f"{self.low:g} to {self.high:g}{unit}"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One number from the runs of a cell; shares in per cent."""

    runs: int
    value: float
    low: float
    high: float
    verdict: Literal["ok", "FAIL", "-"]


def judge(records: np.ndarray, band: Band) -> Judged:
    """Estimate a number from its records, with a 99 % Monte Carlo interval, and compare it with its band.

    Args:
        records: float, one a run; NaN where a run has none.
        band: where the number should lie.
    """
    values = records[~np.isnan(records)]
    if len(values) < 2:
        nan = float("nan")  # many runs without a number are a failure, too few runs are not
        lost = band.judged and len(records) > len(values)
        return Judged(runs=len(values), value=nan, low=nan, high=nan, verdict="FAIL" if lost else "-")
    if band.kind == "share":
        value, low, high = (100 * part for part in _share(int(values.sum()), len(values)))
    else:
        value = float(values.mean())
        half = float(scipy.stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
        low, high = value - half, value + half
    fails = low > band.high or high < band.low
    verdict: Literal["ok", "FAIL", "-"] = ("FAIL" if fails else "ok") if band.judged else "-"
    return Judged(runs=len(values), value=value, low=low, high=high, verdict=verdict)


def _share(hits: int, runs: int) -> tuple[float, float, float]:
    interval = scipy.stats.binomtest(hits, runs).proportion_ci(LEVEL, method="exact")  # Clopper and Pearson (1934)
    return hits / runs, float(interval.low), float(interval.high)
