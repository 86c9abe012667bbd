"""Units through an engine, with the progress of every model and language in one place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack

from isogloss.engines.engine import Engine
from isogloss.engines.work_units import Unit, UnitT, Work
from isogloss.errors import broken_texts
from isogloss.progress import Track, tell


def run_units(engine: Engine, work: Work[UnitT], units: Sequence[UnitT], *, name: str, track: Track) -> None:
    """Do all units.

    Args:
        engine: who does them.
        work: the kind of work.
        units: what is to be done.
        name: of the work, for people.
        track: shows all texts, and those of each model and language that were begun and are not done.

    Raises:
        ModelError: texts of jobs that go on gave no finite numbers (`text_ids`); all others are in the store.
        IsoglossError: see the functions of the work.
    """
    with track(name, sum(len(unit.texts) for unit in units)) as advance, ExitStack() as stack:
        progress = _Progress(units, track, stack, advance)
        told = engine.run(work, units, advance=progress.advance, tell=lambda line: tell(track, line))
        broken = [done.broken for done in told if done.broken]
    if broken:
        text_ids = sorted({text_id for error in broken for text_id in error.text_ids})
        first = broken[0]
        raise broken_texts(first.what, found=first.found, text_ids=text_ids)


class _Progress:
    """A display for all texts, and one for each model and language from its first text to its last."""

    def __init__(self, units: Sequence[Unit], track: Track, stack: ExitStack, overall: Callable[[int], None]) -> None:
        self._track, self._stack, self._overall = track, stack, overall
        self._left: Counter[tuple[str, str]] = Counter()
        for unit in units:
            self._left[_place(unit)] += len(unit.texts)
        self._shown: dict[tuple[str, str], tuple[AbstractContextManager[Callable[[int], None]], Callable[[int], None]]]
        self._shown = {}

    def advance(self, unit: Unit, steps: int) -> None:
        if not steps:
            return
        self._overall(steps)
        place = _place(unit)
        if place not in self._shown:
            display = self._track(", ".join(place), self._left[place])
            self._shown[place] = display, display.__enter__()
            self._stack.callback(self._close, place)
        self._shown[place][1](steps)
        self._left[place] -= steps
        if not self._left[place]:
            self._close(place)

    def _close(self, place: tuple[str, str]) -> None:
        if place in self._shown:
            self._shown.pop(place)[0].__exit__(None, None, None)


def _place(unit: Unit) -> tuple[str, str]:
    return unit.job.label, unit.language
