"""A table -> rows of a corpus. Four shapes are read: labelled, parallel, wide (a column a language) and one class.

Languages are filtered first, so that rows that are not wanted cannot be at fault. Then come labels and texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from isogloss.data.columns import (
    OUR_COLUMNS,
    PAIR,
    ColumnChoice,
    choose,
    find_column,
    holds_answers,
    refuse_doubled,
    refuse_harmless_flags,
    suggest,
)
from isogloss.data.corpus import SCHEMA
from isogloss.data.corpus_options import CorpusOptions
from isogloss.data.describe import count, describe_names, describe_value
from isogloss.data.normalisation import shows_nothing
from isogloss.data.polarity import compare, read_labels
from isogloss.data.raw_table import RawTable
from isogloss.data.selection import Shape, filter_languages, melt_languages, select_columns
from isogloss.errors import CorpusError
from isogloss.warnings import CodedWarning

ROW_SCHEMA = {name: kind for name, kind in SCHEMA.items() if name != "text_id"} | {"row": pl.Int64}


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows of a corpus, and how they were understood.

    Attributes:
        frame: columns of ROW_SCHEMA; `row` counts the rows of the table from 1.
        shape: of the table.
        choices: our column -> the columns of the table.
        labels: value (text), harmful, n: what each label was read as; empty where rows have no labels.
        raw_labels: row and label_0, its label as it was written; empty where rows have no single label.
        n_read: number of rows of the table.
        warnings: what was dropped, and what was decided.
    """

    frame: pl.DataFrame
    shape: Shape
    choices: Mapping[str, ColumnChoice]
    labels: pl.DataFrame
    raw_labels: pl.DataFrame
    n_read: int
    warnings: tuple[CodedWarning, ...] = ()


RAW_LABELS = {"row": pl.Int64, "label_0": pl.String}
LABELS = {"value": pl.String, "harmful": pl.Boolean, "n": pl.UInt32}


def to_rows(table: pl.DataFrame, *, name: str, columns: Mapping[str, str], source: str) -> pl.DataFrame:
    """Turn a table whose columns are known into rows: see `read_rows`."""
    reading = CorpusOptions(columns=columns, incomplete_pairs="refuse")
    rows = read_rows(RawTable(frame=table, form=""), reading, name=name, source=source)
    if unlabelled := [warning for warning in rows.warnings if warning.code == "C010"]:
        raise CorpusError(f"corpus {name}", found=unlabelled[0].text, expected="a label in every row", do="report it")
    return rows.frame


def read_rows(
    table: RawTable,
    reading: CorpusOptions,
    *,
    name: str,
    source: str,
    languages: Sequence[str] | None = None,
    fallback: str | None = None,
) -> Rows:
    """Turn a table of any shape into rows.

    Args:
        table: as it was read.
        reading: how its columns and labels are to be understood.
        name: file or data set, for messages.
        source: written into the column `source` unless the table has one.
        languages: canonical codes of the wanted languages; None takes all.
        fallback: language of a table without a column for it.

    Raises:
        CorpusError: a column is missing, a text is empty, the meaning of a label is not certain, or a pair id occurs
            twice in a language.
    """
    choices = _choose_columns(table, reading, name)
    if "language" not in choices and fallback:
        choices["language"] = ColumnChoice(ours="language", constant=fallback)
    shape = _find_shape(table, choices, reading)
    _refuse_missing(table, choices, reading, shape, name)
    if shape == "wide":
        rows, warnings = melt_languages(table, choices, reading, languages, name)
    else:
        selected, warnings = filter_languages(table, choices["language"], languages, name)
        rows, noted = select_columns(selected, choices, shape, name)
        warnings += noted
    if shape == "parallel":
        rows, dropped = _split_pairs(rows, name, reading)
        labels = pl.DataFrame(schema=LABELS)
    else:
        rows, labels, dropped = _label(rows, choices, reading, name)
        _check_filled(rows, name, "text")
    if table.undecodable:
        warnings += (CodedWarning(code="C012", detail=f"{count(table.undecodable, 'row')} dropped"),)
    rows = rows.with_columns(source=pl.col("source").fill_null(source))
    raw = (
        rows.select("row", "label_0") if labels.height else pl.DataFrame(schema={"row": pl.Int64, "label_0": pl.String})
    )
    return Rows(
        frame=rows.select(list(ROW_SCHEMA)).cast(pl.Schema(ROW_SCHEMA)),
        shape=shape,
        choices=choices,
        labels=labels,
        raw_labels=raw,
        n_read=table.frame.height + table.undecodable,
        warnings=warnings + dropped,
    )


def _choose_columns(table: RawTable, reading: CorpusOptions, name: str) -> dict[str, ColumnChoice]:
    """Find our columns: those that were asked for, then those that have our names."""
    choices = {ours: choose(ours, wanted, table, name) for ours, wanted in reading.columns.items()}
    for ours in OUR_COLUMNS:
        column = find_column(table, ours)
        if column and ours not in choices and ours != "harmless":
            choices[ours] = ColumnChoice(ours=ours, names=(column,))
    if "harmless" in choices:
        choices.pop("label", None)
    if reading.label:
        choices.pop("label", None)
        choices["label"] = ColumnChoice(ours="label", constant=reading.label)
    for choice in choices.values():
        refuse_harmless_flags(choice, name)
        refuse_doubled(choice, table, name)
    return choices


def _find_shape(table: RawTable, choices: Mapping[str, ColumnChoice], reading: CorpusOptions) -> Shape:
    if reading.wide:
        return "wide"
    explicit = {"text", "label", "harmless"} & set(reading.columns) or reading.label or reading.harmful
    if explicit or not set(PAIR) <= set(choices):
        return "labelled"
    # Flags of these names are labels, not texts.
    flags = any(holds_answers(table, column) for ours in PAIR for column in choices[ours].names)
    return "labelled" if flags else "parallel"


def _refuse_missing(
    table: RawTable, choices: Mapping[str, ColumnChoice], reading: CorpusOptions, shape: Shape, name: str
) -> None:
    needed = {
        "parallel": ("toxic", "neutral", "language"),
        "wide": ("label",),
        "labelled": ("text", "label", "language"),
    }
    named = set(choices) | ({"label"} if "harmless" in choices else set())
    missing = [column for column in needed[shape] if column not in named]
    if missing:
        raise CorpusError(
            f"corpus {name}",
            found=describe_names(table.frame.columns),
            expected=f"text label language, or toxic neutral language pair_id (missing: {', '.join(missing)})",
            do=f"name them, for example {suggest(table, missing)}{_hint(missing)}; isogloss preview shows the columns",
        )
    if reading.harmful and "harmless" in choices:
        raise CorpusError(
            f"corpus {name}", found="--harmful and --column harmless=", expected="one of them", do="drop one"
        )


def _hint(missing: Sequence[str]) -> str:
    if missing == ["language"]:
        return " or, for one language, --column language==en"
    return " or, for one class, --label harmful" if missing == ["label"] else ""


def _check_filled(rows: pl.DataFrame, name: str, column: str) -> None:
    empty = rows.filter(pl.col(column).is_null() | shows_nothing(pl.col(column)))
    if empty.height:
        raise CorpusError(
            f"corpus {name}, row {empty['row'][0]}, column {column}",
            found=f"no text, as in {empty.height} rows",
            expected="a value in every row",
            do="fill or remove these rows",
        )


def _label(
    rows: pl.DataFrame, choices: Mapping[str, ColumnChoice], reading: CorpusOptions, name: str
) -> tuple[pl.DataFrame, pl.DataFrame, tuple[CodedWarning, ...]]:
    """Decide which rows are harmful, and drop those without a label with a count."""
    choice = choices.get("harmless") or choices["label"]
    harmful = _read_choice(rows, choice, reading, name)
    labelled = rows.with_columns(harmful=harmful)
    kept = labelled.filter(pl.col("harmful").is_not_null())
    labels = (
        labelled.group_by(pl.col("label_0").alias("value"), "harmful").len(name="n").sort("value", nulls_last=True)
        if len(choice.names) == 1 and choice.comparison is None
        else pl.DataFrame(schema=LABELS)
    )
    dropped = labelled.filter(pl.col("harmful").is_null())
    warnings = tuple(
        CodedWarning(code="C010", detail=f"{count(n, 'row')} dropped", language=code)
        for code, n in dropped.group_by("language").len().sort("language").iter_rows()
    )
    if rows.height and not kept.height:
        raise CorpusError(
            f"corpus {name}",
            found="no row with a label",
            expected="labels in some rows",
            do="choose another column with --column label=..., or name the class of all texts with --label",
        )
    return kept, labels, warnings


def _read_choice(rows: pl.DataFrame, choice: ColumnChoice, reading: CorpusOptions, name: str) -> pl.Series:
    inverted = choice.ours == "harmless"
    columns = choice.names or ("label",)
    comparison = choice.comparison
    flags = []
    for i, column in enumerate(columns):
        values = rows[f"label_{i}"]
        if comparison:
            flags.append(compare(values, rows["row"], comparison, name=name, column=column, inverted=inverted))
        else:
            flags.append(
                read_labels(values, rows["row"], name=name, column=column, harmful=reading.harmful, inverted=inverted)
            )
    if len(flags) == 1:
        return flags[0]
    frame = pl.DataFrame({str(i): flag for i, flag in enumerate(flags)})
    # Of flags, one that is true decides; else all must be known.
    combined = pl.all_horizontal(pl.all()) if inverted else pl.any_horizontal(pl.all())
    return frame.select(combined.alias("harmful")).to_series()


def _split_pairs(
    rows: pl.DataFrame, name: str, reading: CorpusOptions
) -> tuple[pl.DataFrame, tuple[CodedWarning, ...]]:
    """Make two rows of each pair; incomplete pairs are dropped with a count or refused."""
    empty = {column: shows_nothing(pl.col(column).fill_null("")) for column in ("toxic", "neutral")}
    incomplete = rows.filter(pl.any_horizontal(*empty.values()))
    warnings = tuple[CodedWarning, ...]()
    if incomplete.height and (reading.incomplete_pairs == "refuse" or incomplete.height == rows.height):
        row = incomplete.with_columns(column=pl.when(empty["toxic"]).then(pl.lit("toxic")).otherwise(pl.lit("neutral")))
        row, column = row["row"][0], row["column"][0]
        raise CorpusError(
            f"corpus {name}, row {row}, column {column}",
            found=f"nothing (half of a pair is missing), as in {incomplete.height} rows",
            expected="a value in every row",
            do="fill or remove these rows",
        )
    if incomplete.height:
        rows = rows.filter(~pl.any_horizontal(*empty.values()))
        by_language = incomplete.group_by("language").len().sort("language")
        warnings = tuple(
            CodedWarning(code="C011", detail=f"{count(n, 'pair')} dropped", language=code)
            for code, n in by_language.iter_rows()
        )
    rows = rows.with_columns(pair_id=pl.coalesce("pair_id", pl.col("row").cast(pl.String)))
    doubled = rows.filter(pl.struct("language", "pair_id").is_duplicated())
    if doubled.height:
        raise CorpusError(
            f"corpus {name}, row {doubled['row'][0]}",
            found=f"pair id {describe_value(doubled['pair_id'][0])} {doubled['language'][0]} more than once "
            "(a doubled pair)",
            expected="every pair id once in a language",
            do="give each pair its own id (regions, such as pt-BR and pt-PT, are one language)",
        )
    shared = ["row", "language", "pair_id", "item_id", "source"]
    toxic = rows.select(*shared, text="toxic", harmful=pl.lit(True))  # noqa: FBT003 - a polars literal
    neutral = rows.select(*shared, text="neutral", harmful=pl.lit(False))  # noqa: FBT003
    return pl.concat([toxic, neutral]), warnings
