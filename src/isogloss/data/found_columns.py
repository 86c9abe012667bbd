"""The columns of a corpus that could not be understood, with options that may name them; no text is shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import polars as pl

from isogloss.data.addresses import HubName, is_named, is_on_hub, list_files, split_options
from isogloss.data.columns import suggest
from isogloss.data.corpus_options import CorpusOptions
from isogloss.data.describe import looks_like_header
from isogloss.data.hub_data import read_hub
from isogloss.data.load import Address, list_addresses
from isogloss.data.polarity import truth, word_polarity
from isogloss.data.raw_table import RawTable
from isogloss.data.tables import memory_table, read_table
from isogloss.errors import CorpusError, IsoglossError

#: Columns that are described, at most.
MOST_COLUMNS = 40
#: A column of more different values holds no labels.
MOST_LABELS = 12


class FoundColumn(NamedTuple):
    """A column of a table that could not be understood: no text of it is shown."""

    corpus: str
    column: str
    kind: str
    filled: int
    different: int | None
    longest: int | None


def find_columns(
    where: Address | Sequence[Address], options: CorpusOptions | None = None
) -> tuple[tuple[FoundColumn, ...], str]:
    """List the columns of tables that could not be understood, and suggest options.

    Returns:
        The columns, and options that name the missing ones, as for the command line; both empty where no table can be
        read at all.
    """
    found: list[FoundColumn] = []
    suggestion = ""
    for given in list_addresses(where):
        try:
            for name, table in _read_tables(given, options or CorpusOptions()):
                named = looks_like_header(table.frame.columns)
                for number, column in enumerate(table.frame.columns[:MOST_COLUMNS], start=1):
                    found.append(_describe_column(name, column, table, column if named else f"number {number}"))
                suggestion = suggestion or _suggest(table, options or CorpusOptions())
        except IsoglossError:
            continue
    return tuple(found), suggestion


def _suggest(table: RawTable, options: CorpusOptions) -> str:
    """Suggest an option for each column that is missing."""
    present = {column.strip().casefold() for column in table.frame.columns} | set(options.columns)
    if "harmless" in options.columns or options.label:
        present.add("label")
    if options.wide:
        present |= {"text", "language"}
    missing = [column for column in ("text", "label", "language") if column not in present]
    parallel = {"toxic", "neutral"} <= present
    return suggest(table, [column for column in missing if not parallel or column == "language"]) if missing else ""


def _read_tables(given: Address, options: CorpusOptions) -> Iterator[tuple[str, RawTable]]:
    if not isinstance(given, str) and not hasattr(given, "suffix"):
        yield "table", memory_table(given)
        return
    address = split_options(given)[0]
    if is_named(address):
        return
    if is_on_hub(address):
        yield str(address), read_hub(HubName.parse(str(address)))[0]
        return
    for path in list_files(address):
        yield path.name, read_table(path, options)


def _describe_column(name: str, column: str, table: RawTable, shown: str) -> FoundColumn:
    filled = table.frame.height - table.frame[column].null_count()
    try:
        cells = table.written(column, name).drop_nulls()
    except CorpusError:
        return FoundColumn(name, shown, "lists" if table.nested(column) else "no text", filled, None, None)
    different = cells.unique()
    known = [word_polarity(value) is not None or truth(value) is not None for value in different.head(MOST_LABELS)]
    numbers = cells.cast(pl.Float64, strict=False).null_count() == 0
    kind = "labels" if known and all(known) and different.len() <= MOST_LABELS else "numbers" if numbers else "text"
    longest = cells.str.len_chars().max()
    return FoundColumn(name, shown, kind, filled, different.len(), longest if isinstance(longest, int) else None)
