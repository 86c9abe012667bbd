"""What is judged: a run, its baseline and the number; and the bounds that a rule reads of them."""

from __future__ import annotations

from dataclasses import dataclass

from isogloss.gating.bounds import Bounds, Estimand, difference, find_bounds, missing, primary_estimand
from isogloss.gating.rules import RULES
from isogloss.results import Audit


@dataclass(frozen=True, kw_only=True)
class Case:
    """A run, the one that it is held against (for rules that ask so), and which number is judged."""

    audit: Audit
    baseline: Audit | None
    estimand: Estimand

    def estimand_of(self, rule: str) -> Estimand:
        """Verdicts come from the primary estimand, whatever else is judged."""
        return primary_estimand(self.audit) if RULES[rule].value == "verdicts" else self.estimand

    def bounds(self, rule: str, code: str, *, together: int) -> tuple[Bounds, Bounds | None]:
        """Return the bounds that a rule reads in a language, on all texts and on matched ones (None without them).

        Args:
            rule: one that reads a number.
            code: language.
            together: for how many languages the bounds have to hold together.
        """
        on_all, on_matched = (self._bounds(rule, code, together, sample) for sample in ("all", "matched"))
        return on_all or missing(f"there is no {RULES[rule].quantity} of this language"), on_matched

    def _bounds(self, rule: str, code: str, together: int, sample: str) -> Bounds | None:
        audits = (self.audit, self.baseline) if RULES[rule].reads == "loss" else (self.audit,)
        estimand, quantity = self.estimand_of(rule), RULES[rule].quantity
        found = [find_bounds(one, estimand, quantity, code, together=together, sample=sample) for one in audits if one]
        known = [one for one in found if one is not None]
        if len(known) < len(audits):
            return None
        return difference(*known) if len(known) > 1 else known[0]
