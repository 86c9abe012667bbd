"""Score one block of hidden states: every metric, its null, and its values with groups of units left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from isogloss.separation.metrics import METRICS, Metric
from isogloss.separation.pairs import fold_of_units
from isogloss.separation.probe import N_FOLDS, cross_fitted_scores
from isogloss.separation.projection import Projection, pca
from isogloss.separation.resample import jackknife_groups, label_shuffles

NAN = float("nan")
MANY = 500


@dataclass(frozen=True, kw_only=True)
class Draws:
    """The random part of a language's scores, drawn once and shared by both models and all layers.

    Attributes:
        harmful: bool (n,), the true labels.
        twins: int (n,) or None, the row of each row's twin.
        shuffles: bool (B, n), labelings without a class difference.
        groups: int (n,), jackknife groups.
        folds: int (n,), folds of the probe.
    """

    harmful: np.ndarray
    twins: np.ndarray | None
    shuffles: np.ndarray
    groups: np.ndarray
    folds: np.ndarray

    @property
    def per_class(self) -> int:
        """Texts in the smaller class."""
        return int(min(self.harmful.sum(), (~self.harmful).sum()))


def draw(harmful: np.ndarray, twins: np.ndarray | None, n_shuffles: int, rng: np.random.Generator) -> Draws:
    """Draw shuffles, jackknife groups and folds, in this order."""
    return Draws(
        harmful=harmful,
        twins=twins,
        shuffles=label_shuffles(harmful, twins, n_shuffles, rng),
        groups=jackknife_groups(harmful, twins, rng),
        folds=fold_of_units(harmful, twins, N_FOLDS, rng),
    )


@dataclass(frozen=True, kw_only=True)
class Score:
    """One metric of one block.

    Attributes:
        value: with the true labels; NaN with a `reason`.
        null: (B,), with shuffled labels.
        left_out: (G,), with each jackknife group left out and the PCA fitted again; empty where not computed.
    """

    metric: str
    components: int | None
    value: float
    null: np.ndarray
    left_out: np.ndarray
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class BlockScores:
    """All scores of a block, and the projection that the picture shows."""

    scores: tuple[Score, ...]
    projection: Projection


def score_block(x: np.ndarray, draws: Draws, metrics: Sequence[Metric], components: Sequence[int]) -> BlockScores:
    """Score the hidden states of one model, language and layer.

    PCA is fitted on both classes together and does not see the labels, so one projection serves all shuffles; the
    jackknife fits it again without each group.

    Args:
        x: float (n, d).
        draws: of this language.
        metrics: rows of METRICS.
        components: numbers of principal components for the "pca" metrics, such as (2, 10).
    """
    # On small matrices the threads of BLAS wait for each other longer than they work.
    with threadpool_limits(1 if len(x) < MANY else None):
        return _score_block(x, draws, metrics, components)


def _score_block(x: np.ndarray, draws: Draws, metrics: Sequence[Metric], components: Sequence[int]) -> BlockScores:
    labels = np.vstack([draws.harmful[None, :], draws.shuffles])
    projection = pca(x, max(components))
    scores = [
        _pca_score(row, k, projection, labels, draws) for row in metrics if row.basis == "pca" for k in components
    ]
    scores = _with_jackknife(scores, x, draws, metrics, components)
    probes = [row for row in metrics if row.basis == "probe"]
    if probes:
        fitted = cross_fitted_scores(x, labels, draws.folds)
        for row in probes:
            values = row.many(fitted, labels, draws.twins, draws.folds)
            scores.append(
                Score(metric=row.name, components=None, value=float(values[0]), null=values[1:], left_out=np.empty(0))
            )
    return BlockScores(scores=tuple(scores), projection=projection)


def _pca_score(row: Metric, k: int, projection: Projection, labels: np.ndarray, draws: Draws) -> Score:
    if projection.width < k:
        few = f"the texts vary in {projection.width} directions only"
        return Score(metric=row.name, components=k, value=NAN, null=np.empty(0), left_out=np.empty(0), reason=few)
    values = row.many(projection.scores[:, :k], labels, draws.twins, draws.folds)
    reason: str | None = None
    if draws.per_class < row.per_component * k:
        reason = f"fewer than {row.per_component * k} texts per class for {k} components"
    elif np.isnan(values[0]):
        reason = "a class does not vary in every component"
    value = NAN if reason else float(values[0])
    return Score(metric=row.name, components=k, value=value, null=values[1:], left_out=np.empty(0), reason=reason)


def _with_jackknife(
    scores: Sequence[Score], x: np.ndarray, draws: Draws, metrics: Sequence[Metric], components: Sequence[int]
) -> list[Score]:
    """Add the leave-group-out values of the metrics whose plug-in value is nearly unbiased."""
    debiased = {row.name for row in metrics if row.per_component}
    sound = [(METRICS[s.metric], s.components) for s in scores if not s.reason and s.metric not in debiased]
    wanted = [(row, k) for row, k in sound if k]
    n_groups = int(draws.groups.max()) + 1
    n, d = x.shape
    # Few texts in a wide space: all their principal components hold the same distances in fewer columns.
    rows = pca(x, n - 1).scores if n < d else x
    values: dict[tuple[str, int | None], list[float]] = {(row.name, k): [] for row, k in wanted}
    for group in range(n_groups if wanted else 0):
        kept = draws.groups != group
        z = pca(rows[kept], max(components)).scores
        full = z.shape[1]
        labels = draws.harmful[kept][None, :]
        twins = _renumber(draws.twins, kept) if draws.twins is not None else None
        for row, k in wanted:
            value = row.many(z[:, :k], labels, twins, draws.folds[kept])[0] if k <= full else NAN
            values[row.name, k].append(float(value))
    return [
        Score(
            metric=score.metric,
            components=score.components,
            value=score.value,
            null=score.null,
            left_out=np.array(values.get((score.metric, score.components), [])),
            reason=score.reason,
        )
        for score in scores
    ]


def _renumber(twins: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Twin rows after the rows that are not kept have gone; whole pairs go or stay."""
    new_row = np.cumsum(kept) - 1
    return np.asarray(new_row[twins[kept]])
