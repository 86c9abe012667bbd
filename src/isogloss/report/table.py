"""Tables, figures and sections as values: written once, rendered by the terminal, the page, Markdown, LaTeX and CSV.

A column says what it holds in its description; captions, tooltips and the column dictionary of the docs are made of
these descriptions. Nothing here knows how a surface looks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from isogloss.report.estimates import DASH


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table.

    Attributes:
        key: name in CSV files and in the column dictionary, unique within its table.
        heading: what stands above the column.
        description: one sentence that says what the column holds, with unit and range.
        align: words stand on the left, numbers on the right.
        priority: a terminal that is too narrow drops the columns with the largest number first; 0 is never dropped.
    """

    key: str
    heading: str
    description: str
    align: Literal["left", "right"] = "right"
    priority: int = 0

    @property
    def explained(self) -> str:
        """Heading and description as one sentence.

        >>> Column(key="gain", heading="gain", description="Aligned minus reference.").explained
        'Gain: aligned minus reference.'
        """
        return f"{self.heading[:1].upper()}{self.heading[1:]}: {lower_first(self.description)}"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell; every text in it is sanitized.

    Attributes:
        text: what is shown; a dash where there is nothing.
        value: the number behind it, by which the column sorts; None for words.
        interval: its bounds as text, empty where there are none.
        note: a remark in small print, such as why there is no number.
        tag: a verdict or another word of a fixed list, which decides a colour.
        language: code of the language that the cell names; empty where it names none.
    """

    text: str = DASH
    value: float | None = None
    interval: str = ""
    note: str = ""
    tag: str = ""
    language: str = ""

    def __post_init__(self) -> None:
        """Refuse NaN, which does not sort: a cell without a number has no value."""
        if self.value is not None and math.isnan(self.value):
            raise ValueError(f"cell {self.text!r} with the value NaN; leave the value out")

    @property
    def line(self) -> str:
        """The cell as one line of plain text: number and interval, or code and name of a language.

        Notes are left out: `Table.reasons` gathers those that say why a number is missing.
        """
        text = f"{self.language} {self.text}" if self.language not in {"", self.text} else self.text
        return f"{text} {self.interval}" if self.interval else text

    @property
    def small_print(self) -> str:
        """What stands below the number on the page: the interval, then the note."""
        return " ".join(part for part in (self.language, self.interval, self.note) if part and part != self.text)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table: columns, rows of as many cells, and what a reader must know of all of them.

    Attributes:
        key: name in files and in links, such as "languages".
        title: what the table shows, as a noun phrase.
        columns: at least one; the first names the row.
        rows: each with a cell for every column.
        caption: sentences that hold for the whole table; column descriptions are added by the renderers.
        notes: sentences about single cells, such as why a number is missing.
        groups: for every row the number of the group that it belongs to, for filters; empty without groups.
    """

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    notes: tuple[str, ...] = ()
    groups: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse rows of another length than the columns, and columns of the same key."""
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"table {self.key}: a row with other columns than the table")
        if len({column.key for column in self.columns}) < len(self.columns):
            raise ValueError(f"table {self.key}: two columns of the same key")

    def column(self, key: str) -> tuple[Cell, ...]:
        """Return the cells of one column.

        Raises:
            KeyError: there is no such column.
        """
        keys = [column.key for column in self.columns]
        if key not in keys:
            raise KeyError(key)
        return tuple(row[keys.index(key)] for row in self.rows)

    def select(self, keys: Sequence[str]) -> Table:
        """Return the table with these columns only, in the order of `keys`.

        Raises:
            KeyError: there is no such column.
        """
        numbers = {column.key: number for number, column in enumerate(self.columns)}
        kept = [numbers[key] for key in keys]
        return replace(
            self,
            columns=tuple(self.columns[number] for number in kept),
            rows=tuple(tuple(row[number] for number in kept) for row in self.rows),
        )

    def renamed(self, key: str, title: str) -> Table:
        """Return the table under another key and title."""
        return replace(self, key=key, title=title)

    @property
    def description(self) -> str:
        """The caption, and what each column holds: what stands below the table."""
        described = [column.explained for column in self.columns[1:] if column.description]
        return " ".join([*([self.caption] if self.caption else []), *dict.fromkeys(described)])

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why numbers are missing: a sentence for each reason, with the rows that it holds for."""
        rows_of: dict[str, list[str]] = {}
        for row in self.rows:
            for cell in row:
                if cell.text == DASH and cell.note:
                    rows_of.setdefault(cell.note, []).append(row[0].language or row[0].text)
        return tuple(
            f"{DASH} {', '.join(dict.fromkeys(rows_of[reason]))}: {reason.rstrip('.')}." for reason in sorted(rows_of)
        )


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a figure's rows: how tooltips, the table below the figure and its CSV file show it.

    `form` is "text", "number", "layer" (an index into the layers of the run) or "interval", which takes the fields
    `low` and `high` of the prefix `name`: "x" reads x_low and x_high, and "" reads low and high.
    """

    name: str
    heading: str
    form: Literal["text", "number", "interval", "layer"] = "number"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure of the page that reads its own rows.

    Attributes:
        key: unique on the page; name of its files.
        title: bold part of the caption.
        caption: the rest of it.
        legend: what shapes and colours mean, in words.
        spec: name of the chart in `Section.specs`.
        size: a figure of full width, one of two side by side, or one of several small ones.
        rows: field -> values, all equally long.
        fields: what is shown of the rows.
        heading: name of the panel, such as a language; empty for a figure that stands by itself.
        models: whether the key of the two models is shown above the figure.
    """

    key: str
    title: str
    spec: str
    rows: Mapping[str, Sequence[Any]]
    fields: tuple[Field, ...]
    caption: str = ""
    legend: str = ""
    size: Literal["wide", "pair", "multiple"] = "wide"
    heading: str = ""
    models: bool = False


@dataclass(frozen=True, kw_only=True)
class Block:
    """A part of a section: a heading with text, figures and tables below it.

    Attributes:
        heading: empty for the first part of a section.
        text: sentences that explain what is shown.
        findings: sentences that say what was measured; the terminal prints them too.
        figures: drawn in their order, all of one size; those that are not "wide" stand side by side.
        tables: printed in their order.
        note: a remark in small print.
    """

    heading: str = ""
    text: str = ""
    findings: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Section:
    """What one analysis shows of an audit.

    Attributes:
        key: anchor on the page.
        title: the question that it answers, which heads it.
        blocks: its parts.
        specs: charts by name, each as {"light": ..., "dark": ...}, shared by figures.
        within: key of the page's own section that it is a part of; empty where it is a section of its own.
    """

    key: str
    title: str
    blocks: tuple[Block, ...]
    specs: Mapping[str, Any] = field(default_factory=dict)
    within: str = ""

    @property
    def tables(self) -> Iterator[Table]:
        """All tables of the section."""
        return (table for block in self.blocks for table in block.tables)


@dataclass(frozen=True, kw_only=True)
class TableKind:
    """The columns that a table may have, declared once: tables, captions and the column dictionary are made of them.

    Attributes:
        key: as of `Table`.
        title: as of `Table`; what fills the table may give a longer one.
        columns: all that it may have, in their order; the first names the row.
    """

    key: str
    title: str
    columns: tuple[Column, ...]

    def fill(
        self,
        rows: Sequence[Mapping[str, Cell]],
        *,
        key: str = "",
        title: str = "",
        caption: str = "",
        notes: Sequence[str] = (),
        groups: Sequence[int] = (),
    ) -> Table:
        """Make a table of rows of cells by column key. Columns that no row has are left out.

        Raises:
            KeyError: a row has a cell for a column that is not declared.
        """
        named = {name for row in rows for name in row}
        if strangers := named - {column.key for column in self.columns}:
            raise KeyError(f"table {self.key} has no column {min(strangers)!r}")
        columns = tuple(column for number, column in enumerate(self.columns) if number == 0 or column.key in named)
        return Table(
            key=key or self.key,
            title=title or self.title,
            columns=columns,
            rows=tuple(tuple(row.get(column.key, Cell()) for column in columns) for row in rows),
            caption=caption,
            notes=tuple(notes),
            groups=tuple(groups),
        )


def lower_first(text: str) -> str:
    """Begin a description with a small letter where it follows its heading; names and abbreviations stay.

    >>> lower_first("Aligned minus reference."), lower_first("AUROC of a probe.")
    ('aligned minus reference.', 'AUROC of a probe.')
    """
    first, _, rest = text.partition(" ")
    if len(first) > 1 and first[1:] != first[1:].lower():
        return text
    return f"{first[:1].lower()}{first[1:]} {rest}".rstrip()
