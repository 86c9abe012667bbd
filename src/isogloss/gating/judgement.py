"""What a gate says: findings, a rule and a language each, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from isogloss.gating.rules import Value
from isogloss.results import NAN

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
