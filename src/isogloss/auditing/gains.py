"""The gains of a plan's primary estimand with what moves them: what contrasts across audits are made of."""

from __future__ import annotations

from isogloss.auditing.comparisons import Cell
from isogloss.auditing.measure import samples_of
from isogloss.auditing.plan import Plan
from isogloss.auditing.score_language import score_all
from isogloss.engines.engine import LOCAL
from isogloss.progress import silent
from isogloss.separation.jackknife import Jackknife


def primary_gains(plan: Plan) -> dict[str, Jackknife]:
    """Compute the gain of every language at the primary estimand, from states that are in the store.

    An audit keeps values and intervals; these keep how each pair moves a gain, so that two audits of the same pairs can
    be compared pair by pair (see `separation.mean_gap`).

    Args:
        plan: of a pair with a reference, whose states are stored.

    Returns:
        Language -> gain, the same number as in the audit.

    Raises:
        StoreError: states are missing or broken.
    """
    cell = Cell(plan.primary_layer, plan.primary.metric, plan.primary.components)
    parts = [(sample, plan.primary_layer) for sample in samples_of(plan).values()]
    scored = score_all(plan, parts, LOCAL, silent, "Measuring")
    return {one.sample.language: one.changes[cell].gain for one in scored}
