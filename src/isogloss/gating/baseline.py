"""Which run may be the baseline of another, and what still differs between the two."""

from __future__ import annotations

from isogloss.errors import UsageError
from isogloss.gating.bounds import primary_estimand
from isogloss.report.comparable import differences, remarks
from isogloss.report.visible import visible
from isogloss.results import Audit

#: Settings that make a number another number.
SAME = ("position", "rendering", "max_tokens")


def refuse_baseline(audit: Audit, baseline: Audit) -> None:
    """Stop unless a baseline is another run on the same corpus, with the same pivot, primary estimand and read-out.

    Raises:
        UsageError: it is not.
    """
    if baseline.identity == audit.identity:
        raise UsageError(
            "baseline",
            found=f"the run itself ({audit.identity.name})",
            expected="an earlier run of another model",
            do="name the run that this one must not fall behind",
        )
    if not baseline.has_reference:
        raise UsageError(
            "baseline",
            found="a run without a reference model, so without gains",
            expected="a run of a pair of models",
            do="name another",
        )
    audits = [("run", audit), ("baseline", baseline)]
    found = differences(audits)
    found |= _differ("primary estimand", *(str(primary_estimand(one)) for _, one in audits))
    for name in SAME:
        found |= _differ(name.replace("_", " "), *(str(one.config.get(name)) for _, one in audits))
    for name, values in found.items():
        raise UsageError(
            "baseline",
            found=f"another {name} than the run's ({values})",
            expected=f"the same {name} in both",
            do="audit both models on the same texts with the same settings",
        )


def _differ(name: str, one: str, other: str) -> dict[str, str]:
    return {} if one == other else {name: f"{visible(one)}, {visible(other)}"}


def baseline_remarks(audit: Audit, baseline: Audit) -> list[str]:
    """Say what differs between the two runs although they may be compared."""
    found = remarks([("run", audit), ("baseline", baseline)])
    hashes = {str(one.models["reference"]["sha256"]) for one in (audit, baseline)}
    if len(hashes) > 1:
        found.append("The reference models of the run and of the baseline are not the same: their gains differ by it.")
    return found
