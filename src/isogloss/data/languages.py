"""The LANGUAGES table: code, name, script and resource class of every language isogloss knows.

The resource class is that of Joshi et al. (2020), "The State and Fate of Linguistic Diversity and Inclusion in the
NLP World", https://aclanthology.org/2020.acl-main.560: 0 (left behind) to 5 (winners). None: not listed there.
"""

from __future__ import annotations

from dataclasses import dataclass

from isogloss.errors import CorpusError, unknown


@dataclass(frozen=True, kw_only=True)
class Language:
    """One language; `code` is ISO 639-1, with a script subtag where the script is not the usual one."""

    code: str
    name: str
    script: str
    resource_class: int | None


_ROWS = (
    ("am", "Amharic", "Ethiopic", 2),
    ("ar", "Arabic", "Arabic", 5),
    ("ba", "Bashkir", "Cyrillic", 1),
    ("be", "Belarusian", "Cyrillic", 3),
    ("bn", "Bengali", "Bengali", 3),
    ("de", "German", "Latin", 5),
    ("en", "English", "Latin", 5),
    ("es", "Spanish", "Latin", 5),
    ("fr", "French", "Latin", 5),
    ("ha", "Hausa", "Latin", 2),
    ("he", "Hebrew", "Hebrew", 3),
    ("hi", "Hindi", "Devanagari", 4),
    ("hi-Latn", "Hindi (romanised)", "Latin", None),
    ("it", "Italian", "Latin", 4),
    ("ja", "Japanese", "Japanese", 5),
    ("jv", "Javanese", "Latin", 1),
    ("ko", "Korean", "Hangul", 4),
    ("nl", "Dutch", "Latin", 4),
    ("pl", "Polish", "Latin", 4),
    ("pt", "Portuguese", "Latin", 4),
    ("ru", "Russian", "Cyrillic", 4),
    ("sw", "Swahili", "Latin", 2),
    ("te", "Telugu", "Telugu", 1),
    ("tg", "Tajik", "Cyrillic", 1),
    ("th", "Thai", "Thai", 3),
    ("tr", "Turkish", "Latin", 4),
    ("tt", "Tatar", "Cyrillic", 1),
    ("uk", "Ukrainian", "Cyrillic", 3),
    ("vi", "Vietnamese", "Latin", 4),
    ("yi", "Yiddish", "Hebrew", 1),
    ("yo", "Yoruba", "Latin", 2),
    ("zh", "Chinese", "Han", 5),
)

LANGUAGES: dict[str, Language] = {
    code: Language(code=code, name=name, script=script, resource_class=resource_class)
    for code, name, script, resource_class in _ROWS
}


def language(code: str) -> Language:
    """Look a language up by its code.

    >>> language("hi").script
    'Devanagari'

    Raises:
        CorpusError: the code is not in LANGUAGES.
    """
    if code not in LANGUAGES:
        raise unknown(CorpusError, "language", code, LANGUAGES)
    return LANGUAGES[code]
