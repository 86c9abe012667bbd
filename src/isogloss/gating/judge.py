"""A run and rules -> a judgement: the findings of every rule, and what a reader must know of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from isogloss.gating.asked import Asked, settle
from isogloss.gating.baseline import baseline_remarks
from isogloss.gating.bounds import Estimand, choose_estimand, primary_estimand
from isogloss.gating.case import Case
from isogloss.gating.judge_numbers import judge_bounds, judge_loss, judge_verdict
from isogloss.gating.judge_warnings import judge_warnings
from isogloss.gating.judgement import VERDICTS, Finding, Judgement, Subject
from isogloss.gating.rules import RULES, Rules, rules_from
from isogloss.report.numbers import percent
from isogloss.report.visible import visible
from isogloss.results import Audit

#: What a rule reads -> what turns it, and the languages that it is asked of, into findings.
JUDGES: dict[str, Callable[[Case, str, Asked], Iterator[Finding]]] = {
    "bounds": judge_bounds,
    "loss": judge_loss,
    "verdict": judge_verdict,
    "warnings": judge_warnings,
}


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
    asked = settle(audit, rules, baseline)
    estimand = choose_estimand(audit, rules.estimand)
    case = Case(audit=audit, baseline=baseline, estimand=estimand, together=_together(asked))
    found = [finding for name, codes in asked.items() for finding in JUDGES[RULES[name].reads](case, name, codes)]
    return Judgement(
        findings=tuple(sorted(found, key=lambda one: VERDICTS.index(one.verdict))),
        subject=_subject(audit, case.estimand),
        baseline=_subject(baseline, case.estimand) if baseline else None,
        wrong=_wrong(case, asked),
        remarks=tuple(_remarks(case, found)),
    )


def _together(asked: Mapping[str, Asked]) -> dict[str, int]:
    """Count the languages that are judged by each quantity."""
    codes: dict[str, set[str]] = {}
    for name, mine in asked.items():
        codes.setdefault(RULES[name].quantity, set()).update(mine)
    return {quantity: len(mine) for quantity, mine in codes.items()}


def _subject(audit: Audit, estimand: Estimand) -> Subject:
    return Subject(
        run=audit.identity.name,
        corpus=str(audit.corpus["name"]),
        models=tuple(str(audit.models[role]["name"]) for role in ("reference", "aligned") if audit.models.get(role)),
        estimand=str(estimand),
        pivot=audit.pivot,
    )


def _wrong(case: Case, asked: Mapping[str, Asked]) -> float:
    """Add up the error rates of the sets of intervals that rules read; each set holds as a whole at its level."""
    sets: dict[tuple[bool, str, Estimand], float] = {}
    for name in asked:
        if RULES[name].quantity:
            for one in (case.audit, case.baseline) if RULES[name].reads == "loss" else (case.audit,):
                if one is not None:
                    key = one is case.audit, RULES[name].quantity, case.estimand_of(name)
                    sets[key] = 1 - float(one.config["level"])
    return round(sum(sets.values()), 9)  # 1 - .95 is not .05


def _remarks(case: Case, found: Sequence[Finding]) -> Iterator[str]:
    primary = primary_estimand(case.audit)
    if case.estimand != primary:
        yield (
            f"Judged: {visible(str(case.estimand))}, which is not the primary estimand of the run "
            f"({visible(str(primary))}). Choose it before you see a result."
        )
        if gains := case.together.get("gain"):
            level = percent(float(case.audit.config["level"]))
            yield f"Intervals of gains are widened so that they hold for {gains} languages together with {level}."
            if case.audit.find(kind="gain", metric=case.estimand.metric, scale="logit"):
                yield "These gains are differences of log odds."
    if any(one.approximate for one in found):
        yield "≈: approximate intervals; they may cover less than they say."
    if case.baseline is not None:
        yield from baseline_remarks(case.audit, case.baseline)
