"""What was understood of a corpus, before any model runs: columns, labels, languages, examples, dropped rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from isogloss.data.addresses import HubName, is_named, is_on_hub, list_files, split_options
from isogloss.data.columns import suggest
from isogloss.data.corpus import Corpus
from isogloss.data.corpus_options import CorpusOptions
from isogloss.data.curate import Conflicts, balance
from isogloss.data.describe import describe_value, looks_like_header
from isogloss.data.hub_data import read_hub
from isogloss.data.language_columns import canonical_codes
from isogloss.data.languages import language, script_codes
from isogloss.data.load import Address, CorpusPart, list_addresses, make_corpus, read_parts
from isogloss.data.polarity import truth, word_polarity
from isogloss.data.raw_table import RawTable
from isogloss.data.tables import memory_table, read_table
from isogloss.errors import CorpusError, IsoglossError
from isogloss.warnings import CodedWarning

#: Examples of each class.
EXAMPLES = 2
#: Values of a label column that are listed, at most.
MOST_LABELS = 12
#: Columns of a wide table that are described, at most.
MOST_COLUMNS = 40


class UsedColumn(NamedTuple):
    """A column of ours and what it was read from."""

    corpus: str
    ours: str
    column: str


class LabelMeaning(NamedTuple):
    """A value of a label column, shown if it is short; harmful is None for rows that were dropped."""

    corpus: str
    value: str
    harmful: bool | None
    rows: int


class LanguageFacts(NamedTuple):
    """Texts of one language: counts, characters, and the share of letters in its usual script (None if unknown)."""

    code: str
    name: str
    harmful: int
    harmless: int
    shortest: int
    median: float
    longest: int
    script: str
    script_share: float | None


class Example(NamedTuple):
    """A text that shows what a class was understood to be."""

    harmful: bool
    language: str
    corpus: str
    row: int | None
    label: str
    text: str


class FoundColumn(NamedTuple):
    """A column of a table that could not be understood: no text of it is shown."""

    corpus: str
    column: str
    kind: str
    filled: int
    different: int | None
    longest: int | None


@dataclass(frozen=True, kw_only=True)
class CorpusPreview:
    """What was understood of a corpus.

    Attributes:
        name: of the corpus.
        forms: name of each table -> its format in words, shape and number of rows.
        columns: which columns were read.
        labels: how the values of label columns were read.
        languages: facts about each language.
        examples: two texts of each class.
        warnings: what was dropped or decided, with counts.
        pairs: number of text pairs; 0 for texts without pairs.
        items: number of items that stand in several languages; 0 where there are none.
        per_class: number of texts per language and class that an audit would draw; None if it would refuse.
        refusal: why an audit would refuse the corpus; empty if it would not.
    """

    name: str
    forms: Mapping[str, str]
    columns: tuple[UsedColumn, ...]
    labels: tuple[LabelMeaning, ...]
    languages: tuple[LanguageFacts, ...]
    examples: tuple[Example, ...]
    warnings: tuple[CodedWarning, ...]
    pairs: int
    items: int
    per_class: int | None
    refusal: str = ""


def preview_corpus(
    where: Address | Sequence[Address],
    *,
    languages: Sequence[str] | None = None,
    options: CorpusOptions | None = None,
    conflicts: Conflicts = "drop",
) -> CorpusPreview:
    """Read a corpus as an audit would, and describe what was understood.

    Args:
        where: as for `load_corpus`.
        languages: codes of the wanted languages; None takes all.
        options: how the corpus is to be understood.
        conflicts: what to do with texts under both labels.

    Raises:
        CorpusError: it cannot be read or understood: see `find_columns` for what can be seen of it.
    """
    wanted, warnings = canonical_codes(languages) if languages else (None, ())
    parts = read_parts(where, wanted, options or CorpusOptions())
    corpus = make_corpus(parts, wanted, conflicts=conflicts, warnings=warnings)
    per_class, refusal = _try_balance(corpus)
    items = corpus.frame.group_by("item_id").agg(pl.col("language").n_unique()).filter(pl.col("item_id").is_not_null())
    return CorpusPreview(
        name=corpus.name,
        forms={part.name: _describe_form(part) for part in parts},
        columns=tuple(column for part in parts for column in _list_columns(part)),
        labels=tuple(label for part in parts for label in _list_labels(part)),
        languages=tuple(_describe_language(code, corpus.part(code)) for code in corpus.languages),
        examples=tuple(_choose_examples(corpus, parts)),
        warnings=corpus.warnings,
        pairs=corpus.frame.select("language", "pair_id").drop_nulls().n_unique(),
        items=items.filter(pl.col("language") > 1).height,
        per_class=per_class,
        refusal=refusal,
    )


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


def _describe_form(part: CorpusPart) -> str:
    if part.rows is None or part.table is None:
        return f"a named corpus, {part.frame.height:,} texts"
    return f"{part.table.form}; {part.rows.shape}; {part.rows.n_read:,} rows"


def _list_columns(part: CorpusPart) -> Iterator[UsedColumn]:
    choices = part.rows.choices if part.rows else {}
    used = {"parallel": ("toxic", "neutral"), "wide": (), "labelled": ("text",)}
    texts = used[part.rows.shape] if part.rows else ()
    classes = () if part.rows and part.rows.shape == "parallel" else ("label", "harmless")
    for ours in (*texts, *classes, "language", "pair_id", "item_id", "source"):
        if ours in choices and not (ours == "label" and "harmless" in choices):
            yield UsedColumn(part.name, ours, choices[ours].written)


def _list_labels(part: CorpusPart) -> Iterator[LabelMeaning]:
    if part.rows is None:
        return
    if part.rows.shape == "parallel":
        for harmful, ours in ((True, "toxic"), (False, "neutral")):
            rows = part.frame.filter(pl.col("harmful") == harmful).height
            yield LabelMeaning(part.name, f"column {part.rows.choices[ours].written}", harmful, rows)
        return
    labels = part.rows.labels.sort("n", descending=True).head(MOST_LABELS)
    for value, harmful, n in labels.iter_rows():
        yield LabelMeaning(part.name, "nothing" if value is None else describe_value(value), harmful, n)
    if not labels.height:
        choice = part.rows.choices.get("harmless") or part.rows.choices["label"]
        for harmful in (True, False):
            rows = part.frame.filter(pl.col("harmful") == harmful).height
            yield LabelMeaning(part.name, choice.written, harmful, rows)


def _describe_language(code: str, texts: pl.DataFrame) -> LanguageFacts:
    row = language(code)
    lengths = texts["text"].str.len_chars()
    n_harmful = int(texts["harmful"].sum())
    median = lengths.median()
    return LanguageFacts(
        code=code,
        name=row.name,
        harmful=n_harmful,
        harmless=texts.height - n_harmful,
        shortest=int(lengths.sort()[0]),
        median=median if isinstance(median, float) else 0.0,
        longest=int(lengths.sort()[-1]),
        script=row.script,
        script_share=_measure_script(texts, script_codes(row)),
    )


def _measure_script(texts: pl.DataFrame, codes: Sequence[str]) -> float | None:
    """Return the share of letters that belong to some scripts; None if Unicode does not know them."""
    classes = "".join(rf"\p{{Script={code}}}" for code in codes)
    try:
        letters = int(texts["text"].str.count_matches(r"\p{L}").sum())
        usual = int(texts["text"].str.count_matches(rf"[\p{{L}}&&[{classes}]]").sum()) if classes else 0
    except pl.exceptions.ComputeError:
        return None
    return usual / letters if letters and classes else None


def _choose_examples(corpus: Corpus, parts: Sequence[CorpusPart]) -> Iterator[Example]:
    """Choose texts of each class, in English where there is some, with the rows and labels that they come from."""
    code = "en" if "en" in corpus.languages else corpus.languages[0]
    for harmful in (True, False):
        texts = corpus.part(code).filter(pl.col("harmful") == harmful).head(EXAMPLES)
        for text in texts["text"]:
            yield _find_example(text, code, parts, harmful=harmful)


def _find_example(text: str, code: str, parts: Sequence[CorpusPart], *, harmful: bool) -> Example:
    for part in parts:
        same = (pl.col("text").str.strip_chars() == text) & (pl.col("language") == code)
        rows = part.frame.filter(same & (pl.col("harmful") == harmful))
        if rows.height:
            row = rows["row"][0]
            written = part.rows.raw_labels.filter(pl.col("row") == row)["label_0"].to_list() if part.rows else []
            label = describe_value(written[0]) if written and written[0] else ""
            return Example(harmful, code, part.name, row, label, text)
    return Example(harmful, code, "", None, "", text)


def _try_balance(corpus: Corpus) -> tuple[int | None, str]:
    try:
        sample = balance(corpus)
    except CorpusError as error:
        return None, str(error)
    return int(sample.counts()["harmful"].to_list()[0]), ""
