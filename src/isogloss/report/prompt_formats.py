"""Audit -> the table of model and prompt format, two by two, where an audit read both prompt formats."""

from __future__ import annotations

from dataclasses import dataclass

from isogloss.records import Row
from isogloss.report.estimates import DASH, format_interval, format_number
from isogloss.report.tables import label, primary_layer
from isogloss.results import Audit

PROMPT_FORMAT_HEADINGS = {
    "language": "language",
    "raw": "raw text",
    "raw_gain": "gain",
    "chat": "chat template",
    "chat_gain": "gain",
    "difference": "difference",
    "interval": "[low, high]",
    "verdicts": "verdict, raw / chat",
}


@dataclass(frozen=True, kw_only=True)
class PromptFormatLine:
    """One language, as text: reference → aligned in each prompt format, the gains, and their difference."""

    language: str
    raw: str
    raw_gain: str
    chat: str
    chat_gain: str
    difference: str
    interval: str
    verdicts: str


def prompt_format_lines(audit: Audit) -> list[PromptFormatLine]:
    """Write one line per language; none unless the audit read both prompt formats."""
    if not audit.find(sample="chat"):
        return []
    return [_line(audit, code) for code in audit.languages]


def _line(audit: Audit, code: str) -> PromptFormatLine:
    difference = _row(audit, code, "prompt_format", "chat")
    gains = {sample: _row(audit, code, "gain", sample) for sample in ("all", "chat")}
    said = [row.verdict if row and row.verdict else DASH for row in gains.values()]
    return PromptFormatLine(
        language=label(code),
        raw=_scores(audit, code, "all"),
        raw_gain=_value(gains["all"], signed=True),
        chat=_scores(audit, code, "chat"),
        chat_gain=_value(gains["chat"], signed=True),
        difference=_value(difference, signed=True),
        interval=format_interval(difference.estimate if difference else None, signed=True),
        verdicts=said[0] if said[0] == said[1] else " / ".join(said),
    )


def _scores(audit: Audit, code: str, sample: str) -> str:
    rows = [_row(audit, code, "score", sample, model) for model in ("reference", "aligned")]
    return " → ".join(_value(row) for row in rows if row)


def _row(audit: Audit, code: str, kind: str, sample: str, model: str = "") -> Row | None:
    layer, norm = primary_layer(audit)
    primary = {"metric": audit.primary.metric, "components": audit.primary.components, "layer": layer, "norm": norm}
    found = audit.find(kind=kind, language=code, model=model, sample=sample, **primary)
    return found[0] if found else None


def _value(row: Row | None, *, signed: bool = False) -> str:
    return format_number(row.estimate if row else None, signed=signed)


def prompt_format_caption() -> str:
    """Say what the columns hold."""
    return (
        "Separation, reference → aligned, of the same texts raw and as a user turn in the aligned model's chat "
        "template, which both models are given. Difference: the gain in the template minus the gain on raw text, with "
        "intervals that hold for all languages together."
    )
