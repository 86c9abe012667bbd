"""The primary estimand on matched texts: the table that says whether the texts could explain a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from isogloss.report.audit_tables import GAIN, LANGUAGE, RETENTION, VERDICT, retention_cell, verdict_cell
from isogloss.report.cells import count_cell, estimate_cell, text_cell
from isogloss.report.recorded_settings import in_words
from isogloss.report.table import Block, Cell, Column, Section, TableKind
from isogloss.report.view import Named, View, view
from isogloss.results import Audit

if TYPE_CHECKING:
    import polars as pl

MATCHED = TableKind(
    key="matched",
    title="The same comparison on texts that are matched with the pivot's",
    columns=(
        LANGUAGE,
        VERDICT,
        Column(
            key="verdict_matched", heading="verdict, matched", description="Verdict on matched texts.", align="left"
        ),
        RETENTION,
        Column(
            key="retention_matched",
            heading="retention, matched",
            description="Retention on matched texts.",
            priority=1,
        ),
        GAIN,
        Column(key="gain_matched", heading="gain, matched", description="Gain on matched texts.", priority=2),
        Column(
            key="texts",
            heading="texts, matched",
            description="Matched texts per class.",
            priority=3,
        ),
    ),
)
TABLES = (MATCHED,)


def sections(audit: Audit, frames: Mapping[str, pl.DataFrame]) -> Sequence[Section]:
    """Show the comparison on matched texts; nothing where nothing was matched."""
    del frames
    shown = view(audit)
    rows = [cells for language in shown.others if (cells := _cells(shown, language))]
    if not rows:
        return ()
    settings = audit.config.get("analyses", {}).get("matched", {})
    features = in_words(settings.get("match"), "the features that were asked for").replace(", ", " and ")
    text = (
        f"The comparison was repeated on texts that resemble the pivot's in {features}. A verdict that does not "
        "survive this is confounded."
    )
    block = Block(text=text, tables=(MATCHED.fill(rows),))
    return (Section(key="matched", title="On matched texts", blocks=(block,), within="text"),)


def _cells(shown: View, language: Named) -> dict[str, Cell] | None:
    """Fill the row of a language; None where it has no matched texts."""
    gain = shown.primary("gain", language, sample="matched")
    retention = shown.primary("retention", language, sample="matched")
    known = retention or gain
    if known is None:
        return None
    verdict = language.verdict
    return {
        "language": language.cell,
        "verdict": verdict_cell(language),
        "verdict_matched": text_cell(verdict.cross_check if verdict else None),
        "retention": retention_cell(shown, language),
        "retention_matched": estimate_cell(retention, digits=2),
        "gain": estimate_cell(shown.primary("gain", language), signed=True),
        "gain_matched": estimate_cell(gain, signed=True),
        "texts": count_cell(known.n),
    }
