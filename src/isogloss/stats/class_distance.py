"""Class distance: the squared distance of the class means, without a denominator that changes with the model.

A share of variance falls when the classes move together, and also when everything else moves apart. The class distance
tells the two apart. It is measured in units that the pivot's texts in the reference model fix: the same ruler before
and after alignment, and in all languages.

The estimate is a U-statistic: the squared distance less what the spread of the texts adds to it. It is unbiased, and
its values without each unit have a closed form.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isogloss.stats.jackknife import delete_one
from isogloss.stats.metric import Metric, Score, StateBlock, missing
from isogloss.stats.permutations import Draws

#: Labelings whose class means are in memory at a time.
LABELINGS_AT_ONCE = 256
#: The estimate without a unit needs at least two others of each class.
FEWEST = 3


def within_class_spread(x: np.ndarray, harmful: np.ndarray) -> float:
    """Return the root mean square distance of rows from the mean of their class.

    >>> within_class_spread(np.array([[0.0], [2.0], [5.0], [7.0]]), np.array([False, False, True, True]))
    1.0

    Args:
        x: float (n, d).
        harmful: bool (n,), both classes.
    """
    centred = x.astype(np.float64)
    for side in (harmful, ~harmful):
        centred[side] -= centred[side].mean(axis=0)
    return float(np.sqrt((centred**2).sum() / len(x)))


def squared_distances(x: np.ndarray, labels: np.ndarray, partners: np.ndarray | None, folds: object) -> np.ndarray:
    """Return the squared distance of the class means for many labelings, not debiased: (B,).

    Args:
        x: float (n, d).
        labels: bool (B, n).
        partners: not used.
        folds: not used.
    """
    del partners, folds
    centred = x - x.mean(axis=0, dtype=np.float64)
    values = []
    for start in range(0, len(labels), LABELINGS_AT_ONCE):
        side = labels[start : start + LABELINGS_AT_ONCE]
        sums, n1 = side.astype(np.float64) @ centred, side.sum(axis=1)  # the other class has the opposite sum
        values.append((sums**2).sum(axis=1) * (1 / n1 + 1 / (side.shape[1] - n1)) ** 2)
    return np.concatenate(values)


def score_class_distance(block: StateBlock, metrics: Sequence[Metric]) -> list[Score]:
    """Score a block by the class distance, in units of the block's `spread`."""
    draws, x = block.draws, block.x.astype(np.float64)
    spread = within_class_spread(x, draws.harmful) if block.spread is None else block.spread
    if draws.per_class < FEWEST:
        return [missing(row, None, f"fewer than {FEWEST} texts per class") for row in metrics]
    if not spread > 0:
        return [missing(row, None, "the texts that give the unit do not vary") for row in metrics]
    x = (x - x.mean(axis=0)) / spread
    labels = np.vstack([draws.harmful[None, :], draws.permutations])
    plug_in, *permuted = squared_distances(x, labels, None, None)
    value, left_out = _unbiased(x, draws)
    plug_in_null = np.array(permuted)
    null = plug_in_null - _added_by_spread(x, labels[1:], plug_in_null, draws)
    jackknife = delete_one(value, left_out, draws.units, draws.strata)
    return [
        Score(
            row=row,
            components=None,
            plug_in=float(plug_in),
            jackknife=jackknife,
            plug_in_null=plug_in_null,
            null=null,
        )
        for row in metrics
    ]


def _unbiased(x: np.ndarray, draws: Draws) -> tuple[float, np.ndarray]:
    """Unbiased squared distance, and its values without each unit (units,)."""
    return _of_pairs(x, draws) if draws.partners is not None else _of_texts(x, draws.harmful)


def _of_pairs(x: np.ndarray, draws: Draws) -> tuple[float, np.ndarray]:
    sign = np.where(draws.harmful, 1.0, -1.0)[:, None]
    differences = np.zeros((len(draws.units), x.shape[1]))
    np.add.at(differences, draws.unit_of_row, sign * x)
    total, lengths = differences.sum(axis=0), (differences**2).sum(axis=1)
    n, products = len(differences), differences @ total
    squared, within = total @ total, lengths.sum()
    value = (squared - within) / (n * (n - 1))
    left_out = (squared - 2 * products + lengths - (within - lengths)) / ((n - 1) * (n - 2))
    return float(value), left_out


def _of_texts(x: np.ndarray, harmful: np.ndarray) -> tuple[float, np.ndarray]:
    n, lengths = np.array([(~harmful).sum(), harmful.sum()]), (x**2).sum(axis=1)
    sums = np.stack([x[~harmful].sum(axis=0), x[harmful].sum(axis=0)])
    within = np.array([lengths[~harmful].sum(), lengths[harmful].sum()])
    same = ((sums**2).sum(axis=1) - within) / (n * (n - 1))
    mixed = sums[0] @ sums[1] / (n[0] * n[1])
    left_out = np.empty(len(x))
    for side in (0, 1):
        rows = harmful if side else ~harmful
        toward, away, length = x[rows] @ sums[side], x[rows] @ sums[1 - side], lengths[rows]
        fewer = n[side] - 1
        inner = ((sums[side] ** 2).sum() - 2 * toward + 2 * length - within[side]) / (fewer * (fewer - 1))
        between = (sums[0] @ sums[1] - away) / (fewer * n[1 - side])
        left_out[rows] = inner + same[1 - side] - 2 * between
    return float(same.sum() - 2 * mixed), left_out


def _added_by_spread(x: np.ndarray, labels: np.ndarray, squared: np.ndarray, draws: Draws) -> np.ndarray:
    """What the spread of the texts adds to the squared distance under each labeling: (B,)."""
    total = float((x**2).sum())  # rows are centred
    if draws.partners is not None:
        n = len(draws.units)
        rows = np.flatnonzero(draws.harmful)
        differences = x[rows] - x[draws.partners[rows]]
        return np.asarray(((differences**2).sum() / n - squared) / (n - 1))
    n1 = labels.sum(axis=1)
    n0 = labels.shape[1] - n1
    # With centred rows the class sums are opposite, so that one sum gives both means.
    sum_squared = squared / (1 / n1 + 1 / n0) ** 2
    side = labels.astype(np.float64)
    within1 = side @ (x**2).sum(axis=1) - sum_squared / n1
    within0 = total - side @ (x**2).sum(axis=1) - sum_squared / n0
    return np.asarray(within1 / (n1 * (n1 - 1)) + within0 / (n0 * (n0 - 1)))
