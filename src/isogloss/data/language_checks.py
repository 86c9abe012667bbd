"""Do the texts of a corpus look like their languages? Warnings for copies across languages and foreign scripts."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from isogloss.data.languages import language, script_codes
from isogloss.data.normalisation import normalise_content
from isogloss.data.scripts import SCRIPT_CODES
from isogloss.warnings import CodedWarning

#: More than this share of a language's texts is worth a warning.
SHARE = 0.05
#: A text is in a script if at least this share of its letters belongs to it.
MOST_LETTERS = 0.5
#: Other languages that a warning names, at most.
MOST_NAMED = 3


def check_languages(frame: pl.DataFrame) -> tuple[CodedWarning, ...]:
    """Warn of texts that stand in several languages (L002) or are in a script that is not their language's (L003).

    Args:
        frame: has the columns `language`, of canonical codes, and `text`.
    """
    return (*_check_copies(frame), *_check_scripts(frame))


def _check_copies(frame: pl.DataFrame) -> Iterator[CodedWarning]:
    sizes = dict(frame.group_by("language").len().iter_rows())
    if len(sizes) == 1:
        return
    rows = frame.select("language", key=normalise_content(frame["text"])).with_columns(
        languages=pl.col("language").n_unique().over("key")
    )
    shared = rows.filter(pl.col("languages") > 1)
    for code in sorted(sizes):
        copies = shared.filter(pl.col("language") == code)
        if copies.height <= SHARE * sizes[code]:
            continue
        others = shared.filter((pl.col("language") != code) & pl.col("key").is_in(copies["key"].implode()))
        counts = others.unique(["language", "key"]).group_by("language").len()
        times = counts.sort(["len", "language"], descending=[True, False])
        named = ", ".join(times["language"].head(MOST_NAMED))
        more = f" and {times.height - MOST_NAMED} more" if times.height > MOST_NAMED else ""
        detail = f"{copies.height} of {sizes[code]} texts, in {named}{more}"
        yield CodedWarning(code="L002", detail=detail, language=code)


def _check_scripts(frame: pl.DataFrame) -> Iterator[CodedWarning]:
    for code in frame["language"].unique().sort():
        row = language(code)
        codes = tuple(filter(_has_letters, script_codes(row)))
        if not codes:
            continue
        texts = frame.filter(pl.col("language") == code)["text"]
        with_letters = int(texts.str.contains(r"\p{L}").sum())
        foreign = _foreign_texts(texts, codes)
        if foreign.height > SHARE * with_letters:
            detail = f"{foreign.height} of {texts.len()} texts are mostly {_name_script(foreign)}, not {row.script}"
            yield CodedWarning(code="L003", detail=detail, language=code)


def _foreign_texts(texts: pl.Series, codes: tuple[str, ...]) -> pl.DataFrame:
    """Select the texts with most letters outside of some scripts: columns text, letters."""
    scripts = "".join(rf"\p{{Script={code}}}" for code in codes)
    mixed = texts.filter(texts.str.contains(rf"[\p{{L}}--[{scripts}]]"))  # few: counting letters is slow
    counted = mixed.to_frame("text").with_columns(letters=_count_letters())
    return counted.filter(_count_letters(codes) < MOST_LETTERS * pl.col("letters"))


def _count_letters(codes: tuple[str, ...] = ()) -> pl.Expr:
    """Count the letters of a text, or those of some scripts."""
    scripts = "".join(rf"\p{{Script={code}}}" for code in codes)
    return pl.col("text").str.count_matches(rf"[\p{{L}}&&[{scripts}]]" if codes else r"\p{L}")


def _has_letters(code: str) -> bool:
    """Whether Unicode has letters of a script: ISO 15924 also names some that cannot be written in it."""
    try:
        return pl.DataFrame({"text": [""]}).select(_count_letters((code,))).height == 1
    except pl.exceptions.ComputeError:
        return False


def _name_script(foreign: pl.DataFrame) -> str:
    """Name the script that most letters of some texts belong to."""
    totals = foreign.select(**{name: _count_letters(codes).sum() for name, codes in SCRIPT_CODES.items()})
    counts, letters = totals.row(0, named=True), int(foreign["letters"].sum())
    most = max(counts, key=lambda name: (counts[name], name == "Han"))  # Japanese and Hangul count Chinese characters
    return most if counts[most] > letters * MOST_LETTERS else "in other scripts"
