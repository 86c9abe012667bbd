"""Files and hub data sets -> rows, with errors that name file, row and column.

A row is language, text, harmful, pair_id, item_id, source and the row number it came from. Two shapes are read:
labelled (text, label, language) and parallel (toxic, neutral, language, pair_id).
"""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.data.corpus import SCHEMA
from isogloss.data.languages import LANGUAGES
from isogloss.data.named_corpora import LABELLED_COLUMNS, PARALLEL_COLUMNS, Source, SourceFile
from isogloss.data.normalisation import shows_nothing
from isogloss.errors import CorpusError, unknown
from isogloss.io.hub import Snapshot, client_errors, download

#: Files to download from the hub: tables and their description, never code.
DATA_FILES = ("*.parquet", "*.csv", "*.tsv", "*.json", "*.jsonl", "*.gz", "*.zip", "*.txt", "*.yaml", "README.md")

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
#: As Python values, records take several times their bytes, so few are made at a time.
LINES_AT_ONCE = 4096

#: Spellings of the two labels that public data sets use.
LABELS: dict[str, bool] = {
    **dict.fromkeys(("1", "1.0", "true", "toxic", "harmful", "hateful", "unsafe"), True),
    **dict.fromkeys(("0", "0.0", "false", "neutral", "non-toxic", "harmless", "non-hateful", "safe"), False),
}

OUR_COLUMNS = (*LABELLED_COLUMNS, "toxic", "neutral", "pair_id", "item_id", "source")

ROW_SCHEMA = {name: kind for name, kind in SCHEMA.items() if name != "text_id"} | {"row": pl.Int64}


def read_table(path: Path) -> pl.DataFrame:
    """Read a CSV, TSV, JSONL, JSON or Parquet file, every column as text.

    Raises:
        CorpusError: the file is missing, of another kind, not UTF-8, or broken.
    """
    if not path.is_file():
        raise CorpusError(f"corpus {path}", found="no such file", expected="a file", do="check the path")
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise CorpusError(
            f"corpus {path}", found=f"a file ending in {kind!r}", expected=" ".join(SUFFIXES), do="convert it"
        )
    try:
        if kind == ".parquet":
            frame = pl.read_parquet(path)
        elif kind in {".jsonl", ".json"}:
            frame = _read_lines(path) if kind == ".jsonl" else _read_json(path)
        else:
            text = _decode(path, path.read_bytes())
            # Tab-separated files hold quotation marks as text; comma-separated ones need them.
            separator, quote = ("\t", None) if kind == ".tsv" else (",", '"')
            frame = pl.read_csv(io.BytesIO(text.encode()), separator=separator, quote_char=quote, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CorpusError(f"corpus {path}", found=reason, expected=f"a {kind} table", do="mend the file") from error
    # A column of lists or bytes (an embedding, an image) is no text; its absence matters only if it is named.
    flat = [name for name, dtype in frame.schema.items() if not dtype.is_nested() and dtype != pl.Binary]
    return frame.select(flat).cast(pl.String)


def _decode(path: Path, raw: bytes, first: int = 1) -> str:
    """Decode a file, or what begins at its line `first`."""
    try:
        return raw.decode("utf-8-sig" if first == 1 else "utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + first
        raise CorpusError(
            f"corpus {path}, line {line}",
            found=f"the byte 0x{raw[error.start]:02x}",
            expected="UTF-8 text",
            do="save the file as UTF-8",
        ) from error


def _read_json(path: Path) -> pl.DataFrame:
    return _records(path, _parse(_decode(path, path.read_bytes()), f"corpus {path}"))


def _read_lines(path: Path) -> pl.DataFrame:
    frames = [_records(path, [])]
    with path.open("rb") as file:  # where only a line feed ends a line: str.splitlines would cut strings at U+2028
        numbered = enumerate(file, start=1)
        while chunk := list(itertools.islice(numbered, LINES_AT_ONCE)):
            lines = [(number, _decode(path, raw, number)) for number, raw in chunk]
            parsed = [_parse(line, f"corpus {path}, line {number}") for number, line in lines if line.strip()]
            frames.append(_records(path, parsed))
    return pl.concat(frames, how="diagonal", rechunk=True)


def _records(path: Path, records: Any) -> pl.DataFrame:  # noqa: ANN401 - any JSON value
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise CorpusError(f"corpus {path}", found="other JSON", expected="a list of objects", do="mend the file")
    names = dict.fromkeys(name for record in records for name in record)
    columns = {name: [_as_text(record.get(name)) for record in records] for name in names}
    return pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String))


def _parse(text: str, where: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # half a surrogate pair is JSON, but no text
    except (json.JSONDecodeError, UnicodeEncodeError) as error:
        raise CorpusError(where, found=str(error), expected="JSON", do="mend the file") from error
    return value


def _as_text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def read_source(row: Source, languages: tuple[str, ...] | None) -> tuple[pl.DataFrame, str | None]:
    """Read a data set of the CORPORA table from the hub or the web.

    Returns:
        Rows of ROW_SCHEMA, and the revision that was read (None where it cannot be known).
    """
    if missing := sorted(set(languages or ()) - set(row.languages)):
        raise CorpusError(
            f"corpus {row.name}",
            found=f"no texts in {', '.join(missing)}",
            expected=f"some of {', '.join(row.languages)}",
            do="choose other languages",
        )
    wanted = [file for file in row.files if languages is None or file.language in languages]
    repos = {repo: _download(repo, row.revision) for repo in dict.fromkeys(file.hub for file in wanted if file.hub)}
    frames = []
    for file in wanted:
        table = _read_file(file, repos)
        columns = dict(row.columns) | ({"text": file.text} if file.text else {})
        table = table.with_columns(language=pl.lit(file.language)) if file.language else table
        if file.label is not None:
            table = table.with_columns(label=pl.lit(file.label))
        frames.append(to_rows(table, name=f"{row.name} ({file.language})", columns=columns, source=row.name))
    revisions = [f"{repo}@{read.revision}" if len(repos) > 1 else read.revision for repo, read in repos.items()]
    return pl.concat(frames), row.revision or ", ".join(revisions) or None


def read_hub(name: str) -> tuple[pl.DataFrame, str]:
    """Read any data set of the hub, `org/name` or `org/name@revision`: all its splits, as one table of text.

    Splits that are named by languages (as in textdetox's data sets) give the language of their rows.

    Returns:
        The table, and the commit that was read.
    """
    repo, _, revision = name.partition("@")
    snapshot = _download(repo, revision or None)
    tables = []
    for split, data in _load(str(snapshot.folder), repo, {}).items():
        table = pl.DataFrame(data.to_dict())
        flat = [column for column, dtype in table.schema.items() if not dtype.is_nested() and dtype != pl.Binary]
        table = table.select(flat).cast(pl.String)
        named = split in LANGUAGES and "language" not in table.columns
        tables.append(table.with_columns(language=pl.lit(split)) if named else table)
    return pl.concat(tables, how="diagonal"), snapshot.revision


def _download(repo: str, revision: str | None) -> Snapshot:
    forms = "a data set on the hub, a name from `isogloss corpora`, or a file"
    return download(repo, revision, kind="dataset", patterns=DATA_FILES, fault=CorpusError, forms=forms)


def _read_file(file: SourceFile, repos: Mapping[str, Snapshot]) -> pl.DataFrame:
    if file.hub:
        data = _load(str(repos[file.hub].folder), file.hub, {"split": file.split})
    else:
        kind = "json" if str(file.url).endswith(".json") else "csv"
        options: dict[str, object] = {"data_files": file.url, "split": "train"}
        if kind == "csv" and not file.header:
            options["column_names"] = ["text"]
        data = _load(kind, str(file.url), options)
    return pl.DataFrame(data.to_dict()).cast(pl.String)


def _load(where: str, name: str, options: Mapping[str, object]) -> Any:  # noqa: ANN401 - datasets is untyped
    """Read files by `datasets`: a folder with all its splits, or a file on the web."""
    import datasets  # noqa: PLC0415 - slow import, needed for the hub only

    try:
        return datasets.load_dataset(where, **options)
    except (*client_errors(), ValueError, datasets.exceptions.DatasetsError) as error:
        raise CorpusError(
            f"corpus {name}",
            found=(str(error).splitlines() or [type(error).__name__])[0],
            expected="a data set that can be read from the hub",
            do="check the connection and your login, or download it and give the file",
        ) from error


def to_rows(table: pl.DataFrame, *, name: str, columns: Mapping[str, str], source: str) -> pl.DataFrame:
    """Turn a table of either shape into rows.

    Args:
        table: any columns, as text.
        name: file or data set, for messages.
        columns: our name -> the table's name, where they differ.
        source: written into the column `source` unless the table has one.

    Raises:
        CorpusError: a column is missing, a text is empty, a label is neither of two values, or a pair id
            occurs twice in a language.
    """
    table = _with_our_names(table, name, columns).drop("row", strict=False)
    table = table.with_row_index("row", offset=1).with_columns(pl.col("row").cast(pl.Int64))
    for optional, default in (("source", source), ("pair_id", None), ("item_id", None)):
        if optional not in table.columns:
            table = table.with_columns(pl.lit(default, dtype=pl.String).alias(optional))
    parallel = {"toxic", "neutral"} <= set(table.columns) and not {"text", "label"} & set(columns)
    needed = PARALLEL_COLUMNS if parallel else LABELLED_COLUMNS
    if missing := [column for column in needed if column not in table.columns]:
        raise CorpusError(
            f"corpus {name}",
            found=f"columns {', '.join(table.drop('row').columns)}",
            expected=f"{' '.join(LABELLED_COLUMNS)}, or {' '.join(PARALLEL_COLUMNS)} (missing: {', '.join(missing)})",
            do=f"name them with --column, for example --column {missing[0]}=...",
        )
    for column in needed:
        if column != "pair_id":
            _check_filled(table, name, column)
    rows = _split_pairs(table, name) if parallel else _read_labels(table, name)
    return rows.select(list(ROW_SCHEMA)).cast(pl.Schema(ROW_SCHEMA))


def _with_our_names(table: pl.DataFrame, name: str, columns: Mapping[str, str]) -> pl.DataFrame:
    """Copy the named columns under our names, all at once, so that names can be swapped."""
    for ours, column in columns.items():
        if ours not in OUR_COLUMNS:
            raise unknown(CorpusError, "column", ours, OUR_COLUMNS, "--column")
        if column not in table.columns:
            raise CorpusError(
                f"corpus {name}",
                found=f"columns {', '.join(table.columns)}",
                expected=f"a column {column!r} (for {ours!r})",
                do="correct --column",
            )
    return table.with_columns(**{ours: pl.col(column) for ours, column in columns.items()})


def _check_filled(table: pl.DataFrame, name: str, column: str) -> None:
    empty = table.filter(pl.col(column).is_null() | shows_nothing(pl.col(column)))
    if empty.height:
        missing = " (half of a pair is missing)" if column in {"toxic", "neutral"} else ""
        raise CorpusError(
            f"corpus {name}, row {empty['row'][0]}, column {column}",
            found=f"nothing{missing}, as in {empty.height} rows",
            expected="a value in every row",
            do="fill or remove these rows",
        )


def _read_labels(table: pl.DataFrame, name: str) -> pl.DataFrame:
    label = pl.col("label").str.strip_chars().str.to_lowercase()
    table = table.with_columns(
        harmful=label.replace_strict(list(LABELS), list(LABELS.values()), default=None, return_dtype=pl.Boolean)
    )
    bad = table.filter(pl.col("harmful").is_null())
    if bad.height:
        raise CorpusError(
            f"corpus {name}, row {bad['row'][0]}, column label",
            found=repr(bad["label"][0]),
            expected="1 or 0 (or toxic/neutral, harmful/harmless, hateful/non-hateful, unsafe/safe, true/false)",
            do="map the labels to two values",
        )
    return table


def _split_pairs(table: pl.DataFrame, name: str) -> pl.DataFrame:
    table = table.with_columns(pair_id=pl.coalesce("pair_id", pl.col("row").cast(pl.String)))
    doubled = table.filter(pl.struct("language", "pair_id").is_duplicated())
    if doubled.height:
        raise CorpusError(
            f"corpus {name}, row {doubled['row'][0]}",
            found=f"pair id {doubled['pair_id'][0]!r} {doubled['language'][0]} more than once (a doubled pair)",
            expected="every pair id once in a language",
            do="give each pair its own id",
        )
    shared = ["row", "language", "pair_id", "item_id", "source"]
    toxic = table.select(*shared, text="toxic", harmful=pl.lit(True))  # noqa: FBT003 - a polars literal
    neutral = table.select(*shared, text="neutral", harmful=pl.lit(False))  # noqa: FBT003
    return pl.concat([toxic, neutral])
