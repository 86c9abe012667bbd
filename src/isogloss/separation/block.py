"""Score one block of hidden states, that is one model, language and layer, by every metric that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isogloss.separation.detectability import cross_fit, fitted_scores
from isogloss.separation.metrics import Metric
from isogloss.separation.probe import ridge_probe
from isogloss.separation.projection import Projection
from isogloss.separation.resample import Draws
from isogloss.separation.salience import salience_scores
from isogloss.separation.score import Score


@dataclass(frozen=True, kw_only=True)
class BlockScores:
    """All scores of a block, and what the picture shows of its texts.

    `text_scores` are the cross-fitted scores of the probe, float64 (n,), comparable within a fold only and NaN where no
    text is left to fit on; None where no metric asks for a probe.
    """

    scores: tuple[Score, ...]
    projection: Projection
    text_scores: np.ndarray | None


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
    if not probes:
        return BlockScores(scores=tuple(salience), projection=projection, text_scores=None)
    fitted = cross_fit(ridge_probe(x), draws)
    detectability = fitted_scores(fitted, draws, probes)
    # A copy: a view would keep the scores of all shuffles in memory.
    return BlockScores(scores=(*salience, *detectability), projection=projection, text_scores=fitted[0].copy())
