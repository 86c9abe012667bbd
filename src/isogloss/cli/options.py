"""Shared by all commands: options with several values, printing, and writing a file."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isogloss.errors import UsageError
from isogloss.io.files import saving, write_atomic
from isogloss.io.paths import AnyPath, parse_path

if TYPE_CHECKING:
    from rich.console import Console


def path_option(about: str, *names: str, show_default: bool = False) -> Any:  # noqa: ANN401 - what typer returns
    """Make an option that takes a path or a URL."""
    return typer.Option(*names, help=about, show_default=show_default, parser=parse_path, metavar="<path>")


def run_argument(about: str = "A run folder of `isogloss audit`.") -> Any:  # noqa: ANN401 - what typer returns
    """Make an argument that takes the path or URL of a run folder."""
    return typer.Argument(help=about, show_default=False, parser=parse_path)


#: Options of several commands.
StoreOption = Annotated[AnyPath | None, path_option("Cache of hidden states. Default: the user's cache.", "--store")]
DeviceOption = Annotated[str | None, typer.Option(help="cpu, cuda, ... Default: a GPU if available.")]


def split(text: str | None, option: str) -> tuple[str, ...] | None:
    """Read a list such as en,hi,am; None stays None.

    Raises:
        UsageError: the list is empty.

    >>> split("en, hi", "--languages")
    ('en', 'hi')
    """
    if text is None:
        return None
    items = tuple(item.strip() for item in text.split(",") if item.strip())
    if not items:
        raise UsageError(
            option, found="an empty list", expected="a list such as a,b", do="name one, or drop the option"
        )
    return items


def show(rows: Iterable[dict[str, str]]) -> None:
    """Print a table."""
    from isogloss.report.render_terminal import print_records  # noqa: PLC0415

    print_records(list(rows), console())


def deliver(text: str, out: AnyPath | None) -> None:
    """Write text to a file, or print it."""
    if out is None:
        typer.echo(text, nl=False)
        return
    refuse_unwritable(out)
    with saving(out, "--out"):
        write_atomic(out, text)
    typer.echo(f"Wrote {out}", err=True)


def refuse_unwritable(out: AnyPath) -> None:
    """Refuse a path that no file can be written to: a folder, or a path below a file.

    Raises:
        UsageError: see above.
    """
    if not isinstance(out, Path):
        return  # an object store has no folders
    if out.is_dir():
        raise UsageError("--out", found=f"the folder {out}", expected="a file", do="name a file in it")
    above = next(folder for folder in out.absolute().parents if folder.exists())
    if not above.is_dir():
        raise UsageError(
            "--out", found=f"{above}, which is not a folder", expected="a file in a folder", do="name another"
        )


def console() -> Console:
    """Return the console to print to, as wide as the terminal."""
    from rich.console import Console  # noqa: PLC0415

    # A pipe or file has no width: use what a wide table needs instead of rich's 80 columns.
    return Console() if sys.stdout.isatty() else Console(width=shutil.get_terminal_size((160, 24)).columns)


def in_bytes(size: float) -> str:
    """Write a number of bytes with a unit.

    >>> in_bytes(999), in_bytes(1_500_000)
    ('999 B', '1.5 MB')
    """
    for unit in ("B", "kB", "MB"):
        if size < 1000:  # noqa: PLR2004 - steps of SI units
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
