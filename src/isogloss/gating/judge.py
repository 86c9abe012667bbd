"""A run and rules -> findings. Every rule on a number is judged by whole intervals, never by their middle."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from isogloss.errors import UsageError, unknown
from isogloss.gating.baseline import baseline_remarks, refuse_baseline
from isogloss.gating.bounds import Bounds, Estimand, choose_estimand, difference, find_bounds, missing, primary_estimand
from isogloss.gating.judgement import FAIL, INCONCLUSIVE, PASS, VERDICTS, Finding, Judgement, Subject, Verdict
from isogloss.gating.rules import CLASS_KEY, LANGUAGE_KEY, OPEN, RULES, Rules, Value, rules_from
from isogloss.gating.judge_warnings import judge_warnings
from isogloss.report.numbers import percent
from isogloss.report.visible import visible
from isogloss.results import Audit
from isogloss.separation.compare import NOT_REACHED, REACHED

#: Where retention lies if a verdict is true, ends not included (see docs/methods.md, section 7).
REGIONS: dict[str, tuple[float, float]] = {
    "reversed": (-math.inf, 0.0),
    "not reached": (-math.inf, NOT_REACHED),
    "lagging": (-math.inf, REACHED),
    "weakened": (NOT_REACHED, REACHED),
    "reached": (REACHED, math.inf),
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is judged."""

    audit: Audit
    baseline: Audit | None
    estimand: Estimand


Asked = Mapping[str, Value]
Judge = Callable[[Case, str, Asked], Iterator[Finding]]


def gate(audit: Audit, rules: Rules | Mapping[str, Any], *, baseline: Audit | None = None) -> Judgement:
    """Judge a finished audit by rules.

    Args:
        audit: from `isogloss.audit` or `isogloss.Audit.load`.
        rules: from `isogloss.read_rules`, or what a rules file holds, such as {"min_retention": 0.5}.
        baseline: the run that the rules margin and gain_margin hold this one against.

    Returns:
        One finding for each rule and language that it is asked of, and the verdict that follows.

    Raises:
        UsageError: the rules are not rules, name a language, class, metric or layer that the run does not have, or ask
            for what it cannot say; or the baseline is missing, not asked for, the run itself, or not comparable.
    """
    rules = rules if isinstance(rules, Rules) else rules_from(rules)
    asked = _asked(audit, rules)
    _refuse_impossible(audit, baseline, asked)
    case = Case(audit=audit, baseline=baseline, estimand=choose_estimand(audit, rules.estimand))
    found = [finding for name, codes in asked.items() for finding in JUDGES[RULES[name].reads](case, name, codes)]
    return Judgement(
        findings=tuple(sorted(found, key=lambda one: VERDICTS.index(one.verdict))),
        subject=_subject(audit, case.estimand),
        baseline=_subject(baseline, case.estimand) if baseline else None,
        wrong=_wrong(case, asked),
        remarks=tuple(_remarks(case, asked, found)),
    )


def _asked(audit: Audit, rules: Rules) -> dict[str, dict[str, Value]]:
    """Settle which rule is asked of which languages of the run with which value.

    Raises:
        UsageError: a language or class is not in the run, or a rule is asked of no language.
    """
    for where, code in [
        *((LANGUAGE_KEY, code) for code in rules.of_language),
        *(("languages", code) for code in rules.languages or ()),
    ]:
        if code not in audit.languages:
            raise unknown(UsageError, "language", code, map(visible, audit.languages), f"rules, {where}")
    for number in rules.classes:
        alone = Rules(everywhere={}, classes={number: {"no_warnings": ("S001",)}})
        if not any(alone.of(code) for code in audit.languages):
            raise UsageError(
                f"rules, {CLASS_KEY} {number}",
                found="no language of this resource class in the run",
                expected="at least one",
                do="audit one, or remove the table",
            )
    judged = [code for code in audit.languages if rules.languages is None or code in rules.languages]
    by_code = {code: rules.of(code) for code in judged}
    found: dict[str, dict[str, Value]] = {}
    for name, rule in RULES.items():
        codes = {
            code: mine[name] for code, mine in by_code.items() if name in mine and (rule.pivot or code != audit.pivot)
        }
        if codes:
            found[name] = codes
        elif any(name in mine for mine in by_code.values()):
            raise UsageError(
                f"rules, {name}",
                found=f"only the pivot language {visible(audit.pivot)}, which is compared with no other",
                expected="another language",
                do="audit or name one",
            )
    if not found:
        raise UsageError("rules", found="none for these languages", expected="at least one", do="name other languages")
    return found


def _refuse_impossible(audit: Audit, baseline: Audit | None, asked: Mapping[str, Asked]) -> None:
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


# Judges: each turns one rule and the languages that it is asked of into findings


def _judge_bounds(case: Case, name: str, asked: Asked) -> Iterator[Finding]:
    for code, least in asked.items():
        own, matched = (_own(case, name, code, len(asked), sample) for sample in ("all", "matched"))
        yield _finding(name, code, least, own, matched, _at_least(least))


def _judge_loss(case: Case, name: str, asked: Asked) -> Iterator[Finding]:
    for code, margin in asked.items():
        all_texts, matched = (_loss(case, name, code, len(asked), sample) for sample in ("all", "matched"))
        yield _finding(name, code, margin, all_texts, matched, _at_least(-float(margin)))  # type: ignore[arg-type]


def _judge_verdict(case: Case, name: str, asked: Asked) -> Iterator[Finding]:
    """Verdicts are read off retention, so the rule is judged by where its interval lies; those that say that nothing is
    known are facts of the run.
    """
    said = {one.language: one for one in case.audit.verdicts}
    for code, value in asked.items():
        words = value if isinstance(value, tuple) else ("reversed",)
        verdict = said[code].verdict if code in said else "not measured"
        if verdict in words and verdict in OPEN:
            yield Finding(rule=name, language=code, verdict=FAIL, asked=value, words=(verdict,))
            continue
        regions = [REGIONS[word] for word in words if word in REGIONS]
        if not regions:
            yield Finding(rule=name, language=code, verdict=PASS, asked=value, words=(verdict,))
            continue
        own, matched = (_own(case, name, code, len(asked), sample) for sample in ("all", "matched"))
        yield _finding(name, code, value, own, matched, _outside(regions), words=(verdict,))


def _judge_warnings(case: Case, name: str, asked: Asked) -> Iterator[Finding]:
    return judge_warnings(case.audit, name, asked)


JUDGES: dict[str, Judge] = {
    "bounds": _judge_bounds,
    "loss": _judge_loss,
    "verdict": _judge_verdict,
    "warnings": _judge_warnings,
}


def _own(case: Case, name: str, code: str, together: int, sample: str) -> Bounds | None:
    # Verdicts come from the primary estimand whatever else is judged.
    estimand = case.estimand if RULES[name].value != "verdicts" else primary_estimand(case.audit)
    return _of(case.audit, estimand, RULES[name].quantity, code, together, sample)


def _loss(case: Case, name: str, code: str, together: int, sample: str) -> Bounds | None:
    assert case.baseline is not None  # noqa: S101 - see `_refuse_impossible`
    quantity = RULES[name].quantity
    own, other = (
        _of(audit, case.estimand, quantity, code, together, sample) for audit in (case.audit, case.baseline)
    )
    return difference(own, other) if own and other else None


def _of(audit: Audit, estimand: Estimand, quantity: str, code: str, together: int, sample: str) -> Bounds | None:
    found = find_bounds(audit, estimand, quantity, code, together=together, sample=sample)
    return missing(f"the run has no {quantity} of it") if found is None and sample == "all" else found


def _at_least(least: Value) -> Callable[[Bounds], Verdict]:
    asked = float(least)  # type: ignore[arg-type]  # rules on numbers have numbers: see rules.py

    def judge(found: Bounds) -> Verdict:
        if found.reason:
            return INCONCLUSIVE
        if found.low >= asked:
            return PASS
        return FAIL if found.high < asked else INCONCLUSIVE

    return judge


def _outside(regions: list[tuple[float, float]]) -> Callable[[Bounds], Verdict]:
    def judge(found: Bounds) -> Verdict:
        if found.reason:
            return INCONCLUSIVE
        if any(found.low > low and found.high < high for low, high in regions):
            return FAIL
        return PASS if all(found.high <= low or found.low >= high for low, high in regions) else INCONCLUSIVE

    return judge


def _finding(
    name: str,
    code: str,
    asked: Value,
    own: Bounds | None,
    matched: Bounds | None,
    judge: Callable[[Bounds], Verdict],
    words: tuple[str, ...] = (),
) -> Finding:
    """Judge bounds; as in the audit itself, what matched texts do not bear out counts as inconclusive."""
    own = own or missing("it is not in both runs")
    verdict, reason = judge(own), own.reason
    if matched is not None and verdict not in {INCONCLUSIVE, judge(matched)}:
        verdict = INCONCLUSIVE
        reason = f"confounded: on matched texts {matched.reason or f'[{matched.low:.3f}, {matched.high:.3f}]'}"
    return Finding(
        rule=name,
        language=code,
        verdict=verdict,
        asked=asked,
        value=own.value,
        low=own.low,
        high=own.high,
        approximate=own.approximate,
        words=words,
        reason=reason,
    )


# What goes with the findings


def _subject(audit: Audit, estimand: Estimand) -> Subject:
    roles = ("reference", "aligned")
    return Subject(
        run=audit.identity.name,
        corpus=str(audit.corpus["name"]),
        models=tuple(str(audit.models[role]["name"]) for role in roles if audit.models.get(role)),
        estimand=str(estimand),
        pivot=audit.pivot,
    )


def _wrong(case: Case, asked: Mapping[str, Asked]) -> float:
    """Add up the error rates of the families of intervals that the rules read: each holds as a whole at its level."""
    families = {
        (role, RULES[name].quantity, RULES[name].value == "verdicts" or case.estimand == primary_estimand(case.audit))
        for name in asked
        if RULES[name].quantity
        for role in (("run", "baseline") if RULES[name].reads == "loss" else ("run",))
    }
    audits = {"run": case.audit, "baseline": case.baseline}
    return sum(1 - float(audits[role].config["level"]) for role, *_ in families)  # type: ignore[union-attr]


def _remarks(case: Case, asked: Mapping[str, Asked], found: list[Finding]) -> Iterator[str]:
    primary = primary_estimand(case.audit)
    if case.estimand != primary:
        yield (
            f"Judged: {visible(str(case.estimand))}, which is not the primary estimand of the run "
            f"({visible(str(primary))}). Choose it before you see a result."
        )
        gains = [name for name in asked if RULES[name].quantity == "gain"]
        if gains:
            most = max(len(asked[name]) for name in gains)
            level = percent(float(case.audit.config["level"]))
            yield f"Intervals of gains are widened so that they hold for {most} languages together with {level}."
    if any(one.approximate for one in found):
        yield "≈: approximate intervals; they may cover less than they say."
    if case.baseline is not None:
        yield from baseline_remarks(case.audit, case.baseline)
