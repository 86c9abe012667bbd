"""A tidy frame -> CSV that a spreadsheet reads as data and never as formulas."""

from __future__ import annotations

import re

import polars as pl

from isogloss.text import sanitize

#: A spreadsheet takes a cell that begins so for a formula (OWASP, CSV injection), in full-width forms too.
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r", "\n")
NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def render_csv(frame: pl.DataFrame) -> str:
    """Write a frame as CSV: numbers in full, missing ones empty, words guarded against formulas.

    >>> print(render_csv(pl.DataFrame({"a": ["=1+1", "x"], "b": [-0.5, None]})), end="")
    a,b
    '=1+1,-0.5
    x,
    """
    words = pl.col(pl.String).map_elements(guard, return_dtype=pl.String)
    return frame.with_columns(words, pl.selectors.float().fill_nan(None)).write_csv()


def guard(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would compute; a number stays one.

    >>> guard("=cmd|' /C calc'!A0"), guard("-0.5"), guard("-x")
    ("'=cmd|' /C calc'!A0", '-0.5', "'-x")
    """
    shown = sanitize(text)
    return f"'{shown}" if text.lstrip(" ").startswith(FORMULA) and not NUMBER.fullmatch(text) else shown
