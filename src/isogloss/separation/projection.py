"""Principal components: exact, in float64, fitted on the rows that are given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg

#: A direction with less than this share of the variance is rounding error.
NEGLIGIBLE = 1e-10
#: So is one with less than this share of the sum of squares before centring: states are single precision.
ROUNDING = 1e-13


@dataclass(frozen=True, kw_only=True)
class Projection:
    """Rows in principal components.

    Attributes:
        scores: float64 (n, up to k), centred, components in order of variance; fewer than k where the rows vary in
            fewer directions.
        variances: float64, eigenvalues of the covariance; one more than the components where there is one.
    """

    scores: np.ndarray
    variances: np.ndarray

    @property
    def width(self) -> int:
        """Number of components that there are."""
        return int(self.scores.shape[1])

    def eigen_gap(self, k: int) -> float:
        """Ratio of eigenvalue k to eigenvalue k + 1; near 1 the k-th component is not determined."""
        return float(self.variances[k - 1] / self.variances[k]) if len(self.variances) > k else float("inf")


def pca(x: np.ndarray, k: int) -> Projection:
    """Project rows on their first k principal components.

    The eigenvectors come from the smaller of covariance and Gram matrix. The sign of a component is fixed by its
    largest score, which is made positive.

    Args:
        x: (n, d), any float type.
        k: number of components wanted.
    """
    n, d = x.shape
    centred = x.astype(np.float64)
    centred -= centred.mean(axis=0)
    size = min(n, d)
    wanted = min(k + 1, n - 1, d)
    span = (size - wanted, size - 1)
    if d <= n:
        values, vectors = scipy.linalg.eigh(centred.T @ centred, subset_by_index=span)
        scores = centred @ vectors
    else:
        values, vectors = scipy.linalg.eigh(centred @ centred.T, subset_by_index=span)
        scores = vectors * np.sqrt(np.maximum(values, 0.0))
    values, scores = values[::-1], scores[:, ::-1]
    real = values > max(NEGLIGIBLE * (centred**2).sum(), ROUNDING * (x.astype(np.float64) ** 2).sum())
    values, scores = values[real], scores[:, real][:, :k]
    if scores.shape[1]:
        scores = scores * np.sign(scores[np.abs(scores).argmax(axis=0), np.arange(scores.shape[1])])
    return Projection(scores=scores, variances=values / (n - 1))
