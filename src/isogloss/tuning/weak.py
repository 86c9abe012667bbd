"""An audit -> the languages that alignment did not reach, worst first, and how much each lacks."""

from __future__ import annotations

import math
from dataclasses import dataclass

from isogloss.results import Audit

#: Verdicts that say that a language has less of alignment than the pivot.
WEAK_VERDICTS = ("not reached", "lagging", "weakened", "reversed")


@dataclass(frozen=True, kw_only=True)
class WeakLanguage:
    """One weak language; `lacks` is the share of the pivot's gain that it does not have, above 1 where it lost."""

    language: str
    verdict: str
    lacks: float


def weak_languages(audit: Audit) -> tuple[WeakLanguage, ...]:
    """Find the languages whose verdict says that alignment did not arrive whole, the one that lacks most first.

    "inconclusive", "confounded" and "not measured" are no findings of weakness, so such languages are left out. The
    order is that of the gap to the pivot over the pivot's gain, which is one minus retention.
    """
    found = []
    for one in audit.verdicts:
        if one.verdict in WEAK_VERDICTS:
            lacks = _lacks(audit, one.language)
            found.append(WeakLanguage(language=one.language, verdict=one.verdict, lacks=lacks))
    return tuple(sorted(found, key=lambda one: (-one.lacks, one.language)))


def _lacks(audit: Audit, code: str) -> float:
    """Gap over the pivot's gain at the primary estimand; the middle of the verdict's set where a row is missing."""
    gap, gain = _primary(audit, "gap", code), _primary(audit, "gain", audit.pivot)
    if math.isfinite(gap) and math.isfinite(gain) and gain > 0:
        return gap / gain
    low, high = next((one.low, one.high) for one in audit.verdicts if one.language == code)
    ends = [end for end in (low, high) if math.isfinite(end)]
    return 1 - sum(ends) / len(ends) if ends else 1.0


def _primary(audit: Audit, kind: str, code: str) -> float:
    wanted = audit.primary
    for row in audit.find(kind=kind, language=code, metric=wanted.metric, sample="all", components=wanted.components):
        if wanted.layer == (f"{row.layer}-{row.norm}" if row.norm else str(row.layer)):
            return row.estimate.value
    return float("nan")
