"""The result of a gate: findings, one per rule and language, the verdict, and the sentences that describe them."""

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

GateVerdict = Literal["pass", "fail", "inconclusive"]
PASS: GateVerdict = "pass"  # noqa: S105 - no password
FAIL: GateVerdict = "fail"
INCONCLUSIVE: GateVerdict = "inconclusive"
#: From the worst: the verdict of a gate is the first of these that one of its findings has.
VERDICTS: tuple[GateVerdict, ...] = (FAIL, INCONCLUSIVE, PASS)

#: What a pipeline counts an inconclusive verdict as: neither pass nor fail ("separate"), or one of them.
Policy = Literal["separate", "fail", "pass"]
#: Exit codes. 1 and 2 are errors of files and of usage.
EXIT: dict[GateVerdict, int] = {PASS: 0, FAIL: 3, INCONCLUSIVE: 4}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One rule, judged in one language.

    Attributes:
        rule: name of the rule.
        language: code; None for the run as a whole.
        verdict: pass, fail or inconclusive.
        required: the value of the rule.
        value: retention or gain, or for a margin the same minus the baseline's. NaN where the rule reads no number, or
            where `reason` says why it is missing.
        low: lower bound.
        high: upper bound.
        approximate: whether the interval may cover less than its level.
        observed: the verdict or the warnings that the run has, where the rule is about these.
        reason: why the number is missing, or why a rule that seemed decided is inconclusive.
    """

    rule: str
    language: str | None
    verdict: GateVerdict
    required: Value
    value: float = NAN
    low: float = NAN
    high: float = NAN
    approximate: bool = False
    observed: tuple[str, ...] = ()
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class GatedRun:
    """The names and the hash of a run that was judged or compared with."""

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
        run: the run that was judged.
        max_false_fail_rate: upper bound of the probability that any finding fails although its rule is met.
        baseline: the run that it was compared with, if any.
        remarks: what else a reader must know.
    """

    findings: tuple[Finding, ...]
    run: GatedRun
    max_false_fail_rate: float
    baseline: GatedRun | None = None
    remarks: tuple[str, ...] = ()

    @property
    def verdict(self) -> GateVerdict:
        """Fail if a finding fails, else inconclusive if one is inconclusive, else pass."""
        return next(verdict for verdict in VERDICTS if count_findings(self, verdict))

    def exit_code(self, inconclusive: Policy = "separate") -> int:
        """Return 0 for pass, 3 for fail and 4 for inconclusive, unless inconclusive counts as one of the others.

        A finding whose number is missing never counts as a pass.
        """
        verdict = self.verdict
        if verdict != INCONCLUSIVE or inconclusive == "separate":
            return EXIT[verdict]
        if inconclusive == "fail":
            return EXIT[FAIL]
        return EXIT[PASS if all(counts_as_pass(finding) for finding in self.findings) else INCONCLUSIVE]


def counts_as_pass(finding: Finding) -> bool:
    """Whether a finding passes under the policy "pass": it is a pass, or inconclusive although its number is known."""
    missing = RULES[finding.rule].quantity != "" and math.isnan(finding.value)
    return finding.verdict == PASS or (finding.verdict == INCONCLUSIVE and not missing)


def count_findings(judgement: Judgement, verdict: GateVerdict) -> int:
    """Count the findings with a verdict."""
    return sum(finding.verdict == verdict for finding in judgement.findings)


WHOLE_RUN = "whole run"
#: Decimal places: at least so many for a quantity, and at most so many where more are needed to show a difference.
DIGITS = {"retention": 2, "gain": 3}
MOST_DIGITS = 6


def format_language(finding: Finding) -> str:
    """Name the language of a finding."""
    return WHOLE_RUN if finding.language is None else language_label(finding.language)


def format_required(rule: str, value: Value) -> str:
    """Write what a rule requires.

    >>> format_required("min_retention", 0.5), format_required("margin", 0.1)
    ('≥ 0.50', '≥ -0.10 against the baseline')
    >>> format_required("no_verdicts", ("reversed", "not reached"))
    'not reversed, not reached'
    """
    row = RULES[rule]
    if isinstance(value, tuple):
        return f"{'not' if row.value_kind == 'verdicts' else 'no'} {', '.join(value)}"
    if row.value_kind == "true":
        return "not below 0"
    number = f"{value:.{_digits_of_value(rule, abs(value))}f}"
    return f"≥ -{number} against the baseline" if row.judged_by == "loss" else f"≥ {number}"


def _digits_of_value(rule: str, value: float) -> int:
    """Return as many decimal places as the number has, but at least those of its quantity."""
    fewest = DIGITS[RULES[rule].quantity]
    return next((digits for digits in range(fewest, MOST_DIGITS) if round(value, digits) == value), MOST_DIGITS)


def format_found(finding: Finding) -> str:
    """Write what was found: the number with its bounds, a verdict or warnings, or why there are none."""
    rule = RULES[finding.rule]
    pieces = [sanitize(name) for name in finding.observed]
    if rule.value_kind == "codes":
        pieces = [", ".join(pieces)] if pieces or finding.reason else ["none"]
    if not math.isnan(finding.value):
        form = (
            f"{'' if rule.quantity == 'retention' and rule.judged_by != 'loss' else '+'}.{_digits_of_bounds(finding)}f"
        )
        mark = "≈" if finding.approximate else ""
        pieces.append(f"{finding.value:{form}} {mark}[{finding.low:{form}}, {finding.high:{form}}]")
    if finding.reason:
        pieces.append(sanitize(finding.reason))
    return "; ".join(piece for piece in pieces if piece)


def _digits_of_bounds(finding: Finding) -> int:
    """Return enough decimal places to tell the bounds from the required value."""
    fewest = DIGITS[RULES[finding.rule].quantity]
    if not isinstance(finding.required, float):
        return fewest
    edge = -finding.required if RULES[finding.rule].judged_by == "loss" else finding.required
    return next((digits for digits in range(fewest, MOST_DIGITS) if _distinct(finding, edge, digits)), MOST_DIGITS)


def _distinct(finding: Finding, edge: float, digits: int) -> bool:
    return all(bound == edge or round(bound, digits) != round(edge, digits) for bound in (finding.low, finding.high))


def format_finding(finding: Finding) -> str:
    """Write a finding in one line."""
    quantity = RULES[finding.rule].quantity or "warnings"
    required = format_required(finding.rule, finding.required)
    return f"{format_language(finding)}: {quantity} {format_found(finding)}, required {required}: {finding.verdict}"


def summary_sentence(judgement: Judgement) -> str:
    """Write the verdict with the rules and languages that decide it."""
    if judgement.verdict == PASS:
        total = len(judgement.findings)
        return f"Pass: all {total} findings meet their rules." if total > 1 else "Pass: the rule is met."
    by_verdict = {
        verdict: _by_rule([finding for finding in judgement.findings if finding.verdict == verdict])
        for verdict in (FAIL, INCONCLUSIVE)
    }
    return " ".join(f"{verdict.capitalize()}: {names}." for verdict, names in by_verdict.items() if names)


def _by_rule(findings: Sequence[Finding]) -> str:
    rules = dict.fromkeys(finding.rule for finding in findings)
    return "; ".join(f"{rule} in {', '.join(_codes(findings, rule))}" for rule in rules)


def _codes(findings: Sequence[Finding], rule: str) -> list[str]:
    of_rule = [finding for finding in findings if finding.rule == rule]
    return [WHOLE_RUN if finding.language is None else sanitize(finding.language) for finding in of_rule]


def notes(judgement: Judgement) -> list[str]:
    """Write what a reader must know: what was judged, how often a fail is wrong, what to do, and the remarks."""
    run, baseline = judgement.run, judgement.baseline
    against = f", compared with run {baseline.run} ({_models(baseline.models)})" if baseline else ""
    judged = f"{sanitize(run.corpus)}, {_models(run.models)}; {sanitize(run.estimand)}"
    lines = [f"Run {run.run}: {judged}{against}."]
    if judgement.max_false_fail_rate:
        lines.append(
            "A rule on a number passes if the whole interval meets it, and fails if no part of the interval does. "
            f"The nominal probability that any fail is wrong is {format_percent(judgement.max_false_fail_rate)}."
        )
    if any(finding.verdict == INCONCLUSIVE and not finding.reason for finding in judgement.findings):
        lines.append(
            "An interval that meets a rule only in part is inconclusive; four times as many texts halve its width."
        )
    return [*lines, *judgement.remarks]


def _models(names: Sequence[str]) -> str:
    return " → ".join(sanitize(name) for name in names)
