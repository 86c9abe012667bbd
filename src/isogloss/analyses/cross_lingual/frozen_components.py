"""Separation in components that alignment could not move: those of the reference model, for both models.

In the components of the same model, separation also rises if alignment shrinks everything else. In the components of
the reference it rises only if the classes separate in directions that mattered before.
"""

from __future__ import annotations

import numpy as np

from isogloss.stats.component_scopes import in_components
from isogloss.stats.jackknife import delete_one
from isogloss.stats.metric import Score, missing
from isogloss.stats.metrics import METRICS
from isogloss.stats.permutations import Draws

SHARE = METRICS["between_class_variance"]


def frozen_share(fitted: np.ndarray, x: np.ndarray, draws: Draws, k: int) -> Score:
    """Score the between-class share of variance of states in the first k components of other states, debiased.

    Without each jackknife group the components are fitted without it too.

    Args:
        fitted: float (n, d), states that the components are fitted on, such as the reference's.
        x: float (n, d), states of the same texts that are scored.
        draws: of this language.
        k: number of components.
    """
    fewest = min((draws.groups != group).sum() for group in range(draws.n_groups))
    if k >= min(fewest - 1, x.shape[1]):
        return missing(SHARE, k, f"fewer than {k} components can be fitted without a group of texts")
    z = in_components(fitted, x, k)
    plug_in, *null = SHARE.many(z, np.vstack([draws.harmful[None, :], draws.permutations]), draws.partners, draws.folds)
    left = []
    for group in range(draws.n_groups):
        kept, labels, partners = draws.without(group)
        left.append(SHARE.many(in_components(fitted[kept], x[kept], k), labels, partners, draws.folds[kept])[0])
    permuted = np.array(null)
    return Score(
        row=SHARE,
        components=k,
        plug_in=float(plug_in),
        jackknife=delete_one(float(plug_in), np.array(left), draws.group_ids),
        plug_in_null=permuted,
        null=permuted - (permuted.mean() if len(permuted) else 0.0),
    )
