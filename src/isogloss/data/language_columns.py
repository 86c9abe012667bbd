"""The language column of a corpus -> canonical codes: the wanted rows, with what was dropped and what was reread."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NoReturn

import polars as pl

from isogloss.data.languages import canonical_code, find_code
from isogloss.errors import CorpusError
from isogloss.text import sanitize
from isogloss.warnings import CodedWarning

#: What tools write where a value is missing. `nan` is also the code of Min Nan Chinese, which `zh-min-nan` names too.
MISSING = frozenset({"", "nan", "null", "none", "n/a", "<na>", "nat"})
#: What is longer, or has several words, may be a text and is not shown.
LONGEST_CODE = 12
#: Codes that a message lists, at most.
MOST_SHOWN = 8


def canonical_codes(written: Iterable[str]) -> tuple[tuple[str, ...], tuple[CodedWarning, ...]]:
    """Return canonical codes, each once and in order, with a warning (L001) where another spelling was written.

    Raises:
        CorpusError: a text names no language.
    """
    codes = {text: canonical_code(text) for text in written}
    return tuple(dict.fromkeys(codes.values())), _reread(codes)


def select_languages(
    rows: pl.DataFrame, wanted: Sequence[str] | None, *, name: str
) -> tuple[pl.DataFrame, tuple[CodedWarning, ...]]:
    """Write canonical codes into the column `language`, and keep the wanted languages.

    Where languages are wanted, all other rows go first: those in other languages, and those without a readable
    language, which are counted (L004). Where none are named, every row needs a language.

    Args:
        rows: has the column `language`, of text, which may be missing in some rows; messages name a row by its number
            in the column `row`, or else count from 1.
        wanted: canonical codes; None keeps all.
        name: of the corpus, for messages.

    Returns:
        The rows, and warnings L001 and L004.

    Raises:
        CorpusError: a row has no language, or one that is unknown, and no languages are wanted.
    """
    distinct = [text for text in rows["language"].unique(maintain_order=True) if text is not None]
    present = [text for text in distinct if text.strip().lower() not in MISSING]
    codes = {text: code for text in present if (code := find_code(text)) is not None}
    strange = [text for text in present if text not in codes]
    coded = rows.with_columns(
        language=pl.col("language").replace_strict(
            list(codes), list(codes.values()), default=None, return_dtype=pl.String
        )
    )
    unread = coded["language"].is_null()
    if wanted is None:
        if unread.any():
            _refuse(rows.with_row_index("at", offset=1).filter(unread), strange, name)
        return coded, _reread(codes)
    kept = coded.filter(pl.col("language").is_in(list(wanted)))
    warnings = _reread({text: code for text, code in codes.items() if code in wanted})
    if n := int(unread.sum()):
        warnings += (CodedWarning(code="L004", detail=_describe_dropped(n, strange)),)
    return kept, warnings


def _refuse(rows: pl.DataFrame, strange: Sequence[str], name: str) -> NoReturn:
    """Refuse the first row whose language cannot be read."""
    first = rows.row(0, named=True)
    where = f"corpus {name}, row {first.get('row', first['at'])}, column language"
    if first["language"] in strange:
        canonical_code(first["language"], where)
    raise CorpusError(
        where,
        found=f"no language, as in {rows.height} rows",
        expected="a language in every row",
        do="fill the column, or name the wanted languages with --languages, which drops all other rows",
    )


def _describe_dropped(n: int, strange: Sequence[str]) -> str:
    short = [sanitize(text) for text in strange if len(text) <= LONGEST_CODE and not re.search(r"\s", text)]
    named = f", such as {', '.join(short[:MOST_SHOWN])}" if short else ""
    return f"{n} rows{named}"


def _reread(codes: dict[str, str]) -> tuple[CodedWarning, ...]:
    """Warn of spellings that differ from their canonical code by more than case."""
    others: dict[str, list[str]] = {}
    for text, code in codes.items():
        if text.lower() != code.lower():
            others.setdefault(code, []).append(sanitize(text).strip() if text.strip() == text else repr(sanitize(text)))
    if not others:
        return ()
    shown = [f"{', '.join(texts[:MOST_SHOWN])} as {code}" for code, texts in sorted(others.items())]
    more = f", and {len(shown) - MOST_SHOWN} more" if len(shown) > MOST_SHOWN else ""
    return (CodedWarning(code="L001", detail=", ".join(shown[:MOST_SHOWN]) + more),)
