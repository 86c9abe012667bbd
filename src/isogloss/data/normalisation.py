"""The normalised form of a text, by which copies are recognised: in duplicates, contradictions, splits and records.

Only the key is normalised; the text itself stays as it is, because joiners and marks matter to a reader and to a model.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable, Mapping

import polars as pl

#: White space but the space, separators that Python's `split` knows as well, and the blank Braille cell.
_BLANKS = r"[[\s\x{1c}-\x{1f}\x{2800}]--\x{20}]"
#: What shows nothing: controls, joiners, direction marks, fillers, variation selectors. Arabic number signs do show.
_INVISIBLE = (
    r"[[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Cc}]"
    r"--[\s\x{600}-\x{605}\x{6dd}\x{70f}\x{890}\x{891}\x{8e2}\x{110bd}\x{110cd}]]"
)
_VISIBLE = rf"[^\s\x{{1c}}-\x{{1f}}\x{{2800}}{_INVISIBLE}]"
#: Letters that are other letters in another shape: copies come in them, and nobody writes in them. NFKC would also take
#: apart what is ordinary, such as the Thai vowel am or an ellipsis.
_SHAPES = (
    (0x24B6, 0x24E9),  # circled letters
    (0x2F00, 0x2FD5),  # Kangxi radicals
    (0xFB00, 0xFDFF),  # ligatures; Armenian, Hebrew and Arabic presentation forms
    (0xFE70, 0xFEFC),
    (0xFF01, 0xFFEE),  # full and half width
    (0x1D400, 0x1D7FF),  # mathematical letters
    (0x1F130, 0x1F149),  # squared letters
)
_IN_SHAPES = "[" + "".join(rf"\x{{{first:x}}}-\x{{{last:x}}}" for first, last in _SHAPES) + "]"
#: The dot that a capital İ leaves behind, and vowels of Thai and Lao that are typed as two characters or as one.
_RESPELT = (("i\u0307+", "i"), ("\u0e4d\u0e32", "\u0e33"), ("\u0ecd\u0eb2", "\u0eb3"))
#: Punctuation that is written in full width among Chinese characters and kana, and in half width elsewhere.
_WIDE = {ord(mark): chr(ord(mark) + 0xFEE0) for mark in "!(),:;?~"}
_AMONG_CJK = r"[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]"


def shows_nothing(text: pl.Expr) -> pl.Expr:
    """Whether texts consist of white space and invisible characters only; missing where the text is missing."""
    return ~text.str.contains(_VISIBLE)


def normalise_content(texts: pl.Series) -> pl.Series:
    """Normalise texts for comparison; a text that shows nothing becomes empty, a missing one stays missing.

    Case, white space, Unicode forms (NFC or NFD, full width, ligatures), invisible characters and the dot of a capital
    İ are ignored. So are joiners, although they are part of how Persian and Hindi are spelt.
    """
    texts = _change(texts, _BLANKS, lambda some: some.str.replace_all(_BLANKS, " "))
    texts = _change(texts, _IN_SHAPES, lambda some: _translate(some, _plain_shapes()))
    texts = _change(texts, _INVISIBLE, lambda some: some.str.replace_all(_INVISIBLE, ""))
    texts = _change(texts, r"[^\x{0}-\x{7f}]", lambda some: some.str.normalize("NFC")).str.to_lowercase()
    for written, meant in _RESPELT:
        texts = _change(texts, written, functools.partial(_respell, written=written, meant=meant))
    texts = _change(texts, r"i\p{M}", lambda some: some.str.normalize("NFC"))
    texts = _change(texts, _AMONG_CJK, lambda some: _translate(some, _WIDE))
    return _change(texts, " {2,}", lambda some: some.str.replace_all(" {2,}", " ")).str.strip_chars()


def _change(texts: pl.Series, pattern: str, change: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """Change the texts that match a pattern; most match none, so the others are neither visited nor copied."""
    rows = texts.str.contains(pattern).fill_null(value=False).arg_true()
    if not len(rows):
        return texts
    # `scatter` writes into the series that it is called on.
    return texts.clone().scatter(rows, change(texts.gather(rows)))


def _respell(texts: pl.Series, *, written: str, meant: str) -> pl.Series:
    return texts.str.replace_all(written, meant)


def _translate(texts: pl.Series, letters: Mapping[int, str]) -> pl.Series:
    return pl.Series([text.translate(letters) for text in texts], dtype=pl.String)


@functools.cache
def _plain_shapes() -> dict[int, str]:
    """Return the letters that other shapes stand for."""
    codes = [code for first, last in _SHAPES for code in range(first, last + 1)]
    plain = {code: unicodedata.normalize("NFKC", chr(code)) for code in codes}
    return {code: letters for code, letters in plain.items() if letters != chr(code)}
