"""Tables and sections -> what is printed in a terminal, with rich."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from isogloss.report.audit_tables import language_table
from isogloss.report.control_table import control_table
from isogloss.report.sentences import headline, warning_lines
from isogloss.report.table import Cell, Section, Table
from isogloss.report.view import view
from isogloss.results import Audit
from isogloss.text import sanitize

#: Spaces between two columns; and the width from which on a column that may wrap at spaces is easy to read.
GAP, ENOUGH = 2, 18
STYLES = {
    "reached": "green",
    "weakened": "yellow",
    "lagging": "yellow",
    "not reached": "red",
    "reversed": "red",
    "confounded": "magenta",
    "inconclusive": "dim",
    "pass": "green",
    "fail": "red",
}


def print_audit(audit: Audit, console: Console, sections: Sequence[Section] = ()) -> None:
    """Print an audit: languages, headline, the sections of its analyses, controls and warnings.

    Args:
        audit: what was measured.
        console: where to print.
        sections: what analyses show of it.
    """
    shown = view(audit)
    models = [str(audit.models[role]["name"]) for role in ("reference", "aligned") if audit.models.get(role)]
    console.print(
        Text.assemble("\n", (sanitize(str(audit.corpus["name"])), "bold"), f", {sanitize(' → '.join(models))}\n")
    )
    languages = fit_table(language_table(shown), console.width)
    console.print(_grid(languages))
    console.print(Text(f"\n{headline(shown).text}", style="bold"))
    _print_below(languages, console)
    for section in sections:
        print_section(section, console)
    console.print(Text("\nWhat else could explain a score\n", style="bold"))
    controls = fit_table(control_table(shown), console.width)
    console.print(_grid(controls))
    _print_below(controls, console)
    if audit.warnings:
        console.print("\nWarnings (docs/methods.md explains the codes, audit.json has the details):", highlight=False)
        for line in warning_lines(audit.warnings):
            console.print(Text(f"  {sanitize(line)}"))


def print_section(section: Section, console: Console) -> None:
    """Print the tables, findings and notes of a section; its figures are for the page."""
    blocks = [block for block in section.blocks if block.tables or block.findings or block.note]
    if not blocks:
        return
    console.print(Text(f"\n{section.title}", style="bold"))
    for block in blocks:
        for table in block.tables:
            fitted = fit_table(table, console.width)
            console.print(Text(f"\n{table.title}\n"))
            console.print(_grid(fitted))
            _print_below(fitted, console)
        for finding in block.findings:
            console.print(Text(f"\n{finding}", style="bold"))
        if block.note:
            console.print(Text(f"\n{block.note}", style="dim"))


def print_table(table: Table, console: Console) -> None:
    """Print a table with its title. Columns that do not fit and may not be dropped stand below, in a part of their own.

    Args:
        table: what to print.
        console: where to print.
    """
    console.print(Text(f"\n{table.title}\n", style="bold"))
    fitted = fit_table(table, console.width)
    for number, part in enumerate(_split_columns(fitted, console.width)):
        if number:
            console.print()
        console.print(_grid(part))
    _print_below(fitted, console)


def print_note(text: str, console: Console) -> None:
    """Print a sentence below or above a table."""
    console.print(Text(f"\n{text}\n", style="dim"))


def print_records(records: Sequence[Mapping[str, str]], console: Console) -> None:
    """Print rows of equal keys, the keys as headings; nothing in them is markup."""
    grid = Grid(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    for name in records[0]:
        grid.add_column(Text(name), overflow="fold")
    for record in records:
        grid.add_row(*(Text(cell) for cell in record.values()))
    console.print(grid)


def fit_table(table: Table, width: int) -> Table:
    """Drop the columns of the largest `priority` until the table fits; those of priority 0 stay.

    Of equal priorities the column furthest to the right goes first.
    """
    columns = list(range(len(table.columns)))
    widths = [column_width(table, number) for number in columns]
    while sum(widths[number] + GAP for number in columns) - GAP > width:
        last = max(columns, key=lambda number: (table.columns[number].priority, number))
        if table.columns[last].priority == 0:
            break
        columns.remove(last)
    return table.select([table.columns[number].key for number in columns])


def column_width(table: Table, number: int) -> int:
    """Cells of a terminal that the widest line of a column takes."""
    cells = [cell_len(row[number].line) for row in table.rows]
    return max([cell_len(table.columns[number].heading), *cells])


def _split_columns(table: Table, width: int) -> list[Table]:
    """Deal the columns into parts that fit, each with the first column; a part has at least one other."""
    first = column_width(table, 0)
    parts: list[list[str]] = []
    room = 0
    for number, column in enumerate(table.columns[1:], start=1):
        need = min(column_width(table, number), ENOUGH) + GAP
        if not parts or need > room:
            parts.append([table.columns[0].key])
            room = width - first
        parts[-1].append(column.key)
        room -= need
    return [table.select(keys) for keys in parts] or [table]


def _grid(table: Table) -> Grid:
    grid = Grid(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    for column in table.columns:
        grid.add_column(Text(column.heading), justify=column.align, overflow="fold")
    for row in table.rows:
        grid.add_row(*(Text(cell.line, style=_style(cell)) for cell in row))
    return grid


def _style(cell: Cell) -> str:
    return STYLES.get(cell.tag, "")


def _print_below(table: Table, console: Console) -> None:
    """Print what a reader must know of a table: notes, caption and columns, and why numbers are missing."""
    below = "\n".join(text for text in (*table.notes, table.description, *table.reasons) if text)
    if below:
        console.print(Text(f"\n{below}", style="dim"))
