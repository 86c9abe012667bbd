"""Scripts: their English names, and the ISO 15924 codes of the letters that belong to them."""

from __future__ import annotations

#: English name of a script -> codes of the scripts that its letters belong to.
SCRIPT_CODES: dict[str, tuple[str, ...]] = {
    "Arabic": ("Arab",),
    "Bengali": ("Beng",),
    "Cyrillic": ("Cyrl",),
    "Devanagari": ("Deva",),
    "Ethiopic": ("Ethi",),
    "Georgian": ("Geor",),
    "Han": ("Hani", "Bopo"),
    "Hangul": ("Hang", "Hani"),
    "Hebrew": ("Hebr",),
    "Japanese": ("Hani", "Hira", "Kana"),
    "Latin": ("Latn",),
    "Syriac": ("Syrc",),
    "Telugu": ("Telu",),
    "Thai": ("Thai",),
}
#: Code of a script, of a style of it or of a mixture -> the name above.
_NAMES: dict[str, str] = {
    **{codes[0]: name for name, codes in SCRIPT_CODES.items() if len(codes) == 1},
    **dict.fromkeys(("Hani", "Hans", "Hant", "Bopo", "Hanb"), "Han"),
    **dict.fromkeys(("Jpan", "Hira", "Kana", "Hrkt"), "Japanese"),
    **dict.fromkeys(("Kore", "Hang", "Jamo"), "Hangul"),
    **dict.fromkeys(("Latf", "Latg"), "Latin"),
    **dict.fromkeys(("Syre", "Syrj", "Syrn"), "Syriac"),
    "Aran": "Arabic",
    "Cyrs": "Cyrillic",
    "Geok": "Georgian",
}
#: Codes for "common", "unknown", "inherited", "unwritten" and symbols: they name no script.
_NO_SCRIPT = frozenset({"Zyyy", "Zzzz", "Zinh", "Zxxx", "Zsym", "Zsye", "Zmth"})


def script_name(code: str) -> str:
    """Return the English name of a script; empty if the code names none.

    >>> script_name("Ethi"), script_name("Hant"), script_name("Grek"), script_name("Zyyy")
    ('Ethiopic', 'Han', 'Greek', '')
    """
    if not code or code in _NAMES or code in _NO_SCRIPT:
        return _NAMES.get(code, "")
    from langcodes import Language as Tag  # noqa: PLC0415 - slow import, needed for rare scripts only

    return str(Tag.make(script=code).script_name("en"))
