"""`isogloss store`: list, verify and prune the hidden states on disk."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isogloss.cli.options import StoreOption, in_bytes, show
from isogloss.errors import UsageError
from isogloss.io.paths import AnyPath

if TYPE_CHECKING:
    from isogloss.hidden_states.maintenance import Holding, Piece

store = typer.Typer(
    help="List, verify and prune the hidden states on disk.", no_args_is_help=True, rich_markup_mode=None
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

AGE = {"h": "hours", "d": "days", "w": "weeks"}
#: Arrays that are stored beside every layer.
COUNTS = {"token_counts", "cut"}


@store.command("list")
def list_store(root: StoreOption = None, as_json: AsJson = False) -> None:  # noqa: FBT002
    """List what is stored: model, settings, language, texts, layers, size, date."""
    from isogloss.hidden_states.maintenance import holdings  # noqa: PLC0415

    rows = holdings(_root(root))
    if as_json:
        typer.echo(json.dumps([asdict(row) | {"written": row.written.isoformat()} for row in rows], indent=1))
        return
    if rows:
        show(map(_line, rows))
    typer.echo(f"{in_bytes(sum(row.size for row in rows))} in {_root(root)}", err=True)


def _line(row: Holding) -> dict[str, str]:
    from isogloss.hidden_states.shard import VERSION  # noqa: PLC0415

    if row.version == VERSION:
        model = row.model
    elif row.version is None:
        model = "(broken or unfinished)"
    else:
        model = f"(version {row.version}, not read)"
    return {
        "model": model,
        "hash": row.model_sha256[:12],
        "settings": " ".join(f"{name}={value}" for name, value in row.settings.items()),
        "language": row.language,
        "texts": str(row.texts or ""),
        "layers": " ".join(_short([name for name in row.arrays if name not in COUNTS])),
        "size": in_bytes(row.size),
        "written": row.written.strftime("%Y-%m-%d"),
    }


def _short(names: list[str]) -> list[str]:
    """Write numbers that follow each other as a range.

    >>> _short(["0", "10", "1", "2", "12-post"])
    ['0-2', '10', '12-post']
    """
    runs: list[list[int]] = []
    for number in sorted(int(name) for name in names if name.isdecimal()):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    ranges = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    return ranges + [name for name in names if not name.isdecimal()]


@store.command()
def verify(root: StoreOption = None, as_json: AsJson = False) -> None:  # noqa: FBT002
    """Read everything and check it; exit code 1 and a line for each fault."""
    from isogloss.cli.progress_bars import track  # noqa: PLC0415
    from isogloss.hidden_states.maintenance import faults  # noqa: PLC0415

    errors = faults(_root(root), track)
    if as_json:
        typer.echo(
            json.dumps([{"what": error.what, "found": error.found, "expected": error.expected} for error in errors])
        )
    else:
        for error in errors:
            typer.echo(f"{error.what}: {error.found}; expected {error.expected}")
    if errors:
        typer.echo("To remove broken files: isogloss store prune --broken --yes; a run computes them again", err=True)
        raise typer.Exit(1)
    typer.echo(f"{_root(root)}: no fault", err=True)


@store.command()
def prune(
    root: StoreOption = None,
    broken: Annotated[  # noqa: FBT002
        bool, typer.Option("--broken", help="Only broken and unfinished files, and files of another version.")
    ] = False,
    older_than: Annotated[
        str | None, typer.Option(help="Only files that were written longer ago, such as 30d.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Only this model: the beginning of its hash.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything.")] = False,  # noqa: FBT002
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it, only print what would be deleted.")] = False,  # noqa: FBT002
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Delete what meets all conditions that are given. A run that needs it computes it again."""
    from isogloss.cli.progress_bars import track  # noqa: PLC0415
    from isogloss.hidden_states.maintenance import alone, choose, delete  # noqa: PLC0415

    if everything == bool(broken or older_than or model):
        raise UsageError(
            "store prune",
            found="--all and a condition" if everything else "no condition",
            expected="--all, or any of --broken, --older-than, --model",
            do="choose what to delete",
        )
    age = _age(older_than) if older_than else None
    with alone(_root(root)) if yes else nullcontext():
        chosen = choose(_root(root), unusable=broken, older_than=age, model=model or "", track=track)
        if yes:
            delete(chosen)
    _print_pruned(chosen, deleted=yes, as_json=as_json)


def _print_pruned(chosen: list[Piece], *, deleted: bool, as_json: bool) -> None:
    paths = [str(path) for piece in chosen for path in piece.paths]
    if as_json:
        typer.echo(json.dumps({"deleted": deleted, "files": paths, "bytes": sum(piece.size for piece in chosen)}))
        return
    for path in paths:
        typer.echo(path)
    what = f"{len(paths)} files, {in_bytes(sum(piece.size for piece in chosen))}"
    typer.echo(f"Deleted {what}" if deleted else f"Would delete {what}; add --yes to do it", err=True)


def _age(text: str) -> timedelta:
    match = re.fullmatch(r"(\d+)([hdw])", text)
    if not match:
        raise UsageError("--older-than", found=repr(text), expected="such as 12h, 30d or 8w", do="correct it")
    number: Mapping[str, Any] = {AGE[match[2]]: int(match[1])}
    return timedelta(**number)


def _root(root: AnyPath | None) -> AnyPath:
    from isogloss.hidden_states.store import default_store  # noqa: PLC0415

    path = root or default_store()
    if isinstance(root, Path) and not root.is_dir():  # elsewhere there are no empty folders
        raise UsageError("--store", found=f"no folder {root}", expected="a store", do="check the path")
    return path
