"""Text with separators (CSV, TSV and their kin) -> a table of text; separator, quotes and header are recognised."""

from __future__ import annotations

import csv
import io
import re

import polars as pl

from isogloss.data.raw_table import UNDECODED, RawTable
from isogloss.errors import CorpusError

#: Suffix -> its usual separator, which wins where several would do.
USUAL = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t"}
SEPARATORS = (",", "\t", ";", "|")
#: Lines that are read to recognise the separator.
LOOKED_AT = 50
_DECLARATION = re.compile(r"\ufeff?sep=([,;\t|])\r?\n")
NAMES = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}


def read_delimited(text: str, name: str, *, suffix: str, header: bool) -> RawTable:
    """Read a table of text.

    Args:
        text: the file, in which UNDECODED stands for what is not UTF-8.
        name: of the corpus, for messages.
        suffix: of the file.
        header: whether its first line names the columns; otherwise they are named 1, 2, 3.

    Raises:
        CorpusError: rows are of different lengths, quotes are left open, or it is empty.
    """
    if "\r" in text and "\n" not in text:
        text = text.replace("\r", "\n")
    declared = _DECLARATION.match(text)  # Excel writes the separator into a line of its own
    text = (text[declared.end() :] if declared else text).lstrip("\r\n")
    if not text.strip():
        raise CorpusError(f"corpus {name}", found="an empty file", expected=f"a {suffix} table", do="mend the file")
    separator = declared[1] if declared else find_separator(text, suffix, header=header)
    quoted = separator != "\t" or uses_quotes(text)
    spaced = quoted and header and _spaces_after(text, separator)
    try:
        frame = _read_spaced(text, separator) if spaced else _read_plain(text, separator, quoted=quoted, header=header)
    except (pl.exceptions.PolarsError, csv.Error) as error:
        raise CorpusError(
            f"corpus {name}",
            found=_explain(text, separator, quoted=quoted),
            expected=f"a {suffix} table",
            do="mend the file",
        ) from error
    filled = frame.filter(~pl.all_horizontal(pl.all().is_null())) if frame.width else frame
    undecoded = pl.any_horizontal(pl.all().str.contains(UNDECODED, literal=True).fill_null(value=False))
    valid = filled.filter(~undecoded) if UNDECODED in text and frame.width else filled
    form = f"text separated by {NAMES[separator]}" + (", quotation marks as in CSV" if quoted else "")
    return RawTable(frame=valid, form=form, undecodable=filled.height - valid.height)


def find_separator(text: str, suffix: str, *, header: bool) -> str:
    r"""Recognise the separator by the header, or without one by lines of equal counts.

    >>> find_separator("text;label;language\na, b;1;en\n", ".csv", header=True)
    ';'
    """
    usual = USUAL.get(suffix, ",")
    candidates = sorted(SEPARATORS, key=lambda mark: mark != usual)
    lines = [_without_quoted(line) for line in text.split("\n", LOOKED_AT)[:LOOKED_AT] if line.strip()]
    if header:
        return max(candidates, key=lines[0].count)
    counts = {mark: {line.count(mark) for line in lines} for mark in candidates}
    even = [mark for mark in candidates if len(counts[mark]) == 1 and 0 not in counts[mark]]
    return max(even or [usual], key=lambda mark: max(counts[mark]))


def uses_quotes(text: str) -> bool:
    r"""Whether the cells of a tab-separated file stand in quotation marks as in CSV.

    A writer such as pandas quotes a cell that holds a tab, a line end or a quotation mark, and no cell holds a bare
    mark. In other files the marks are part of the text.

    >>> uses_quotes('text\tlabel\n"a ""b"" c"\t1\n'), uses_quotes('text\tlabel\n"whole"\t1\n"open\t0\n')
    (True, False)
    """
    cells = list(re.finditer(r'(?:(?<=^)|(?<=[\t\n\r]))"((?:[^"]|"")*)"(?=[\t\n\r]|$)', text))
    rest = re.sub(r'(?:(?<=^)|(?<=[\t\n\r]))"(?:[^"]|"")*"(?=[\t\n\r]|$)', "", text)
    if not cells or '"' in rest:
        return False
    first = text.partition("\n")[0].rstrip("\r")
    header_quoted = all(cell.startswith('"') for cell in first.split("\t"))
    return header_quoted or any(re.search(r'""|[\t\n]', cell[1]) for cell in cells)


def _without_quoted(line: str) -> str:
    return re.sub(r'"[^"]*"', "", line)


def _spaces_after(text: str, separator: str) -> bool:
    """Whether every separator of the header is followed by a space, as in `text, label, language`."""
    header = _without_quoted(text.partition("\n")[0])
    return separator in header and header.count(separator) == header.count(f"{separator} ")


def _read_plain(text: str, separator: str, *, quoted: bool, header: bool) -> pl.DataFrame:
    frame = pl.read_csv(
        io.BytesIO(text.encode()),
        separator=separator,
        quote_char='"' if quoted else None,
        infer_schema=False,
        has_header=header,
    )
    if header:
        return frame
    return frame.rename({name: str(number) for number, name in enumerate(frame.columns, 1)})


def _read_spaced(text: str, separator: str) -> pl.DataFrame:
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True))
    names = [name.strip() for name in rows[0]]
    if any(len(row) > len(names) for row in rows) or len(set(names)) < len(names):
        raise csv.Error("rows of different lengths")
    columns = zip(*((*row, *[None] * (len(names) - len(row))) for row in rows[1:]), strict=True)
    cells = list(columns) or [()] * len(names)
    data = {name: [cell or None for cell in column] for name, column in zip(names, cells, strict=True)}
    return pl.DataFrame(data, schema=dict.fromkeys(names, pl.String))


def _explain(text: str, separator: str, *, quoted: bool) -> str:
    """Say which line cannot be read, without showing it."""
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        strict=True,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
    )
    width, first = 0, 1
    try:
        for cells in reader:
            width = width or len(cells)
            if len(cells) > width:
                return f"line {first} with {len(cells)} cells, where the first has {width}"
            first = reader.line_num + 1
    except csv.Error:
        return f"a quotation mark that is never closed, or has text after it, in the row that begins on line {first}"
    return "rows that cannot be told apart"
