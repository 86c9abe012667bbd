"""The local engine: one model after the other with all cores, tokens made ahead by a thread; statistics on threads."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from isogloss.engines.work_units import Advance, Done, UnitT, Work, by_weights

ItemT = TypeVar("ItemT")
DoneT = TypeVar("DoneT")


@dataclass(frozen=True)
class LocalEngine:
    """This process (an `Engine`)."""

    device: str | None = None

    def call(self, function: Callable[..., DoneT], **arguments: Any) -> DoneT:  # noqa: ANN401
        """Call the function."""
        return function(**arguments)

    def run(
        self, work: Work[UnitT], units: Sequence[UnitT], *, advance: Advance, tell: Callable[[str], None]
    ) -> Iterator[Done]:
        """Do the units, model by model; weights are freed before the next are loaded."""
        from isogloss.engines.worker import Worker  # noqa: PLC0415 - imports torch

        ordered = [unit for group in by_weights(units) for unit in group]
        with ThreadPoolExecutor(1) as pool, Worker() as worker:
            tokens = _Ahead(work, ordered, pool)
            try:
                for unit in ordered:
                    done = worker.run(work, unit, tokens=tokens.take(unit), advance=partial(advance, unit))
                    for note in done.notes:
                        tell(note)
                    yield done
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def map(self, function: Callable[..., DoneT], items: Sequence[ItemT], *, workers: int | None) -> Iterator[DoneT]:
        """Map on several threads.

        Each has one BLAS thread, so that the numbers do not depend on how many there are, and no core is asked for
        twice.
        """
        with threadpool_limits(1), ThreadPoolExecutor(workers or os.cpu_count()) as pool:
            yield from pool.map(function, items)


class _Ahead:
    """Tokens of units, made once for all models that read them alike, while other units are run forward."""

    def __init__(self, work: Work[UnitT], units: Sequence[UnitT], pool: ThreadPoolExecutor) -> None:
        self._readers = Counter(unit.tokens_key for unit in units)
        self._made: dict[Hashable, Future[Any]] = {}
        seen: list[object] = []
        for unit in units:
            if unit.tokens_key in self._made:
                continue
            if unit.job in seen:
                self._made[unit.tokens_key] = pool.submit(work.encode, unit)
                continue
            # The first of a job loads its tokenizer, which must not happen while a thread loads weights.
            seen.append(unit.job)
            first: Future[Any] = Future()
            self._made[unit.tokens_key] = first
            first.set_result(work.encode(unit))

    def take(self, unit: UnitT) -> Any:  # noqa: ANN401
        """Give a unit its tokens; the last of their readers takes them out."""
        key = unit.tokens_key
        self._readers[key] -= 1
        made = self._made[key] if self._readers[key] else self._made.pop(key)
        return made.result()
