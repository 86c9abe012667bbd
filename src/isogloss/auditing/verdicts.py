"""What the primary estimand says of each language, and where the rest of the evidence says otherwise."""

from __future__ import annotations

from collections.abc import Sequence

from isogloss.auditing.comparisons import Compared
from isogloss.results import NAN, LanguageVerdict
from isogloss.separation.compare import Retention, disagree
from isogloss.separation.jackknife import Interval

PIVOT = "pivot"


def language_verdicts(
    languages: Sequence[str],
    pivot: str,
    salience: Compared,
    detectability: Compared | None,
    matched: Compared | None,
) -> tuple[LanguageVerdict, ...]:
    """Read the verdicts off the primary family.

    Args:
        languages: in order.
        pivot: its code.
        salience: the primary family.
        detectability: AUROC at the same layer.
        matched: the primary family on matched samples, where that was asked for.
    """
    found = []
    for code in languages:
        at_odds = detectability is not None and _at_odds(code, salience, detectability)
        if code == pivot:
            found.append(LanguageVerdict(language=code, verdict=PIVOT, disagree=at_odds))
            continue
        kept = salience.retentions.get(code)
        if kept is None:
            reason = "a score of this language or of the pivot is missing"
            found.append(LanguageVerdict(language=code, verdict="not measured", reason=reason))
            continue
        other = matched.retentions.get(code) if matched else None
        found.append(_verdict(code, kept, other, at_odds=at_odds))
    return tuple(found)


def _verdict(code: str, kept: Retention, matched: Retention | None, *, at_odds: bool) -> LanguageVerdict:
    verdict: str = kept.verdict
    # A definite verdict that matched samples do not bear out counts as none.
    if matched is not None and verdict not in {"inconclusive", matched.verdict}:
        verdict = "confounded"
    return LanguageVerdict(
        language=code,
        verdict=verdict,
        low=kept.low,
        high=kept.high,
        matched=matched.verdict if matched else None,
        disagree=at_odds,
        reason=kept.reason,
    )


def _at_odds(code: str, salience: Compared, detectability: Compared) -> bool:
    unknown = Interval(low=NAN, high=NAN)
    none = Retention(value=NAN, low=NAN, high=NAN)
    one, other = (
        (family.retentions.get(code, none).verdict, family.gains.get(code, unknown))
        for family in (salience, detectability)
    )
    return disagree(one, other)
