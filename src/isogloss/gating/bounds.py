"""The intervals that rules are judged by. They hold for all judged languages simultaneously."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import scipy.stats

from isogloss.errors import UsageError, unknown
from isogloss.gating.rules import RULES
from isogloss.records import NAN, Estimate, Row
from isogloss.results import Audit

#: The method of an interval that holds for all languages contains the first; one for a single language begins with the
#: second.
SIMULTANEOUS, POINTWISE = "simultaneous", "jackknife t"
#: The sample of the rows that must confirm a verdict (see `LanguageVerdict.cross_check`).
CROSS_CHECK = "matched"


@dataclass(frozen=True, kw_only=True)
class Estimand:
    """The number to judge: a metric, its number of components (None for a probe) and a layer."""

    metric: str
    components: int | None
    layer: str

    def __str__(self) -> str:
        """Write the estimand as `--estimand` reads it."""
        return f"{self.metric}{'' if self.components is None else f':{self.components}'}@{self.layer}"


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """A value with its lower and upper bound; all three are NaN where `reason` says why they are missing."""

    value: float
    low: float
    high: float
    approximate: bool = False
    reason: str | None = None


def primary_estimand(audit: Audit) -> Estimand:
    """Return the estimand that the verdicts of a run come from."""
    return Estimand(metric=audit.primary.metric, components=audit.primary.components, layer=audit.primary.layer)


def choose_estimand(audit: Audit, text: str | None) -> Estimand:
    """Read metric, metric:components or metric:components@layer; the primary estimand fills in what is left out.

    Raises:
        UsageError: the run has no gains of this metric, number of components or layer.
    """
    primary = primary_estimand(audit)
    if text is None:
        return primary
    known = [_estimand(row) for row in audit.rows if row.kind == "gain" and row.sample == "all"]
    start, _, layer = text.partition("@")
    metric, _, components = start.partition(":")
    metrics = {estimand.metric for estimand in known}
    if metric not in metrics:
        raise unknown(UsageError, "metric", metric, metrics, "estimand")
    of_metric = [estimand for estimand in known if estimand.metric == metric]
    layer = layer or primary.layer
    layers = {estimand.layer for estimand in of_metric}
    if layer not in layers:
        raise unknown(UsageError, "layer", layer, layers, f"estimand {metric}")
    by_components = {str(estimand.components): estimand for estimand in of_metric if estimand.layer == layer}
    default = str(primary.components)
    chosen = components or (default if default in by_components else min(by_components))
    if chosen not in by_components:
        raise unknown(UsageError, "number of components", chosen, by_components, f"estimand {metric}")
    return by_components[chosen]


def _estimand(row: Row) -> Estimand:
    return Estimand(metric=row.metric, components=row.components, layer=row.layer_name)


def find_bounds(
    audit: Audit, estimand: Estimand, quantity: str, code: str, *, family: int, sample: str = "all"
) -> Bounds | None:
    """Return the bounds of a language's gain or retention, or None if the run has no such row.

    Args:
        audit: the run.
        estimand: the number to judge.
        quantity: gain or retention.
        code: language.
        family: number of languages that the bounds must hold for simultaneously.
        sample: all, or CROSS_CHECK.
    """
    rows = audit.find(
        kind=quantity, language=code, metric=estimand.metric, components=estimand.components, sample=sample
    )
    estimates = [row.estimate for row in rows if row.layer_name == estimand.layer]
    return read_bounds(estimates[0], family) if estimates else None


def read_bounds(estimate: Estimate, family: int) -> Bounds:
    """Return the bounds of an estimate, widened where its interval holds for one language only (see `widen`)."""
    if math.isnan(estimate.value):
        return missing_bounds(estimate.reason or "it has no value")
    known = all(math.isfinite(number) for number in (estimate.value, estimate.low, estimate.high))
    if not known or estimate.low > estimate.high:
        return missing_bounds(f"it has no interval{f': {estimate.approximate}' if estimate.approximate else ''}")
    method = estimate.method or "none"
    bounds = Bounds(
        value=estimate.value, low=estimate.low, high=estimate.high, approximate=estimate.approximate is not None
    )
    if SIMULTANEOUS in method:
        return bounds
    if not method.startswith(POINTWISE) or not 0 < estimate.level < 1 or estimate.n <= 1:
        return missing_bounds(f"the gate does not judge this kind of interval (method: {method})")
    return widen(bounds, family, level=estimate.level, df=estimate.n - 1)


def widen(bounds: Bounds, family: int, *, level: float, df: int) -> Bounds:
    """Widen a jackknife t interval so that the intervals of several languages hold simultaneously (Bonferroni).

    Args:
        bounds: value plus and minus t standard errors, for one language.
        family: number of languages.
        level: level of the interval, such as 0.95.
        df: degrees of freedom; too small a number widens more.

    >>> wide = widen(Bounds(value=1.0, low=0.0, high=2.0), 5, level=0.95, df=10**6)
    >>> round(wide.low, 3), round(wide.high, 3)
    (-0.314, 2.314)
    """
    tail = (1 - level) / 2
    factor = float(scipy.stats.t.isf(tail / max(1, family), df) / scipy.stats.t.isf(tail, df))
    return replace(
        bounds,
        low=bounds.value - factor * (bounds.value - bounds.low),
        high=bounds.value + factor * (bounds.high - bounds.value),
    )


def subtract(bounds: Bounds, baseline: Bounds) -> Bounds:
    """Return the bounds of a number minus the baseline's. They hold however the two runs depend on each other.

    >>> loss = subtract(Bounds(value=0.5, low=0.4, high=0.6), Bounds(value=0.25, low=0.15, high=0.5))
    >>> round(loss.low, 2), round(loss.high, 2)
    (-0.1, 0.45)
    """
    reasons = [bounds.reason] if bounds.reason else []
    if baseline.reason:
        reasons.append(f"in the baseline: {baseline.reason}")
    if reasons:
        return missing_bounds("; ".join(reasons))
    return Bounds(
        value=bounds.value - baseline.value,
        low=bounds.low - baseline.high,
        high=bounds.high - baseline.low,
        approximate=bounds.approximate or baseline.approximate,
    )


def missing_bounds(reason: str) -> Bounds:
    """Return bounds that are all NaN, with the reason."""
    return Bounds(value=NAN, low=NAN, high=NAN, reason=reason)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The numbers that rules are judged by.

    Attributes:
        audit: the run.
        baseline: the run that margins compare with, if any.
        estimand: the number to judge.
        families: quantity (gain or retention) -> number of languages that its bounds must hold for simultaneously. All
            rules on a quantity count together, so that they read one set of bounds.
    """

    audit: Audit
    baseline: Audit | None
    estimand: Estimand
    families: Mapping[str, int]

    def estimand_of(self, rule: str) -> Estimand:
        """Return the estimand that a rule reads: verdicts always come from the primary one."""
        return primary_estimand(self.audit) if RULES[rule].value_kind == "verdicts" else self.estimand

    def bounds(self, rule: str, code: str) -> tuple[Bounds, Bounds | None]:
        """Return the bounds that a rule reads in a language, and those of the cross-check (None without one)."""
        bounds, cross_check = (self._bounds(rule, code, sample) for sample in ("all", CROSS_CHECK))
        return bounds or missing_bounds(f"there is no {RULES[rule].quantity} of this language"), cross_check

    def _bounds(self, rule: str, code: str, sample: str) -> Bounds | None:
        estimand, quantity = self.estimand_of(rule), RULES[rule].quantity
        audits = [self.audit]
        if RULES[rule].judged_by == "loss" and self.baseline is not None:
            audits.append(self.baseline)
        family = self.families[quantity]
        known = [find_bounds(audit, estimand, quantity, code, family=family, sample=sample) for audit in audits]
        bounds = [pair for pair in known if pair is not None]
        if len(bounds) < len(audits):
            return None
        return subtract(*bounds) if len(bounds) > 1 else bounds[0]
