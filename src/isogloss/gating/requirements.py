"""Rules and a run -> the value that each rule requires of each language. Refuses rules that the run cannot answer."""

from __future__ import annotations

from collections.abc import Mapping

from isogloss.data.languages import LANGUAGES
from isogloss.errors import UsageError, unknown
from isogloss.gating.bounds import primary_estimand
from isogloss.gating.rules import CLASS_KEY, LANGUAGE_KEY, LANGUAGES_KEY, RULES, Rules, Value
from isogloss.report.comparison.comparable import differences, remarks
from isogloss.results import Audit
from isogloss.text import sanitize

#: Language -> the value that one rule requires of it.
Requirements = Mapping[str, Value]


def resolve_requirements(audit: Audit, rules: Rules, baseline: Audit | None) -> dict[str, Requirements]:
    """Return the rules that apply, in the order of RULES, each with its languages.

    Raises:
        UsageError: the run lacks a language or class; a rule applies to no language or to a number that the run does
            not have; or the baseline is missing, unused or not comparable.
    """
    _refuse_missing_languages(audit, rules)
    judged = [code for code in audit.languages if rules.languages is None or code in rules.languages]
    by_code = {code: rules.for_language(code) for code in judged}
    required: dict[str, Requirements] = {}
    for name, rule in RULES.items():
        with_rule = {code: values[name] for code, values in by_code.items() if name in values}
        values = {code: value for code, value in with_rule.items() if rule.pivot or code != audit.pivot}
        if with_rule and not values:
            raise UsageError(
                f"rules, {name}",
                found=f"only the pivot language {sanitize(audit.pivot)}, which is compared with no other",
                expected="another language",
                do="audit or name one",
            )
        if values:
            required[name] = values
    if not required:
        raise UsageError("rules", found="none for these languages", expected="at least one", do="name other languages")
    _refuse_unanswerable(audit, baseline, required)
    return required


def _refuse_missing_languages(audit: Audit, rules: Rules) -> None:
    """Refuse a language or class that the run does not have: a lost language must not pass unnoticed."""
    named = [(LANGUAGE_KEY, code) for code in rules.by_language]
    for key, code in [*named, *((LANGUAGES_KEY, code) for code in rules.languages or ())]:
        if code not in audit.languages:
            raise unknown(UsageError, "language", code, map(sanitize, audit.languages), f"rules, {key}")
    classes = {LANGUAGES[code].resource_class for code in audit.languages if code in LANGUAGES}
    for number in rules.by_class:
        if number not in classes:
            raise UsageError(
                f"rules, {CLASS_KEY} {number}",
                found="no language of this resource class in the run",
                expected="at least one",
                do="audit one, or remove the table",
            )


def _refuse_unanswerable(audit: Audit, baseline: Audit | None, required: Mapping[str, Requirements]) -> None:
    numbers = [name for name in required if RULES[name].quantity]
    if numbers and not audit.has_reference:
        raise UsageError(
            f"rules, {numbers[0]}",
            found="a run without a reference model, so without gain and retention",
            expected="a run of a pair of models",
            do="drop the rule; only no_warnings applies to this run",
        )
    losses = [name for name in required if RULES[name].judged_by == "loss"]
    if losses and baseline is None:
        raise UsageError(
            f"rules, {losses[0]}", found="no baseline", expected="a run to compare with", do="name it with --baseline"
        )
    if baseline is not None:
        if not losses:
            raise UsageError(
                "baseline",
                found="a baseline but no rule that uses it",
                expected="margin or gain_margin as well",
                do="add a rule or drop the baseline",
            )
        refuse_baseline(audit, baseline)


#: Settings that must be the same in the run and the baseline, because they change what a number means.
SAME_SETTINGS = ("position", "prompt_format", "max_tokens")


def refuse_baseline(audit: Audit, baseline: Audit) -> None:
    """Refuse a baseline unless it is another run on the same corpus, with the same pivot, estimand and settings.

    Raises:
        UsageError: the baseline is the run itself, has no reference, or differs in one of these.
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
    unlike = differences(audits)
    unlike |= _differ("primary estimand", str(primary_estimand(audit)), str(primary_estimand(baseline)))
    for name in SAME_SETTINGS:
        unlike |= _differ(name.replace("_", " "), str(audit.config.get(name)), str(baseline.config.get(name)))
    for name, values in unlike.items():
        raise UsageError(
            "baseline",
            found=f"another {name} than the run's ({values})",
            expected=f"the same {name} in both",
            do="audit both models on the same texts with the same settings",
        )


def _differ(name: str, value: str, baseline_value: str) -> dict[str, str]:
    return {} if value == baseline_value else {name: f"{sanitize(value)}, {sanitize(baseline_value)}"}


def baseline_remarks(audit: Audit, baseline: Audit) -> list[str]:
    """Write what differs between two runs that may be compared nevertheless."""
    lines = remarks([("run", audit), ("baseline", baseline)])
    if audit.models["reference"]["sha256"] != baseline.models["reference"]["sha256"]:
        lines.append("The run and the baseline have different reference models, and gains depend on the reference.")
    return lines
