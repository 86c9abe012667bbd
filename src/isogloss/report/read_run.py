"""A run folder -> what pages and tables are built from: audit, points, and the record of the run."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from isogloss.errors import StoreError
from isogloss.places import Place, names, parse_place, read_if_there, reading
from isogloss.report.sound import refuse_unsound
from isogloss.results import Audit

#: Columns of points.parquet that every version has written.
POINTS: dict[str, type[pl.DataType]] = {
    "text_id": pl.String,
    "pair_id": pl.String,
    "language": pl.String,
    "harmful": pl.Boolean,
    "model": pl.String,
    "layer": pl.Int64,
    "norm": pl.String,
    "pc1": pl.Float64,
    "pc2": pl.Float64,
}
#: Columns of behaviour.parquet that the page draws; all numbers are harmful minus harmless text.
PAIRS: dict[str, type[pl.DataType]] = {"pair_id": pl.String, "language": pl.String} | {
    f"{what}_{model}": pl.Float64 for what in ("latent", "behaviour") for model in ("reference", "aligned")
}
#: Columns that runs of isogloss 0.1.0 lack; they are null there.
LATER: dict[str, type[pl.DataType]] = {"item_id": pl.String, "fold": pl.Int64, "score": pl.Float64}


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run folder holds.

    `record` is run.json (host, dates) and `pairs` behaviour.parquet (a line a pair, see `PAIRS`); None where there is
    none.
    """

    folder: Place
    audit: Audit
    points: pl.DataFrame
    record: dict[str, Any] | None
    pairs: pl.DataFrame | None = None


def read_run(folder: Place | str) -> Run:
    """Read a run folder: audit.json, points.parquet and, if they are there, run.json and behaviour.parquet.

    No model and no text is needed.

    Raises:
        StoreError: a file is missing or is not what an audit wrote.
    """
    folder = parse_place(folder)
    return Run(
        folder=folder,
        audit=read_audit(folder),
        points=read_points(folder),
        record=_record(folder),
        pairs=read_pairs(folder),
    )


def read_audit(folder: Place | str) -> Audit:
    """Read audit.json alone, and check what pages and tables rely on.

    Raises:
        StoreError: there is none, or it is not what an audit wrote.
    """
    folder = parse_place(folder)
    with reading(folder):
        there = names(folder) if folder.is_dir() else set()
    if "run.json" in there and "audit.json" not in there:
        raise StoreError(
            f"run {folder}",
            found="run.json but no audit.json",
            expected="a finished run",
            do="run the command that began it again, and it goes on",
        )
    try:
        audit = Audit.load(folder)
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise StoreError(f"run {folder}", found=str(error), expected="audit.json", do="check the path") from error
    refuse_unsound(audit)
    return audit


def read_points(folder: Place) -> pl.DataFrame:
    """Read points.parquet: the columns of POINTS and LATER.

    Raises:
        StoreError: there is none, or it lacks a column.
    """
    path = folder / "points.parquet"
    raw = read_if_there(path)
    if raw is None:
        raise StoreError(f"run {folder}", found="no points.parquet", expected="a whole run folder", do="run it again")
    return _columns(path, raw, POINTS, LATER)


def read_pairs(folder: Place) -> pl.DataFrame | None:
    """Read behaviour.parquet: the columns of PAIRS; None where behaviour was not linked to hidden states.

    Raises:
        StoreError: it lacks a column, or is no table.
    """
    path = folder / "behaviour.parquet"
    raw = read_if_there(path)
    return None if raw is None else _columns(path, raw, PAIRS, {})


def _columns(
    path: Place, raw: bytes, needed: Mapping[str, type[pl.DataType]], later: Mapping[str, type[pl.DataType]]
) -> pl.DataFrame:
    """Read columns with their types; those of `later` are null where a file has none."""
    try:
        found = pl.read_parquet(io.BytesIO(raw))
        missing = [pl.lit(None, dtype).alias(name) for name, dtype in later.items() if name not in found.columns]
        wanted = {**needed, **later}
        return found.with_columns(missing).select(pl.col(name).cast(dtype) for name, dtype in wanted.items())
    except (pl.exceptions.PolarsError, OSError) as error:
        words = str(error).strip().splitlines()
        raise StoreError(
            f"{path}", found=words[0] if words else "no table", expected="what an audit wrote", do="run it again"
        ) from error


def _record(folder: Place) -> dict[str, Any] | None:
    path = folder / "run.json"
    raw = read_if_there(path)
    if raw is None:
        return None
    try:
        found = json.loads(raw.decode("utf-8"))
    except ValueError as error:  # of JSON or of UTF-8
        raise StoreError(f"{path}", found=str(error), expected="JSON", do="remove it, or run it again") from error
    return found if isinstance(found, dict) else None
