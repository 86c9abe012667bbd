"""RawTable: what a file or a data set holds, before anything of it is understood; and how its cells become text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from isogloss.data.describe import describe_names
from isogloss.errors import CorpusError

#: A noncharacter that stands for what could not be decoded; rows that hold it are dropped or refused.
UNDECODED = "\ufdd0"
#: Kinds of columns whose cells can be written as text.
WRITTEN = (pl.String, pl.Categorical, pl.Enum, pl.Boolean, pl.Date, pl.Datetime, pl.Decimal, pl.Null)


@dataclass(frozen=True, kw_only=True)
class RawTable:
    """Rows and columns as they were read.

    Attributes:
        frame: columns of any type; fields of objects are columns of their own, with dotted names.
        form: format of the file in words, for `isogloss preview`.
        encoded: columns whose cells are JSON, because some of them are lists.
        undecodable: rows that were dropped because they are not UTF-8.
        remarks: what a reader of the corpus should know of how it was read, by code of a warning.
    """

    frame: pl.DataFrame
    form: str
    encoded: frozenset[str] = frozenset()
    undecodable: int = 0
    remarks: tuple[tuple[str, str], ...] = ()

    def values(self, column: str) -> list[Any]:
        """Return the cells of a column of lists or objects as Python values."""
        cells = self.frame[column].to_list()
        return [None if cell is None else json.loads(cell) for cell in cells] if column in self.encoded else cells

    def nested(self, column: str) -> bool:
        """Whether some cells of a column are lists."""
        return column in self.encoded or self.frame.schema[column].is_nested()

    def written(self, column: str, name: str) -> pl.Series:
        """Return a column as text; missing numbers (NaN) are missing cells.

        Raises:
            CorpusError: its cells are lists, bytes or durations.
        """
        series = self.frame[column]
        if self.nested(column) or not (series.dtype in WRITTEN or series.dtype.is_numeric()):
            kind = "lists" if self.nested(column) else f"values of the type {str(series.dtype).partition('(')[0]}"
            raise CorpusError(
                f"corpus {name}, column {column}"[:200], found=kind, expected="text or numbers", do="choose another"
            )
        return (series.fill_nan(None) if series.dtype.is_float() else series).cast(pl.String)

    def with_constant(self, column: str, value: str) -> RawTable:
        """Return the table with a column of one value."""
        frame = self.frame.with_columns(pl.lit(value, dtype=pl.String).alias(column))
        return RawTable(**vars(self) | {"frame": frame, "encoded": self.encoded - {column}})


def flatten(frame: pl.DataFrame) -> pl.DataFrame:
    """Make every field of an object a column of its own: `a` with the fields b and c becomes `a.b` and `a.c`."""
    while objects := [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Struct)]:
        columns = []
        for name, dtype in frame.schema.items():
            if name in objects and isinstance(dtype, pl.Struct):
                columns += [
                    pl.col(name).struct.field(field.name).alias(f"{name}.{field.name}") for field in dtype.fields
                ]
            else:
                columns.append(pl.col(name))
        frame = frame.select(columns)
    return frame


def records_table(records: Sequence[Mapping[str, Any]], form: str = "records") -> RawTable:
    """Make a table of records, such as the lines of a JSON Lines file.

    Raises:
        CorpusError: a text is not valid Unicode.
    """
    flat = [flatten_record(record) for record in records]
    names = dict.fromkeys(name for record in flat for name in record)
    columns: dict[str, list[str | None]] = {}
    encoded = set()
    for name in names:
        cells = [record.get(name) for record in flat]
        if any(isinstance(cell, list | tuple | dict) for cell in cells):
            encoded.add(name)
            columns[name] = [None if cell is None else json.dumps(cell, default=str) for cell in cells]
        else:
            columns[name] = list(map(_write_scalar, cells))
    try:
        frame = pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String))
    except UnicodeEncodeError as error:
        raise CorpusError("corpus", found="half a surrogate pair", expected="Unicode text", do="mend it") from error
    return RawTable(frame=frame, form=form, encoded=frozenset(encoded))


def flatten_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Name the fields of objects in a record by dotted names.

    >>> flatten_record({"a": {"b": 1, "c": {"d": "x"}}, "e": [1]})
    {'a.b': 1, 'a.c.d': 'x', 'e': [1]}
    """
    if not any(isinstance(value, Mapping) for value in record.values()):
        return dict(record)
    flat: dict[str, Any] = {}
    waiting = [("", iter(record.items()))]
    while waiting:
        prefix, fields = waiting[-1]
        for key, value in fields:
            if isinstance(value, Mapping):
                waiting.append((f"{prefix}{key}.", iter(value.items())))
                break
            flat[f"{prefix}{key}"] = value
        else:
            waiting.pop()
    return flat


def concat(tables: Sequence[RawTable], form: str) -> RawTable:
    """Put tables below each other; columns that one of them lacks are empty there."""
    encoded = frozenset(name for table in tables for name in table.encoded)
    frames = []
    for table in tables:
        plain = [name for name in table.frame.columns if name in encoded - table.encoded]
        encode = [pl.col(name).map_elements(json.dumps, return_dtype=pl.String) for name in plain]
        frames.append(table.frame.with_columns(encode) if plain else table.frame)
    return RawTable(
        frame=pl.concat(frames, how="diagonal_relaxed", rechunk=True),
        form=form,
        encoded=encoded,
        undecodable=sum(table.undecodable for table in tables),
        remarks=tuple(dict.fromkeys(remark for table in tables for remark in table.remarks)),
    )


def missing_column(table: RawTable, name: str, *, expected: str, do: str) -> CorpusError:
    """Build the error for a column that a table does not have."""
    return CorpusError(f"corpus {name}", found=describe_names(table.frame.columns), expected=expected, do=do)


def _write_scalar(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and value != value:  # noqa: PLR0124 - NaN is a missing number
        return None
    return json.dumps(value, default=str) if isinstance(value, bool | int | float) else str(value)
