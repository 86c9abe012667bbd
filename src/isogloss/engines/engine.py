"""What an engine offers, and which there are; none of them changes a number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar

from isogloss.engines.config import EngineConfig
from isogloss.engines.local import LocalEngine
from isogloss.engines.work_units import Advance, Done, UnitT, Work
from isogloss.errors import missing_extra

ItemT = TypeVar("ItemT")
DoneT = TypeVar("DoneT")


class Engine(Protocol):
    """Maps pure functions over picklable things.

    `device` is where models are run, if nobody asked for another: None is the rule of the machine.
    """

    @property
    def device(self) -> str | None:
        """A torch device, or None."""
        ...

    def call(self, function: Callable[..., DoneT], **arguments: Any) -> DoneT:  # noqa: ANN401
        """Call a function where models are run, to ask what the machine there is like."""
        ...

    def run(
        self, work: Work[UnitT], units: Sequence[UnitT], *, advance: Advance, tell: Callable[[str], None]
    ) -> Iterator[Done]:
        """Do the units, each on its model, and yield what became of them in whatever order.

        Args:
            work: the kind of work.
            units: all of them, on any number of models.
            advance: told of the texts that are done.
            tell: told, in a line, what went wrong and was mended.
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


LOCAL = LocalEngine()


def open_engine(config: EngineConfig) -> AbstractContextManager[Engine]:
    """Connect to what does the work; a Ray cluster that is started for it ends with the block.

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
