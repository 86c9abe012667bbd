"""Preview of a corpus -> tables: what was read, which texts are harmful, which languages, two examples a class."""

from __future__ import annotations

from collections.abc import Sequence

from isogloss.data.found_columns import FoundColumn
from isogloss.data.preview import CorpusPreview, Example
from isogloss.report.cells import count_cell, text_cell
from isogloss.report.table import Cell, Column, Table, TableKind

#: Longest text that is shown of an example.
LONGEST_EXAMPLE = 160
COVER = "▒"
COVERED = "Texts are covered: --show-text prints them. Check that the harmful ones are harmful."
HARMFUL, HARMLESS = "harmful", "harmless"

READ_COLUMNS = TableKind(
    key="read-columns",
    title="Columns that are read",
    columns=(
        Column(key="corpus", heading="corpus", description="File or data set.", align="left"),
        Column(key="ours", heading="meaning", description="", align="left"),
        Column(
            key="column",
            heading="read from",
            description="Column of the file; after =, a constant for all rows.",
            align="left",
        ),
    ),
)
LABEL_MEANINGS = TableKind(
    key="label-meanings",
    title="Which texts are harmful",
    columns=(
        Column(key="corpus", heading="corpus", description="File or data set.", align="left"),
        Column(key="value", heading="label", description="Value of the label column, or rule.", align="left"),
        Column(key="meaning", heading="read as", description="", align="left"),
        Column(key="rows", heading="rows", description="Rows with it in the wanted languages."),
    ),
)
CORPUS_LANGUAGES = TableKind(
    key="corpus-languages",
    title="Languages",
    columns=(
        Column(key="language", heading="language", description="Code and name.", align="left"),
        Column(key="harmful", heading="harmful", description="Texts after duplicates were dropped."),
        Column(key="harmless", heading="harmless", description="The same."),
        Column(key="characters", heading="characters", description="Shortest, median and longest text."),
        Column(key="script", heading="script", description="Usual script of the language.", align="left"),
        Column(key="share", heading="in it", description="Share of the letters that belong to this script."),
    ),
)
EXAMPLES = TableKind(
    key="examples",
    title="Two examples of each class",
    columns=(
        Column(key="class", heading="class", description="What the text was understood to be.", align="left"),
        Column(key="language", heading="language", description="", align="left"),
        Column(key="row", heading="row", description="Number of the row in its file, without the header."),
        Column(key="label", heading="label", description="Its label in the file.", align="left"),
        Column(key="text", heading="text", description="", align="left"),
    ),
)
FOUND_COLUMNS = TableKind(
    key="found-columns",
    title="Columns that were found",
    columns=(
        Column(key="corpus", heading="corpus", description="File or data set.", align="left"),
        Column(key="column", heading="column", description="", align="left"),
        Column(key="kind", heading="holds", description="", align="left"),
        Column(key="filled", heading="filled rows", description=""),
        Column(key="different", heading="different values", description=""),
        Column(key="longest", heading="longest", description="Characters of the longest value."),
    ),
)
CORPUS_TABLES = (READ_COLUMNS, LABEL_MEANINGS, CORPUS_LANGUAGES, EXAMPLES, FOUND_COLUMNS)


def corpus_tables(preview: CorpusPreview, *, show_text: bool) -> list[Table]:
    """Make the tables of a preview; texts are covered unless `show_text`."""
    columns = [
        {"corpus": text_cell(corpus), "ours": text_cell(ours), "column": text_cell(column)}
        for corpus, ours, column in preview.columns
    ]
    labels = [
        {
            "corpus": text_cell(label.corpus),
            "value": text_cell(label.value),
            "meaning": text_cell("dropped" if label.harmful is None else _class_name(harmful=label.harmful)),
            "rows": count_cell(label.rows),
        }
        for label in preview.labels
    ]
    languages = [
        {
            "language": Cell(text=row.name, language=row.code),
            "harmful": count_cell(row.harmful),
            "harmless": count_cell(row.harmless),
            "characters": Cell(text=f"{row.shortest} / {row.median:.0f} / {row.longest:,}", value=row.median),
            "script": text_cell(row.script),
            "share": Cell()
            if row.script_share is None
            else Cell(text=f"{row.script_share:.0%}", value=row.script_share),
        }
        for row in preview.languages
    ]
    examples = [_example_row(example, show_text=show_text) for example in preview.examples]
    caption = (
        "" if show_text else "Texts are covered: --show-text prints them. Check that the harmful ones are harmful."
    )
    tables = [
        READ_COLUMNS.fill(columns),
        LABEL_MEANINGS.fill(labels),
        CORPUS_LANGUAGES.fill(languages),
        EXAMPLES.fill(examples, caption=caption),
    ]
    return [table for table in tables if table.rows]


def found_columns_table(columns: Sequence[FoundColumn]) -> Table:
    """Make the table of the columns of a corpus that could not be understood."""
    return FOUND_COLUMNS.fill(
        [
            {
                "corpus": text_cell(row.corpus),
                "column": text_cell(row.column),
                "kind": text_cell(row.kind),
                "filled": count_cell(row.filled),
                "different": Cell() if row.different is None else count_cell(row.different),
                "longest": Cell() if row.longest is None else count_cell(row.longest),
            }
            for row in columns
        ]
    )


def cover(text: str) -> str:
    """Cover a text so that only the lengths of its words are seen.

    >>> cover("Good morning")
    '▒▒▒▒ ▒▒▒▒▒▒▒'
    """
    return " ".join(COVER * len(word) for word in text.split())


def _example_row(example: Example, *, show_text: bool) -> dict[str, Cell]:
    text = example.text if len(example.text) <= LONGEST_EXAMPLE else f"{example.text[:LONGEST_EXAMPLE]}…"
    return {
        "class": text_cell(_class_name(harmful=example.harmful)),
        "language": text_cell(example.language),
        "row": Cell() if example.row is None else count_cell(example.row),
        "label": text_cell(example.label),
        "text": text_cell(text if show_text else cover(text)),
    }


def _share_cell(share: float | None) -> Cell:
    return Cell() if share is None else Cell(text=f"{share:.0%}", value=share)


def _class_name(*, harmful: bool) -> str:
    return HARMFUL if harmful else HARMLESS
