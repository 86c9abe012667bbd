"""What was understood of a corpus, before any model runs: columns, labels, languages, examples, dropped rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from isogloss.data.corpus import Corpus
from isogloss.data.corpus_options import CorpusOptions
from isogloss.data.curate import Conflicts, balance
from isogloss.data.describe import describe_value
from isogloss.data.language_columns import canonical_codes
from isogloss.data.languages import language, script_codes
from isogloss.data.load import Address, CorpusPart, make_corpus, read_parts
from isogloss.errors import CorpusError
from isogloss.warnings import CodedWarning

#: Examples of each class.
EXAMPLES = 2
#: Stands for the name of every table.
ALL = "all"
#: Values of a label column that are listed, at most.
MOST_LABELS = 12


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
        CorpusError: it cannot be read or understood: see `isogloss.data.found_columns` for what can be seen of it.
    """
    wanted, warnings = canonical_codes(languages) if languages else (None, ())
    parts = read_parts(where, wanted, options or CorpusOptions())
    corpus = make_corpus(parts, wanted, conflicts=conflicts, warnings=warnings)
    per_class, refusal = _try_balance(corpus)
    items = corpus.frame.group_by("item_id").agg(pl.col("language").n_unique()).filter(pl.col("item_id").is_not_null())
    return CorpusPreview(
        name=corpus.name,
        forms={part.name: _describe_form(part) for part in parts},
        columns=_merge_columns([list(_list_columns(part)) for part in parts]),
        labels=_merge_labels([list(_list_labels(part)) for part in parts]),
        languages=tuple(_describe_language(code, corpus.part(code)) for code in corpus.languages),
        examples=tuple(_choose_examples(corpus, parts)),
        warnings=corpus.warnings,
        pairs=corpus.frame.select("language", "pair_id").drop_nulls().n_unique(),
        items=items.filter(pl.col("language") > 1).height,
        per_class=per_class,
        refusal=refusal,
    )


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


def _merge_columns(parts: Sequence[Sequence[UsedColumn]]) -> tuple[UsedColumn, ...]:
    """Name columns once if they are the same in all tables."""
    plain = [[column._replace(corpus=ALL) for column in part] for part in parts]
    if len(parts) > 1 and all(part == plain[0] for part in plain):
        return tuple(plain[0])
    return tuple(column for part in parts for column in part)


def _merge_labels(parts: Sequence[Sequence[LabelMeaning]]) -> tuple[LabelMeaning, ...]:
    """Add up the rows of labels if they are the same in all tables."""
    meanings = [{(label.value, label.harmful): label.rows for label in part} for part in parts]
    if len(parts) > 1 and all(set(part) == set(meanings[0]) for part in meanings):
        return tuple(LabelMeaning(ALL, *key, sum(part[key] for part in meanings)) for key in meanings[0])
    return tuple(label for part in parts for label in part)


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
