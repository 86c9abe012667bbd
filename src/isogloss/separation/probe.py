"""A linear probe in the full space, cross-fitted: each text is scored by a direction that never saw it or its twin.

The probe is ridge regression on the labels, features standardised within the training folds, with the ridge that
Ledoit and Wolf (2004) shrinkage of the total covariance prescribes. With two classes its direction is that of a
shrinkage LDA. Neither the standardisation nor the ridge depends on the labels, so one factorisation a fold serves
every shuffle of the labels.

Where only a kernel is at hand (n-grams: far more features than texts), the probe is kernel ridge regression with an
intercept and a fixed ridge. Then one inverse of the whole kernel holds the fit without any set of texts (as the hat
matrix holds the leave-one-out residuals of a regression), and the jackknife costs little more than one fit.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg

N_FOLDS = 5

#: A feature whose spread is less than this share of its mean is constant but for rounding.
CONSTANT = 1e-12

#: Ridge of the kernel probe as a share of the kernel's total variance. Measured on n-gram kernels of nine languages:
#: from .5 to 1 AUROC hardly moves, and the Ledoit-Wolf ridge (.04 there) costs up to .04 of it.
KERNEL_RIDGE = 0.7

#: Scores of the kernel probe are rounded to this many decimals of a label, so that equal texts tie exactly.
DECIMALS = 9


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


def cross_fitted_kernel_scores(gram: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Score every text by kernel ridge probes fitted on the other folds.

    With the kernel and the labels centred on the training rows this is ridge regression on the kernel's features. The
    ridge is KERNEL_RIDGE times the kernel's total variance, which is taken over all rows and does not see the labels.

    >>> gram = np.array([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])
    >>> cross_fitted_kernel_scores(gram, np.array([[True, True, False, False]]), np.array([0, 1, 0, 1])).round(4)
    array([[ 0.3704,  0.3704, -0.3704, -0.3704]])

    Args:
        gram: float (n, n), inner products of the texts; symmetric and positive semi-definite.
        labels: bool (B, n), one labelling a row; each needs both classes in every training part.
        folds: int (n,), at least two.

    Returns:
        float64 (B, n), about -1 to 1 and 0 where the probe knows nothing; comparable within a fold only, higher means
        more harmful. NaN where no text is left to fit on.
    """
    inverse = _inverse_with_intercept(gram)
    scores = np.empty(labels.shape, dtype=np.float64)
    for fold in np.unique(folds):
        test = folds == fold
        scores[:, test] = _scores_without(inverse, labels, test)
    return scores


def jackknife_kernel_scores(gram: np.ndarray, labels: np.ndarray, folds: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Score every text by kernel probes fitted on the other folds, with each jackknife group left out in turn.

    Args:
        gram: float (n, n), as for cross_fitted_kernel_scores; the ridge is that of all rows.
        labels: bool (n,).
        folds: int (n,).
        groups: int (n,).

    Returns:
        float64 (G, n), a row for each group in ascending order; NaN at the texts of the group itself.
    """
    inverse = _inverse_with_intercept(gram)
    names = np.unique(groups)
    scores = np.full((len(names), len(labels)), np.nan)
    for row, group in zip(scores, names, strict=True):
        for fold in np.unique(folds):
            gone = (folds == fold) | (groups == group)
            scored = (folds == fold) & (groups != group)
            row[scored] = _scores_without(inverse, labels[None, :], gone)[0, scored[gone]]
    return scores


def _inverse_with_intercept(gram: np.ndarray) -> np.ndarray:
    """(n, n) block, for the texts, of the inverse of [[K + ridge I, 1], [1', 0]]."""
    gram = gram.astype(np.float64)
    size = float(np.diag(gram).mean())
    variance = size - float(gram.mean())
    # Texts that are all alike: every direction scores alike, whatever the ridge.
    ridge = KERNEL_RIDGE * variance if variance > CONSTANT * size else 1.0
    gram[np.diag_indices_from(gram)] += ridge
    inverse = scipy.linalg.cho_solve(scipy.linalg.cho_factor(gram), np.eye(len(gram)))
    sums = inverse.sum(axis=1)
    return np.asarray(inverse - np.outer(sums, sums) / sums.sum())


def _scores_without(inverse: np.ndarray, labels: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """(B, gone): predictions for the rows that are `gone`, of the fit on the others; their labels are never read."""
    if gone.all():
        return np.full(labels.shape, np.nan)
    targets = labels[:, ~gone].astype(np.float64)
    targets -= targets.mean(axis=1, keepdims=True)
    rows = inverse[gone]
    found = scipy.linalg.solve(rows[:, gone], -rows[:, ~gone] @ targets.T, assume_a="pos")
    return np.asarray(np.round(found.T, DECIMALS) + 0.0)  # no -0.0
