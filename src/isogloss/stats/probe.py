"""A linear probe, cross-fitted: each text is scored by a direction that never saw it or its partner.

The probe is ridge regression on the labels with an intercept. On hidden states the features are standardised and the
ridge is the one that Ledoit and Wolf (2004) shrinkage of the total covariance prescribes; with two classes its
direction is that of a shrinkage LDA. For n-grams only a kernel is available, and the ridge is a fixed share of its
variance. Neither standardisation nor ridge sees the labels, so they are taken over all texts.

The fit without any set of texts follows from one matrix of the whole (as the hat matrix holds the leave-one-out
residuals of a regression), so that hundreds of labelings cost little more than one fit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.linalg

N_FOLDS = 5

#: A feature whose spread is less than this share of its mean is constant but for rounding.
CONSTANT = 1e-12

#: Ridge of the kernel probe as a share of the kernel's total variance. Measured on n-gram kernels of nine languages:
#: from .5 to 1 AUROC hardly moves, and the Ledoit-Wolf ridge (.04 there) costs up to .04 of it.
KERNEL_RIDGE = 0.7

#: Scores are rounded to this many decimals of a label, so that equal texts tie exactly.
DECIMALS = 9

#: (labels (B, n), gone (n,)) -> (B, gone): the scores of the rows that are gone, by probes fitted on all others. The
#: labels of those rows are never read.
Probe = Callable[[np.ndarray, np.ndarray], np.ndarray]


def cross_fitted_scores(probe: Probe, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Score every text by probes fitted on the other folds.

    Args:
        probe: from `ridge_probe` or `kernel_probe`.
        labels: bool (B, n), one labelling a row; each needs both classes in every training fold.
        folds: int (n,), at least two.

    Returns:
        float64 (B, n), about -1 to 1, and 0 where the probe found no direction. Higher means more harmful. Comparable
        within a fold only; NaN where no text is left to fit on.
    """
    scores = np.empty(labels.shape, dtype=np.float64)
    for fold in np.unique(folds):
        test = folds == fold
        scores[:, test] = probe(labels, test)
    return scores


def ridge_probe(x: np.ndarray) -> Probe:
    """Ridge regression on standardised features.

    Args:
        x: (n, d) hidden states.
    """
    n, d = x.shape
    z, _, _ = standardised(x)
    if 2 * d < n:
        return _feature_probe(z)
    gram = z @ z.T
    return _kernel_probe(gram, ledoit_wolf_ridge(gram, d))


def standardised(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bring every feature to mean 0 and spread 1: float64 rows (n, d), and means and spreads (d,)."""
    z = x.astype(np.float64)
    mean, spread = z.mean(axis=0), z.std(axis=0)
    spread[spread <= CONSTANT * np.abs(mean)] = 1.0  # rounding error in a constant feature must not be scaled up
    return (z - mean) / spread, mean, spread


def kernel_probe(gram: np.ndarray) -> Probe:
    """Kernel ridge regression; the ridge is KERNEL_RIDGE times the kernel's total variance.

    >>> gram = np.array([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]])
    >>> cross_fitted_scores(kernel_probe(gram), np.array([[True, True, False, False]]), np.array([0, 1, 0, 1])).round(4)
    array([[ 0.3704,  0.3704, -0.3704, -0.3704]])

    Args:
        gram: float (n, n), inner products of the texts; symmetric and positive semi-definite.
    """
    gram = gram.astype(np.float64)
    size = float(np.diag(gram).mean())
    variance = size - float(gram.mean())
    # If all texts are alike, every direction scores alike with any ridge.
    return _kernel_probe(gram, KERNEL_RIDGE * variance if variance > CONSTANT * size else 1.0)


def _kernel_probe(gram: np.ndarray, ridge: float) -> Probe:
    """Probe from the inverse of the regression with all texts; takes `gram` over."""
    inverse = bordered_inverse(gram, ridge)

    def scores(labels: np.ndarray, gone: np.ndarray) -> np.ndarray:
        if gone.all():
            return np.full(labels.shape, np.nan)
        rows = inverse[gone]
        scored = scipy.linalg.solve(rows[:, gone], -rows[:, ~gone] @ _targets(labels, gone), assume_a="pos")
        return _rounded(scored.T)

    return scores


def bordered_inverse(gram: np.ndarray, ridge: float) -> np.ndarray:
    """Return the (n, n) block, for the texts, of the inverse of [[K + ridge I, 1], [1', 0]]; takes `gram` over."""
    gram[np.diag_indices_from(gram)] += ridge
    inverse = scipy.linalg.cho_solve(scipy.linalg.cho_factor(gram, overwrite_a=True), np.eye(len(gram)))
    sums = inverse.sum(axis=1)
    inverse -= np.outer(sums, sums / sums.sum())
    return np.asarray(inverse)


def _feature_probe(z: np.ndarray) -> Probe:
    """Probe from the (d, d) normal equations of standardised features."""
    inner = z.T @ z
    ridge = _ridge(float((inner**2).sum()), (z**2).sum(axis=1), z.shape[1])
    inner[np.diag_indices_from(inner)] += ridge

    def scores(labels: np.ndarray, gone: np.ndarray) -> np.ndarray:
        if gone.all():
            return np.full(labels.shape, np.nan)
        out, kept = z[gone], z[~gone]
        mean = kept.mean(axis=0)
        matrix = inner - out.T @ out - len(kept) * np.outer(mean, mean)
        weights = scipy.linalg.solve(matrix, kept.T @ _targets(labels, gone), assume_a="pos")
        return _rounded(((out - mean) @ weights).T)

    return scores


def _targets(labels: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """Centred labels of the rows that are left: (kept, B)."""
    targets = labels[:, ~gone].T.astype(np.float64)
    return np.asarray(targets - targets.mean(axis=0))


def _rounded(scores: np.ndarray) -> np.ndarray:
    return np.asarray(np.round(scores, DECIMALS) + 0.0)  # no -0.0


def ledoit_wolf_ridge(gram: np.ndarray, width: int) -> float:
    """Ridge equal to Ledoit-Wolf shrinkage of the covariance of centred rows, from their Gram matrix.

    (1 - s) C + s m I is proportional to X'X + n s m / (1 - s) I, with C = X'X / n and m = trace(C) / width.

    Args:
        gram: (n, n), inner products of the centred rows.
        width: number of features.

    Returns:
        The ridge, at least a millionth of the mean eigenvalue so that the system can be solved.
    """
    return _ridge(float((gram**2).sum()), np.diag(gram), width)


def _ridge(squares: float, lengths: np.ndarray, width: int) -> float:
    """Ledoit-Wolf ridge from the sum of squares of the Gram (or scatter) matrix and the squared lengths of the rows."""
    n, total = len(lengths), float(lengths.sum())
    if not total > 0:
        return 1.0  # no feature varies: every direction scores alike
    squared = squares / n**2
    mean = total / n / width
    spread = (squared - width * mean**2) / width
    noise = (float((lengths**2).sum()) / n - squared) / (width * n)
    shrinkage = min(max(noise, 0.0), spread) / spread if spread > 0 else 1.0
    shrinkage = min(max(shrinkage, 1e-6), 1 - 1e-6)
    return n * mean * shrinkage / (1 - shrinkage)
