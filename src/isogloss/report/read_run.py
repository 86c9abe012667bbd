"""Reading a run folder of anybody: every file is checked before a number of it is shown."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import polars as pl

from isogloss.errors import StoreError
from isogloss.io.paths import AnyPath, names, parse_path, read_if_there, reading
from isogloss.records import Estimate, LanguageVerdict, Row
from isogloss.results import Audit, Primary
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
    try:
        audit = Audit.load(folder)
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise StoreError(f"run {folder}", found=str(error), expected="audit.json", do="check the path") from error
    refuse_unsound(audit)
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
        return pl.read_parquet(io.BytesIO(raw))
    except (pl.exceptions.PolarsError, OSError) as error:
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
        record = json.loads(raw.decode("utf-8"))
    except ValueError as error:  # of JSON or of UTF-8
        raise StoreError(f"{path}", found=str(error), expected="JSON", do="remove it, or run it again") from error
    return record if isinstance(record, dict) else None


#: What JSON may hold for a field of a record, by the field's annotation; True is no number.
KINDS: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (float, int), "bool": (bool,)}
LAYER = re.compile(r"[0-9]{1,6}(-(pre|post))?")
#: Kinds of rows of the audit itself that belong to a layer.
LAYERED = ("score", "gain", "gap", "retention")
LISTS = ("layers", "metrics", "controls")


def refuse_unsound(audit: Audit) -> None:
    """Stop if an audit is not one that isogloss writes; its numbers are not judged.

    Raises:
        StoreError: a field is missing or of another kind, or a number stands twice.
    """
    for fault in _faults(audit):
        raise StoreError(
            "audit.json",
            found=fault,
            expected="what an audit of this version of isogloss writes",
            do="run the audit again, or read it with the isogloss that wrote it",
        )


def _faults(audit: Audit) -> Iterator[str]:
    yield from _of_header(audit)
    records: list[Row | Estimate | LanguageVerdict | Primary | CodedWarning]
    records = [audit.primary, *audit.verdicts, *audit.warnings, *audit.rows, *(row.estimate for row in audit.rows)]
    for record in records:
        yield from _of_record(record)
    if not LAYER.fullmatch(audit.primary.layer):
        yield f"the layer {audit.primary.layer!r}"
    if any(row.layer is None for row in audit.rows if row.kind in LAYERED):
        yield "a number without a layer"
    scored = {row.language for row in audit.rows if row.kind == "score"}
    if audit.pivot not in scored:
        yield f"no score of the pivot {audit.pivot!r}"
    key = ("kind", "language", "other", "model", "layer", "norm", "basis", "components", "metric", "sample")
    keys = Counter(tuple(getattr(row, name) for name in key) for row in audit.rows)
    if twice := [key for key, times in keys.items() if times > 1]:
        yield f"one number twice ({' '.join(str(part) for part in twice[0] if part)})"


def _of_header(audit: Audit) -> Iterator[str]:
    models: Any = audit.models  # as JSON had it
    models = models if isinstance(models, Mapping) else {}
    records = {"corpus": audit.corpus, "aligned model": models.get("aligned")}
    records |= {f"{role} model": model for role, model in models.items() if model is not None}
    for what, record in records.items():
        if not (isinstance(record, Mapping) and all(isinstance(record.get(key), str) for key in ("name", "sha256"))):
            yield f"no name or hash of the {what}"
    config: Any = audit.config
    if not (isinstance(config, Mapping) and isinstance(audit.versions, Mapping) and isinstance(audit.pivot, str)):
        yield "no settings, versions or pivot"
        return
    yield from _of_config(config)
    left_out = audit.corpus.get("left_out") if isinstance(audit.corpus, Mapping) else None
    if left_out is not None and not _words(left_out):
        yield "left_out that is no list of words"


def _of_config(config: Mapping[str, Any]) -> Iterator[str]:
    level = config.get("level")
    if not (isinstance(level, float) and 0 < level < 1):
        yield f"the level of confidence {level!r}"
    if not all(isinstance(config.get(name), str) for name in ("position", "prompt_format")):
        yield "no position or prompt format"
    if type(config.get("seed")) is not int:
        yield f"the seed {config.get('seed')!r}"
    if not isinstance(config.get("layers"), list):
        yield "no layers"
    analyses = config.get("analyses", {})
    if not (isinstance(analyses, Mapping) and all(isinstance(each, Mapping) for each in analyses.values())):
        yield "analyses that are no settings"
    for name in LISTS:
        if config.get(name) is not None and not _words(config[name]):
            yield f"{name} that are no list of words"


def _words(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _of_record(record: Row | Estimate | LanguageVerdict | Primary | CodedWarning) -> Iterator[str]:
    for column in fields(record):
        kinds = str(column.type).split(" | ")
        if kinds[0] not in KINDS:
            continue
        value = getattr(record, column.name)
        if value is None and "None" in kinds:
            continue
        if type(value) not in KINDS[kinds[0]]:
            yield f"{column.name} {str(value)[:40]!r}"
