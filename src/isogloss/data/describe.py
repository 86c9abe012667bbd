"""Names and values of a file -> words for a message, which never shows a text of the corpus."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from isogloss.data.languages import language_of_name
from isogloss.text import sanitize

#: Longer names and values are counted or measured, not shown.
LONGEST_NAME, LONGEST_VALUE = 40, 24
#: More words than this make a text.
WORDS_OF_NAME, WORDS_OF_VALUE = 4, 3
#: Names and values that a message lists, at most.
MOST_NAMES, MOST_VALUES = 20, 8
#: Of ISO 639-1.
LENGTH_OF_CODE = 2
#: A path is cut to its end.
LONGEST_PATH = 160


def looks_like_name(name: str) -> bool:
    """Whether a heading names a column. A cell of a row does not: it is a number, a sentence or a long text.

    >>> [looks_like_name(name) for name in ("is_toxic", "Prompt text", "1", "You are the worst.", "")]
    [True, True, False, False, False]
    """
    plain = name.strip()
    return (
        0 < len(plain) <= LONGEST_NAME
        and len(plain.split()) <= WORDS_OF_NAME
        and plain.isprintable()
        and not plain.replace(".", "").replace("-", "").isdigit()
        and plain[-1] not in ".!?,;:。！？।"
    )


def looks_like_header(names: Sequence[str]) -> bool:
    """Whether the first line of a table names its columns; a row beside a language code has several words.

    >>> looks_like_header(["text", "en", "de"]), looks_like_header(["some short text", "toxic", "en"])
    (True, False)
    """
    codes = any(len(name.strip()) == LENGTH_OF_CODE and language_of_name(name) for name in names)
    return all(map(looks_like_name, names)) and not (codes and any(len(name.split()) > 1 for name in names))


def describe_names(names: Sequence[str]) -> str:
    """List the columns of a table, or count them where the first line looks like a row.

    >>> describe_names(["prompt", "is_safe"]), describe_names(["Go away, all of you!", "1", "en"])
    ('columns prompt, is_safe', '3 columns whose names look like a row, not like a header')
    """
    if not names:
        return "no columns"
    if not looks_like_header(names):
        return f"{len(names)} columns whose names look like a row, not like a header"
    shown = ", ".join(sanitize(name) for name in names[:MOST_NAMES])
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"columns {shown}{more}"


def describe_value(value: str) -> str:
    """Show a short value; of a longer one, which may be a text, only its length.

    >>> describe_value("maybe"), describe_value("I will find out where you live")
    ("'maybe'", 'a value of 30 characters')
    """
    plain = value.strip()
    if len(plain) > LONGEST_VALUE or len(plain.split()) > WORDS_OF_VALUE:
        return f"a value of {len(value)} characters"
    return repr(sanitize(plain))


def describe_values(values: Iterable[str]) -> str:
    """List the different values of a column, or count them where they are many or long.

    >>> describe_values(["safe", "unsafe", "safe"]), describe_values(map(str, range(100)))
    ("'safe', 'unsafe'", '100 different values')
    """
    different = sorted(dict.fromkeys(values))
    shown = [describe_value(value) for value in different]
    if len(different) > MOST_VALUES or any(not text.startswith(("'", '"')) for text in shown):
        return f"{len(different)} different values"
    return ", ".join(shown)


def describe_path(path: object) -> str:
    """Show a path, of a long one only its end."""
    text = sanitize(str(path))
    return text if len(text) <= LONGEST_PATH else f"...{text[-LONGEST_PATH:]}"


def count(number: int, noun: str) -> str:
    """Write a number with its noun.

    >>> count(1, "row"), count(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
