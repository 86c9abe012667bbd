"""Lines and tables -> what is printed in a terminal, with rich."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from isogloss.report.ablation import (
    ABLATION_HEADINGS,
    AblationLine,
    ablation_caption,
    ablation_lines,
    ablation_sentences,
)
from isogloss.report.behaviour import (
    BEHAVIOUR_HEADINGS,
    BehaviourLine,
    behaviour_caption,
    behaviour_lines,
    link_sentences,
)
from isogloss.report.cross_lingual import (
    CROSS_LINGUAL_HEADINGS,
    CrossLingualLine,
    cross_lingual_caption,
    cross_lingual_lines,
)
from isogloss.report.exports.paper import PaperTable
from isogloss.report.prompt_formats import (
    PROMPT_FORMAT_HEADINGS,
    PromptFormatLine,
    prompt_format_caption,
    prompt_format_lines,
)
from isogloss.report.tables import (
    CONTROL_HEADINGS,
    ControlLine,
    Line,
    caption,
    control_caption,
    control_lines,
    headings,
    headline,
    lines,
    warning_lines,
)
from isogloss.results import Audit
from isogloss.text import sanitize

#: Columns from which all of them fit; narrower terminals get the ones that carry the answer.
WIDE = 156
COMPACT = ("language", "reference", "aligned", "gain", "retention", "verdict")
WIDE_CONTROLS = 120
COMPACT_CONTROLS = ("language", "probe", "length", "ngram", "untrained", "edit_rate")
WIDE_BEHAVIOUR = 150
COMPACT_BEHAVIOUR = ("language", "gain", "gain_interval", "auroc", "slope", "slope_interval")
WIDE_ABLATION = 120
COMPACT_ABLATION = ("language", "margin", "ablated", "random", "beyond", "beyond_interval")
LEFT = {"language", "verdict", "verdicts", "codes"}
#: Between two columns; and the width from which on a column is easy to read, whatever it holds: a number and a verdict.
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


class _SpeedColumn(ProgressColumn):
    """Steps a second, of late, or of all of them once they are done."""

    def render(self, task: Task) -> Text:
        """Write the speed of a task, or nothing while there is none."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.3g}/s" if speed else "")


@dataclass(kw_only=True)
class _Board:
    """All displays that are open, as bars of one: they may end in any order."""

    progress: Progress | None = None
    open: int = 0


@functools.cache
def _board() -> _Board:
    return _Board()


@contextmanager
def track(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar with speed and time left on stderr, or without any steps a line (a `Track`).

    A bar inside another becomes a line when it ends.
    """
    board = _board()
    if not total:
        console = board.progress.console if board.progress else Console(stderr=True)
        console.print(Text(description, style="yellow"))
        yield lambda _: None
        return
    if board.progress is None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _SpeedColumn(),
            TimeRemainingColumn(),
        )
        board.progress = Progress(*columns, console=Console(stderr=True))
        board.progress.start()
    progress, task = board.progress, board.progress.add_task(description, total=total)
    board.open += 1
    try:
        yield lambda steps: progress.advance(task, steps)
    finally:
        board.open -= 1
        if board.open:
            _to_line(progress, task)
        else:
            board.progress = None
            progress.stop()


def _to_line(progress: Progress, number: TaskID) -> None:
    """Take a bar away and leave what it came to."""
    task = next(one for one in progress.tasks if one.id == number)
    progress.remove_task(number)
    speed = task.finished_speed or task.speed
    at = f", {speed:.3g}/s" if speed else ""
    progress.console.print(
        Text(f"{task.description}: {int(task.completed)} of {int(task.total or 0)}{at}", style="dim")
    )


def print_audit(audit: Audit, console: Console) -> None:
    """Print headline, table, caption and warnings of an audit."""
    models = [str(audit.models[role]["name"]) for role in ("reference", "aligned") if audit.models.get(role)]
    console.print(
        Text.assemble("\n", (sanitize(str(audit.corpus["name"])), "bold"), f", {sanitize(' → '.join(models))}\n")
    )
    columns = headings(audit)
    fits = console.width >= WIDE or not audit.has_reference
    console.print(_table({name: columns[name] for name in (columns if fits else COMPACT)}, lines(audit)))
    console.print(Text(f"\n{sanitize(headline(audit))}", style="bold"))
    console.print(Text(f"\n{sanitize(caption(audit))}", style="dim"))
    if two_by_two := prompt_format_lines(audit):
        console.print("\nRaw text and chat template\n", style="bold")
        console.print(_table(PROMPT_FORMAT_HEADINGS, two_by_two))
        console.print(Text(f"\n{sanitize(prompt_format_caption())}", style="dim"))
    if told := behaviour_lines(audit):
        console.print("\nWhat the models would say\n", style="bold")
        fitting = tuple(BEHAVIOUR_HEADINGS) if console.width >= WIDE_BEHAVIOUR else COMPACT_BEHAVIOUR
        console.print(_table({name: BEHAVIOUR_HEADINGS[name] for name in fitting}, told))
        for sentence in link_sentences(audit):
            console.print(Text(f"\n{sanitize(sentence)}", style="bold"))
        console.print(Text(f"\n{behaviour_caption()}", style="dim"))
    if edited := ablation_lines(audit):
        console.print("\nDoes behaviour hang on the harm direction?\n", style="bold")
        shown = tuple(ABLATION_HEADINGS) if console.width >= WIDE_ABLATION else COMPACT_ABLATION
        console.print(_table({name: ABLATION_HEADINGS[name] for name in shown}, edited))
        for sentence in ablation_sentences(audit):
            console.print(Text(f"\n{sanitize(sentence)}", style="bold"))
        console.print(Text(f"\n{ablation_caption()}", style="dim"))
    if shared := cross_lingual_lines(audit):
        console.print("\nWhat languages share\n", style="bold")
        console.print(_table(CROSS_LINGUAL_HEADINGS, shared))
        console.print(Text(f"\n{cross_lingual_caption()}", style="dim"))
    console.print("\nWhat else could explain a score\n", style="bold")
    controls = CONTROL_HEADINGS if console.width >= WIDE_CONTROLS else COMPACT_CONTROLS
    console.print(_table({name: CONTROL_HEADINGS[name] for name in controls}, control_lines(audit)))
    console.print(f"\n{control_caption()}", style="dim", highlight=False)
    if audit.warnings:
        console.print("\nWarnings (docs/methods.md explains the codes, audit.json has the details):", highlight=False)
        for line in warning_lines(audit.warnings):
            console.print(Text(f"  {sanitize(line)}"))


def _table(
    headings: Mapping[str, str],
    found: Sequence[Line | ControlLine | PromptFormatLine | BehaviourLine | AblationLine | CrossLingualLine],
) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    for name, heading in headings.items():
        table.add_column(Text(heading), justify="left" if name in LEFT else "right", no_wrap=name != "codes")
    for line in found:
        cells = {name: Text(sanitize(getattr(line, name))) for name in headings}
        if "verdict" in cells:
            cells["verdict"].stylize(STYLES.get(cells["verdict"].plain.partition(",")[0], ""))
        table.add_row(*cells.values())
    return table


def print_table(rows: Sequence[Mapping[str, str]], console: Console) -> None:
    """Print rows of equal keys, the keys as headings; nothing in them is markup."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    for name in rows[0]:
        table.add_column(Text(name), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row.values()))
    console.print(table)


def print_paper_table(table: PaperTable, console: Console) -> None:
    """Print a paper's table: title, cells coloured by the verdict that they end with, notes.

    Columns that do not fit stand below, with the first column again.
    """
    console.print(Text(f"\n{table.title}\n", style="bold"))
    for i, columns in enumerate(_parts(table, console.width)):
        if i:
            console.print()
        console.print(_grid(table, columns))
    for note in table.notes:
        print_note(note, console)


def _grid(table: PaperTable, columns: Sequence[int]) -> Table:
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    for number in columns:
        justify: Literal["left", "right"] = "left" if number in table.left else "right"
        grid.add_column(Text(table.headings[number]), justify=justify, overflow="fold")
    for row in table.rows:
        grid.add_row(*(Text(row[number], style=_style(row[number])) for number in columns))
    return grid


def _parts(table: PaperTable, width: int) -> list[list[int]]:
    """Deal the columns into parts that fit, each with the first column; a part has at least one other."""
    first = _needed(table, 0)
    found: list[list[int]] = []
    room = 0
    for number in range(1, len(table.headings)):
        need = _needed(table, number) + GAP
        if not found or need > room:
            found.append([0])
            room = width - first
        found[-1].append(number)
        room -= need
    return found or [[0]]


def _needed(table: PaperTable, number: int) -> int:
    """How wide a column has to be to be read with ease: the first one whole, others up to ENOUGH."""
    widest = max((cell_len(row[number]) for row in table.rows), default=1)
    return widest if number == 0 else min(max(widest, cell_len(table.headings[number])), ENOUGH)


def print_note(text: str, console: Console) -> None:
    """Print a sentence below or above a table."""
    console.print(Text(f"\n{text}\n", style="dim"))


def _style(cell: str) -> str:
    # The longest first: "not reached" ends with "reached" too.
    words = sorted(STYLES, key=len, reverse=True)
    return next((STYLES[word] for word in words if cell.endswith(word)), "")
