"""The silhouette: for many labelings at once, and without each unit in turn.

Distances are made in blocks of rows that stay in the processor's cache, and summed by class as matrix products.

Without a unit the silhouette is exact in the components of all rows; what the components fitted without the unit change
is taken to first order (the derivative with respect to the projector). That costs O(n^2) for all units together instead
of O(n^3).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from isogloss.stats.components import Space
from isogloss.stats.leave_one_out import LeftOut

#: Distances in a block.
BLOCK = 400_000


def silhouettes(inner: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """Return (b - a) / max(a, b) for mean distances a within the class and b to the other; 0 where both are 0."""
    largest = np.maximum(inner, outer)
    return np.asarray(np.divide(outer - inner, largest, out=np.zeros_like(largest), where=largest > 0))


def silhouette_many(z: np.ndarray, labels: np.ndarray, partners: np.ndarray | None) -> np.ndarray:
    """Mean silhouette of each labeling, without the distance from a text to its partner: (B,).

    Args:
        z: (n, k).
        labels: bool (B, n).
        partners: int (n,) or None.
    """
    sides = labels.T.astype(np.float64)  # (n, B)
    n1 = sides.sum(axis=0)
    total = np.zeros(len(labels))
    n_partners = 0 if partners is None else 1
    for rows, distances in _blocks(z):
        side = labels.T[rows]
        to_harmful = distances @ sides
        to_all = distances.sum(axis=1, keepdims=True)
        to_class = np.where(side, to_harmful, to_all - to_harmful)
        class_size = np.where(side, n1, len(z) - n1)
        # The partner of a text is in the other class and is left out there, as the text itself is left out of its own.
        to_partner = _to_partner(distances, rows, partners)[:, None]
        inner = to_class / (class_size - 1)
        outer = (to_all - to_class - to_partner) / (len(z) - class_size - n_partners)
        total += silhouettes(inner, outer).sum(axis=0)
    return total / len(z)


def _blocks(z: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Distances of a block of rows to all rows: (block, n), zero to itself."""
    z = z - z.mean(axis=0)
    squares = (z**2).sum(axis=1)
    step = max(1, BLOCK // len(z))
    for start in range(0, len(z), step):
        rows = slice(start, min(start + step, len(z)))
        distances = z[rows] @ z.T
        distances *= -2
        distances += squares[rows, None]
        distances += squares
        np.maximum(distances, 0.0, out=distances)
        np.sqrt(distances, out=distances)
        distances[np.arange(rows.stop - start), np.arange(start, rows.stop)] = 0.0
        yield rows, distances


def _to_partner(distances: np.ndarray, rows: slice, partners: np.ndarray | None) -> np.ndarray:
    return np.zeros(len(distances)) if partners is None else distances[np.arange(len(distances)), partners[rows]]


@dataclass(frozen=True, kw_only=True)
class Silhouette:
    """The silhouette of one labelling, opened up for removing units.

    Attributes:
        held: float64 (units,), the silhouette without each unit, in the components of all rows.
        pull: float64 (n, n), Laplacian of the derivative of the silhouette by squared distances; None where there
            are no more than k components, so that nothing is fitted.
        k: components.
    """

    held: np.ndarray
    pull: np.ndarray | None
    k: int

    def refitted(self, space: Space, left: LeftOut) -> np.ndarray:
        """Silhouette without each unit of a chunk, the components fitted without it too, to first order: (u,)."""
        if self.pull is None:
            return self.held[left.units]
        k, m = self.k, space.leading.shape[1]
        basis = left.basis[:, :, :k]
        u, g, n = left.beyond.shape
        pulled = self.pull @ space.leading
        leading = space.leading.T @ pulled
        form = np.zeros((u, basis.shape[1], basis.shape[1]))
        form[:, :m, :m] = leading
        if g:
            cross = left.beyond @ pulled
            form[:, m:, :m] = cross
            form[:, :m, m:] = cross.transpose(0, 2, 1)
            beyond = (left.beyond.reshape(u * g, n) @ self.pull).reshape(u, g, n)
            form[:, m:, m:] = beyond @ left.beyond.transpose(0, 2, 1)
        moved = ((form @ basis) * basis).sum(axis=(1, 2)) - np.trace(leading[:k, :k])
        return np.asarray(self.held[left.units] + moved)


def open_silhouette(
    space: Space, harmful: np.ndarray, partners: np.ndarray | None, removed: np.ndarray, k: int
) -> Silhouette:
    """Compute the silhouette without each unit in the components of all rows, and its derivative.

    Args:
        space: of all rows.
        harmful: bool (n,).
        partners: int (n,) or None.
        removed: int (units, g), rows of each unit; every row is one of some unit.
        k: components.
    """
    n, (n_units, g) = len(harmful), removed.shape
    unit_of_row = np.empty(n, dtype=np.intp)
    unit_of_row[removed.ravel()] = np.repeat(np.arange(n_units), g)
    held = np.zeros(n_units)
    slope = np.empty((n, n)) if space.rank > k else None
    for rows, distances in _blocks(space.leading[:, :k]):
        same, other = _sides(rows, harmful, partners)
        near, far = distances * same, distances * other
        sums, sizes = (near.sum(axis=1), far.sum(axis=1)), (same.sum(axis=1), other.sum(axis=1))
        if slope is not None:
            slope[rows] = _slope(distances, same, other, sums, sizes)
        gone_near, gone_far = (part[:, removed].sum(axis=2) for part in (near, far))
        fewer_near, fewer_far = (part[:, removed].sum(axis=2) for part in (same, other))
        inner = (sums[0][:, None] - gone_near) / (sizes[0][:, None] - fewer_near)
        outer = (sums[1][:, None] - gone_far) / (sizes[1][:, None] - fewer_far)
        values = silhouettes(inner, outer)
        values[np.arange(len(values)), unit_of_row[rows]] = 0.0  # a removed row has no silhouette
        held += values.sum(axis=0)
    if slope is not None:
        slope += slope.T
        slope /= -n
        slope[np.diag_indices(n)] = -slope.sum(axis=1)
    return Silhouette(held=held / (n - g), pull=slope, k=k)


def _sides(rows: slice, harmful: np.ndarray, partners: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Which rows count as the same and as the other class for a block of rows: bool (block, n) each."""
    same = harmful[rows, None] == harmful[None, :]
    other = ~same
    block = np.arange(rows.stop - rows.start)
    same[block, np.arange(rows.start, rows.stop)] = False
    if partners is not None:
        other[block, partners[rows]] = False
    return same, other


def _slope(
    distances: np.ndarray,
    same: np.ndarray,
    other: np.ndarray,
    sums: tuple[np.ndarray, np.ndarray],
    sizes: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Derivative of the summed silhouettes of a block by each squared distance: (block, n)."""
    inner, outer = sums[0] / sizes[0], sums[1] / sizes[1]
    far = outer > inner
    largest = np.maximum(inner, outer)
    largest = np.where(largest > 0, largest, np.inf)
    by_inner = np.where(far, -1 / largest, -outer / largest**2) / sizes[0]
    by_outer = np.where(far, inner / largest**2, 1 / largest) / sizes[1]
    by_distance = same * by_inner[:, None] + other * by_outer[:, None]
    return np.asarray(np.divide(by_distance, 2 * distances, out=np.zeros_like(distances), where=distances > 0))
