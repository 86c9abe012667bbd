"""Score one block of hidden states (one model, language and layer) by every metric of an audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from isogloss.errors import MetricError
from isogloss.stats.components import Projection
from isogloss.stats.metric import Metric, Score, Scorer, StateBlock
from isogloss.stats.permutations import Draws
from isogloss.stats.probe import ridge_probe
from isogloss.stats.probe_scores import cross_fit
from isogloss.stats.scaling import largest_dimension


@dataclass(frozen=True, kw_only=True)
class BlockScores:
    """All scores of a block, and what the picture shows of its texts.

    `text_scores` are the cross-fitted scores of the probe, float64 (n,), comparable within a fold only and NaN where no
    text is left to fit on; None where no metric needs a probe. `largest` is the dimension of the unscaled states that
    carries most of their variance, with its share.
    """

    scores: tuple[Score, ...]
    projection: Projection
    text_scores: np.ndarray | None
    largest: tuple[int, float]

    def with_units(self, known: dict[bytes, np.ndarray]) -> BlockScores:
        """Share equal arrays of unit ids, which are half of the memory of a score.

        Args:
            known: bytes of an array -> the array; arrays that are new are added.
        """
        scores = []
        for score in self.scores:
            if score.jackknife:
                units = score.jackknife.units
                shared = known.setdefault(units.tobytes(), units)
                scores.append(replace(score, jackknife=replace(score.jackknife, units=shared)))
            else:
                scores.append(score)
        return replace(self, scores=tuple(scores))

    def without_texts(self) -> BlockScores:
        """Drop the numbers of single texts, which are most of the memory."""
        bare = replace(self.projection, scores=np.empty((0, self.projection.width)))
        return replace(self, projection=bare, text_scores=None)


def score_block(
    x: np.ndarray,
    draws: Draws,
    metrics: Sequence[Metric],
    components: Sequence[int],
    *,
    scale: np.ndarray | None = None,
    spread: float | None = None,
) -> BlockScores:
    """Score the hidden states of one model, language and layer.

    Args:
        x: float (n, d).
        draws: of this language.
        metrics: rows of tables of metrics. Those of one scorer stand together in the result.
        components: numbers of principal components for the "pca" metrics, such as (2, 10).
        scale: float (d,), what the dimensions are divided by; None leaves the states as they are.
        spread: unit of the class distance; None takes the within-class spread of these states.

    Raises:
        MetricError: a metric that does not read hidden states.
    """
    cross_fitted = cross_fit(ridge_probe(x), draws) if any(row.basis == "probe" for row in metrics) else None
    block = StateBlock(
        x=x, draws=draws, components=tuple(components), cross_fitted=cross_fitted, scale=scale, spread=spread
    )
    by_scorer: dict[Scorer, list[Metric]] = {}
    for row in metrics:
        if row.scorer is None:
            raise MetricError(row.name, found="a metric of answers", expected="one of hidden states", do="leave it out")
        by_scorer.setdefault(row.scorer, []).append(row)
    return BlockScores(
        scores=tuple(score for scorer, rows in by_scorer.items() for score in scorer(block, rows)),
        projection=block.space.projection(max(components)),
        # A copy: a view would keep the scores of all permutations in memory.
        text_scores=None if cross_fitted is None else cross_fitted[0].copy(),
        largest=largest_dimension(x),
    )
