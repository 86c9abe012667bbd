"""Progress bars on stderr: how slow work is shown, as a `Track`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

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
from rich.text import Text


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
    """Replace a finished bar by one line."""
    task = next(one for one in progress.tasks if one.id == number)
    progress.remove_task(number)
    speed = task.finished_speed or task.speed
    at = f", {speed:.3g}/s" if speed else ""
    progress.console.print(
        Text(f"{task.description}: {int(task.completed)} of {int(task.total or 0)}{at}", style="dim")
    )
