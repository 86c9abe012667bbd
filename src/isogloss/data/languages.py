"""Languages: any that has a code. The LANGUAGES table adds a resource class to some of them.

The resource class is that of Joshi et al. (2020), "The State and Fate of Linguistic Diversity and Inclusion in the
NLP World", https://aclanthology.org/2020.acl-main.560: 0 (left behind) to 5 (winners). None: not listed there.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from isogloss.data.language_tags import NotALanguage, describe_tag, likely_script, near_matches, parse_tag
from isogloss.data.scripts import SCRIPT_CODES
from isogloss.errors import CorpusError, IsoglossError
from isogloss.text import sanitize

EXPECTED = "a BCP 47 tag, an ISO 639 code or an English name, such as sw, zh-Hant, eng_Latn or Hebrew"
#: Longer values of a language column, and those of more words, may be texts and are not shown.
SHOWN, SHOWN_WORDS = 24, 3


@dataclass(frozen=True, kw_only=True)
class Language:
    """One language.

    Attributes:
        code: its canonical code: the shortest of ISO 639, with a script subtag where the script is not the likely one.
        name: its English name.
        script: English name of its script; empty where it is not known.
        resource_class: 0 to 5; None where it is not known.
    """

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

_NAMES = {row.name.casefold(): code for code, row in LANGUAGES.items()}


def canonical_code(written: str, where: str = "") -> str:
    """Return the one code by which isogloss knows a language.

    Tags of BCP 47, codes of ISO 639 and English names are read, whatever their case, with hyphens or underscores. A
    macrolanguage replaces its usual member (cmn: zh). A script is kept where it is not the likely one of the language.
    A region only decides about the script (zh-TW: zh-Hant) and is left out, as are variants and extensions.

    >>> [canonical_code(written) for written in ("zh_Hans", "zho", "zh-TW", "eng_Latn", "pt-BR", "iw", "Hebrew")]
    ['zh', 'zh', 'zh-Hant', 'en', 'pt', 'he', 'he']

    Args:
        written: what somebody wrote.
        where: what it is a part of, for messages.

    Raises:
        CorpusError: the text names no language, several, or a private one.
    """
    try:
        return _parse(written)
    except NotALanguage as reason:
        raise _unknown_language(written, str(reason), where) from reason


def find_code(written: str) -> str | None:
    """Return the canonical code of a language; None if the text names none. It is quick where many texts name none.

    >>> find_code("zh_Hans"), find_code("no language")
    ('zh', None)
    """
    try:
        return _parse(written)
    except NotALanguage:
        return None


def known_code(written: str) -> str:
    """Return the canonical code of a language; a text that names none stays, for a later check to refuse.

    >>> known_code("zh_Hans"), known_code("no language")
    ('zh', 'no language')
    """
    return find_code(written) or written


@functools.lru_cache(maxsize=4096)
def _parse(written: str) -> str:
    if written in LANGUAGES:
        return written
    return _NAMES.get(written.strip().casefold()) or parse_tag(written)


def _unknown_language(written: str, reason: str, where: str) -> IsoglossError:
    """Build the error for a text that names no language, with near matches.

    Args:
        written: the text; if it is long, only its length is shown.
        reason: why it is none, if more can be said.
        where: what failed, for messages.
    """
    short = len(written) <= SHOWN and len(written.split()) <= SHOWN_WORDS
    shown = repr(sanitize(written)) if short else f"a text of {len(written)} characters"
    names = (*LANGUAGES, *(row.name for row in LANGUAGES.values()))
    near = [] if reason else near_matches(written, names)
    return CorpusError(
        f"{where}: unknown language" if where else "unknown language",
        found=f"{shown} ({reason})" if reason else shown,
        expected=EXPECTED,
        do=f"did you mean {' or '.join(map(repr, near))}" if near else "write the code of a language",
    )


def language(written: str) -> Language:
    """Look a language up by its code, by another tag, or by its English name.

    >>> language("hi").script, language("swe").name, language("sr-Latn").script
    ('Devanagari', 'Swedish', 'Latin')

    Raises:
        CorpusError: the text names no language, several, or a private one.
    """
    return _describe(canonical_code(written))


@functools.lru_cache(maxsize=4096)
def _describe(code: str) -> Language:
    if code in LANGUAGES:
        return LANGUAGES[code]
    name, script = describe_tag(code)
    return Language(code=code, name=name, script=script, resource_class=None)


def find_language(code: str) -> Language | None:
    """Look a language up by its canonical code; None if the text is no such code.

    >>> find_language("sv").name, find_language("swe"), find_language("no language")
    ('Swedish', None, None)
    """
    if code in LANGUAGES:
        return LANGUAGES[code]
    return _describe(code) if find_code(code) == code else None


def script_codes(row: Language) -> tuple[str, ...]:
    """Return the ISO 15924 codes of the scripts that the letters of a language belong to; none where not known.

    >>> script_codes(language("ja")), script_codes(language("el"))
    (('Hani', 'Hira', 'Kana'), ('Grek',))
    """
    if not row.script:
        return ()
    return SCRIPT_CODES.get(row.script) or (likely_script(row.code),)


#: Names of splits and files that are also codes of three letters.
_NOT_LANGUAGES = re.compile(
    "add|adv|all|any|bad|big|bin|cot|dev|dpo|end|eva|gen|her|his|iid|key|log|low|max|men|mid|min|mix|neg|new|old|one|"
    "ood|out|pos|raw|ref|rej|run|sad|set|sft|sub|ten|top|toy|trn|tst|two|val|var",
    re.IGNORECASE,
)


def language_of_name(name: str) -> str | None:
    """Return the language that a split, configuration or file is named by; None if it is named by something else.

    >>> [language_of_name(name) for name in ("de", "zho_Hans", "German", "val", "train", "dev", "test")]
    ['de', 'zh', 'de', None, None, None, None]
    """
    return None if _NOT_LANGUAGES.fullmatch(name.strip()) else find_code(name)
