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
    languages = replace(language_table(view), title=_export_title(view.audit, *metrics_of(view.audit)[0]))
    shown = [name for name in IN_PAPERS if name in {column.key for column in languages.columns}]
    scores = score_table(view)
    metrics = [_metric_table(view, scores, group) for group in range(1, len(metrics_of(view.audit)))]
    languages = replace(languages.select(shown), notes=(headline(view).text,))
    return [languages, *metrics, *(table for section in sections for table in section.tables)]


def _metric_table(view: View, scores: Table, group: int) -> Table:
    """Take the rows of one metric, as a table of its own."""
    metric, components = metrics_of(view.audit)[group]
    rows = tuple(row for row, number in zip(scores.rows, scores.groups, strict=True) if number == group)
    key = "-".join(part for part in (metric.replace("_", "-"), str(components or "")) if part)
    kept = [column.key for column in scores.columns if column.key in IN_PAPERS]
    table = replace(scores, key=key, title=_export_title(view.audit, metric, components), rows=rows, groups=())
    table = table.select(kept)
    if "gain" in kept and any(cell.note == "log odds" for cell in table.column("gain")):
        columns = [replace(one, heading="gain (log odds)") if one.key == "gain" else one for one in table.columns]
        table = replace(table, columns=tuple(columns))
    return table


def _export_title(audit: Audit, metric: str, components: int | None) -> str:
    models = " → ".join(
        sanitize(str(audit.models[role]["name"])) for role in ("reference", "aligned") if audit.models.get(role)
    )
    title = metric_title(metric, components, unit="principal components")
    return f"{sanitize(str(audit.corpus['name']))}, {models}: {title}, {layer_words(audit)}"
