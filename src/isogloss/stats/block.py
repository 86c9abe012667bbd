"""Score one block of hidden states, that is one model, language and layer, by every metric that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from isogloss.stats.component_scores import component_scores
from isogloss.stats.components import Projection
from isogloss.stats.metric import Metric
from isogloss.stats.permutations import Draws
from isogloss.stats.probe import ridge_probe
from isogloss.stats.probe_scores import cross_fit, fitted_scores
from isogloss.stats.published_scores import peer_scores
from isogloss.stats.score import Score

FAMILIES = ("component", "probe", "published")


@dataclass(frozen=True, kw_only=True)
class BlockScores:
    """All scores of a block, and what the picture shows of its texts.

    `text_scores` are the cross-fitted scores of the probe, float64 (n,), comparable within a fold only and NaN where no
    text is left to fit on; None where no metric asks for a probe.
    """

    scores: tuple[Score, ...]
    projection: Projection
    text_scores: np.ndarray | None

    def with_units(self, known: dict[bytes, np.ndarray]) -> BlockScores:
        """Hold ids of units that are equal once only: they are half of what is kept of a score."""
        scores = [
            replace(one, found=replace(one.found, units=known.setdefault(one.found.units.tobytes(), one.found.units)))
            if one.found
            else one
            for one in self.scores
        ]
        return replace(self, scores=tuple(scores))

    def without_texts(self) -> BlockScores:
        """Let go of what there is of every text, which is most of it."""
        bare = replace(self.projection, scores=np.empty((0, self.projection.width)))
        return replace(self, projection=bare, text_scores=None)


def score_block(x: np.ndarray, draws: Draws, metrics: Sequence[Metric], components: Sequence[int]) -> BlockScores:
    """Score the hidden states of one model, language and layer.

    Args:
        x: float (n, d).
        draws: of this language.
        metrics: rows of METRICS.
        components: numbers of principal components for the "pca" metrics, such as (2, 10).
    """
    family = {name: [row for row in metrics if row.family == name] for name in FAMILIES}
    primary_family, projection = component_scores(x, draws, family["component"], components)
    fitted = cross_fit(ridge_probe(x), draws) if any(row.basis == "probe" for row in metrics) else None
    probe_family = fitted_scores(fitted, draws, family["probe"]) if fitted is not None else []
    compared = peer_scores(x, fitted, draws, family["published"], components)
    return BlockScores(
        scores=(*primary_family, *probe_family, *compared),
        projection=projection,
        # A copy: a view would keep the scores of all permutations in memory.
        text_scores=None if fitted is None else fitted[0].copy(),
    )
