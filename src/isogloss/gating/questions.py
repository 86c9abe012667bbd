"""Rules and a run -> which rule is applied to which language; rules that the run cannot answer are refused."""

from __future__ import annotations

from collections.abc import Mapping

from isogloss.data.languages import LANGUAGES
from isogloss.errors import UsageError, unknown
from isogloss.gating.bounds import primary_estimand
from isogloss.gating.rules import CLASS_KEY, LANGUAGE_KEY, LANGUAGES_KEY, RULES, Rules, Value
from isogloss.report.comparison.comparable import differences, remarks
from isogloss.results import Audit
from isogloss.text import sanitize

#: Language -> what one rule asks of it.
Asked = Mapping[str, Value]


def settle(audit: Audit, rules: Rules, baseline: Audit | None) -> dict[str, Asked]:
    """Return the rules that are asked, in the order of RULES, each with its languages.

    Raises:
        UsageError: a language or class is not in the run, a rule is asked of no language or of a run that has no such
            number, or the baseline is missing, not asked for or not comparable.
    """
    _refuse_strangers(audit, rules)
    judged = [code for code in audit.languages if rules.languages is None or code in rules.languages]
    by_code = {code: rules.of(code) for code in judged}
    found: dict[str, Asked] = {}
    for name, rule in RULES.items():
        codes = {code: mine[name] for code, mine in by_code.items() if name in mine}
        mine = {code: value for code, value in codes.items() if rule.pivot or code != audit.pivot}
        if codes and not mine:
            raise UsageError(
                f"rules, {name}",
                found=f"only the pivot language {sanitize(audit.pivot)}, which is compared with no other",
                expected="another language",
                do="audit or name one",
            )
        if mine:
            found[name] = mine
    if not found:
        raise UsageError("rules", found="none for these languages", expected="at least one", do="name other languages")
    _refuse_unanswerable(audit, baseline, found)
    return found


def _refuse_strangers(audit: Audit, rules: Rules) -> None:
    """Stop if a table or list names what the run does not have: a language that was lost must not pass in silence."""
    named = [(LANGUAGE_KEY, code) for code in rules.of_language]
    for where, code in [*named, *((LANGUAGES_KEY, code) for code in rules.languages or ())]:
        if code not in audit.languages:
            raise unknown(UsageError, "language", code, map(sanitize, audit.languages), f"rules, {where}")
    here = {LANGUAGES[code].resource_class for code in audit.languages if code in LANGUAGES}
    for number in rules.classes:
        if number not in here:
            raise UsageError(
                f"rules, {CLASS_KEY} {number}",
                found="no language of this resource class in the run",
                expected="at least one",
                do="audit one, or remove the table",
            )


def _refuse_unanswerable(audit: Audit, baseline: Audit | None, asked: Mapping[str, Asked]) -> None:
    numbers = [name for name in asked if RULES[name].quantity]
    if numbers and not audit.has_reference:
        raise UsageError(
            f"rules, {numbers[0]}",
            found="a run without a reference model, so without gain and retention",
            expected="a run of a pair of models",
            do="drop the rule; no_warnings can be asked of such a run",
        )
    losses = [name for name in asked if RULES[name].reads == "loss"]
    if losses and baseline is None:
        raise UsageError(
            f"rules, {losses[0]}", found="no baseline", expected="a run to hold this one against", do="name --baseline"
        )
    if baseline is not None:
        if not losses:
            raise UsageError(
                "baseline", found="it without a rule", expected="margin or gain_margin as well", do="add or drop"
            )
        refuse_baseline(audit, baseline)


#: Settings that make a number another number.
SAME = ("position", "prompt_format", "max_tokens")


def refuse_baseline(audit: Audit, baseline: Audit) -> None:
    """Stop unless a baseline is another run on the same corpus, with the same pivot, primary estimand and read-out.

    Raises:
        UsageError: it is not.
    """
    if baseline.identity == audit.identity:
        raise UsageError(
            "baseline",
            found=f"the run itself ({audit.identity.name})",
            expected="an earlier run of another model",
            do="name the run that this one must not fall behind",
        )
    if not baseline.has_reference:
        raise UsageError(
            "baseline",
            found="a run without a reference model, so without gains",
            expected="a run of a pair of models",
            do="name another",
        )
    audits = [("run", audit), ("baseline", baseline)]
    found = differences(audits)
    found |= _differ("primary estimand", *(str(primary_estimand(one)) for _, one in audits))
    for name in SAME:
        found |= _differ(name.replace("_", " "), *(str(one.config.get(name)) for _, one in audits))
    for name, values in found.items():
        raise UsageError(
            "baseline",
            found=f"another {name} than the run's ({values})",
            expected=f"the same {name} in both",
            do="audit both models on the same texts with the same settings",
        )


def _differ(name: str, one: str, other: str) -> dict[str, str]:
    return {} if one == other else {name: f"{sanitize(one)}, {sanitize(other)}"}


def baseline_remarks(audit: Audit, baseline: Audit) -> list[str]:
    """Say what differs between the two runs although they may be compared."""
    found = remarks([("run", audit), ("baseline", baseline)])
    hashes = {str(one.models["reference"]["sha256"]) for one in (audit, baseline)}
    if len(hashes) > 1:
        found.append("The reference models of the run and of the baseline are not the same: their gains differ by it.")
    return found
