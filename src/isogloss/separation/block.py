"""Score one block of hidden states, that is one model, language and layer, by every metric that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isogloss.separation.detectability import probe_scores
from isogloss.separation.metrics import Metric
from isogloss.separation.probe import ridge_probe
from isogloss.separation.projection import Projection
from isogloss.separation.resample import Draws
from isogloss.separation.salience import salience_scores
from isogloss.separation.score import Score


@dataclass(frozen=True, kw_only=True)
class BlockScores:
    """All scores of a block, and the projection that the picture shows."""

    scores: tuple[Score, ...]
    projection: Projection


def score_block(x: np.ndarray, draws: Draws, metrics: Sequence[Metric], components: Sequence[int]) -> BlockScores:
    """Score the hidden states of one model, language and layer.

    Args:
        x: float (n, d).
        draws: of this language.
        metrics: rows of METRICS.
        components: numbers of principal components for the "pca" metrics, such as (2, 10).
    """
    salience, projection = salience_scores(x, draws, [row for row in metrics if row.basis == "pca"], components)

    probes = [row for row in metrics if row.basis == "probe"]
    detectability = probe_scores(ridge_probe(x), draws, probes) if probes else []
    return BlockScores(scores=(*salience, *detectability), projection=projection)
