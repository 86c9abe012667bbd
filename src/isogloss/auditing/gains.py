"""The gains of a plan's primary estimand with what moves them: what contrasts across audits are made of."""

from __future__ import annotations

from isogloss.auditing.comparisons import Cell
from isogloss.auditing.plan import Plan
from isogloss.auditing.sample import take_sample
from isogloss.auditing.score_language import score
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
    found = {}
    for code in plan.languages:
        part = plan.corpus.part(code)
        sample = take_sample(
            code, part, paired=plan.corpus.twins, n_shuffles=plan.config.shuffles, seed=plan.config.seed
        )
        found[code] = score(plan, sample, plan.primary_layer).changes[cell].gain
    return found
