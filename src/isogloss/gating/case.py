"""What is judged: a run, its baseline and the number; and the bounds that a rule reads of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from isogloss.gating.bounds import Bounds, Estimand, difference, find_bounds, missing, primary_estimand
from isogloss.gating.rules import RULES
from isogloss.results import Audit


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is judged.

    Attributes:
        audit: the run.
        baseline: the one that it is held against, for rules that ask so.
        estimand: which number.
        together: gain and retention -> for how many languages their bounds have to hold together: all that any rule
            judges by this quantity, so that two rules read one set of bounds.
    """

    audit: Audit
    baseline: Audit | None
    estimand: Estimand
    together: Mapping[str, int]

    def estimand_of(self, rule: str) -> Estimand:
        """Verdicts come from the primary estimand, whatever else is judged."""
        return primary_estimand(self.audit) if RULES[rule].value == "verdicts" else self.estimand

    def bounds(self, rule: str, code: str) -> tuple[Bounds, Bounds | None]:
        """Return the bounds that a rule reads in a language, on all texts and on matched ones (None without them)."""
        on_all, on_matched = (self._bounds(rule, code, sample) for sample in ("all", "matched"))
        return on_all or missing(f"there is no {RULES[rule].quantity} of this language"), on_matched

    def _bounds(self, rule: str, code: str, sample: str) -> Bounds | None:
        audits = (self.audit, self.baseline) if RULES[rule].reads == "loss" else (self.audit,)
        estimand, quantity = self.estimand_of(rule), RULES[rule].quantity
        together = self.together[quantity]
        found = [find_bounds(one, estimand, quantity, code, together=together, sample=sample) for one in audits if one]
        known = [one for one in found if one is not None]
        if len(known) < len(audits):
            return None
        return difference(*known) if len(known) > 1 else known[0]
