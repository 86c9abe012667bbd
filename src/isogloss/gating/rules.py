"""The RULES table, and rules as they are written: in a TOML file, on the command line, or as a mapping."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from isogloss.data.languages import LANGUAGES
from isogloss.errors import UsageError, unknown
from isogloss.warnings import WARNINGS

#: What a rule asks with: a number, that something holds, or words that must not be found.
Value = float | bool | tuple[str, ...]

#: Verdicts that say where retention lies, and those that say that nothing is known.
SAYING = ("reached", "weakened", "lagging", "not reached", "reversed")
OPEN = ("confounded", "inconclusive", "not measured")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One row of RULES.

    Attributes:
        about: what it asks, as help and documents say it.
        reads: what it is judged by: the bounds of a number; those of the number minus a baseline's; retention as
            verdicts divide it; or the warnings of the run.
        quantity: the number, retention or gain; empty where it reads none.
        value: what it is asked with.
        least, most: of a number.
        pivot: whether it is asked of the pivot too.
    """

    about: str
    reads: Literal["bounds", "loss", "verdict", "warnings"]
    quantity: Literal["retention", "gain", ""]
    value: Literal["number", "true", "verdicts", "codes"]
    least: float = -math.inf
    most: float = math.inf
    pivot: bool = False


RULES: dict[str, Rule] = {
    "min_retention": Rule(
        about="Retention is at least this much, such as 0.5.",
        reads="bounds",
        quantity="retention",
        value="number",
        least=0.0,
        most=2.0,  # 50 for 50 % is a slip
    ),
    "min_gain": Rule(
        about="The gain is at least this much; asked of the pivot too.",
        reads="bounds",
        quantity="gain",
        value="number",
        pivot=True,
    ),
    "no_reversed": Rule(
        about="Alignment lowered separation in no language: retention is not below 0.",
        reads="verdict",
        quantity="retention",
        value="true",
    ),
    "no_verdicts": Rule(
        about="No language has one of these verdicts, such as reversed,not-reached.",
        reads="verdict",
        quantity="retention",
        value="verdicts",
    ),
    "no_warnings": Rule(
        about="The run has none of these warnings, such as S009.",
        reads="warnings",
        quantity="",
        value="codes",
        pivot=True,
    ),
    "margin": Rule(
        about="Retention is not lower than in the baseline by more than this, such as 0.1.",
        reads="loss",
        quantity="retention",
        value="number",
        least=0.0,
        most=2.0,
    ),
    "gain_margin": Rule(
        about="The gain is not lower than in the baseline by more than this; asked of the pivot too.",
        reads="loss",
        quantity="gain",
        value="number",
        least=0.0,
        pivot=True,
    ),
}

#: Keys of a rules file that are no rules.
LANGUAGES_KEY, ESTIMAND_KEY, CLASS_KEY, LANGUAGE_KEY = "languages", "estimand", "class", "language"
KEYS = (LANGUAGES_KEY, ESTIMAND_KEY, CLASS_KEY, LANGUAGE_KEY)
CLASSES = tuple(str(one) for one in range(6))
#: How kinds of values are named in messages.
KINDS = {"number": "a number", "true": "true or false", "verdicts": "a list of verdicts", "codes": "a list of codes"}


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a gate asks, checked but for the languages, which only a run knows.

    Attributes:
        everywhere: rule -> value, for every language.
        classes: resource class (0 to 5) -> its own rules, which stand above those for every language.
        of_language: language -> its own rules, which stand above all others.
        languages: the only languages that are judged; None judges all of the run.
        estimand: number that is judged, as metric:components@layer; None is the primary one of the run.
    """

    everywhere: Mapping[str, Value]
    classes: Mapping[int, Mapping[str, Value]] = field(default_factory=dict)
    of_language: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    languages: tuple[str, ...] | None = None
    estimand: str | None = None

    def of(self, code: str) -> dict[str, Value]:
        """Return what is asked of a language, in the order of RULES; what is switched off (false) is left out.

        >>> rules = Rules(everywhere={"min_retention": 0.2}, classes={5: {"min_retention": 0.6}})
        >>> rules.of("de"), rules.of("hi")
        ({'min_retention': 0.6}, {'min_retention': 0.2})
        """
        known = LANGUAGES.get(code)
        of_class = self.classes.get(known.resource_class, {}) if known and known.resource_class is not None else {}
        asked = {**self.everywhere, **of_class, **self.of_language.get(code, {})}
        return {name: asked[name] for name in RULES if asked.get(name, False) is not False}


def read_rules(path: Path | str | None, given: Mapping[str, object] | None = None) -> Rules:
    """Read a rules file.

    Args:
        path: a TOML file; None for none.
        given: rules and keys that take the place of those at the top of the file.

    Raises:
        UsageError: there is no such file, it is not TOML, a key, class, verdict or code is unknown, a value is of
            another kind or out of range, or there is no rule at all.
    """
    return rules_from({**(_parse(Path(path)) if path else {}), **(given or {})}, Path(path).name if path else "rules")


def rules_from(content: Mapping[str, object], where: str = "rules") -> Rules:
    """Check rules as a TOML file holds them.

    >>> rules_from({"min_retention": 0.5, "language": {"am": {"min_retention": 0.2}}}).of("am")
    {'min_retention': 0.2}

    Args:
        content: the file.
        where: its name, for messages.

    Raises:
        UsageError: as `read_rules`.
    """
    classes = {
        _class(name, where): _table(table, f"{where}, class {name}")
        for name, table in _tables(content, CLASS_KEY, where).items()
    }
    of_language = {
        code: _table(table, f"{where}, language {code}")
        for code, table in _tables(content, LANGUAGE_KEY, where).items()
    }
    everywhere = _table({name: value for name, value in content.items() if name not in KEYS}, where, also=KEYS)
    estimand = content.get(ESTIMAND_KEY)
    if not (estimand is None or isinstance(estimand, str)):
        raise _wrong(f"{where}: {ESTIMAND_KEY}", estimand, "a text such as silhouette:10@18-post")
    languages = content.get(LANGUAGES_KEY)
    if languages is not None:
        languages = _words(languages, f"{where}: {LANGUAGES_KEY}", "a list of languages")
    rules = Rules(
        everywhere=everywhere, classes=classes, of_language=of_language, languages=languages, estimand=estimand
    )
    tables = (everywhere, *classes.values(), *of_language.values())
    if not any(value is not False for table in tables for value in table.values()):
        raise UsageError(
            where,
            found="no rule",
            expected=f"at least one of {', '.join(RULES)}",
            do="say what the run must hold, such as --min-retention 0.5",
        )
    return rules


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        found = (str(error).splitlines() or [repr(error)])[0]
        raise UsageError(f"rules {path}", found=found, expected="a TOML file", do="mend the file") from error


def _tables(content: Mapping[str, object], key: str, where: str) -> Mapping[str, object]:
    found = content.get(key, {})
    if not isinstance(found, Mapping):
        raise _wrong(f"{where}: {key}", found, f"tables such as [{key}.{'5' if key == CLASS_KEY else 'hi'}]")
    return {str(name): table for name, table in found.items()}


def _class(name: str, where: str) -> int:
    if name not in CLASSES:
        raise unknown(UsageError, "resource class", name, CLASSES, where)
    return int(name)


def _table(table: object, where: str, also: tuple[str, ...] = ()) -> dict[str, Value]:
    """Check a table of rules; `also` are keys that are named among the known ones and read elsewhere."""
    if not isinstance(table, Mapping):
        raise _wrong(where, table, "a table of rules")
    for name in table:
        if name not in RULES:
            raise unknown(UsageError, "key", str(name), (*RULES, *also), where)
    return {name: _value(name, value, where) for name, value in table.items()}


def _value(name: str, value: object, where: str) -> Value:
    rule, here = RULES[name], f"{where}: {name}"
    if value is False:
        return False
    if rule.value == "number":
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise _wrong(here, value, KINDS["number"])
        if not rule.least <= value <= rule.most:
            top = f" to {rule.most:g}" if math.isfinite(rule.most) else " or more"
            raise _wrong(here, value, f"{rule.least:g}{top}")
        return float(value)
    if rule.value == "true":
        if value is not True:
            raise _wrong(here, value, KINDS["true"])
        return True
    words = _words(value, here, KINDS[rule.value])
    known: tuple[str, ...] = tuple(WARNINGS)
    if rule.value == "verdicts":
        words, known = tuple(word.replace("-", " ").replace("_", " ") for word in words), (*SAYING, *OPEN)
    for word in words:
        if word not in known:
            raise unknown(UsageError, "verdict" if rule.value == "verdicts" else "code", word, known, here)
    return words


def _words(value: object, here: str, kind: str) -> tuple[str, ...]:
    """Read a list of words; one word may stand for the list of it."""
    found = [value] if isinstance(value, str) else value
    if not (isinstance(found, list | tuple) and found and all(isinstance(one, str) for one in found)):
        raise _wrong(here, value, f"{kind}, at least one")
    return tuple(dict.fromkeys(found))


def _wrong(here: str, value: object, expected: str) -> UsageError:
    return UsageError(here, found=repr(value), expected=expected, do="correct it")
