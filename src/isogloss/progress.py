"""How long steps report their progress without printing: the caller hands in a `Track`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Track(Protocol):
    """Opens a progress display and yields a function that advances it by a number of steps."""

    def __call__(self, description: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Start showing `description`, which will take `total` steps; with 0 steps it is a line that stays.

        Displays may be nested. A negative number of steps takes steps back, for work that is repeated.
        """
        ...


def tell(track: Track, line: str) -> None:
    """Show a line that stays."""
    with track(line, 0):
        pass


@contextmanager
def silent(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show nothing: the default in the library."""
    del description, total

    def advance(steps: int) -> None:
        del steps

    yield advance
