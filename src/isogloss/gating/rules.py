"""The RULES table, and the reading of rules from a TOML file, the command line or a mapping."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from isogloss.data.languages import find_language, known_code
from isogloss.errors import UsageError, unknown
from isogloss.warnings import WARNINGS

#: The value of a rule: a smallest number, a switch, or verdicts or warning codes that the run must not have.
Value = float | bool | tuple[str, ...]

#: Verdicts that say where retention lies, and verdicts that leave it open.
DEFINITE_VERDICTS = ("reached", "weakened", "lagging", "not reached", "reversed")
OPEN_VERDICTS = ("confounded", "inconclusive", "not measured")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One row of RULES.

    Attributes:
        about: what the rule requires; help and docs print it.
        judged_by: the interval of a number ("bounds"), of the number minus the baseline's ("loss"), the region of a
            verdict ("verdict"), or the warnings of the run ("warnings").
        quantity: the number, retention or gain; empty where the rule reads none.
        value_kind: the kind of value that the rule takes.
        lowest, highest: the range of a number.
        pivot: whether the rule applies to the pivot language as well.
    """

    about: str
    judged_by: Literal["bounds", "loss", "verdict", "warnings"]
    quantity: Literal["retention", "gain", ""]
    value_kind: Literal["number", "true", "verdicts", "codes"]
    lowest: float = -math.inf
    highest: float = math.inf
    pivot: bool = False


RULES: dict[str, Rule] = {
    "min_retention": Rule(
        about="Retention must be at least this, such as 0.5.",
        judged_by="bounds",
        quantity="retention",
        value_kind="number",
        lowest=0.0,
        highest=2.0,  # 50 for 50 % is a slip
    ),
    "min_gain": Rule(
        about="The gain must be at least this, in the pivot as well.",
        judged_by="bounds",
        quantity="gain",
        value_kind="number",
        pivot=True,
    ),
    "no_reversed": Rule(
        about="Alignment must not reduce separation in any language: retention must not be below 0.",
        judged_by="verdict",
        quantity="retention",
        value_kind="true",
    ),
    "no_verdicts": Rule(
        about="No language may have one of these verdicts, such as reversed,not-reached.",
        judged_by="verdict",
        quantity="retention",
        value_kind="verdicts",
    ),
    "no_warnings": Rule(
        about="The run must have none of these warnings, such as S009.",
        judged_by="warnings",
        quantity="",
        value_kind="codes",
        pivot=True,
    ),
    "margin": Rule(
        about="Retention must not be lower than in the baseline by more than this, such as 0.1.",
        judged_by="loss",
        quantity="retention",
        value_kind="number",
        lowest=0.0,
        highest=2.0,
    ),
    "gain_margin": Rule(
        about="The gain must not be lower than in the baseline by more than this, in the pivot as well.",
        judged_by="loss",
        quantity="gain",
        value_kind="number",
        lowest=0.0,
        pivot=True,
    ),
}

#: Keys of a rules file that are not rules.
LANGUAGES_KEY, ESTIMAND_KEY, CLASS_KEY, LANGUAGE_KEY = "languages", "estimand", "class", "language"
KEYS = (LANGUAGES_KEY, ESTIMAND_KEY, CLASS_KEY, LANGUAGE_KEY)
CLASSES = tuple(map(str, range(6)))
#: What messages call a kind of value.
VALUE_KINDS = {
    "number": "a number",
    "true": "true or false",
    "verdicts": "a list of verdicts",
    "codes": "a list of codes",
}


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The rules of a gate. Everything is checked except the languages, which depend on the run.

    Attributes:
        general: rule -> value, for every language.
        by_class: resource class (0 to 5) -> its rules, which override the general ones.
        by_language: language -> its rules, which override all others.
        languages: the languages to judge; None judges every language of the run.
        estimand: the number to judge, as metric:components@layer; None is the primary estimand of the run.
    """

    general: Mapping[str, Value]
    by_class: Mapping[int, Mapping[str, Value]] = field(default_factory=dict)
    by_language: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    languages: tuple[str, ...] | None = None
    estimand: str | None = None

    def for_language(self, code: str) -> dict[str, Value]:
        """Return the rules of a language, in the order of RULES, without those that are switched off (false).

        >>> rules = Rules(general={"min_retention": 0.2}, by_class={5: {"min_retention": 0.6}})
        >>> rules.for_language("de"), rules.for_language("hi")
        ({'min_retention': 0.6}, {'min_retention': 0.2})
        """
        language = find_language(code)
        number = language.resource_class if language else None
        of_class = {} if number is None else self.by_class.get(number, {})
        rules = {**self.general, **of_class, **self.by_language.get(code, {})}
        return {name: rules[name] for name in RULES if rules.get(name, False) is not False}


def read_rules(path: Path | str | None, given: Mapping[str, object] | None = None) -> Rules:
    """Read a rules file.

    Args:
        path: a TOML file, or None.
        given: rules and keys that override those at the top of the file.

    Raises:
        UsageError: the file does not exist or is not TOML; a key, class, verdict or code is unknown; a value has the
            wrong kind or is out of range; or no rule is given.
    """
    return rules_from({**(_parse(Path(path)) if path else {}), **(given or {})}, Path(path).name if path else "rules")


def rules_from(content: Mapping[str, object], where: str = "rules") -> Rules:
    """Check rules and build `Rules`.

    >>> rules_from({"min_retention": 0.5, "language": {"am": {"min_retention": 0.2}}}).for_language("am")
    {'min_retention': 0.2}

    Args:
        content: the content of a rules file.
        where: the name of the file, for messages.

    Raises:
        UsageError: see `read_rules`.
    """
    by_class = {
        _class(name, where): _table(table, f"{where}, class {name}")
        for name, table in _tables(content, CLASS_KEY, where).items()
    }
    by_language: dict[str, Mapping[str, Value]] = {}
    for name, table in _tables(content, LANGUAGE_KEY, where).items():
        if (code := known_code(name)) in by_language:
            raise UsageError(
                f"{where}: {LANGUAGE_KEY}", found=f"two tables for {code}", expected="one", do="merge them"
            )
        by_language[code] = _table(table, f"{where}, language {name}")
    general = _table({name: value for name, value in content.items() if name not in KEYS}, where, also=KEYS)
    estimand = content.get(ESTIMAND_KEY)
    if not (estimand is None or isinstance(estimand, str)):
        raise _wrong(f"{where}: {ESTIMAND_KEY}", estimand, "a text such as silhouette:10@18-post")
    languages = content.get(LANGUAGES_KEY)
    if languages is not None:
        names = _names(languages, f"{where}: {LANGUAGES_KEY}", "a list of languages")
        languages = tuple(dict.fromkeys(map(known_code, names)))
    rules = Rules(general=general, by_class=by_class, by_language=by_language, languages=languages, estimand=estimand)
    tables = (general, *by_class.values(), *by_language.values())
    if not any(value is not False for table in tables for value in table.values()):
        raise UsageError(
            where,
            found="no rule",
            expected=f"at least one of {', '.join(RULES)}",
            do="give a rule, such as --min-retention 0.5",
        )
    return rules


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        found = (str(error).splitlines() or [repr(error)])[0]
        raise UsageError(f"rules {path}", found=found, expected="a TOML file", do="correct the file") from error


def _tables(content: Mapping[str, object], key: str, where: str) -> Mapping[str, object]:
    tables = content.get(key, {})
    if not isinstance(tables, Mapping):
        raise _wrong(f"{where}: {key}", tables, f"tables such as [{key}.{'5' if key == CLASS_KEY else 'hi'}]")
    return {str(name): table for name, table in tables.items()}


def _class(name: str, where: str) -> int:
    if name not in CLASSES:
        raise unknown(UsageError, "resource class", name, CLASSES, where)
    return int(name)


def _table(table: object, where: str, also: tuple[str, ...] = ()) -> dict[str, Value]:
    """Check a table of rules. Messages list the keys in `also` among the known ones; other code reads them."""
    if not isinstance(table, Mapping):
        raise _wrong(where, table, "a table of rules")
    for name in table:
        if name not in RULES:
            raise unknown(UsageError, "key", str(name), (*RULES, *also), where)
    return {name: _value(name, value, where) for name, value in table.items()}


def _value(name: str, value: object, where: str) -> Value:
    rule, key = RULES[name], f"{where}: {name}"
    if value is False:
        return False
    if rule.value_kind == "number":
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise _wrong(key, value, VALUE_KINDS["number"])
        if not rule.lowest <= value <= rule.highest:
            top = f" to {rule.highest:g}" if math.isfinite(rule.highest) else " or more"
            raise _wrong(key, value, f"{rule.lowest:g}{top}")
        return float(value)
    if rule.value_kind == "true":
        if value is not True:
            raise _wrong(key, value, VALUE_KINDS["true"])
        return True
    names = _names(value, key, VALUE_KINDS[rule.value_kind])
    known: tuple[str, ...] = tuple(WARNINGS)
    if rule.value_kind == "verdicts":
        names = tuple(verdict.replace("-", " ").replace("_", " ") for verdict in names)
        known = (*DEFINITE_VERDICTS, *OPEN_VERDICTS)
    for item in names:
        if item not in known:
            raise unknown(UsageError, "verdict" if rule.value_kind == "verdicts" else "code", item, known, key)
    return names


def _names(value: object, key: str, kind: str) -> tuple[str, ...]:
    """Read a list of names; a single name may be given without a list."""
    names = [value] if isinstance(value, str) else value
    if not (isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names)):
        raise _wrong(key, value, f"{kind}, at least one")
    return tuple(dict.fromkeys(names))


def _wrong(key: str, value: object, expected: str) -> UsageError:
    return UsageError(key, found=repr(value), expected=expected, do="correct it")
