"""Audit -> the short table of what each language shares with the pivot, where an audit asked for it."""

from __future__ import annotations

from dataclasses import dataclass

from isogloss.records import Estimate, Row
from isogloss.report.estimates import format_interval, format_number
from isogloss.report.tables import label, order
from isogloss.results import Audit

CROSS_LINGUAL_HEADINGS = {
    "language": "language",
    "from_pivot": "pivot's probe here",
    "own": "own probe",
    "to_pivot": "its probe on pivot",
    "cosine": "cosine with pivot",
    "interval": "[low, high]",
}


@dataclass(frozen=True, kw_only=True)
class CrossLingualLine:
    """One language, as text: reference → aligned, the interval being that of the aligned model's cosine."""

    language: str
    from_pivot: str
    own: str
    to_pivot: str
    cosine: str
    interval: str


def cross_lingual_lines(audit: Audit) -> list[CrossLingualLine]:
    """Write one line per language but the pivot; none unless the audit was asked what languages share."""
    if not audit.find(kind="transfer"):
        return []
    codes = sorted((code for code in audit.languages if code != audit.pivot), key=lambda code: order(audit, code))
    return [_line(audit, code) for code in codes]


def _line(audit: Audit, code: str) -> CrossLingualLine:
    pivot = audit.pivot
    return CrossLingualLine(
        language=label(code),
        from_pivot=_both(audit, "transfer", pivot, code),
        own=_both(audit, "transfer", code, code),
        to_pivot=_both(audit, "transfer", code, pivot),
        cosine=_both(audit, "cosine", code, pivot),
        interval=format_interval(_found(audit, "cosine", "aligned", code, pivot), digits=2),
    )


def _both(audit: Audit, kind: str, code: str, other: str) -> str:
    models = ("reference", "aligned") if audit.has_reference else ("aligned",)
    return " → ".join(format_number(_found(audit, kind, model, code, other), digits=2) for model in models)


def _found(audit: Audit, kind: str, model: str, code: str, other: str) -> Estimate | None:
    return audit.value(kind=kind, model=model, language=code, other=other)


def bottleneck(audit: Audit, model: str) -> tuple[Row, Estimate | None] | None:
    """Find the layer where texts lie most by meaning, not by language (LASA), and how often it is first."""
    rows = [
        row
        for row in audit.find(kind="meaning", metric="meaning_minus_language", model=model)
        if row.estimate.reason is None
    ]
    if not rows:
        return None
    best = max(rows, key=lambda row: row.estimate.value)
    return best, audit.value(kind="meaning", metric="bottleneck", model=model, layer=best.layer, norm=best.norm)


def cross_lingual_caption() -> str:
    """Say what the columns hold."""
    return (
        "AUROC of probes fitted on one language and scored on another, reference → aligned; no text that is scored, "
        "nor a translation of it, was fitted on. Cosine of the harm directions (difference of class means) with the "
        "pivot's, noise taken out; a dash where a direction is not clear of noise. Exploration: no verdict comes from "
        "it."
    )
