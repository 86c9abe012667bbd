"""Text of strangers -> text in which nothing is hidden: control and bidi characters stand as signs."""

from __future__ import annotations

import unicodedata

#: Format characters that words need (joiners of Indic scripts, Persian and emoji) or that are seen themselves.
KEPT = {0x200C, 0x200D, *range(0x0600, 0x0606), 0x06DD, 0x070F, 0x0890, 0x0891, 0x08E2, 0x110BD, 0x110CD}
HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
PICTURES = 0x2400  # of the 32 control characters; that of DEL is apart
CONTROLS, DELETE, DELETE_PICTURE = 0x20, 0x7F, 0x2421


def visible(text: str) -> str:
    r"""Replace characters that cannot be seen, or that move others, by signs; the result is one line.

    >>> visible("a\nb\x1b[31m \u202egnp.exe")
    'a␊b␛[31m ‹U+202E›gnp.exe'
    >>> visible("नमस्\u200dते 中文 שלום") == "नमस्\u200dते 中文 שלום"
    True
    """
    return "".join(_sign(letter) if unicodedata.category(letter) in HIDDEN else letter for letter in text)


def _sign(letter: str) -> str:
    code = ord(letter)
    if code in KEPT:
        return letter
    if code < CONTROLS:
        return chr(PICTURES + code)
    return chr(DELETE_PICTURE) if code == DELETE else f"‹U+{code:04X}›"
