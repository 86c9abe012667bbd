"""Bounds -> findings: a rule on a number is judged by the whole interval, never by its middle."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from isogloss.gating.asked import Asked
from isogloss.gating.bounds import Bounds
from isogloss.gating.case import Case
from isogloss.gating.judgement import FAIL, INCONCLUSIVE, PASS, Finding, Verdict
from isogloss.gating.rules import OPEN, Value
from isogloss.separation.compare import NOT_REACHED, REACHED

#: Where retention lies if a verdict is true, ends not included (docs/methods.md, section 7).
REGIONS: dict[str, tuple[float, float]] = {
    "reversed": (-math.inf, 0.0),
    "not reached": (-math.inf, NOT_REACHED),
    "lagging": (-math.inf, REACHED),
    "weakened": (NOT_REACHED, REACHED),
    "reached": (REACHED, math.inf),
}

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
        regions = [REGIONS[word] for word in forbidden if word in REGIONS]
        if (verdict in forbidden and verdict in OPEN) or not regions:
            known = FAIL if verdict in forbidden else PASS
            yield Finding(rule=name, language=code, verdict=known, asked=value, words=(verdict,))
        else:
            bounds = case.bounds(name, code)
            yield _finding(name, code, value, bounds, outside(regions), words=(verdict,))


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
