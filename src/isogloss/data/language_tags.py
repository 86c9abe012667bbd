"""Language tags as people write them -> canonical codes and English names, by `langcodes`.

`langcodes` and its tables take a tenth of a second to load, so they are imported where a tag is parsed.
"""

from __future__ import annotations

import difflib
import functools
import re
import string
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING

from isogloss.data.scripts import script_name

if TYPE_CHECKING:
    from langcodes import Language as Tag

#: Longer than any tag or English name of a language.
LONGEST = 60
#: Codes for "undetermined", "several languages", "no language" and "no code".
_NO_LANGUAGE = {
    "und": "undetermined",
    "mul": "several languages",
    "zxx": "no language",
    "mis": "a language without a code",
}
_PRIVATE = re.compile(r"q[a-t][a-z]")
#: Names are looked up without their punctuation, so a list of codes would name a language ("en,de": Ende).
_NAME = re.compile(r"[^\W\d_](?:[^\W\d_]|[\s'’.()-])*")
_QUALIFIED = re.compile(r"(?P<name>[^()]+?)\s*\((?P<qualifier>[^()]+)\)")
#: Shorter names of languages are more often something else, such as the code of a country.
_SHORTEST_NAME = 4
#: Codes that stand for no territory.
_NO_TERRITORY = frozenset({"XX", "ZZ"})
#: How alike two texts must be, from 0 to 1, to be suggested.
_ALIKE = 0.75
_MOST_MATCHES = 2


class NotALanguage(ValueError):  # noqa: N818 - a reason, which callers turn into an error of their own
    """A text that names no language, several, or a private one; the message is the reason, or empty."""


def parse_tag(written: str) -> str:
    """Return the canonical code of a tag or English name: see `isogloss.data.languages.canonical_code`.

    Raises:
        NotALanguage: it is none.
    """
    text = " ".join("".join(letter for letter in written if unicodedata.category(letter) != "Cf").split())
    if not text or len(text) > LONGEST:
        raise NotALanguage
    tag = _read_tag(text) or _read_name(text)
    if tag is None:
        raise NotALanguage
    code = tag.language or "und"
    if code in _NO_LANGUAGE:
        raise NotALanguage(_NO_LANGUAGE[code])
    if _PRIVATE.fullmatch(code) or code.startswith("x-") or tag.private:
        raise NotALanguage("a private code")
    return _shortest(tag)


def _read_tag(text: str) -> Tag | None:
    from langcodes import Language as Tag  # noqa: PLC0415 - see above
    from langcodes.tag_parser import LanguageTagError  # noqa: PLC0415

    if " " in text:
        return None
    try:
        tag = Tag.get(text.replace("_", "-"), normalize=True)
    except LanguageTagError:
        return None
    return tag.prefer_macrolanguage() if tag.is_valid() else None


def _read_name(text: str) -> Tag | None:
    """Read an English name, with or without a script or territory in parentheses."""
    from langcodes import Language as Tag  # noqa: PLC0415 - see above

    if len(text) < _SHORTEST_NAME or not _NAME.fullmatch(text):
        return None
    code = _find_name("language", text)
    qualified = _QUALIFIED.fullmatch(text)
    if code is None and qualified:
        code = _find_name("language", qualified["name"])
        script, territory = (_find_name(kind, qualified["qualifier"]) for kind in ("script", "territory"))
        parts = [code, script or territory]
        code = "-".join(part for part in parts if part) if all(parts) else None
    return Tag.get(code, normalize=True).prefer_macrolanguage() if code else None


def _find_name(kind: str, name: str) -> str | None:
    """Look an English name up; `langcodes` itself would also take "Romanian swear words" for Romanian."""
    from language_data import names  # noqa: PLC0415 - see above

    code = names.name_to_code(kind, name, "en")
    exact = names.normalize_name(name) in names.TRIES[f"en/name_to_{kind}"]
    return str(code) if code and exact else None


def _shortest(tag: Tag) -> str:
    """Keep the language, and the script where it is not the likely one."""
    from langcodes import Language as Tag  # noqa: PLC0415 - see above

    likely = Tag.make(language=tag.language).maximize().script or ""
    script = tag.script or Tag.make(language=tag.language, territory=tag.territory).maximize().script or ""
    traditional = "Hant" in {likely, script} and likely != script and "Hani" not in {likely, script}
    named, usual = script_name(script), script_name(likely)
    same = not named or (named == usual and not traditional)
    return str(tag.language if same else f"{tag.language}-{script}")


def describe_tag(code: str) -> tuple[str, str]:
    """Return the English names of a language and of its script, which is empty where none is likely.

    >>> describe_tag("sr-Latn"), describe_tag("zh-Hant")
    (('Serbian (Latin)', 'Latin'), ('Chinese (Traditional)', 'Han'))
    """
    from langcodes import Language as Tag  # noqa: PLC0415 - see above

    return str(Tag.get(code).display_name("en")), script_name(likely_script(code))


def likely_script(code: str) -> str:
    """Return the ISO 15924 code of the script of a language; empty where none is likely.

    >>> likely_script("el"), likely_script("sr-Latn"), likely_script("hmj")
    ('Grek', 'Latn', '')
    """
    from langcodes import Language as Tag  # noqa: PLC0415 - see above
    from langcodes.data_dicts import LIKELY_SUBTAGS  # noqa: PLC0415

    tag = Tag.get(code)
    known = tag.script or str(tag.language) in LIKELY_SUBTAGS  # `maximize` takes what it does not know for Latin
    return (tag.maximize().script or "") if known else ""


def near_matches(written: str, names: Iterable[str]) -> list[str]:
    """Find codes and names like a text: the language of a country whose code it is, then texts that look alike.

    >>> near_matches("jp", []), near_matches("Swedisch", [])
    (['ja'], ['Swedish'])
    """
    from langcodes import Language as Tag  # noqa: PLC0415 - see above

    text = written.strip()
    if not text or len(text) > LONGEST:
        return []
    matches = []
    if len(text) == 2 and text.isascii() and text.isalpha() and text.upper() not in _NO_TERRITORY:  # noqa: PLR2004
        country = Tag.get(f"und-{text}")  # a territory of ISO 3166
        matches = [str(country.maximize().language)] if country.is_valid() else []
    folded = {name.casefold(): name for name in (*names, *_common_names())}
    alike = difflib.get_close_matches(text.casefold(), folded, n=_MOST_MATCHES, cutoff=_ALIKE)
    return list(dict.fromkeys([*matches, *(folded[name] for name in alike)]))[:_MOST_MATCHES]


@functools.cache
def _common_names() -> tuple[str, ...]:
    """Return the English names of all languages with a code of two letters."""
    from langcodes import Language as Tag  # noqa: PLC0415 - see above

    tags = [Tag.make(language=first + second) for first in string.ascii_lowercase for second in string.ascii_lowercase]
    return tuple(str(tag.display_name("en")) for tag in tags if tag.is_valid())
