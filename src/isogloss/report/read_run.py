"""Reading a run folder of anybody: every file is checked before a number of it is shown."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import polars as pl

from isogloss.errors import StoreError
from isogloss.io.paths import AnyPath, names, parse_path, read_if_there, reading
from isogloss.records import Estimate, LanguageVerdict, Row
from isogloss.results import Audit, Primary
from isogloss.warnings import CodedWarning

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

    folder: AnyPath
    audit: Audit
    points: pl.DataFrame
    record: dict[str, Any] | None
    pairs: pl.DataFrame | None = None


def read_run(folder: AnyPath | str) -> Run:
    """Read a run folder: audit.json, points.parquet and, if they are there, run.json and behaviour.parquet.

    No model and no text is needed.

    Raises:
        StoreError: a file is missing or is not what an audit wrote.
    """
    folder = parse_path(folder)
    return Run(
        folder=folder,
        audit=read_audit(folder),
        points=read_points(folder),
        record=_record(folder),
        pairs=read_pairs(folder),
    )


def read_audit(folder: AnyPath | str) -> Audit:
    """Read audit.json alone, and check what pages and tables rely on.

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
    return audit


def read_points(folder: AnyPath) -> pl.DataFrame:
    """Read points.parquet: the columns of POINTS and LATER.

    Raises:
        StoreError: there is none, or it lacks a column.
    """
    path = folder / "points.parquet"
    raw = read_if_there(path)
    if raw is None:
        raise StoreError(f"run {folder}", found="no points.parquet", expected="a whole run folder", do="run it again")
    return _columns(path, raw, POINTS, LATER)


def read_pairs(folder: AnyPath) -> pl.DataFrame | None:
    """Read behaviour.parquet: the columns of PAIRS; None where behaviour was not linked to hidden states.

    Raises:
        StoreError: it lacks a column, or is no table.
    """
    path = folder / "behaviour.parquet"
    raw = read_if_there(path)
    return None if raw is None else _columns(path, raw, PAIRS, {})


def _columns(
    path: AnyPath, raw: bytes, needed: Mapping[str, type[pl.DataType]], later: Mapping[str, type[pl.DataType]]
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


def _record(folder: AnyPath) -> dict[str, Any] | None:
    path = folder / "run.json"
    raw = read_if_there(path)
    if raw is None:
        return None
    try:
        found = json.loads(raw.decode("utf-8"))
    except ValueError as error:  # of JSON or of UTF-8
        raise StoreError(f"{path}", found=str(error), expected="JSON", do="remove it, or run it again") from error
    return found if isinstance(found, dict) else None


#: What JSON may hold for a field of a record, by the field's annotation; True is no number.
KINDS: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (float, int), "bool": (bool,)}
LAYER = re.compile(r"[0-9]{1,6}(-(pre|post))?")
#: Kinds of rows that belong to no layer.
EVERYWHERE = (
    "control",
    "behaviour",
    "behaviour_gain",
    "behaviour_gap",
    "behaviour_retention",
    "behaviour_control",
    "link",
)
LISTS = ("layers", "match", "metrics", "controls")


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
    if any(row.layer is None for row in audit.rows if row.kind not in EVERYWHERE):
        yield "a number without a layer"
    scored = {row.language for row in audit.rows if row.kind == "score"}
    if audit.pivot not in scored:
        yield f"no score of the pivot {audit.pivot!r}"
    place = ("kind", "language", "other", "model", "layer", "norm", "basis", "components", "metric", "sample")
    keys = Counter(tuple(getattr(row, name) for name in place) for row in audit.rows)
    if twice := [key for key, times in keys.items() if times > 1]:
        yield f"one number twice ({' '.join(str(part) for part in twice[0] if part)})"


def _of_header(audit: Audit) -> Iterator[str]:
    models: Any = audit.models  # as JSON had it
    models = models if isinstance(models, Mapping) else {}
    known = {"corpus": audit.corpus, "aligned model": models.get("aligned")}
    known |= {"reference model": models["reference"]} if models.get("reference") is not None else {}
    for what, one in known.items():
        if not (isinstance(one, Mapping) and all(isinstance(one.get(key), str) for key in ("name", "sha256"))):
            yield f"no name or hash of the {what}"
    config: Any = audit.config
    if not (isinstance(config, Mapping) and isinstance(audit.versions, Mapping) and isinstance(audit.pivot, str)):
        yield "no settings, versions or pivot"
        return
    level = config.get("level")
    if not (isinstance(level, float) and 0 < level < 1):
        yield f"the level of confidence {level!r}"
    if not all(isinstance(config.get(name), str) for name in ("position", "prompt_format")):
        yield "no position or prompt_format"
    if type(config.get("seed")) is not int:
        yield f"the seed {config.get('seed')!r}"
    if not isinstance(config.get("layers"), list):
        yield "no layers"
    lists = {name: config.get(name) for name in LISTS}
    lists |= {"left_out": audit.corpus.get("left_out")} if isinstance(audit.corpus, Mapping) else {}
    for name, found in lists.items():
        if found is not None and not _words(found):
            yield f"{name} that are no list of words"


def _words(found: object) -> bool:
    return isinstance(found, list) and all(isinstance(one, str) for one in found)


def _of_record(record: Row | Estimate | LanguageVerdict | Primary | CodedWarning) -> Iterator[str]:
    for field in fields(record):
        kinds = str(field.type).split(" | ")
        if kinds[0] not in KINDS:
            continue
        value = getattr(record, field.name)
        if value is None and "None" in kinds:
            continue
        if type(value) not in KINDS[kinds[0]]:
            yield f"{field.name} {str(value)[:40]!r}"
