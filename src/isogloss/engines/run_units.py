"""Run units through an engine, and show the progress of every model and language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack

from isogloss.engines.engine import Engine
from isogloss.engines.work_units import Unit, UnitT, Work
from isogloss.progress import Track, tell


def run_units(engine: Engine, work: Work[UnitT], units: Sequence[UnitT], *, name: str, track: Track) -> None:
    """Do all units.

    Args:
        engine: what does them.
        work: the kind of work.
        units: what is to be done.
        name: of the work, for people.
        track: shows all texts, and those of each model and language that have begun and are not done.

    Raises:
        ModelError: texts of jobs that go on without them gave no finite numbers (`text_ids`); all others are stored.
        IsoglossError: see the functions of the work.
    """
    with track(name, sum(len(unit.texts) for unit in units)) as advance, ExitStack() as stack:
        progress = _Progress(units, track, stack, advance)
        results = engine.run(work, units, advance=progress.advance, tell=lambda line: tell(track, line))
        broken = [done.broken for done in results if done.broken]
    if broken:
        first = broken[0]
        first.text_ids = tuple(sorted({text_id for error in broken for text_id in error.text_ids}))
        raise first


class _Progress:
    """A display for all texts, and one for each model and language from its first text to its last."""

    def __init__(self, units: Sequence[Unit], track: Track, stack: ExitStack, overall: Callable[[int], None]) -> None:
        self._track, self._stack, self._overall = track, stack, overall
        self._left: Counter[tuple[str, str]] = Counter()
        for unit in units:
            self._left[_display_key(unit)] += len(unit.texts)
        self._shown: dict[tuple[str, str], tuple[AbstractContextManager[Callable[[int], None]], Callable[[int], None]]]
        self._shown = {}

    def advance(self, unit: Unit, steps: int) -> None:
        if not steps:
            return
        self._overall(steps)
        key = _display_key(unit)
        if key not in self._shown:
            display = self._track(", ".join(key), self._left[key])
            self._shown[key] = display, display.__enter__()
            self._stack.callback(self._close, key)
        self._shown[key][1](steps)
        self._left[key] -= steps
        if not self._left[key]:
            self._close(key)

    def _close(self, key: tuple[str, str]) -> None:
        if key in self._shown:
            self._shown.pop(key)[0].__exit__(None, None, None)


def _display_key(unit: Unit) -> tuple[str, str]:
    return unit.job.label, unit.language
