"""Text from corpora, models and files -> text that hides nothing: invisible and reordering characters are spelt out."""

from __future__ import annotations

import unicodedata

#: Control, format (bidi, zero width), surrogate, private and unassigned characters, line and paragraph separators.
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
#: Joiners are part of how Arabic, Indic and Ethiopic text is spelt; tag characters and the rest are not.
JOINERS = frozenset("\u200c\u200d")
#: Letters that show nothing although their category says they do.
BLANK = frozenset("\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u2800\u3164\uffa0")
#: More marks than this on one letter are no spelling of any language.
MARKS = 4
CONTROL_PICTURES = 0x2400
FIRST_PRINTED = 0x20
DELETE = 0x7F


def sanitize(text: str) -> str:
    r"""Write out what a reader would not see, or what would reorder what he sees.

    >>> sanitize("a\x00b\u202ec")
    'a␀b⟨U+202E⟩c'
    >>> sanitize("naïve ज़ैद\n")
    'naïve ज़ैद␊'
    """
    return _without_piles("".join(_shown(letter) for letter in text))


def _shown(letter: str) -> str:
    if letter in JOINERS or (unicodedata.category(letter) not in HIDDEN and letter not in BLANK):
        return letter
    code = ord(letter)
    if code < FIRST_PRINTED:
        return chr(CONTROL_PICTURES + code)
    return "␡" if code == DELETE else f"⟨U+{code:04X}⟩"


def _without_piles(text: str) -> str:
    """Write marks beyond the fourth on one letter as their number, so that they cannot cover other lines."""
    found: list[str] = []
    pile = 0
    for letter in text:
        if unicodedata.combining(letter) or unicodedata.category(letter) in {"Mn", "Me"}:
            pile += 1
            if pile > MARKS:
                continue
        else:
            if pile > MARKS:
                found.append(f"⟨+{pile - MARKS} marks⟩")
            pile = 0
        found.append(letter)
    if pile > MARKS:
        found.append(f"⟨+{pile - MARKS} marks⟩")
    return "".join(found)
