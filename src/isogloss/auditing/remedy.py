"""An audit -> the training that it asks for: which base, on which texts, in which languages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from isogloss.behaviour.answers import answered_languages
from isogloss.errors import UsageError
from isogloss.report.command import named_sources
from isogloss.results import Audit
from isogloss.tuning.weak import WeakLanguage, weak_languages


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
