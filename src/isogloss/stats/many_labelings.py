"""Each metric for many labelings at a time: the observed labels and their permutations as one matrix product.

All take (rows (n, d) or probe scores (B, n), labels (B, n), partners (n,) or None, folds (n,)) and return values (B,).
"""

from __future__ import annotations

import numpy as np
import scipy.stats

from isogloss.errors import MetricError
from isogloss.stats.overlap import gaussian_overlap
from isogloss.stats.silhouette import silhouette_many


def between_class_variance(x: np.ndarray, labels: np.ndarray, partners: object, folds: object) -> np.ndarray:
    """Between-class share of the sum of squares, 0 to 1: (B,)."""
    del partners, folds
    centred = x - x.mean(axis=0)
    sums = labels.astype(np.float64) @ centred  # the other class has the opposite sum
    n1 = labels.sum(axis=1)
    between = (sums**2).sum(axis=1) * (1 / n1 + 1 / (labels.shape[1] - n1))
    return np.asarray(between / (centred**2).sum())


def bhattacharyya(x: np.ndarray, labels: np.ndarray, partners: object, folds: object) -> np.ndarray:
    """Bhattacharyya distance of Gaussian fits, 0 or more; NaN where a covariance is singular: (B,)."""
    del partners, folds
    n, k = x.shape
    centred = x - x.mean(axis=0)
    products = (centred[:, :, None] * centred[:, None, :]).reshape(n, k * k)
    means, covariances = [], []
    for side in (~labels, labels):
        weights = side.astype(np.float64)
        size = weights.sum(axis=1)
        mean = weights @ centred / size[:, None]
        second = (weights @ products).reshape(-1, k, k)
        outer = mean[:, :, None] * mean[:, None, :] * size[:, None, None]
        covariances.append((second - outer) / (size - 1)[:, None, None])
        means.append(mean)
    return gaussian_overlap(means[1] - means[0], covariances[0], covariances[1])


def silhouette(x: np.ndarray, labels: np.ndarray, partners: np.ndarray | None, folds: object) -> np.ndarray:
    """Mean silhouette of the classes, -1 to 1; a text is not compared with its partner: (B,)."""
    del folds
    return silhouette_many(x, labels, partners)


def auroc(scores: np.ndarray, labels: np.ndarray, partners: np.ndarray | None, folds: np.ndarray) -> np.ndarray:
    """AUROC of probe scores, 0 to 1, the mean over folds; a text is not compared with its partner: (B,)."""
    values = []
    for fold in np.unique(folds):
        test = folds == fold
        side, score = labels[:, test], scores[:, test]
        n1 = side.sum(axis=1)
        n0 = side.shape[1] - n1
        wins = (scipy.stats.rankdata(score, axis=1) * side).sum(axis=1) - n1 * (n1 + 1) / 2
        comparisons = n1 * n0
        if partners is not None:
            wins = wins - (pair_wins(scores, labels, partners) * (labels & test)).sum(axis=1)
            comparisons = comparisons - n1
        values.append(np.divide(wins, comparisons, out=np.full(len(wins), np.nan), where=comparisons > 0))
    # Under some permutation a small fold may hold one class only: the mean is taken over the other folds.
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.asarray(np.divide(total, known.sum(axis=0), out=np.full(len(total), np.nan), where=known.any(axis=0)))


def pair_wins(scores: np.ndarray, labels: np.ndarray, partners: np.ndarray) -> np.ndarray:
    """(B, n): 1 where a harmful text scores above its partner, 1/2 for a tie, 0 else."""
    difference = np.sign(scores - scores[:, partners])
    return np.asarray(np.where(labels, (difference + 1) / 2, 0.0))


def pair_accuracy(scores: np.ndarray, labels: np.ndarray, partners: np.ndarray | None, folds: object) -> np.ndarray:
    """Share of pairs whose harmful text scores above its partner, 0 to 1; ties count half: (B,).

    Raises:
        MetricError: the texts have no partners.
    """
    del folds
    if partners is None:
        raise MetricError("pair_accuracy", found="texts without pairs", expected="pairs", do="use auroc")
    return np.asarray(pair_wins(scores, labels, partners).sum(axis=1) / labels.sum(axis=1))
