"""Principal components without each unit in turn, without fitting them anew.

Removing a unit (a pair or a text) changes the scatter matrix by rank three at most, so the new leading eigenvectors lie
almost entirely in the span of the old leading ones and of what the removed rows add to it. In that small space
(Rayleigh-Ritz) the eigenproblem is solved for all units at once. The space is spanned by orthonormal directions: first
`LEADING` more components than are wanted, then the part of the removed rows outside of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from isogloss.separation.projection import Space

#: Components kept beyond those wanted; the tests compare with a PCA fitted anew.
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
    own = np.take_along_axis(products, rows[:, None, :].repeat(rows.shape[1], axis=1), axis=2)
    values, vectors = np.linalg.eigh(own)
    length = (space.leading[rows] ** 2).sum(axis=(1, 2)) + np.einsum("uii->u", own)
    real = values > INSIDE * length[:, None]
    scale = np.divide(1.0, np.sqrt(np.maximum(values, 0.0)), out=np.zeros_like(values), where=real)
    beyond = (vectors * scale[:, None, :]).transpose(0, 2, 1) @ products
    return beyond, beyond @ beyond.transpose(0, 2, 1)
