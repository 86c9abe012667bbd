"""What commands share: reading options that hold several values, and printing."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from isogloss.recipes.settings import columns as read_columns

if TYPE_CHECKING:
    from rich.console import Console


def split(text: str | None) -> tuple[str, ...] | None:
    """Read a list such as en,hi,am."""
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else None


def columns(options: list[str] | None) -> dict[str, str]:
    """Read options such as text=comment."""
    return read_columns(options or ())


def show(rows: Iterable[dict[str, str]]) -> None:
    """Print a table."""
    from isogloss.report.terminal import print_table  # noqa: PLC0415

    print_table(list(rows), console())


def console() -> Console:
    """Return where to print: as wide as the terminal."""
    from rich.console import Console  # noqa: PLC0415

    # A pipe or file has no width: take what a wide table needs instead of rich's 80 columns.
    return Console() if sys.stdout.isatty() else Console(width=shutil.get_terminal_size((160, 24)).columns)


def in_bytes(size: float) -> str:
    """Write a number of bytes for people.

    >>> in_bytes(999), in_bytes(1_500_000)
    ('999 B', '1.5 MB')
    """
    for unit in ("B", "kB", "MB"):
        if size < 1000:  # noqa: PLR2004 - steps of SI units
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
