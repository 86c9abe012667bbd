"""What a gate says: findings, one per rule and language, the sentences that describe them, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from isogloss.gating.rules import RULES, Value
from isogloss.records import NAN
from isogloss.report.estimates import format_percent
from isogloss.report.view import language_label
from isogloss.text import sanitize

Verdict = Literal["pass", "fail", "inconclusive"]
PASS: Verdict = "pass"  # noqa: S105 - no password
FAIL: Verdict = "fail"
INCONCLUSIVE: Verdict = "inconclusive"
#: From the worst: what a gate says is the first of these that one of its findings says.
VERDICTS: tuple[Verdict, ...] = (FAIL, INCONCLUSIVE, PASS)

#: What a pipeline takes an inconclusive verdict for: none of both, or one of them.
Policy = Literal["apart", "fail", "pass"]
#: Exit codes; 1 and 2 are errors, of files and of usage.
EXIT: dict[Verdict, int] = {PASS: 0, FAIL: 3, INCONCLUSIVE: 4}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What became of one rule in one language (None: the run as a whole).

    `value`, `low` and `high` are the number that was judged: retention or gain, or for a margin the same minus the
    baseline's; NaN where the rule reads none, or where `reason` says why there is none. `words` are what a rule on
    verdicts or warnings found. `reason` may also say why a rule that seemed decided is inconclusive.
    """

    rule: str
    language: str | None
    verdict: Verdict
    asked: Value
    value: float = NAN
    low: float = NAN
    high: float = NAN
    approximate: bool = False
    words: tuple[str, ...] = ()
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What was judged: names and hashes of a run."""

    run: str
    corpus: str
    models: tuple[str, ...]
    estimand: str
    pivot: str


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The findings of a gate, the worst first.

    Attributes:
        findings: at least one.
        subject: the run; `baseline` the one that it was held against.
        wrong: the chance that any of the findings fails although what it asks is true is at most this.
        remarks: what a reader must know besides.
    """

    findings: tuple[Finding, ...]
    subject: Subject
    wrong: float
    baseline: Subject | None = None
    remarks: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Fail if a finding fails, else inconclusive if one is, else pass."""
        return next(word for word in VERDICTS if any(one.verdict == word for one in self.findings))

    def exit_code(self, inconclusive: Policy = "apart") -> int:
        """0 for pass, 3 for fail, 4 for inconclusive, unless that is to count as one of the others."""
        verdict = self.verdict
        counted: dict[Policy, Verdict] = {"fail": FAIL, "pass": PASS}
        return EXIT[counted.get(inconclusive, verdict) if verdict == INCONCLUSIVE else verdict]


WHOLE = "whole run"
DIGITS = {"retention": 2, "gain": 3}
MOST_DIGITS = 6


def language(finding: Finding) -> str:
    """Name the language of a finding."""
    return WHOLE if finding.language is None else language_label(finding.language)


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
    return next((digits for digits in range(least, MOST_DIGITS) if round(value, digits) == value), MOST_DIGITS)


def found(finding: Finding) -> str:
    """Say what was found: the number between its bounds, words, or why there is neither."""
    rule = RULES[finding.rule]
    parts = [sanitize(word) for word in finding.words]
    if rule.value == "codes":
        parts = [", ".join(parts)] if parts or finding.reason else ["none"]
    if not math.isnan(finding.value):
        form = f"{'' if rule.quantity == 'retention' and rule.reads != 'loss' else '+'}.{_digits_found(finding)}f"
        about = "≈" if finding.approximate else ""
        parts.append(f"{finding.value:{form}} {about}[{finding.low:{form}}, {finding.high:{form}}]")
    if finding.reason:
        parts.append(sanitize(finding.reason))
    return "; ".join(part for part in parts if part)


def _digits_found(finding: Finding) -> int:
    """Digits that tell bounds from what was asked, which may lie close to one of them."""
    least = DIGITS[RULES[finding.rule].quantity]
    if not isinstance(finding.asked, float):
        return least
    edge = -finding.asked if RULES[finding.rule].reads == "loss" else finding.asked
    return next((digits for digits in range(least, MOST_DIGITS) if _told_apart(finding, edge, digits)), MOST_DIGITS)


def _told_apart(finding: Finding, edge: float, digits: int) -> bool:
    return all(bound == edge or round(bound, digits) != round(edge, digits) for bound in (finding.low, finding.high))


def message(finding: Finding) -> str:
    """Say all of a finding in one line."""
    what = RULES[finding.rule].quantity or "warnings"
    asks = asked(finding.rule, finding.asked)
    return f"{language(finding)}: {what} {found(finding)}, asked {asks}: {finding.verdict}"


def sentence(judgement: Judgement) -> str:
    """Say what the gate says, and of which rules and languages."""
    if judgement.verdict == PASS:
        total = len(judgement.findings)
        return f"Pass: all {total} findings hold what is asked." if total > 1 else "Pass: what is asked holds."
    said = {word: _by_rule([one for one in judgement.findings if one.verdict == word]) for word in (FAIL, INCONCLUSIVE)}
    return " ".join(f"{word.capitalize()}: {names}." for word, names in said.items() if names)


def _by_rule(findings: Sequence[Finding]) -> str:
    rules = dict.fromkeys(one.rule for one in findings)
    return "; ".join(f"{rule} in {', '.join(_codes(findings, rule))}" for rule in rules)


def _codes(findings: Sequence[Finding], rule: str) -> list[str]:
    return [WHOLE if one.language is None else sanitize(one.language) for one in findings if one.rule == rule]


def notes(judgement: Judgement) -> list[str]:
    """Say what a reader must know: what was judged, how often a fail is wrong, what to do, and the remarks."""
    subject, base = judgement.subject, judgement.baseline
    against = f", held against run {base.run} ({_models(base.models)})" if base else ""
    judged = f"{sanitize(subject.corpus)}, {_models(subject.models)}; {sanitize(subject.estimand)}"
    lines = [f"Run {subject.run}: {judged}{against}."]
    if judgement.wrong:
        lines.append(
            "A rule on a number passes if the whole interval holds what is asked, and fails if none of it does. "
            f"The chance that any of these findings fails wrongly is at most {format_percent(judgement.wrong)}."
        )
    if any(one.verdict == INCONCLUSIVE and not one.reason for one in judgement.findings):
        lines.append(
            "An interval with room on both sides of what is asked is inconclusive; four times as many texts halve it."
        )
    return [*lines, *judgement.remarks]


def _models(names: Sequence[str]) -> str:
    return " → ".join(sanitize(name) for name in names)


def count(judgement: Judgement, verdict: Verdict) -> int:
    """Count the findings of a verdict."""
    return sum(one.verdict == verdict for one in judgement.findings)
