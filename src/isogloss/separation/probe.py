"""A linear probe in the full space, cross-fitted: each text is scored by a direction that never saw it or its twin.

The probe is ridge regression on the labels, features standardised within the training folds, with the ridge that
Ledoit and Wolf (2004) shrinkage of the total covariance prescribes. With two classes its direction is that of a
shrinkage LDA. Neither the standardisation nor the ridge depends on the labels, so one factorisation a fold serves
every shuffle of the labels.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg

N_FOLDS = 5

#: A feature whose spread is less than this share of its mean is constant but for rounding.
CONSTANT = 1e-12


def cross_fitted_scores(x: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Score every text by probes fitted on the other folds.

    Args:
        x: (n, d) hidden states.
        labels: bool (B, n), one labelling a row; each needs both classes in every training part.
        folds: int (n,).

    Returns:
        float64 (B, n); comparable within a fold only, higher means more harmful.
    """
    scores = np.empty(labels.shape, dtype=np.float64)
    for fold in np.unique(folds):
        test = folds == fold
        scores[:, test] = _fit_and_score(x[~test], labels[:, ~test], x[test])
    return scores


def _fit_and_score(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    train, test = train.astype(np.float64), test.astype(np.float64)
    mean, spread = train.mean(axis=0), train.std(axis=0)
    spread[spread <= CONSTANT * np.abs(mean)] = 1.0  # a constant feature must not be blown up from rounding error
    train, test = (train - mean) / spread, (test - mean) / spread
    targets = labels.astype(np.float64)
    targets -= targets.mean(axis=1, keepdims=True)
    gram = train @ train.T
    ridge = ledoit_wolf_ridge(gram, train.shape[1])
    if train.shape[1] < len(train):
        inner = train.T @ train
        inner[np.diag_indices_from(inner)] += ridge
        weights = scipy.linalg.solve(inner, train.T @ targets.T, assume_a="pos")
        return np.asarray((test @ weights).T)
    gram[np.diag_indices_from(gram)] += ridge
    dual = scipy.linalg.solve(gram, targets.T, assume_a="pos")
    return np.asarray((test @ (train.T @ dual)).T)


def ledoit_wolf_ridge(gram: np.ndarray, width: int) -> float:
    """Ridge equal to Ledoit-Wolf shrinkage of the covariance of centred rows, from their Gram matrix.

    (1 - s) C + s m I is proportional to X'X + n s m / (1 - s) I, with C = X'X / n and m = trace(C) / width.

    Args:
        gram: (n, n), inner products of the centred rows.
        width: number of features.

    Returns:
        The ridge, at least a millionth of the mean eigenvalue so that the system can be solved.
    """
    n = len(gram)
    if not np.trace(gram) > 0:
        return 1.0  # no feature varies: every direction scores alike
    squared = float((gram**2).sum()) / n**2
    mean = float(np.trace(gram)) / n / width
    spread = (squared - width * mean**2) / width
    noise = (float((np.diag(gram) ** 2).sum()) / n - squared) / (width * n)
    shrinkage = min(max(noise, 0.0), spread) / spread if spread > 0 else 1.0
    shrinkage = min(max(shrinkage, 1e-6), 1 - 1e-6)
    return n * mean * shrinkage / (1 - shrinkage)
