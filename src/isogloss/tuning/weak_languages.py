"""An audit -> the languages that alignment did not reach, and what to train to reach them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from isogloss.errors import UsageError
from isogloss.likelihoods.answers import answered_languages
from isogloss.records import LanguageVerdict
from isogloss.report.command import named_sources
from isogloss.results import Audit

#: Verdicts of a language in which alignment is weaker than in the pivot.
WEAK_VERDICTS = ("not reached", "lagging", "weakened", "reversed")


@dataclass(frozen=True, kw_only=True)
class WeakLanguage:
    """A weak language; `shortfall` is the share of the pivot's gain that it lacks, above 1 if its gain is negative."""

    language: str
    verdict: str
    shortfall: float


def weak_languages(audit: Audit) -> tuple[WeakLanguage, ...]:
    """Find the languages whose verdict shows weaker alignment than in the pivot, the largest shortfall first.

    "inconclusive", "confounded" and "not measured" do not show weakness, so these languages are left out. The shortfall
    is the gap to the pivot over the pivot's gain, which is one minus retention.
    """
    weak = [
        WeakLanguage(language=verdict.language, verdict=verdict.verdict, shortfall=_shortfall(audit, verdict))
        for verdict in audit.verdicts
        if verdict.verdict in WEAK_VERDICTS
    ]
    return tuple(sorted(weak, key=lambda row: (-row.shortfall, row.language)))


def _shortfall(audit: Audit, verdict: LanguageVerdict) -> float:
    """Return the gap over the pivot's gain; if a row is missing, one minus the middle of the verdict's interval."""
    gap = audit.primary_estimate("gap", verdict.language)
    gain = audit.primary_estimate("gain", audit.pivot)
    if gap and gain and math.isfinite(gap.value) and math.isfinite(gain.value) and gain.value > 0:
        return gap.value / gain.value
    ends = [end for end in (verdict.low, verdict.high) if math.isfinite(end)]
    return 1 - sum(ends) / len(ends) if ends else 1.0


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """What to train.

    Attributes:
        corpus: names or files.
        model: the base model to adapt.
        before: the aligned model of the audit, which gains are compared with; None if the audit does not name it, or
            had another base.
        pivot: language that the others are compared with.
        audited: languages of the audit; side effects are measured in all of them.
        weak: the weak languages, the largest shortfall first.
    """

    corpus: tuple[str, ...]
    model: str
    before: str | None = None
    pivot: str = "en"
    audited: tuple[str, ...] = ()
    weak: tuple[WeakLanguage, ...] = ()

    @property
    def targets(self) -> tuple[str, ...]:
        """Weak languages that have answers; if none has, all of them, so that `preferences` refuses them by name."""
        codes = tuple(row.language for row in self.weak)
        return tuple(code for code in codes if code in answered_languages()) or codes

    @property
    def needs(self) -> dict[str, float]:
        """Weak language -> its shortfall."""
        return {row.language: row.shortfall for row in self.weak}


def remedy_for(audit: Audit, *, corpus: Sequence[str] = (), model: str | None = None) -> Remedy:
    """Read from an audit what to train.

    Args:
        audit: an audit with a reference.
        corpus: replaces the corpus of the audit.
        model: replaces the reference of the audit.

    Raises:
        UsageError: the corpus or the reference was local, so that the audit does not hold its path, and none is given.
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
    if sources := named_sources(audit):
        return tuple(sources)
    raise UsageError(
        "--from",
        found=f"a run on {audit.corpus['name']}, a local file whose path it does not hold",
        expected="the corpus file",
        do="name it with --corpus (and its columns with --column)",
    )


def _reference(audit: Audit) -> str:
    reference = audit.models.get("reference")
    if reference and reference.get("given"):
        return str(reference["given"])
    local = f"a run whose reference {reference['name']} was a local path" if reference else "a run without a reference"
    raise UsageError("--from", found=local, expected="the base model to adapt", do="name it with --model")
