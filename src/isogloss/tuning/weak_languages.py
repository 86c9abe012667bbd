"""An audit -> the languages that alignment did not reach, and the training that would reach them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from isogloss.errors import UsageError
from isogloss.likelihoods.answers import answered_languages
from isogloss.report.command import named_sources
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


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """What to train.

    Attributes:
        corpus: names or files.
        model: the base to adapt.
        before: the aligned model that the audit judged, for gains to be compared with; None if the audit does not hold
            its place, or was of another base.
        pivot: code.
        audited: languages of the audit, which are guarded.
        weak: the languages that it found weak, worst first.
    """

    corpus: tuple[str, ...]
    model: str
    before: str | None = None
    pivot: str = "en"
    audited: tuple[str, ...] = ()
    weak: tuple[WeakLanguage, ...] = ()

    @property
    def targets(self) -> tuple[str, ...]:
        """Weak languages that have answers; if none of them has, all of them, for `preferences` to refuse."""
        codes = tuple(one.language for one in self.weak)
        return tuple(code for code in codes if code in answered_languages()) or codes

    @property
    def needs(self) -> dict[str, float]:
        """How much of the pivot's gain each weak language lacks."""
        return {one.language: one.lacks for one in self.weak}


def remedy_for(audit: Audit, *, corpus: Sequence[str] = (), model: str | None = None) -> Remedy:
    """Read from an audit what is to be trained.

    Args:
        audit: with a reference.
        corpus: in place of that of the audit.
        model: in place of its reference.

    Raises:
        UsageError: the audit was of local files or models, whose places it does not hold, and none are given.
    """
    return Remedy(
        corpus=tuple(corpus) or _corpus(audit),
        model=model or _reference(audit),
        before=None if model else audit.models["aligned"].get("given"),
        pivot=audit.pivot,
        audited=audit.languages,
        weak=weak_languages(audit),
    )


def _corpus(audit: Audit) -> tuple[str, ...]:
    if found := named_sources(audit):
        return tuple(found)
    raise UsageError(
        "--from",
        found=f"a run on {audit.corpus['name']}, a local file whose place it does not hold",
        expected="that file",
        do="name it with --corpus (and its columns with --column)",
    )


def _reference(audit: Audit) -> str:
    before = audit.models.get("reference")
    if before and before.get("given"):
        return str(before["given"])
    raise UsageError(
        "--from",
        found=f"a run whose reference {before['name']} was a local path" if before else "a run without a reference",
        expected="the base model to adapt",
        do="name it with --model",
    )
