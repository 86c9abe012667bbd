"""JSON and JSON Lines -> a table; what is damaged is named by its line, never shown."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO

from isogloss.data.corpus_options import Treatment
from isogloss.data.raw_table import UNDECODED, RawTable, concat, records_table
from isogloss.errors import CorpusError

#: As Python values, records take several times their bytes, so few are made at a time.
LINES_AT_ONCE = 4096
#: Keys of an object that holds the records as a list.
ENVELOPES = ("data", "rows", "records", "examples", "train", "test", "instances")
MEND = "mend the file"


def read_json(text: str, name: str, errors: Treatment) -> RawTable:
    """Read a list of objects, or an object that holds such a list and little else.

    Args:
        text: the file, in which UNDECODED stands for what is not UTF-8.
        name: of the corpus, for messages.
        errors: what to do with records that are not valid Unicode.

    Raises:
        CorpusError: it is damaged, or other JSON.
    """
    value = _parse(text, f"corpus {name}")
    if isinstance(value, dict):
        lists = [inner for key, inner in value.items() if key in ENVELOPES and isinstance(inner, list)]
        value = lists[0] if len(lists) == 1 else _columns_to_records(value)
    if not isinstance(value, list) or not all(isinstance(record, dict) for record in value):
        raise CorpusError(f"corpus {name}", found="other JSON", expected="a list of objects", do=MEND)
    kept = _keep_valid(((f"corpus {name}, record {number}", record) for number, record in enumerate(value, 1)), errors)
    table = records_table(kept, "JSON")
    return RawTable(**vars(table) | {"undecodable": len(value) - len(kept)})


def _columns_to_records(columns: dict[str, Any]) -> Any:  # noqa: ANN401 - any JSON value
    """Turn an object of columns into records: lists of one length, or objects of the same keys, as pandas writes."""
    cells = [column.values() if isinstance(column, dict) else column for column in columns.values()]
    if not cells or not all(isinstance(column, list | dict) and column for column in columns.values()):
        return columns
    keys = [list(column) if isinstance(column, dict) else len(column) for column in columns.values()]
    if any(key != keys[0] for key in keys):
        return columns
    return [dict(zip(columns, row, strict=True)) for row in zip(*cells, strict=True)]


def read_json_lines(file: BinaryIO, name: str, errors: Treatment, decode: Callable[[bytes, int], str]) -> RawTable:
    """Read one object a line; blank lines are skipped.

    Args:
        file: open at its beginning.
        name: of the corpus, for messages.
        errors: what to do with lines that are not valid Unicode.
        decode: bytes and number of a line -> its text, in which UNDECODED stands for what is not UTF-8.

    Raises:
        CorpusError: a line is damaged, or holds something else.
    """
    tables = [records_table([])]
    n_dropped = 0
    numbered = enumerate(file, start=1)  # only a line feed ends a line: str.splitlines would cut strings at U+2028
    while chunk := list(itertools.islice(numbered, LINES_AT_ONCE)):
        records: list[Mapping[str, Any]] = []
        for number, line in [(number, decode(raw, number)) for number, raw in chunk]:
            if not line.strip():
                continue
            if UNDECODED in line:
                n_dropped += 1
                continue
            value = _parse(line, f"corpus {name}, line {number}")
            if not isinstance(value, dict):
                raise CorpusError(f"corpus {name}", found="other JSON", expected="one object a line", do=MEND)
            # Only an escape can make half a surrogate pair.
            kept = _keep_valid([(f"corpus {name}, line {number}", value)], errors) if "\\u" in line else [value]
            n_dropped += 1 - len(kept)
            records += kept
        tables.append(records_table(records))
    table = concat(tables, "JSON Lines")
    return RawTable(**vars(table) | {"undecodable": n_dropped})


def is_json_lines(start: str) -> bool:
    r"""Whether a file begins with several lines that are objects.

    >>> is_json_lines('{"text": "a"}\n{"text": "b"}\n'), is_json_lines('{"text": "a"}'), is_json_lines('text,label\n')
    (True, False, False)
    """
    lines = [line.strip() for line in start.lstrip("\ufeff").split("\n", 20) if line.strip()]
    # The last line may be cut.
    return len(lines) > 1 and lines[0].startswith("{") and lines[0].endswith("}") and lines[1].startswith("{")


def _keep_valid(records: Iterable[tuple[str, Mapping[str, Any]]], errors: Treatment) -> list[Mapping[str, Any]]:
    kept = []
    for where, record in records:
        valid = _is_valid(record)
        if not valid and errors == "refuse":
            raise CorpusError(
                where,
                found="half a surrogate pair, which is no character",
                expected="Unicode text",
                do="mend the line, or drop such lines with --encoding-errors drop",
            )
        if valid:
            kept.append(record)
    return kept


def _is_valid(record: Mapping[str, Any]) -> bool:
    text = json.dumps(record, ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return UNDECODED not in text


def _parse(text: str, where: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise CorpusError(where, found=f"{error.msg} at {place}", expected="JSON", do=MEND) from error
    except RecursionError as error:
        raise CorpusError(where, found="brackets nested too deeply", expected="JSON of records", do=MEND) from error
    except ValueError as error:
        found = "a number with more digits than a computer's numbers have"
        raise CorpusError(where, found=found, expected="JSON with shorter numbers", do=MEND) from error
