"""A table and the choice of its columns -> text columns under our names: wanted languages first, then all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import polars as pl

from isogloss.data.columns import TEXTS, ColumnChoice, choose, read_column, read_texts
from isogloss.data.corpus_options import CorpusOptions
from isogloss.data.describe import count
from isogloss.data.language_columns import select_languages
from isogloss.data.languages import canonical_code
from isogloss.data.normalisation import shows_nothing
from isogloss.data.raw_table import RawTable
from isogloss.errors import CorpusError
from isogloss.warnings import CodedWarning

#: Fewer values that name no language may be mistakes; of more, so many are looked at.
FEWEST_VALUES, LOOKED_AT = 3, 50

Shape = Literal["labelled", "parallel", "wide"]


class Selected(NamedTuple):
    """The rows of a table that are in wanted languages: their numbers and languages."""

    table: RawTable
    rows: pl.Series
    languages: pl.Series


def filter_languages(
    table: RawTable, choice: ColumnChoice, wanted: Sequence[str] | None, name: str
) -> tuple[Selected, tuple[CodedWarning, ...]]:
    """Keep the rows in wanted languages, before anything else of a row is looked at."""
    rows = pl.Series("row", range(1, table.frame.height + 1), dtype=pl.Int64)
    written = (
        pl.repeat(choice.constant, table.frame.height, dtype=pl.String, eager=True)
        if choice.constant is not None
        else read_column(table, choice.names[0], name)
    )
    _refuse_other_values(written, name)
    if {"hi", "hin"} <= set(written.unique()):  # textdetox's data sets call romanised Hindi so
        written = written.replace("hin", "hi-Latn")
    kept, warnings = select_languages(pl.DataFrame({"row": rows, "language": written}), wanted, name=name)
    if kept.height < table.frame.height:
        table = replace(table, frame=table.frame[kept["row"] - 1])
    return Selected(table, kept["row"], kept["language"]), warnings


def _refuse_other_values(written: pl.Series, name: str) -> None:
    """Refuse a column in which nothing names a language: it holds something else, perhaps texts, and is not shown."""
    different = written.drop_nulls().unique(maintain_order=True)
    if different.len() < FEWEST_VALUES or any(map(_names_language, different.head(LOOKED_AT))):
        return
    raise CorpusError(
        f"corpus {name}, column language",
        found=f"{different.len():,} different values, none of which names a language",
        expected="codes or English names of languages",
        do="choose another column with --column language=..., or a constant with --column language==en",
    )


def _names_language(value: str) -> bool:
    try:
        canonical_code(value)
    except CorpusError:
        return False
    return True


def select_columns(
    selected: Selected, choices: Mapping[str, ColumnChoice], shape: Shape, name: str
) -> tuple[pl.DataFrame, tuple[CodedWarning, ...]]:
    """Copy the chosen columns under our names."""
    table, rows, languages = selected
    columns, warnings = [rows, languages.alias("language")], tuple[CodedWarning, ...]()
    wanted = ("toxic", "neutral") if shape == "parallel" else ("text",)
    for ours in (*wanted, "pair_id", "item_id", "source"):
        choice = choices.get(ours)
        if choice is None or choice.constant is not None:
            value = choice.constant if choice else None
            columns.append(pl.repeat(value, rows.len(), dtype=pl.String, eager=True).alias(ours))
        elif ours in TEXTS:
            texts = read_texts(table, choice.names[0], rows, name)
            columns.append(texts.texts.alias(ours))
            if texts.conversations:
                detail = f"{count(texts.conversations, 'text')}, {texts.left_out} of them with other turns"
                warnings += (CodedWarning(code="C014", detail=detail),)
        else:
            columns.append(read_column(table, choice.names[0], name).alias(ours))
    if shape != "parallel":
        columns += _raw_labels(table, choices, name)
    return pl.DataFrame(columns), warnings


def _raw_labels(table: RawTable, choices: Mapping[str, ColumnChoice], name: str) -> list[pl.Series]:
    """Copy label columns under the names label_0, label_1, ...; the flags of one label are several columns."""
    choice = choices.get("harmless") or choices["label"]
    if choice.constant is not None:
        return [pl.repeat(choice.constant, table.frame.height, dtype=pl.String, eager=True).alias("label_0")]
    return [read_column(table, column, name).alias(f"label_{i}") for i, column in enumerate(choice.names)]


def melt_languages(
    table: RawTable,
    choices: Mapping[str, ColumnChoice],
    reading: CorpusOptions,
    languages: Sequence[str] | None,
    name: str,
) -> tuple[pl.DataFrame, tuple[CodedWarning, ...]]:
    """Put the columns of several languages below each other; translations share their row as item id."""
    frames, warnings, n_empty = [], tuple[CodedWarning, ...](), 0
    base = {ours: choice for ours, choice in choices.items() if ours not in {*TEXTS, "language", "pair_id"}}
    for written, column in reading.wide.items():
        code = canonical_code(written)
        if languages and code not in languages:
            continue
        text = choose("text", column, table, name)
        everything, _ = filter_languages(table, ColumnChoice(ours="language", constant=code), None, name)
        rows, noted = select_columns(everything, base | {"text": text}, "wide", name)
        filled = rows.filter(~shows_nothing(pl.col("text")))
        n_empty += rows.height - filled.height
        frames.append(filled.with_columns(item_id=pl.coalesce("item_id", pl.col("row").cast(pl.String))))
        warnings += noted
    if not frames:
        raise CorpusError(
            f"corpus {name}", found="none of the languages of --wide", expected="some of them", do="add to --languages"
        )
    if n_empty:
        warnings += (CodedWarning(code="C015", detail=f"{count(n_empty, 'cell')} without a text"),)
    return pl.concat(frames), warnings
