"""Corpus and Text: the frozen, validated texts that every later room reads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import polars as pl

from isogloss.data.languages import language
from isogloss.data.normalisation import normalise_content, shows_nothing
from isogloss.errors import CorpusError
from isogloss.io.files import canonical_json, sha256_text
from isogloss.warnings import CodedWarning

SCHEMA: dict[str, type[pl.DataType]] = {
    "text_id": pl.String,
    "pair_id": pl.String,
    "item_id": pl.String,
    "language": pl.String,
    "text": pl.String,
    "harmful": pl.Boolean,
    "source": pl.String,
}

MIN_PER_CLASS = 20
#: As Python values, a row takes ten times its bytes, so few rows are made at a time.
ROWS_AT_ONCE = 2048


@dataclass(frozen=True, kw_only=True)
class Text:
    """One row of a corpus."""

    text_id: str
    pair_id: str | None
    item_id: str | None
    language: str
    text: str
    harmful: bool
    source: str


def text_id(code: str, text: str) -> str:
    """Name a text by its language and content: 16 hex digits."""
    return sha256_text(f"{code}\0{text}")[:16]


def content_keys(texts: pl.Series) -> list[str]:
    """Name the content of texts, whatever file or language column they are in: 16 hex digits each.

    What `normalise_content` ignores does not matter, as for duplicates.
    """
    return [sha256_text(text)[:16] for text in normalise_content(texts)]


def content_key(text: str) -> str:
    """Name the content of a text: see `content_keys`.

    >>> content_key("Good  morning") == content_key(" good\u200b ｍｏｒｎｉｎｇ")
    True
    """
    return content_keys(pl.Series([text], dtype=pl.String))[0]


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Texts with a language and a label and, if parallel, a pair id.

    `frame` has the columns of SCHEMA. `pair_id` joins a harmful text and a harmless text to a pair; `item_id` joins
    translations of the same text in several languages. Rows are sorted by language, then text_id, so that equal content
    gives an equal hash whatever the order of the file.

    Raises:
        CorpusError: a column is missing, a text is empty, a language is unknown, a text occurs twice, or a pair is
            not exactly one harmful and one harmless text.
    """

    name: str
    frame: pl.DataFrame
    revision: str | None = None
    licence: str | None = None
    warnings: tuple[CodedWarning, ...] = field(default=())

    def __post_init__(self) -> None:
        """Check the frame and put its rows in canonical order."""
        if dict(self.frame.schema) != SCHEMA:
            raise CorpusError(
                f"corpus {self.name}",
                found=f"columns {dict(self.frame.schema)}",
                expected=f"{list(SCHEMA)} with their types",
                do="build it with load_corpus",
            )
        if not _in_order(self.frame):
            object.__setattr__(self, "frame", self.frame.sort("language", "text_id"))
        _check_rows(self.name, self.frame)

    @cached_property
    def sha256(self) -> str:
        """Hash of all texts with their languages, labels and ids; names of files and data sets are not part of it."""
        digest, first = hashlib.sha256(b"["), True
        for rows in self.frame.drop("source").iter_slices(ROWS_AT_ONCE):
            digest.update(("" if first else ", ").encode() + canonical_json(rows.rows())[1:-1].encode())
            first = False
        digest.update(b"]")
        return digest.hexdigest()

    @property
    def languages(self) -> tuple[str, ...]:
        """Language codes in alphabetical order."""
        return tuple(self.frame["language"].unique().sort())

    @property
    def paired(self) -> bool:
        """True if every text is paired with a text of the other class."""
        return self.frame["pair_id"].null_count() == 0

    @property
    def parallel(self) -> bool:
        """True if the same items occur in every language, so that languages can be compared item by item."""
        if self.frame["item_id"].null_count():
            return False
        sets = [set(rows["item_id"]) for rows in self.frame.partition_by("language")]
        return all(items == sets[0] for items in sets)

    def counts(self) -> pl.DataFrame:
        """Texts per language and class: columns language, harmful, harmless."""
        return (
            self.frame.group_by("language")
            .agg(harmful=pl.col("harmful").sum(), harmless=(~pl.col("harmful")).sum())
            .sort("language")
        )

    def part(self, code: str) -> pl.DataFrame:
        """Return the rows of one language, in canonical order; they are not copied."""
        codes = self.frame["language"]
        first, end = codes.search_sorted(code, "left"), codes.search_sorted(code, "right")
        return self.frame.slice(first, end - first)

    def __iter__(self) -> Iterator[Text]:
        """Iterate over the rows as `Text` values."""
        return (Text(**row) for row in self.frame.iter_rows(named=True))

    def __len__(self) -> int:
        """Count the texts."""
        return self.frame.height

    def __hash__(self) -> int:
        """Hash by name and content."""
        return hash((self.name, self.sha256))

    def __eq__(self, other: object) -> bool:
        """Compare by name and content."""
        return isinstance(other, Corpus) and (self.name, self.sha256) == (other.name, other.sha256)


def _in_order(frame: pl.DataFrame) -> bool:
    codes, ids = frame["language"], frame["text_id"]
    before, last = codes.shift(1), ids.shift(1)
    return bool(((codes > before) | ((codes == before) & (ids >= last))).slice(1).all())


def _check_rows(name: str, frame: pl.DataFrame) -> None:
    if not frame.height:
        raise CorpusError(f"corpus {name}", found="no texts", expected="some", do="check the file and --languages")
    for code in frame["language"].unique():
        if (known := language(code)).code != code:
            raise CorpusError(
                f"corpus {name}", found=f"the language {code!r}", expected=known.code, do="build it with load_corpus"
            )
    if n := frame.filter(shows_nothing(pl.col("text"))).height:
        raise CorpusError(
            f"corpus {name}",
            found=f"an empty text, or one of invisible characters, as in {n} rows",
            expected="text in every row",
            do="remove these rows",
        )
    if frame["text_id"].n_unique() != frame.height:
        raise CorpusError(
            f"corpus {name}",
            found="a text that occurs twice in a language",
            expected="every text once",
            do="build it with load_corpus, which removes duplicates",
        )
    pairs = (
        frame.drop_nulls("pair_id")
        .group_by("language", "pair_id")
        .agg(rows=pl.len(), harmful=pl.col("harmful").sum())
        .filter((pl.col("rows") != 2) | (pl.col("harmful") != 1))  # noqa: PLR2004 - a pair is two
    )
    if pairs.height:
        code, pair, rows, harmful = pairs.sort("language", "pair_id").row(0)
        raise CorpusError(
            f"corpus {name}, language {code}, pair {pair}",
            found=f"{rows} texts, {harmful} of them harmful",
            expected="one harmful and one harmless text",
            do="mend or remove the pair",
        )
