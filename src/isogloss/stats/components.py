"""Principal components: exact, in float64, fitted on the given rows."""

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
        """Number of components."""
        return int(self.scores.shape[1])

    def eigen_gap(self, k: int) -> float:
        """Ratio of eigenvalue k to eigenvalue k + 1; near 1 the k-th component is not determined."""
        return float(self.variances[k - 1] / self.variances[k]) if len(self.variances) > k else float("inf")


@dataclass(frozen=True, kw_only=True)
class Space:
    """Centred rows in their leading principal components, and their residuals.

    Attributes:
        leading: float64 (n, m), scores in the first m components, in order of variance.
        outside: float64 (n, d), the rows minus their leading part; None where the leading components hold everything.
        scatter: float64 (m,), sums of squares of the leading scores (eigenvalues).
    """

    leading: np.ndarray
    outside: np.ndarray | None
    scatter: np.ndarray

    @property
    def rank(self) -> int:
        """Number of leading components."""
        return len(self.scatter)

    def held(self, k: int) -> Space:
        """Return the first k components as a space of its own, in which removing a unit fits nothing."""
        return Space(leading=self.leading[:, :k], outside=None, scatter=self.scatter[:k])

    def projection(self, k: int) -> Projection:
        """Return the first k components."""
        return Projection(scores=self.leading[:, :k], variances=self.scatter[: k + 1] / (len(self.leading) - 1))


def pca(x: np.ndarray, k: int) -> Projection:
    """Project rows on their first k principal components.

    Args:
        x: (n, d), any float type.
        k: number of components wanted.
    """
    return open_space(x, k + 1).projection(k)


def open_space(x: np.ndarray, m: int) -> Space:
    """Find the first m principal components of rows, and the residuals of the rows.

    The eigenvectors come from the smaller of covariance and Gram matrix. The sign of a component is fixed by its
    largest score, which is made positive. Directions that hold rounding error only do not count.

    Args:
        x: (n, d), any float type.
        m: number of components wanted.
    """
    n, d = x.shape
    centred = x.astype(np.float64)
    centred -= centred.mean(axis=0)
    size = min(n, d)
    span = (size - min(m, n - 1, d), size - 1)
    if d <= n:
        values, axes = scipy.linalg.eigh(centred.T @ centred, subset_by_index=span)
    else:
        values, vectors = scipy.linalg.eigh(centred @ centred.T, subset_by_index=span)
        axes = centred.T @ vectors
    real = values > max(NEGLIGIBLE * (centred**2).sum(), ROUNDING * (x.astype(np.float64) ** 2).sum())
    axes = axes[:, real][:, ::-1]
    if d > n:
        axes = axes / np.linalg.norm(axes, axis=0)
    leading = centred @ axes
    if leading.shape[1]:
        sign = np.sign(leading[np.abs(leading).argmax(axis=0), np.arange(leading.shape[1])])
        axes, leading = axes * sign, leading * sign
    whole = not real.all() or len(axes.T) == size or len(axes.T) == n - 1
    outside = None if whole else centred - leading @ axes.T
    return Space(leading=leading, outside=outside, scatter=(leading**2).sum(axis=0))
