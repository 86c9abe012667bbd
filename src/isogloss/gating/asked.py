"""Rules and a run -> which rule is asked of which language with which value; what the run cannot answer is refused."""

from __future__ import annotations

from collections.abc import Mapping

from isogloss.corpora.languages import LANGUAGES
from isogloss.errors import UsageError, unknown
from isogloss.gating.baseline import refuse_baseline
from isogloss.gating.rules import CLASS_KEY, LANGUAGE_KEY, LANGUAGES_KEY, RULES, Rules, Value
from isogloss.report.visible import visible
from isogloss.results import Audit

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
                found=f"only the pivot language {visible(audit.pivot)}, which is compared with no other",
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
            raise unknown(UsageError, "language", code, map(visible, audit.languages), f"rules, {where}")
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
