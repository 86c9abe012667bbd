"""Probe scores of a block: how well a cross-fitted linear probe finds harm.

Each unit moves a score by its own comparisons (delete-one jackknife with the probe held, DeLong's variance). That alone
is too small, because probes of different folds share most of their training texts: it is multiplied by what Nadeau and
Bengio (2003) derive for that, (1/J + 1/(J - 1)) / (1/J) for J folds, which is 2.25 for five. Intervals are on the logit
scale. docs/validation.md says how well that does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isogloss.errors import MetricError
from isogloss.stats.jackknife import Jackknife
from isogloss.stats.metric import Influence, Metric, Score, StateBlock, missing
from isogloss.stats.permutations import Draws
from isogloss.stats.probe import N_FOLDS, Probe, cross_fitted_scores

#: A unit that moves a share by less moves it by rounding error only.
STILL = 1e-12
#: Factor on the variance for training texts that folds share.
SHARED_TRAINING = 1 + N_FOLDS / (N_FOLDS - 1)


def probe_scores(probe: Probe, draws: Draws, metrics: Sequence[Metric]) -> list[Score]:
    """Score the "probe" metrics by a cross-fitted probe.

    The target is the value that this probe is expected to reach with this many texts; it is not debiased.

    Args:
        probe: of all rows.
        draws: of this language.
        metrics: rows whose scorer is `score_probe`.
    """
    return fitted_scores(cross_fit(probe, draws), draws, metrics)


def cross_fit(probe: Probe, draws: Draws) -> np.ndarray:
    """Score every text under the true labels and then under every permutation: float64 (1 + permutations, n).

    Scores are comparable within a fold only, NaN where no text is left to fit on.
    """
    return cross_fitted_scores(probe, np.vstack([draws.harmful[None, :], draws.permutations]), draws.folds)


def score_probe(block: StateBlock, metrics: Sequence[Metric]) -> list[Score]:
    """Score a block by metrics that read cross-fitted scores.

    Raises:
        ValueError: the block has no cross-fitted scores.
    """
    if block.cross_fitted is None:
        raise ValueError("a block without cross-fitted scores cannot be scored by a probe")
    return fitted_scores(block.cross_fitted, block.draws, metrics)


def fitted_scores(fitted: np.ndarray, draws: Draws, metrics: Sequence[Metric]) -> list[Score]:
    """Score the "probe" metrics by the result of `cross_fit`, float64 (1 + permutations, n)."""
    return _scores(fitted, draws, draws.folds, metrics, factor=SHARED_TRAINING)


def fixed_scores(scores: np.ndarray, draws: Draws, metrics: Sequence[Metric]) -> list[Score]:
    """Score the "probe" metrics by numbers that nothing is fitted for, such as lengths, float (n,)."""
    everywhere = np.tile(scores, (len(draws.packed) + 1, 1))
    return _scores(everywhere, draws, np.zeros_like(draws.folds), metrics, factor=1.0)


def _scores(
    fitted: np.ndarray, draws: Draws, folds: np.ndarray, metrics: Sequence[Metric], *, factor: float
) -> list[Score]:
    labels = np.vstack([draws.harmful[None, :], draws.permutations])
    scores = []
    for row in metrics:
        plug_in, *null = row.many(fitted, labels, draws.partners, folds)
        if np.isnan(plug_in):
            scores.append(missing(row, None, "too few texts to compare within the folds of the probe"))
            continue
        influence = _influence(row)(fitted[0], draws, folds)
        influence[np.abs(influence) <= STILL] = 0.0
        n = len(influence)
        share = _inside(plug_in, draws.per_class)
        order = np.argsort(draws.units)
        scaled = influence * np.sqrt(factor * n / (n - 1)) / (share * (1 - share))
        scores.append(
            Score(
                row=row,
                components=None,
                plug_in=float(plug_in),
                jackknife=Jackknife(
                    value=float(logit(plug_in, draws.per_class)),
                    influence=scaled[order],
                    units=draws.units[order],
                    df=n - (1 if draws.partners is not None else 2),
                ),
                plug_in_null=np.array(null),
                null=np.array(null),
                effective_n=draws.per_class / factor,
                approximate=None if influence.any() else "no text moves the score",
            )
        )
    return scores


def _influence(row: Metric) -> Influence:
    if row.influence is None:
        raise MetricError(
            row.name,
            found="no function `influence`",
            expected="one: the metric is scored by a probe",
            do="add it to the row of the metric",
        )
    return row.influence


def auroc_influence(scores: np.ndarray, draws: Draws, folds: np.ndarray) -> np.ndarray:
    """How far each unit moves the AUROC, the mean over folds of the share of comparisons won: (units,)."""
    moves = np.zeros(len(scores))
    comparable = [fold for fold in np.unique(folds) if _comparable(draws, folds == fold)]
    for fold in comparable:
        first = np.flatnonzero((folds == fold) & draws.harmful)
        second = np.flatnonzero((folds == fold) & ~draws.harmful)
        wins = (np.sign(scores[first][:, None] - scores[second][None, :]) + 1) / 2
        counted = np.ones_like(wins, dtype=bool)
        if draws.partners is not None:
            counted = draws.partners[first][:, None] != second[None, :]
        share = wins[counted].mean()
        for rows, axis in ((first, 1), (second, 0)):
            of_text = (wins * counted).sum(axis=axis) / counted.sum(axis=axis)
            moves[rows] += (of_text - share) / len(rows) / len(comparable)
    return np.bincount(draws.unit_of_row, weights=moves)


def _comparable(draws: Draws, test: np.ndarray) -> bool:
    harmful, harmless = int((test & draws.harmful).sum()), int((test & ~draws.harmful).sum())
    return harmful * harmless > (0 if draws.partners is None else harmful)


def pair_accuracy_influence(scores: np.ndarray, draws: Draws, folds: np.ndarray) -> np.ndarray:
    """How far each pair moves the share of pairs won: (units,)."""
    del folds
    assert draws.partners is not None  # noqa: S101 - for the type checker: the metric needs pairs
    first = np.flatnonzero(draws.harmful)
    wins = (np.sign(scores[first] - scores[draws.partners[first]]) + 1) / 2
    moves = np.empty(len(first))
    moves[draws.unit_of_row[first]] = (wins - wins.mean()) / len(wins)
    return moves


def _inside(share: float | np.ndarray, n: int) -> np.ndarray:
    """Keep a share at least half a text of n away from 0 and 1."""
    return np.asarray(np.clip(share, 0.5 / n, 1 - 0.5 / n))


def logit(share: float | np.ndarray, n: int) -> np.ndarray:
    """Log odds of a share in [0, 1], which is kept at least half a text of n away from 0 and 1.

    >>> float(logit(0.5, 10)), bool(logit(1.0, 10) == logit(0.95, 10))
    (0.0, True)
    """
    share = _inside(share, n)
    return np.asarray(np.log(share / (1 - share)))


def from_logit(value: float) -> float:
    """Turn log odds into a share.

    >>> from_logit(0.0)
    0.5
    """
    return float(1 / (1 + np.exp(-value)))
