"""Files and values in memory -> a table. The content of a file decides what it is; its suffix decides only in doubt."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from isogloss.data.addresses import COMPRESSED, SUFFIXES
from isogloss.data.corpus_options import CorpusOptions
from isogloss.data.delimited import read_delimited
from isogloss.data.describe import describe_path
from isogloss.data.json_tables import is_json_lines, read_json, read_json_lines
from isogloss.data.raw_table import UNDECODED, RawTable, flatten, records_table
from isogloss.errors import CorpusError, missing_extra

if TYPE_CHECKING:
    from typing import BinaryIO

#: First bytes of a file -> what it is.
MAGIC = {b"PAR1": ".parquet", b"PK\x03\x04": ".xlsx"}
COMPRESSED_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
#: Bytes that are read to recognise a format.
START = 65536
#: What polars raises; its panics are no ordinary exceptions.
POLARS_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
_SURROGATES = re.compile("[\ud800-\udfff]")


def read_table(path: Path, reading: CorpusOptions | None = None) -> RawTable:
    """Read a file: CSV, TSV and their kin, JSON, JSON Lines, Parquet or Excel, also compressed.

    Args:
        path: of the file.
        reading: whether it has a header, and what to do with rows that are not UTF-8.

    Raises:
        CorpusError: the file is missing, of another kind, not UTF-8, or damaged.
    """
    reading, name = reading or CorpusOptions(), describe_path(path)
    if not is_file(path):
        raise CorpusError(f"corpus {name}", found="no such file", expected="a file", do="check the path")
    suffix, compression = file_kind(path)
    if suffix not in SUFFIXES:
        expected = f"{' '.join(SUFFIXES)}, or one of these with {' '.join(COMPRESSED)}"
        raise CorpusError(
            f"corpus {name}", found=f"a file ending in {suffix[:12]!r}", expected=expected, do="convert it"
        )
    raw = b""
    try:
        with path.open("rb") as file:
            compression = next((kind for start, kind in COMPRESSED_MAGIC.items() if _begins(file, start)), compression)
        with _open(path, compression) as stream:
            start = stream.read(START)
            kind = next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), suffix)
            text = start.decode("utf-8", "replace")
            if kind not in {".parquet", ".xlsx"} and (kind in {".jsonl", ".ndjson"} or is_json_lines(text)):
                kind = ".json" if text.lstrip("\ufeff\r\n\t ").startswith("[") else ".jsonl"
            if kind != ".jsonl":
                raw = start + stream.read()
    except (OSError, ValueError) as error:  # Arrow's own errors are of one or the other kind
        raise CorpusError(
            f"corpus {name}", found=_reason(error), expected=f"a {suffix} file that can be read", do="mend the file"
        ) from error
    if kind == ".jsonl":
        return _read_lines(path, compression, name, reading)
    return _read_bytes(raw, kind, name, reading)


def file_kind(path: Path) -> tuple[str, str | None]:
    """Return the suffix of a file, without that of its compression, and the compression.

    >>> file_kind(Path("a.CSV")), file_kind(Path("a.jsonl.gz")), file_kind(Path("a.zst"))
    (('.csv', None), ('.jsonl', 'gzip'), ('.txt', 'zstd'))
    """
    *_, last = ("", *(part.lower() for part in path.suffixes))
    if last in COMPRESSED:
        inner = Path(path.stem).suffix.lower()
        return inner if inner in SUFFIXES else ".txt", COMPRESSED[last]
    return last, None


def is_file(path: Path) -> bool:
    """Whether a path is a file; False for a path that is too long to be one."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _begins(file: BinaryIO, start: bytes) -> bool:
    file.seek(0)
    return file.read(len(start)) == start


def _open(path: Path, compression: str | None) -> Any:  # noqa: ANN401 - pyarrow is untyped
    if compression is None:
        return path.open("rb")
    import pyarrow as pa  # noqa: PLC0415 - slow import, needed for compressed files only

    return io.BufferedReader(pa.input_stream(str(path), compression=compression))


def _reason(error: Exception) -> str:
    """Say why a file cannot be read; what a library says may quote the file."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return "damaged bytes"


def _read_bytes(raw: bytes, kind: str, name: str, reading: CorpusOptions) -> RawTable:
    if kind == ".parquet":
        return _read_parquet(raw, name)
    if kind == ".xlsx":
        return _read_workbook(raw, name, header=reading.header)
    text = decode(raw, name, reading)
    if kind == ".json" or text.lstrip().startswith("[{"):
        return read_json(text, name, reading.encoding_errors)
    return read_delimited(text, name, suffix=kind, header=reading.header)


def _read_lines(path: Path, compression: str | None, name: str, reading: CorpusOptions) -> RawTable:
    def decode_line(raw: bytes, number: int) -> str:
        return decode(raw, name, reading, first=number)

    try:
        with _open(path, compression) as file:
            return read_json_lines(file, name, reading.encoding_errors, decode_line)
    except OSError as error:
        found = _reason(error)
        raise CorpusError(
            f"corpus {name}", found=found, expected="a file that can be read", do="mend the file"
        ) from error


def decode(raw: bytes, name: str, reading: CorpusOptions, first: int = 1) -> str:
    """Decode a file, or what begins at its line `first`; UNDECODED stands for what is not UTF-8.

    Raises:
        CorpusError: some of it is not UTF-8, and such rows are to be refused.
    """
    encoding = "utf-8-sig" if first == 1 else "utf-8"
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        text = raw.decode(encoding, "surrogateescape")
        if reading.encoding_errors == "drop":
            return _SURROGATES.sub(UNDECODED, text)
        line = raw.count(b"\n", 0, error.start) + first
        lines = sum(bool(_SURROGATES.search(line)) for line in text.split("\n"))
        more = f", and others on {lines - 1} more lines" if lines > 1 else ""
        raise CorpusError(
            f"corpus {name}, line {line}",
            found=f"the byte 0x{raw[error.start]:02x}{more}",
            expected="UTF-8 text",
            do="save the file as UTF-8, or drop such rows with --encoding-errors drop",
        ) from error


def _read_parquet(raw: bytes, name: str) -> RawTable:
    """Read Parquet by Arrow: damaged bytes make it raise, where other readers abort."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        table = pq.ParquetFile(pa.BufferReader(raw)).read()
        table.validate(full=True)
        str(table.schema)  # names that are not UTF-8 raise here, not later
        names = class_names(json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}")))
        frame = pl.DataFrame(pl.from_arrow(table.replace_schema_metadata(None)))
    except (OSError, ValueError, KeyError, pa.ArrowException, *POLARS_ERRORS) as error:
        raise CorpusError(
            f"corpus {name}", found="damaged bytes", expected="a .parquet table", do="mend the file"
        ) from error
    return RawTable(frame=flatten(name_classes(frame, names)), form="Parquet")


def _read_workbook(raw: bytes, name: str, *, header: bool) -> RawTable:
    try:
        import fastexcel  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise missing_extra("fastexcel", "excel") from error
    try:
        book = fastexcel.read_excel(raw)
        sheet = book.load_sheet(0, header_row=0 if header else None)
        frame = sheet.to_polars()
    except (fastexcel.FastExcelError, pl.exceptions.PolarsError) as error:
        raise CorpusError(
            f"corpus {name}", found="damaged bytes", expected="an Excel workbook", do="mend the file"
        ) from error
    if not header:
        frame = frame.rename({column: str(number) for number, column in enumerate(frame.columns, 1)})
    others = len(book.sheet_names) - 1
    form = f"Excel, the first of {others + 1} sheets" if others else "Excel"
    return RawTable(frame=frame, form=form)


def class_names(about: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return column -> names of its classes, as the hub's data sets describe themselves in Parquet files."""
    info = about.get("info") if isinstance(about, dict) else None
    features = info.get("features") if isinstance(info, dict) else None
    return {
        column: feature["names"]
        for column, feature in (features or {}).items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and feature.get("names")
    }


def name_classes(frame: pl.DataFrame, names: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Replace the numbers of classes by their names; -1, which stands for no label, by nothing."""
    columns = [
        pl.col(column).replace_strict(dict(enumerate(classes)), default=None, return_dtype=pl.String)
        for column, classes in names.items()
        if column in frame.columns and frame.schema[column].is_integer()
    ]
    return frame.with_columns(columns)


def memory_table(values: object) -> RawTable:
    """Make a table of a pandas, Polars or Arrow table, a data set of `datasets`, a list of dicts or a dict of columns.

    Raises:
        CorpusError: it is something else, or its columns hold values of different kinds.
    """
    try:
        return _memory_table(values)
    except (pl.exceptions.PolarsError, ValueError, TypeError, UnicodeEncodeError) as error:
        raise CorpusError(
            "corpus in memory",
            found=f"a value of the type {type(values).__name__} that is no table",
            expected="a table: a pandas or Polars frame, a data set, or a list of dicts",
            do="convert it",
        ) from error


def _memory_table(values: Any) -> RawTable:  # noqa: ANN401 - any kind of table
    if isinstance(values, pl.LazyFrame):
        values = values.collect()
    if isinstance(values, Mapping):
        return RawTable(frame=flatten(pl.DataFrame(values, strict=False)), form="columns in memory")
    if isinstance(values, Sequence) and not isinstance(values, str | bytes):
        if not all(isinstance(record, Mapping) for record in values):
            raise TypeError("a list of other values than dicts")
        return records_table(values, "records in memory")
    if hasattr(values, "features") and hasattr(values, "to_polars"):
        return dataset_table(values)
    if type(values).__module__.partition(".")[0] == "pandas":
        return records_table(values.to_dict("records"), "a pandas frame")
    if isinstance(values, pl.DataFrame) or hasattr(values, "__arrow_c_stream__"):
        return RawTable(frame=flatten(pl.DataFrame(values)), form="a frame in memory")
    raise TypeError("no table")


def dataset_table(data: Any) -> RawTable:  # noqa: ANN401 - datasets is untyped
    """Make a table of a split of a data set of `datasets`; classes get their names."""
    names = {
        column: feature.names for column, feature in data.features.items() if type(feature).__name__ == "ClassLabel"
    }
    return RawTable(frame=flatten(name_classes(data.to_polars(), names)), form="a data set of the hub")
