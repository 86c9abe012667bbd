"""Lines and tables -> what is printed in a terminal, with rich."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from isogloss.report.tables import HEADINGS, caption, headline, lines
from isogloss.results import Audit

#: Columns from which all of them fit; narrower terminals get the ones that carry the answer.
WIDE = 128
COMPACT = ("language", "reference", "aligned", "gain", "retention", "reading")
RIGHT = {"reference", "aligned", "gain", "retention", "length", "ngrams"}
STYLES = {"rose": "green", "fell": "red", "no clear change": "yellow"}


@contextmanager
def track(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar with the time left on stderr (a `Track`)."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(description, total=total)
        yield lambda steps: progress.advance(task, steps)


def print_audit(audit: Audit, console: Console) -> None:
    """Print headline, table, caption and warnings of an audit."""
    models = [audit.models[role]["name"] for role in ("reference", "aligned") if audit.models.get(role)]
    console.print(f"\n[bold]{audit.corpus['name']}[/bold], {' → '.join(models)}\n", highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    headings = {name: HEADINGS[name] for name in (HEADINGS if console.width >= WIDE else COMPACT)}
    for name, heading in headings.items():
        table.add_column(escape(heading), justify="right" if name in RIGHT else "left", no_wrap=name != "codes")
    for line in lines(audit):
        style = STYLES.get(line.reading, "")
        cells = [escape(getattr(line, name)) for name in headings]
        cells[list(headings).index("reading")] = f"[{style}]{line.reading}[/{style}]" if style else line.reading
        table.add_row(*cells)
    console.print(table)
    console.print(f"\n[bold]{headline(audit)}[/bold]", highlight=False)
    console.print(f"\n{caption(audit)}", style="dim", highlight=False)
    if audit.notices:
        console.print("\nWarnings (docs/methods.md explains the codes):", highlight=False)
        for notice in sorted(audit.notices, key=lambda notice: notice.code):
            console.print(f"  {notice.code} {notice.text}", highlight=False, markup=False)


def print_table(rows: Sequence[Mapping[str, str]], console: Console) -> None:
    """Print rows of equal keys, the keys as headings."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row.values())
    console.print(table)
