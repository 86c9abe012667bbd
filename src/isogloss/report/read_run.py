"""Reading a run folder of anybody: every file is checked before a number of it is shown."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from isogloss.errors import StoreError
from isogloss.io.files import parse_json
from isogloss.io.paths import AnyPath, names, parse_path, read_if_there, reading
from isogloss.results import Audit
from isogloss.warnings import CodedWarning

#: Columns of points.parquet that reports read, each with its type.
POINTS: dict[str, type[pl.DataType]] = {
    "text_id": pl.String,
    "pair_id": pl.String,
    "item_id": pl.String,
    "language": pl.String,
    "harmful": pl.Boolean,
    "model": pl.String,
    "layer": pl.Int64,
    "norm": pl.String,
    "fold": pl.Int64,
    "pc1": pl.Float64,
    "pc2": pl.Float64,
    "score": pl.Float64,
}


#: What readers of tables raise for damaged bytes; MemoryError for a size that the damage made up.
READ_FAULTS = (pl.exceptions.PolarsError, ArithmeticError, LookupError, MemoryError, OSError, TypeError, ValueError)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run folder holds.

    Attributes:
        folder: where it is.
        audit: audit.json.
        points: points.parquet, with the columns of POINTS.
        record: run.json (host, dates); None where there is none.
        frames: tables of analyses that are there, by file name.
    """

    folder: AnyPath
    audit: Audit
    points: pl.DataFrame
    record: dict[str, Any] | None
    frames: Mapping[str, pl.DataFrame] = field(default_factory=dict)


def read_run(folder: AnyPath | str, known: Collection[str] | None = None, *, frames: Collection[str] = ()) -> Run:
    """Read a run folder: audit.json, points.parquet and, if they are there, run.json and tables of analyses.

    No model and no text is needed.

    Args:
        folder: of the run.
        known: names of analyses; rows of others are skipped with warning A002. None skips nothing.
        frames: names of the Parquet files that known analyses write.

    Raises:
        StoreError: a file is missing or is not what an audit wrote.
    """
    folder = parse_path(folder)
    return Run(
        folder=folder,
        audit=read_audit(folder, known),
        points=read_points(folder),
        record=_record(folder),
        frames=read_frames(folder, frames),
    )


def read_frames(folder: AnyPath, names: Collection[str]) -> dict[str, pl.DataFrame]:
    """Read the tables of analyses that a run folder holds, by file name.

    Raises:
        StoreError: a file is no table.
    """
    contents = ((name, read_if_there(folder / name)) for name in names)
    return {name: _read_parquet(folder / name, raw) for name, raw in contents if raw is not None}


def read_audit(folder: AnyPath | str, known: Collection[str] | None = None) -> Audit:
    """Read audit.json alone, and check what pages and tables rely on.

    Args:
        folder: of the run.
        known: names of analyses; rows of others are skipped with warning A002. None skips nothing.

    Raises:
        StoreError: there is none, or it is not what an audit wrote.
    """
    folder = parse_path(folder)
    with reading(folder):
        there = names(folder) if folder.is_dir() else set()
    if "run.json" in there and "audit.json" not in there:
        raise StoreError(
            f"run {folder}",
            found="run.json but no audit.json",
            expected="a finished run",
            do="run the command that began it again, and it goes on",
        )
    audit = Audit.load(folder)
    return audit if known is None else skip_unknown(audit, known)


def skip_unknown(audit: Audit, known: Collection[str]) -> Audit:
    """Leave out the rows of analyses that are not known, and say so in a warning for each of them."""
    unknown = Counter(row.analysis for row in audit.rows if row.analysis and row.analysis not in known)
    if not unknown:
        return audit
    warnings = [
        CodedWarning(code="A002", detail=f"{name}: {count} row{'s' if count > 1 else ''}")
        for name, count in sorted(unknown.items())
    ]
    rows = tuple(row for row in audit.rows if row.analysis not in unknown)
    return replace(audit, rows=rows, warnings=(*audit.warnings, *warnings))


def read_points(folder: AnyPath) -> pl.DataFrame:
    """Read points.parquet: the columns of POINTS.

    Raises:
        StoreError: there is none, or it lacks a column.
    """
    path = folder / "points.parquet"
    raw = read_if_there(path)
    if raw is None:
        raise StoreError(f"run {folder}", found="no points.parquet", expected="a whole run folder", do="run it again")
    return select_columns(str(path), _read_parquet(path, raw), POINTS)


def _read_parquet(path: AnyPath, raw: bytes) -> pl.DataFrame:
    try:
        # pyarrow refuses damaged bytes with an error; the reader of Polars panics, and writes to stderr by itself.
        return pl.read_parquet(io.BytesIO(raw), use_pyarrow=True)
    except READ_FAULTS as error:
        raise _no_table(str(path), error) from error


def select_columns(name: str, frame: pl.DataFrame, columns: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
    """Take columns of a table of anybody, with their types.

    Args:
        name: of the file, for the error.
        frame: what it holds.
        columns: column -> type.

    Raises:
        StoreError: it lacks a column, or one is of another type.
    """
    try:
        return frame.select(pl.col(column).cast(dtype) for column, dtype in columns.items())
    except pl.exceptions.PolarsError as error:
        raise _no_table(name, error) from error


def _no_table(name: str, error: Exception) -> StoreError:
    lines = str(error).strip().splitlines()
    return StoreError(name, found=lines[0] if lines else "no table", expected="what an audit wrote", do="run it again")


def _record(folder: AnyPath) -> dict[str, Any] | None:
    path = folder / "run.json"
    raw = read_if_there(path)
    if raw is None:
        return None
    try:
        record = parse_json(raw.decode("utf-8"))
    except ValueError as error:  # of JSON or of UTF-8
        raise StoreError(f"{path}", found=str(error), expected="JSON", do="remove it, or run it again") from error
    return record if isinstance(record, dict) else None
