"""Audit -> the tables of a paper: the primary estimand with verdicts, every other metric, and the analyses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from isogloss.report.audit_tables import language_table, metrics_of, score_table
from isogloss.report.sentences import headline, layer_words, metric_title
from isogloss.report.table import Section, Table
from isogloss.report.view import View
from isogloss.results import Audit
from isogloss.text import sanitize

#: What a paper prints of LANGUAGES.
IN_PAPERS = ("language", "reference", "aligned", "gain", "retention", "verdict")


def export_tables(view: View, sections: Sequence[Section] = ()) -> list[Table]:
    """List what `isogloss report --format` prints: the primary estimand, every other metric, and the analyses."""
    metrics, scores = metrics_of(view.audit), score_table(view)
    languages = language_table(view)
    shown = [name for name in IN_PAPERS if name in {column.key for column in languages.columns}]
    primary = replace(languages.select(shown), notes=(headline(view).text,))
    others = [_metric_table(scores, group) for group in range(1, len(metrics))]
    named = [
        table.renamed(_export_key(*metric), _export_title(view.audit, *metric))
        for table, metric in zip((primary, *others), metrics, strict=True)
    ]
    return [*named, *(table for section in sections for table in section.tables)]


def _metric_table(scores: Table, group: int) -> Table:
    """Take the rows of one metric, as a table of its own."""
    rows = tuple(row for row, number in zip(scores.rows, scores.groups, strict=True) if number == group)
    kept = [column.key for column in scores.columns if column.key in IN_PAPERS]
    table = replace(scores, rows=rows, groups=()).select(kept)
    if "gain" in kept and any(cell.note == "log odds" for cell in table.column("gain")):
        columns = [
            replace(column, heading="gain (log odds)") if column.key == "gain" else column for column in table.columns
        ]
        table = replace(table, columns=tuple(columns))
    return table


def _export_key(metric: str, components: int | None) -> str:
    return "-".join(part for part in (metric.replace("_", "-"), str(components or "")) if part)


def _export_title(audit: Audit, metric: str, components: int | None) -> str:
    models = " → ".join(
        sanitize(str(audit.models[role]["name"])) for role in ("reference", "aligned") if audit.models.get(role)
    )
    title = metric_title(metric, components, unit="principal components")
    return f"{sanitize(str(audit.corpus['name']))}, {models}: {title}, {layer_words(audit)}"
