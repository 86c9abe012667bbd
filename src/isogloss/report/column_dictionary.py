"""What every column holds, as Markdown: results.parquet, points.parquet and the tables of reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from isogloss.records import column_dictionary
from isogloss.report.audit_tables import LANGUAGES, SCORES
from isogloss.report.comparison.runs import TABLES as RUN_TABLES
from isogloss.report.comparison.tables import TABLES as COMPARISON_TABLES
from isogloss.report.control_table import CONTROLS
from isogloss.report.lost_pairs import LOST_PAIRS
from isogloss.report.render_markdown import escape
from isogloss.report.table import TableKind

#: The tables of this room.
REPORT_TABLES = (LANGUAGES, SCORES, CONTROLS, LOST_PAIRS, *COMPARISON_TABLES, *RUN_TABLES)
HEAD = "# Columns\n\nWritten by `python docs/columns.py` from the descriptions in the code; edit them there.\n"


def render_dictionary(points: Mapping[str, str], tables: Sequence[TableKind]) -> str:
    """Write the column dictionary.

    Args:
        points: column of points.parquet -> what it holds.
        tables: of reports and analyses.
    """
    parts = [
        HEAD,
        _render_columns("results.parquet", "A row for each number of an audit.", column_dictionary()),
        _render_columns("points.parquet", "A row for each text, model and layer.", points),
        "## Tables of reports\n\nA value and its interval are one cell. CSV files hold the numbers in full.\n",
        *(_render_table(kind) for kind in tables),
    ]
    return "\n".join(parts)


def undescribed(points: Mapping[str, str], tables: Sequence[TableKind]) -> list[str]:
    """List the columns that have no description, as file or table and column."""
    described = {
        "results.parquet": column_dictionary(),
        "points.parquet": points,
        **{kind.key: {column.key: column.description for column in kind.columns} for kind in tables},
    }
    return [f"{name}: {column}" for name, columns in described.items() for column, text in columns.items() if not text]


def _render_columns(name: str, about: str, columns: Mapping[str, str]) -> str:
    rows = [f"| `{column}` | {escape(text)} |" for column, text in columns.items()]
    return "\n".join([f"## {name}\n", f"{about}\n", "| column | holds |", "| :--- | :--- |", *rows, ""])


def _render_table(kind: TableKind) -> str:
    rows = [f"| `{column.key}` | {escape(column.heading)} | {escape(column.description)} |" for column in kind.columns]
    head = ["| key | heading | holds |", "| :--- | :--- | :--- |"]
    return "\n".join([f"### {escape(kind.title)} (`{kind.key}`)\n", *head, *rows, ""])
