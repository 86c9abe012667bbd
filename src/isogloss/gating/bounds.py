"""The bounds that a rule reads from a run; they hold for all languages together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import scipy.stats

from isogloss.errors import UsageError, unknown
from isogloss.gating.rules import RULES
from isogloss.records import NAN, Estimate, Row
from isogloss.results import Audit

#: How the method of an interval says that it holds for all languages together, and how, that it holds by itself.
TOGETHER, ALONE = "simultaneous", "jackknife t"


@dataclass(frozen=True, kw_only=True)
class Estimand:
    """Which number is judged: a metric in so many components (None for a probe) at a layer."""

    metric: str
    components: int | None
    layer: str

    def __str__(self) -> str:
        """Write it as `--estimand` reads it."""
        return f"{self.metric}{'' if self.components is None else f':{self.components}'}@{self.layer}"


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """A value between its bounds; NaN all three where `reason` says why there are none."""

    value: float
    low: float
    high: float
    approximate: bool = False
    reason: str | None = None


def primary_estimand(audit: Audit) -> Estimand:
    """Return the number that the verdicts of a run come from."""
    return Estimand(metric=audit.primary.metric, components=audit.primary.components, layer=audit.primary.layer)


def choose_estimand(audit: Audit, text: str | None) -> Estimand:
    """Read metric, metric:components or metric:components@layer; what is left out is as in the primary estimand.

    Raises:
        UsageError: the run has no gains of such a metric, number of components or layer.
    """
    primary = primary_estimand(audit)
    if text is None:
        return primary
    here = [_estimand(row) for row in audit.rows if row.kind == "gain" and row.sample == "all"]
    start, _, layer = text.partition("@")
    metric, _, components = start.partition(":")
    if metric not in {one.metric for one in here}:
        raise unknown(UsageError, "metric", metric, {one.metric for one in here}, "estimand")
    here = [one for one in here if one.metric == metric]
    layer = layer or primary.layer
    if layer not in {one.layer for one in here}:
        raise unknown(UsageError, "layer", layer, {one.layer for one in here}, f"estimand {metric}")
    known = {str(one.components): one for one in here if one.layer == layer}
    wanted = components or (str(primary.components) if str(primary.components) in known else min(known))
    if wanted not in known:
        raise unknown(UsageError, "number of components", wanted, known, f"estimand {metric}")
    return known[wanted]


def _estimand(row: Row) -> Estimand:
    layer = f"{row.layer}-{row.norm}" if row.norm else str(row.layer)
    return Estimand(metric=row.metric, components=row.components, layer=layer)


def find_bounds(
    audit: Audit, estimand: Estimand, quantity: str, code: str, *, together: int, sample: str = "all"
) -> Bounds | None:
    """Return the bounds of a language's gain or retention, or None where the run has no such row.

    Args:
        audit: the run.
        estimand: of what.
        quantity: gain or retention.
        code: language.
        together: for how many languages the bounds have to hold together.
        sample: all or matched.
    """
    rows = audit.find(kind=quantity, language=code, metric=estimand.metric, components=estimand.components)
    found = [row.estimate for row in rows if row.sample == sample and _estimand(row).layer == estimand.layer]
    return read_bounds(found[0], together) if found else None


def read_bounds(estimate: Estimate, together: int) -> Bounds:
    """Return the bounds of an estimate, widened where they hold for one language by itself (see `widen`)."""
    if math.isnan(estimate.value):
        return missing(estimate.reason or "it has no value")
    known = all(math.isfinite(number) for number in (estimate.value, estimate.low, estimate.high))
    if not known or estimate.low > estimate.high:
        return missing(f"it has no interval{f': {estimate.approximate}' if estimate.approximate else ''}")
    method = estimate.method or "none"
    found = Bounds(
        value=estimate.value, low=estimate.low, high=estimate.high, approximate=estimate.approximate is not None
    )
    if TOGETHER in method:
        return found
    if not method.startswith(ALONE) or not 0 < estimate.level < 1 or estimate.n <= 1:
        return missing(f"its interval is of a kind that the gate does not judge (method: {method})")
    return widen(found, together, level=estimate.level, df=estimate.n - 1)


def widen(found: Bounds, together: int, *, level: float, df: int) -> Bounds:
    """Widen a jackknife t interval of one language so that intervals of several hold together (Bonferroni).

    Args:
        found: value plus and minus t times its standard error.
        together: number of languages.
        level: such as 0.95.
        df: degrees of freedom; fewer than there were widen more.

    >>> found = widen(Bounds(value=1.0, low=0.0, high=2.0), 5, level=0.95, df=10**6)
    >>> round(found.low, 3), round(found.high, 3)
    (-0.314, 2.314)
    """
    tail = (1 - level) / 2
    factor = float(scipy.stats.t.isf(tail / max(1, together), df) / scipy.stats.t.isf(tail, df))
    return replace(
        found,
        low=found.value - factor * (found.value - found.low),
        high=found.value + factor * (found.high - found.value),
    )


def difference(own: Bounds, other: Bounds) -> Bounds:
    """Return the bounds of own minus other that follow from the two intervals, however the two depend on each other.

    >>> found = difference(Bounds(value=0.5, low=0.4, high=0.6), Bounds(value=0.25, low=0.15, high=0.5))
    >>> round(found.low, 2), round(found.high, 2)
    (-0.1, 0.45)
    """
    if own.reason or other.reason:
        return missing("; ".join([*([own.reason] if own.reason else []), *_of_baseline(other)]))
    return Bounds(
        value=own.value - other.value,
        low=own.low - other.high,
        high=own.high - other.low,
        approximate=own.approximate or other.approximate,
    )


def _of_baseline(other: Bounds) -> list[str]:
    return [f"in the baseline: {other.reason}"] if other.reason else []


def missing(reason: str) -> Bounds:
    """Return no bounds, and why."""
    return Bounds(value=NAN, low=NAN, high=NAN, reason=reason)


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is judged.

    Attributes:
        audit: the run.
        baseline: the one that it is held against, for rules that ask so.
        estimand: which number.
        together: gain and retention -> for how many languages their bounds have to hold together: all that any rule
            judges by this quantity, so that two rules read one set of bounds.
    """

    audit: Audit
    baseline: Audit | None
    estimand: Estimand
    together: Mapping[str, int]

    def estimand_of(self, rule: str) -> Estimand:
        """Verdicts come from the primary estimand, whatever else is judged."""
        return primary_estimand(self.audit) if RULES[rule].value == "verdicts" else self.estimand

    def bounds(self, rule: str, code: str) -> tuple[Bounds, Bounds | None]:
        """Return the bounds that a rule reads in a language, on all texts and on matched ones (None without them)."""
        on_all, on_matched = (self._bounds(rule, code, sample) for sample in ("all", "matched"))
        return on_all or missing(f"there is no {RULES[rule].quantity} of this language"), on_matched

    def _bounds(self, rule: str, code: str, sample: str) -> Bounds | None:
        audits = (self.audit, self.baseline) if RULES[rule].reads == "loss" else (self.audit,)
        estimand, quantity = self.estimand_of(rule), RULES[rule].quantity
        together = self.together[quantity]
        found = [find_bounds(one, estimand, quantity, code, together=together, sample=sample) for one in audits if one]
        known = [one for one in found if one is not None]
        if len(known) < len(audits):
            return None
        return difference(*known) if len(known) > 1 else known[0]
