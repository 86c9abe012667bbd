"""Audits of several descendants of one reference -> one table: a line per language, two columns per descendant."""

from __future__ import annotations

import math
from collections.abc import Mapping

from isogloss.report.estimates import DASH
from isogloss.report.tables import label, primary_layer
from isogloss.results import Audit

CAPTION = (
    "Gain over the reference and verdict of each descendant, on the same texts. Intervals and verdicts hold within one "
    "descendant: nothing here corrects for picking the best of several."
)


def descendant_rows(audits: Mapping[str, Audit]) -> list[dict[str, str]]:
    """Write one row per language: its gain in each audit with the verdict, or the aligned score where there is no gain.

    Args:
        audits: name -> audit, at least one, all of the same corpus and settings.
    """
    first = next(iter(audits.values()))
    return [
        {"language": label(code)} | {name: _cell(one, code) for name, one in audits.items()} for code in first.languages
    ]


def _cell(audit: Audit, code: str) -> str:
    layer, norm = primary_layer(audit)
    primary = {"metric": audit.primary.metric, "components": audit.primary.components, "layer": layer, "norm": norm}
    kind, model = ("gain", "") if audit.has_reference else ("score", "aligned")
    rows = audit.find(kind=kind, model=model, language=code, sample="all", **primary)
    if not rows or math.isnan(rows[0].estimate.value):
        return DASH
    value = f"{rows[0].estimate.value:{'+' if audit.has_reference else ''}.3f}"
    return f"{value} {rows[0].verdict}".strip()
