"""A run and rules -> a judgement: one finding per rule and language, and the remarks that qualify them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from isogloss.gating.bounds import CROSS_CHECK, Bounds, Estimand, Evidence, choose_estimand, primary_estimand
from isogloss.gating.judgement import FAIL, INCONCLUSIVE, PASS, VERDICTS, Finding, GatedRun, GateVerdict, Judgement
from isogloss.gating.requirements import Requirements, baseline_remarks, resolve_requirements
from isogloss.gating.rules import OPEN_VERDICTS, RULES, Rules, Value, rules_from
from isogloss.report.estimates import format_percent
from isogloss.results import Audit
from isogloss.stats.thresholds import Thresholds
from isogloss.text import sanitize
from isogloss.warnings import WARNINGS

#: Judges the bounds of one number.
JudgeBounds = Callable[[Bounds], GateVerdict]


def gate(audit: Audit, rules: Rules | Mapping[str, Any], *, baseline: Audit | None = None) -> Judgement:
    """Judge a finished audit by rules.

    Args:
        audit: from `isogloss.audit` or `isogloss.Audit.load`.
        rules: from `isogloss.read_rules`, or the content of a rules file, such as {"min_retention": 0.5}.
        baseline: the run that the rules margin and gain_margin compare this one with.

    Returns:
        One finding for each rule and language, and the verdict that follows from them.

    Raises:
        UsageError: the rules are malformed; they name a language, class, metric or layer that the run does not have, or
            require a number that it cannot give; or the baseline is missing, unused, the run itself, or not comparable.
    """
    rules = rules if isinstance(rules, Rules) else rules_from(rules)
    required = resolve_requirements(audit, rules, baseline)
    estimand = choose_estimand(audit, rules.estimand)
    evidence = Evidence(audit=audit, baseline=baseline, estimand=estimand, families=_families(required))
    findings = [
        finding
        for name, by_language in required.items()
        for finding in JUDGES[RULES[name].judged_by](evidence, name, by_language)
    ]
    return Judgement(
        findings=tuple(sorted(findings, key=lambda finding: VERDICTS.index(finding.verdict))),
        run=_gated_run(audit, estimand),
        baseline=_gated_run(baseline, estimand) if baseline else None,
        max_false_fail_rate=_max_false_fail_rate(evidence, required),
        remarks=tuple(_remarks(evidence, findings)),
    )


def judge_bounds(evidence: Evidence, name: str, required: Requirements) -> Iterator[Finding]:
    """Judge a rule that requires a smallest value."""
    for code, lowest in required.items():
        yield _judge(evidence, name, code, lowest, at_least(_number(lowest)))


def judge_loss(evidence: Evidence, name: str, required: Requirements) -> Iterator[Finding]:
    """Judge a rule that allows a number to be lower than the baseline's by a margin."""
    for code, margin in required.items():
        yield _judge(evidence, name, code, margin, at_least(-_number(margin)))


def judge_verdict(evidence: Evidence, name: str, required: Requirements) -> Iterator[Finding]:
    """Judge a rule that forbids verdicts.

    Definite verdicts are regions of retention, so the interval of retention decides. A reversal needs the distance of
    the classes to fall as well, as in an audit. Open verdicts ("inconclusive") are facts of the run.
    """
    regions_by_verdict = retention_regions(evidence.audit.thresholds)
    for code, value in required.items():
        forbidden = value if isinstance(value, tuple) else ("reversed",)
        of_language = evidence.audit.verdict(code)
        verdict = of_language.verdict if of_language else "not measured"
        regions = [region for word, region in regions_by_verdict.items() if word in forbidden]
        if (verdict in forbidden and verdict in OPEN_VERDICTS) or not regions:
            known = FAIL if verdict in forbidden else PASS
            yield Finding(rule=name, language=code, verdict=known, required=value, observed=(verdict,))
        else:
            finding = _judge(evidence, name, code, value, outside(regions), observed=(verdict,))
            yield _confirm_reversal(evidence, finding, outside([regions_by_verdict["reversed"]]))


def _confirm_reversal(evidence: Evidence, finding: Finding, beyond_reversal: JudgeBounds) -> Finding:
    """Leave a failure by reversal open unless the distance between the classes clearly fell as well."""
    code = str(finding.language)
    if finding.verdict != FAIL or beyond_reversal(evidence.bounds(finding.rule, code)[0]) != FAIL:
        return finding
    change = evidence.audit.class_distance("gain", code)
    if change is not None and change.high < 0:  # NaN is not below zero
        return finding
    return replace(finding, verdict=INCONCLUSIVE, reason="the distance between the classes did not clearly fall")


def judge_warnings(evidence: Evidence, name: str, required: Requirements) -> Iterator[Finding]:
    """Judge a rule that forbids warnings: one finding per language, and one for the run if it has a general warning.

    A warning that the run has fails. One that could not be raised, because the run lacks its rows, is inconclusive.
    """
    audit = evidence.audit
    for language, value in required.items():
        forbidden = value if isinstance(value, tuple) else ()
        raised = {warning.code for warning in audit.warnings if warning.language == language}
        observed = tuple(code for code in forbidden if code in raised)
        unknown = [code for code in forbidden if code not in raised and not _could_be_raised(audit, code, language)]
        reason = f"not computed: {', '.join(_needs(unknown))}" if unknown and not observed else None
        verdict = FAIL if observed else INCONCLUSIVE if unknown else PASS
        yield Finding(rule=name, language=language, verdict=verdict, required=value, observed=observed, reason=reason)
    forbidden = tuple(dict.fromkeys(code for value in required.values() if isinstance(value, tuple) for code in value))
    general = {warning.code for warning in audit.warnings if warning.language is None}
    if observed := tuple(code for code in forbidden if code in general):
        yield Finding(rule=name, language=None, verdict=FAIL, required=forbidden, observed=observed)


def _could_be_raised(audit: Audit, code: str, language: str) -> bool:
    needs = WARNINGS[code].needs
    if needs is None or (language == audit.pivot and not needs.of_pivot):
        return True
    return bool(audit.find(language=language, **needs.fields))


def _needs(codes: Sequence[str]) -> Iterator[str]:
    for code in codes:
        if needs := WARNINGS[code].needs:
            yield needs.about


#: What a rule is judged by -> the function that judges it.
JUDGES: dict[str, Callable[[Evidence, str, Requirements], Iterator[Finding]]] = {
    "bounds": judge_bounds,
    "loss": judge_loss,
    "verdict": judge_verdict,
    "warnings": judge_warnings,
}


def retention_regions(thresholds: Thresholds) -> dict[str, tuple[float, float]]:
    """Return verdict -> open interval of retention in which the verdict is true (docs/methods.md, section 7)."""
    return {
        "reversed": (-math.inf, 0.0),
        "not reached": (-math.inf, thresholds.not_reached),
        "lagging": (-math.inf, thresholds.reached),
        "weakened": (thresholds.not_reached, thresholds.reached),
        "reached": (thresholds.reached, math.inf),
    }


def at_least(lowest: float) -> JudgeBounds:
    """Return a judge that requires a smallest value.

    >>> judge = at_least(0.5)
    >>> [judge(Bounds(value=0.5, low=low, high=high)) for low, high in ((0.5, 0.6), (0.4, 0.5), (0.3, 0.4))]
    ['pass', 'inconclusive', 'fail']
    """

    def judge(bounds: Bounds) -> GateVerdict:
        if bounds.reason:
            return INCONCLUSIVE
        if bounds.low >= lowest:
            return PASS
        return FAIL if bounds.high < lowest else INCONCLUSIVE

    return judge


def outside(regions: Sequence[tuple[float, float]]) -> JudgeBounds:
    """Return a judge that requires a number outside some open intervals."""

    def judge(bounds: Bounds) -> GateVerdict:
        if bounds.reason:
            return INCONCLUSIVE
        if any(bounds.low > low and bounds.high < high for low, high in regions):
            return FAIL
        return PASS if all(bounds.high <= low or bounds.low >= high for low, high in regions) else INCONCLUSIVE

    return judge


def _number(value: Value) -> float:
    assert isinstance(value, float)  # noqa: S101 - rules.py has checked it
    return value


def _judge(
    evidence: Evidence,
    name: str,
    code: str,
    required: Value,
    judge: JudgeBounds,
    *,
    observed: tuple[str, ...] = (),
) -> Finding:
    """Judge the bounds of a language. As in an audit, a verdict that the cross-check denies is inconclusive."""
    bounds, cross_check = evidence.bounds(name, code)
    verdict, reason = judge(bounds), bounds.reason
    if cross_check is not None and verdict not in {INCONCLUSIVE, judge(cross_check)}:
        verdict = INCONCLUSIVE
        why = cross_check.reason or f"[{cross_check.low:.3f}, {cross_check.high:.3f}]"
        reason = f"not confirmed on {CROSS_CHECK} texts: {why}"
    return Finding(
        rule=name,
        language=code,
        verdict=verdict,
        required=required,
        value=bounds.value,
        low=bounds.low,
        high=bounds.high,
        approximate=bounds.approximate,
        observed=observed,
        reason=reason,
    )


def _families(required: Mapping[str, Requirements]) -> dict[str, int]:
    """Count the languages that are judged by each quantity."""
    codes: dict[str, set[str]] = {}
    for name, by_language in required.items():
        codes.setdefault(RULES[name].quantity, set()).update(by_language)
    return {quantity: len(languages) for quantity, languages in codes.items()}


def _gated_run(audit: Audit, estimand: Estimand) -> GatedRun:
    return GatedRun(
        run=audit.identity.name,
        corpus=str(audit.corpus["name"]),
        models=tuple(str(audit.models[role]["name"]) for role in ("reference", "aligned") if audit.models.get(role)),
        estimand=str(estimand),
        pivot=audit.pivot,
    )


def _max_false_fail_rate(evidence: Evidence, required: Mapping[str, Requirements]) -> float:
    """Add up the error rates of the sets of intervals that the rules read; each set holds as a whole at its level."""
    rates: dict[tuple[bool, str, Estimand], float] = {}
    for name in required:
        quantity = RULES[name].quantity
        if not quantity:
            continue
        audits = [evidence.audit]
        if RULES[name].judged_by == "loss" and evidence.baseline is not None:
            audits.append(evidence.baseline)
        for audit in audits:
            key = audit is evidence.audit, quantity, evidence.estimand_of(name)
            rates[key] = 1 - float(audit.config["level"])
    return round(sum(rates.values()), 9)  # 1 - .95 is not .05


def _remarks(evidence: Evidence, findings: Sequence[Finding]) -> Iterator[str]:
    primary = primary_estimand(evidence.audit)
    if evidence.estimand != primary:
        yield (
            f"Judged by {sanitize(str(evidence.estimand))}, which is not the primary estimand of the run "
            f"({sanitize(str(primary))}). Choose the estimand before you see a result."
        )
        if gains := evidence.families.get("gain"):
            level = format_percent(float(evidence.audit.config["level"]))
            yield f"Intervals of gains are widened to hold for {gains} languages simultaneously at {level}."
            if evidence.audit.find(kind="gain", metric=evidence.estimand.metric, scale="logit"):
                yield "These gains are differences of log odds."
    if any(finding.approximate for finding in findings):
        yield "≈: approximate interval, which may cover less than its level."
    if evidence.baseline is not None:
        yield from baseline_remarks(evidence.audit, evidence.baseline)
