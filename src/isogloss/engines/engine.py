"""What an engine offers, the engine of this machine, and how another is opened; none of them changes a number.

The local engine runs one model after the other with all cores. A thread makes the tokens ahead. Statistics are mapped
over threads.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from threadpoolctl import threadpool_limits

from isogloss.engines.config import EngineConfig
from isogloss.engines.work_units import Advance, Done, UnitT, Work, by_weights
from isogloss.errors import missing_extra

ItemT = TypeVar("ItemT")
DoneT = TypeVar("DoneT")


class Engine(Protocol):
    """Maps pure functions over picklable things.

    `device` is where models are run by default; None is the rule of the machine.
    """

    @property
    def device(self) -> str | None:
        """A torch device, or None."""
        ...

    def call(self, function: Callable[..., DoneT], **arguments: Any) -> DoneT:  # noqa: ANN401
        """Call a function on a machine that runs models, to learn what that machine is like."""
        ...

    def run(
        self, work: Work[UnitT], units: Sequence[UnitT], *, advance: Advance, tell: Callable[[str], None]
    ) -> Iterator[Done]:
        """Do the units, each on its model, and yield their results in any order.

        Args:
            work: the kind of work.
            units: all of them, on any number of models.
            advance: called with the number of texts that are done.
            tell: called with one line for each mishap that was mended.
        """
        ...

    def map(self, function: Callable[..., DoneT], items: Sequence[ItemT], *, workers: int | None) -> Iterator[DoneT]:
        """Map a function of a module over items, and yield the results in their order; with one BLAS thread each.

        Args:
            function: of one item.
            items: with all that the function needs.
            workers: most items at a time on this machine; None is the rule of the engine.
        """
        ...


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

        Each has one BLAS thread, so that numbers do not depend on the number of threads, and no core is used twice.
        """
        with threadpool_limits(1), ThreadPoolExecutor(workers or os.cpu_count()) as pool:
            yield from pool.map(function, items)


class _Ahead:
    """Tokens of units, made once for all models that share them, while other units are run forward."""

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
        """Give a unit its tokens; the last reader removes them."""
        key = unit.tokens_key
        self._readers[key] -= 1
        made = self._made[key] if self._readers[key] else self._made.pop(key)
        return made.result()


LOCAL = LocalEngine()


def open_engine(config: EngineConfig) -> AbstractContextManager[Engine]:
    """Connect to an engine; a Ray cluster that is started for it ends with the block.

    Raises:
        UsageError: the extra of the engine is not installed, or its cluster cannot be reached.
    """
    if config.engine == "local":
        return nullcontext(LOCAL)
    try:
        from isogloss.engines.ray_engine import ray_engine  # noqa: PLC0415 - an optional dependency
    except ModuleNotFoundError as error:
        if error.name == "ray":
            raise missing_extra("ray", "ray") from error
        raise
    return ray_engine(config)
