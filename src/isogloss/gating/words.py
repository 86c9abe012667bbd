"""Findings and judgements in words: what every format says in the same way. Nothing in them is hidden or breaks a line."""

from __future__ import annotations

import math
from collections.abc import Sequence

from isogloss.gating.judgement import FAIL, INCONCLUSIVE, PASS, Finding, Judgement, Verdict
from isogloss.gating.rules import RULES, Value
from isogloss.report.numbers import percent
from isogloss.report.tables import label
from isogloss.report.visible import visible

WHOLE = "whole run"
DIGITS = {"retention": 2, "gain": 3}


def language(finding: Finding) -> str:
    """Name the language of a finding."""
    return WHOLE if finding.language is None else label(finding.language)


def asked(rule: str, value: Value) -> str:
    """Say what a rule asks.

    >>> asked("min_retention", 0.5), asked("margin", 0.1), asked("no_verdicts", ("reversed", "not reached"))
    ('≥ 0.50', '≥ -0.10 against the baseline', 'not reversed, not reached')
    """
    row = RULES[rule]
    if isinstance(value, tuple):
        return f"{'not' if row.value == 'verdicts' else 'no'} {', '.join(value)}"
    if row.value == "true":
        return "not below 0"
    number = f"{value:.{_digits(rule, abs(value))}f}"
    return f"≥ -{number} against the baseline" if row.reads == "loss" else f"≥ {number}"


def _digits(rule: str, value: float) -> int:
    """Digits for what was asked: as for what was found, and more if the number has more."""
    least = DIGITS[RULES[rule].quantity]
    return next((digits for digits in range(least, 7) if round(value, digits) == value), 7)


def found(finding: Finding) -> str:
    """Say what was found: the number between its bounds, words, or why there is neither."""
    rule = RULES[finding.rule]
    parts = [visible(word) for word in finding.words]
    if rule.value == "codes":
        parts = [", ".join(parts)] if parts else ["none"]
    if not math.isnan(finding.value):
        digits = DIGITS[rule.quantity]
        form = f"{'' if rule.quantity == 'retention' and rule.reads != 'loss' else '+'}.{digits}f"
        about = "≈" if finding.approximate else ""
        parts.append(f"{finding.value:{form}} {about}[{finding.low:{form}}, {finding.high:{form}}]")
    if finding.reason:
        parts = [*(parts if finding.words or not math.isnan(finding.value) else []), visible(finding.reason)]
    return "; ".join(parts)


def message(finding: Finding) -> str:
    """Say all of a finding in one line."""
    what = RULES[finding.rule].quantity or "warnings"
    asks = asked(finding.rule, finding.asked)
    return f"{language(finding)}: {what} {found(finding)}, asked {asks}: {finding.verdict}"


def sentence(judgement: Judgement) -> str:
    """Say what the gate says, and of which rules and languages."""
    groups = {word: _by_rule([one for one in judgement.findings if one.verdict == word]) for word in (FAIL, INCONCLUSIVE)}
    total = len(judgement.findings)
    if judgement.verdict == PASS:
        return f"Pass: all {total} findings hold." if total > 1 else "Pass: what was asked holds."
    said = {FAIL: "fails", INCONCLUSIVE: "cannot be judged from these texts"}
    parts = [f"{names} {said[word]}" for word, names in groups.items() if names]
    return f"{judgement.verdict.capitalize()}: {'; '.join(parts)}."


def _by_rule(findings: Sequence[Finding]) -> str:
    rules = dict.fromkeys(one.rule for one in findings)
    return ", ".join(f"{rule} ({', '.join(_codes(findings, rule))})" for rule in rules)


def _codes(findings: Sequence[Finding], rule: str) -> list[str]:
    return [WHOLE if one.language is None else visible(one.language) for one in findings if one.rule == rule]


def notes(judgement: Judgement) -> list[str]:
    """Say what a reader must know: what was judged, how often a fail is wrong, what to do, and the remarks."""
    subject = judgement.subject
    against = f", held against run {judgement.baseline.run} ({_models(judgement.baseline.models)})" \
        if judgement.baseline else ""  # fmt: skip
    lines = [
        f"Run {subject.run}: {visible(subject.corpus)}, {_models(subject.models)}; {visible(subject.estimand)}{against}."
    ]
    if judgement.wrong:
        lines.append(
            "A rule on a number passes if the whole interval holds what is asked, and fails if none of it does. "
            f"The chance that any of these findings fails wrongly is at most {percent(judgement.wrong)}."
        )
    if any(one.verdict == INCONCLUSIVE and not one.reason for one in judgement.findings):
        lines.append("Where the interval holds both, these texts cannot say; four times as many halve it.")
    return [*lines, *judgement.remarks]


def _models(names: Sequence[str]) -> str:
    return " → ".join(visible(name) for name in names)


def count(judgement: Judgement, verdict: Verdict) -> int:
    """Count the findings of a verdict."""
    return sum(one.verdict == verdict for one in judgement.findings)
