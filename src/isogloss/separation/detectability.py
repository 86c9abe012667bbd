"""Detectability scores of a block: how well a cross-fitted probe finds harm, with the probe fitted in every resample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isogloss.separation.jackknife import delete_group
from isogloss.separation.metrics import Metric
from isogloss.separation.probe import Probe, cross_fitted_scores, left_out_scores
from isogloss.separation.resample import Draws
from isogloss.separation.score import Score, missing


def probe_scores(probe: Probe, draws: Draws, metrics: Sequence[Metric]) -> list[Score]:
    """Score the "probe" metrics by a probe that is fitted anew without each jackknife group, the folds kept.

    Args:
        probe: of all rows.
        draws: of this language.
        metrics: rows of METRICS with basis "probe".
    """
    labels = np.vstack([draws.harmful[None, :], draws.shuffles])
    fitted = cross_fitted_scores(probe, labels, draws.folds)
    left = left_out_scores(probe, draws.harmful, draws.folds, draws.groups)
    return detectability_scores(fitted, left, draws, draws.folds, metrics)


def fixed_scores(scores: np.ndarray, draws: Draws, metrics: Sequence[Metric]) -> list[Score]:
    """Score the "probe" metrics by numbers that nothing is fitted for, such as lengths, float (n,)."""
    one_fold = np.zeros_like(draws.folds)
    fitted, left = (np.tile(scores, (rows, 1)) for rows in (1 + len(draws.shuffles), draws.n_groups))
    return detectability_scores(fitted, left, draws, one_fold, metrics)


def detectability_scores(
    fitted: np.ndarray, left: np.ndarray, draws: Draws, folds: np.ndarray, metrics: Sequence[Metric]
) -> list[Score]:
    """Turn scores of texts into metrics: delete-group jackknife on the logit scale.

    The target is the value that this probe is expected to reach with this many texts; it is not debiased.

    Args:
        fitted: (1 + B, n), scores with the true and with the shuffled labels.
        left: (G, n), scores with each jackknife group left out.
        draws: of this language.
        folds: int (n,), within which scores are compared.
        metrics: rows of METRICS with basis "probe".
    """
    labels = np.vstack([draws.harmful[None, :], draws.shuffles])
    n = draws.per_class
    found = []
    for row in metrics:
        plug_in, *null = row.many(fitted, labels, draws.twins, folds)
        values = []
        for group in range(draws.n_groups):
            kept, side, twins = draws.without(group)
            values.append(row.many(left[group : group + 1, kept], side, twins, folds[kept])[0])
        if np.isnan([plug_in, *values]).any():
            found.append(missing(row, None, "too few texts to compare within the folds of the probe"))
            continue
        found.append(
            Score(
                metric=row.name,
                components=None,
                plug_in=float(plug_in),
                found=delete_group(float(logit(plug_in, n)), np.asarray(logit(np.array(values), n)), draws.group_ids),
                plug_in_null=np.array(null),
                null=np.array(null),
            )
        )
    return found


def logit(share: float | np.ndarray, n: int) -> float | np.ndarray:
    """Log odds of a share in [0, 1], a share nearer to 0 or 1 than half a text of n being taken for that.

    >>> float(logit(0.5, 10)), bool(logit(1.0, 10) == logit(0.95, 10))
    (0.0, True)
    """
    share = np.clip(share, 0.5 / n, 1 - 0.5 / n)
    return np.log(share / (1 - share))


def from_logit(value: float) -> float:
    """Turn log odds into a share.

    >>> from_logit(0.0)
    0.5
    """
    return float(1 / (1 + np.exp(-value)))
