"""Principal components and metrics without each unit of resampling, by updating the fit instead of repeating it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from isogloss.stats.components import Space
from isogloss.stats.overlap import gaussian_overlap

#: Components that are found beyond those wanted; the tests compare with a PCA fitted anew.
LEADING = 20
#: Numbers handled at once (per chunk of units); bounds memory.
CHUNK = 4_000_000
#: A removed row with less than this share of its length outside the leading components adds no direction.
INSIDE = 1e-9


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A chunk of units with the principal components that are fitted without each of them.

    Coordinates have m leading entries and one for each removed row (none where nothing lies outside).

    Attributes:
        units: slice of the units in this chunk.
        removed: int (u, g), the rows of each unit.
        beyond: float64 (u, g or 0, n), coordinates of all rows on the directions that the unit's rows add.
        coordinates: float64 (u, g, c), coordinates of the removed rows.
        basis: float64 (u, c, k), the components without the unit, in these coordinates.
        scatter: float64 (u, k), their sums of squares.
    """

    units: slice
    removed: np.ndarray
    beyond: np.ndarray
    coordinates: np.ndarray
    basis: np.ndarray
    scatter: np.ndarray

    def scores(self, space: Space, unit: int, k: int) -> np.ndarray:
        """Rows in the first k components that are fitted without one unit of the chunk: (n, k)."""
        rows = np.concatenate([space.leading, self.beyond[unit].T], axis=1)
        return np.asarray(rows @ self.basis[unit, :, :k])


def rows_of_units(unit_of_row: np.ndarray) -> np.ndarray:
    """List the rows of each unit: int (units, rows per unit).

    >>> rows_of_units(np.array([0, 1, 0, 1])).tolist()
    [[0, 2], [1, 3]]
    """
    order = np.argsort(unit_of_row, kind="stable")
    return order.reshape(int(unit_of_row.max()) + 1, -1)


def leave_out(space: Space, removed: np.ndarray, k: int, *, per_unit: int = 0) -> Iterator[LeftOut]:
    """Solve for the first k components without each unit, in chunks of units.

    Args:
        space: of all rows, with `LEADING` components more than wanted.
        removed: int (units, g), the rows of each unit.
        k: number of components wanted.
        per_unit: how many numbers the caller will hold for each unit; makes chunks smaller.
    """
    n, m = space.leading.shape
    n_units, g = removed.shape
    step = max(1, CHUNK // max(g * n, (m + g) ** 2, per_unit))
    for start in range(0, n_units, step):
        units = slice(start, min(start + step, n_units))
        rows = removed[units]
        beyond, spread = _beyond(space, rows)
        at_removed = np.take_along_axis(beyond, rows[:, None, :].repeat(beyond.shape[1], axis=1), axis=2)
        coordinates = np.concatenate([space.leading[rows], at_removed.transpose(0, 2, 1)], axis=2)
        scatter = np.zeros((len(rows), coordinates.shape[2], coordinates.shape[2]))
        scatter[:, np.arange(m), np.arange(m)] = space.scatter
        scatter[:, m:, m:] = spread
        total = coordinates.sum(axis=1)
        scatter -= coordinates.transpose(0, 2, 1) @ coordinates
        scatter -= total[:, :, None] * total[:, None, :] / (n - g)
        values, vectors = np.linalg.eigh(scatter)
        yield LeftOut(
            units=units,
            removed=rows,
            beyond=beyond,
            coordinates=coordinates,
            basis=vectors[:, :, ::-1][:, :, :k],
            scatter=np.maximum(values[:, ::-1][:, :k], 0.0),
        )


def _beyond(space: Space, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of all rows on what the removed rows add, and the scatter matrix there: (u, g, n), (u, g, g)."""
    if space.outside is None:
        return np.empty((len(rows), 0, len(space.leading))), np.empty((len(rows), 0, 0))
    products = (space.outside[rows.ravel()] @ space.outside.T).reshape(*rows.shape, -1)
    gram = np.take_along_axis(products, rows[:, None, :].repeat(rows.shape[1], axis=1), axis=2)
    values, vectors = np.linalg.eigh(gram)
    length = (space.leading[rows] ** 2).sum(axis=(1, 2)) + np.einsum("uii->u", gram)
    real = values > INSIDE * length[:, None]
    scale = np.divide(1.0, np.sqrt(np.maximum(values, 0.0)), out=np.zeros_like(values), where=real)
    beyond = (vectors * scale[:, None, :]).transpose(0, 2, 1) @ products
    return beyond, beyond @ beyond.transpose(0, 2, 1)


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
    gone = side[:, left.removed].transpose(1, 0, 2)  # (u, B, g): is the removed row harmful?
    sums = np.empty((len(left.removed), len(labels), left.coordinates.shape[2]))
    m = space.leading.shape[1]
    sums[:, :, :m] = side @ space.leading
    if sums.shape[2] > m:
        sums[:, :, m:] = side @ left.beyond.transpose(0, 2, 1)
    sums -= gone @ left.coordinates
    n1 = side.sum(axis=1) - gone.sum(axis=2)  # (u, B)
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


@dataclass(frozen=True, kw_only=True)
class UpdatedMetric:
    """A metric of one labelling that is computed from the updated moments of each unit left out.

    Attributes:
        values: (space, chunk of units, labels (n,), k) -> the metric without each unit of the chunk (u,).
        harmful: bool (n,), the labels.
        k: components.
        held: float64 (units,), the metric without each unit, in the components of all rows.
    """

    values: Callable[[Space, LeftOut, np.ndarray, int], np.ndarray]
    harmful: np.ndarray
    k: int
    held: np.ndarray

    def refitted(self, space: Space, left: LeftOut) -> np.ndarray:
        """Values without each unit of a chunk, the components fitted without it too: (u,)."""
        return self.values(space, left, self.harmful, self.k)


def open_updated(
    values: Callable[[Space, LeftOut, np.ndarray, int], np.ndarray],
    space: Space,
    harmful: np.ndarray,
    removed: np.ndarray,
    k: int,
) -> UpdatedMetric:
    """Open a metric to leave out units.

    Args:
        values: see `UpdatedMetric`.
        space: of all rows.
        harmful: bool (n,).
        removed: int (units, g), the rows of each unit.
        k: components.
    """
    inner = space.held(k)
    held = np.concatenate([values(inner, left, harmful, k) for left in leave_out(inner, removed, k)])
    return UpdatedMetric(values=values, harmful=harmful, k=k, held=held)
