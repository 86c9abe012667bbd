"""Between-class share and Bhattacharyya distance without each unit in turn, the components fitted without it too."""

from __future__ import annotations

import numpy as np

from isogloss.separation.leave_out import LeftOut
from isogloss.separation.overlap import gaussian_overlap
from isogloss.separation.projection import Space


def between_class_variance(space: Space, left: LeftOut, labels: np.ndarray, k: int) -> np.ndarray:
    """Between-class share of variance in k components without each unit of a chunk.

    Args:
        space: of all rows.
        left: chunk of units.
        labels: bool (B, n), one labelling a row.
        k: components.

    Returns:
        (u, B).
    """
    side = labels.astype(np.float64)
    n, g = labels.shape[1], left.removed.shape[1]
    here = side[:, left.removed].transpose(1, 0, 2)  # (u, B, g): is the removed row harmful?
    sums = np.empty((len(left.removed), len(labels), left.coordinates.shape[2]))
    m = space.leading.shape[1]
    sums[:, :, :m] = side @ space.leading
    if sums.shape[2] > m:
        sums[:, :, m:] = side @ left.beyond.transpose(0, 2, 1)
    sums -= here @ left.coordinates
    n1 = side.sum(axis=1) - here.sum(axis=2)  # (u, B)
    sums += n1[:, :, None] * (left.coordinates.sum(axis=1) / (n - g))[:, None, :]
    shift = sums @ left.basis[:, :, :k]
    between = (shift**2).sum(axis=2) * (1 / n1 + 1 / (n - g - n1))
    total = left.scatter[:, :k].sum(axis=1)
    return np.asarray(np.divide(between, total[:, None], out=np.full_like(between, np.nan), where=total[:, None] > 0))


def bhattacharyya(space: Space, left: LeftOut, harmful: np.ndarray, k: int) -> np.ndarray:
    """Bhattacharyya distance in k components without each unit of a chunk: (u,); NaN where a covariance is singular."""
    basis = left.basis[:, :, :k]
    means, covariances = [], []
    for side in (~harmful, harmful):
        weights = side.astype(np.float64)
        gone = weights[left.removed]  # (u, g)
        size = weights.sum() - gone.sum(axis=1)
        mean, second = _moments(space, left, weights)
        mean = mean - (gone[:, :, None] * left.coordinates).sum(axis=1)
        second = second - (left.coordinates * gone[:, :, None]).transpose(0, 2, 1) @ left.coordinates
        mean = mean / size[:, None]
        second = second - mean[:, :, None] * mean[:, None, :] * size[:, None, None]
        covariances.append(basis.transpose(0, 2, 1) @ second @ basis / (size - 1)[:, None, None])
        means.append((mean[:, None, :] @ basis)[:, 0, :])
    return gaussian_overlap(means[1] - means[0], covariances[0], covariances[1])


def _moments(space: Space, left: LeftOut, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums (u, c) and second moments (u, c, c) of the weighted rows, in the coordinates of each unit."""
    m, c = space.leading.shape[1], left.coordinates.shape[2]
    u = len(left.removed)
    sums, second = np.empty((u, c)), np.empty((u, c, c))
    sums[:, :m] = weights @ space.leading
    second[:, :m, :m] = (space.leading * weights[:, None]).T @ space.leading
    if c > m:
        weighted = left.beyond * weights
        sums[:, m:] = weighted.sum(axis=2)
        second[:, m:, :m] = weighted @ space.leading
        second[:, :m, m:] = second[:, m:, :m].transpose(0, 2, 1)
        second[:, m:, m:] = weighted @ left.beyond.transpose(0, 2, 1)
    return sums, second
