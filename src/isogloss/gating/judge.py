"""A run and rules -> a judgement: the findings of every rule, and the remarks that qualify them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from isogloss.gating.bounds import Bounds, Case, Estimand, choose_estimand, primary_estimand
from isogloss.gating.judgement import FAIL, INCONCLUSIVE, PASS, VERDICTS, Finding, Judgement, Subject, Verdict
from isogloss.gating.questions import Asked, baseline_remarks, settle
from isogloss.gating.rules import OPEN, RULES, Rules, Value, rules_from
from isogloss.report.estimates import format_percent
from isogloss.results import Audit
from isogloss.stats.thresholds import Thresholds
from isogloss.text import sanitize

Read = Callable[[Bounds], Verdict]


def judge_bounds(case: Case, name: str, asked: Asked) -> Iterator[Finding]:
    """Judge a rule that asks for at least so much."""
    for code, least in asked.items():
        bounds = case.bounds(name, code)
        yield _finding(name, code, least, bounds, at_least(_number(least)))


def judge_loss(case: Case, name: str, asked: Asked) -> Iterator[Finding]:
    """Judge a rule that asks for no more than so much less than the baseline has."""
    for code, margin in asked.items():
        bounds = case.bounds(name, code)
        yield _finding(name, code, margin, bounds, at_least(-_number(margin)))


def judge_verdict(case: Case, name: str, asked: Asked) -> Iterator[Finding]:
    """Judge a rule that forbids verdicts.

    They are read off retention, so what decides is where its interval lies. Those that say that nothing is known are
    facts of the run.
    """
    said = {one.language: one.verdict for one in case.audit.verdicts}
    for code, value in asked.items():
        forbidden = value if isinstance(value, tuple) else ("reversed",)
        verdict = said.get(code, "not measured")
        regions = [region for word, region in retention_regions(case.audit.thresholds).items() if word in forbidden]
        if (verdict in forbidden and verdict in OPEN) or not regions:
            known = FAIL if verdict in forbidden else PASS
            yield Finding(rule=name, language=code, verdict=known, asked=value, words=(verdict,))
        else:
            bounds = case.bounds(name, code)
            yield _finding(name, code, value, bounds, outside(regions), words=(verdict,))


def retention_regions(thresholds: Thresholds) -> dict[str, tuple[float, float]]:
    """Return where retention lies if a verdict is true, ends excluded (docs/methods.md, section 7)."""
    return {
        "reversed": (-math.inf, 0.0),
        "not reached": (-math.inf, thresholds.not_reached),
        "lagging": (-math.inf, thresholds.reached),
        "weakened": (thresholds.not_reached, thresholds.reached),
        "reached": (thresholds.reached, math.inf),
    }


def at_least(least: float) -> Read:
    """Read bounds against a smallest value.

    >>> judge = at_least(0.5)
    >>> [judge(Bounds(value=0.5, low=low, high=high)) for low, high in ((0.5, 0.6), (0.4, 0.5), (0.3, 0.4))]
    ['pass', 'inconclusive', 'fail']
    """

    def read(found: Bounds) -> Verdict:
        if found.reason:
            return INCONCLUSIVE
        if found.low >= least:
            return PASS
        return FAIL if found.high < least else INCONCLUSIVE

    return read


def outside(regions: Sequence[tuple[float, float]]) -> Read:
    """Read bounds against open intervals that the number must not lie in."""

    def read(found: Bounds) -> Verdict:
        if found.reason:
            return INCONCLUSIVE
        if any(found.low > low and found.high < high for low, high in regions):
            return FAIL
        return PASS if all(found.high <= low or found.low >= high for low, high in regions) else INCONCLUSIVE

    return read


def _number(value: Value) -> float:
    assert isinstance(value, float)  # noqa: S101 - rules.py has checked it
    return value


def _finding(
    name: str,
    code: str,
    asked: Value,
    bounds: tuple[Bounds, Bounds | None],
    read: Read,
    *,
    words: tuple[str, ...] = (),
) -> Finding:
    """Judge bounds on all texts; as in the audit itself, what matched texts do not bear out counts as inconclusive."""
    own, matched = bounds
    verdict, reason = read(own), own.reason
    if matched is not None and verdict not in {INCONCLUSIVE, read(matched)}:
        verdict = INCONCLUSIVE
        reason = f"not borne out by matched texts: {matched.reason or f'[{matched.low:.3f}, {matched.high:.3f}]'}"
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


#: Codes that no run can have without these numbers of a language: fields of its rows, and how they are called.
NEEDED: dict[str, tuple[dict[str, str], str]] = {
    "S002": ({"kind": "control", "metric": "length_auroc"}, "the control by length"),
    "S003": ({"kind": "control", "metric": "ngram_auroc"}, "the control by n-grams"),
    "S004": ({"kind": "gain", "metric": "auroc"}, "the gain in AUROC"),
    "S007": ({"kind": "control", "metric": "untrained_auroc"}, "the control by an untrained model"),
    "S008": ({"kind": "control", "metric": "permuted_labels_auroc"}, "the control by permuted labels"),
    "S009": ({"kind": "retention", "sample": "matched"}, "the comparison on matched texts (--match)"),
    "S013": ({"kind": "prompt_format"}, "the comparison of prompt formats (--prompt-format both)"),
}
#: Of these codes the pivot, with which others are compared, has no numbers of its own.
NOT_OF_PIVOT = ("S009",)


def judge_warnings(case: Case, name: str, asked: Asked) -> Iterator[Finding]:
    """Judge a rule that names codes: one finding a language, and one for the run if a warning is about it as a whole.

    A warning that is there fails. One that could not come because what it needs was not computed is inconclusive.
    """
    warnings = case.audit.warnings
    for code, value in asked.items():
        words = value if isinstance(value, tuple) else ()
        here = {warning.code for warning in warnings if warning.language == code}
        found = tuple(word for word in words if word in here)
        unseen = [word for word in words if word not in here and not _looked_at(case.audit, word, code)]
        reason = f"not computed: {', '.join(NEEDED[word][1] for word in unseen)}" if unseen and not found else None
        verdict = FAIL if found else INCONCLUSIVE if unseen else PASS
        yield Finding(rule=name, language=code, verdict=verdict, asked=value, words=found, reason=reason)
    every = dict.fromkeys(word for value in asked.values() if isinstance(value, tuple) for word in value)
    whole = {warning.code for warning in warnings if warning.language is None}
    if found := tuple(word for word in every if word in whole):
        yield Finding(rule=name, language=None, verdict=FAIL, asked=tuple(every), words=found)


def _looked_at(audit: Audit, word: str, code: str) -> bool:
    if word not in NEEDED or (word in NOT_OF_PIVOT and code == audit.pivot):
        return True
    return bool(audit.find(language=code, **NEEDED[word][0]))


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
            f"Judged: {sanitize(str(case.estimand))}, which is not the primary estimand of the run "
            f"({sanitize(str(primary))}). Choose it before you see a result."
        )
        if gains := case.together.get("gain"):
            level = format_percent(float(case.audit.config["level"]))
            yield f"Intervals of gains are widened so that they hold for {gains} languages together with {level}."
            if case.audit.find(kind="gain", metric=case.estimand.metric, scale="logit"):
                yield "These gains are differences of log odds."
    if any(one.approximate for one in found):
        yield "≈: approximate intervals; they may cover less than they say."
    if case.baseline is not None:
        yield from baseline_remarks(case.audit, case.baseline)
