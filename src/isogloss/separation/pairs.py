"""Pair ids -> where each text's twin is; the unit of resampling and of folds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isogloss.errors import MetricError


def twin_index(pairs: Sequence[object] | np.ndarray, harmful: np.ndarray) -> np.ndarray:
    """Find each text's twin.

    >>> twin_index(["a", "b", "a", "b"], np.array([True, True, False, False])).tolist()
    [2, 3, 0, 1]

    Args:
        pairs: (n,) pair ids.
        harmful: bool (n,).

    Returns:
        int (n,), the row of each row's twin.

    Raises:
        MetricError: a pair is not one harmful and one harmless text.
    """
    _, code = np.unique(np.asarray(pairs).astype(str), return_inverse=True)
    order = np.lexsort((harmful, code))
    first, second = order[0::2], order[1::2]
    sound = (
        len(code) % 2 == 0
        and np.array_equal(code[first], code[second])
        and not harmful[first].any()
        and bool(harmful[second].all())
        and len(np.unique(code)) == len(first)
    )
    if not sound:
        raise MetricError(
            "pairs",
            found="a pair that is not two texts",
            expected="one harmful and one harmless text a pair",
            do="mend the pair ids",
        )
    twins = np.empty(len(code), dtype=np.intp)
    twins[first], twins[second] = second, first
    return twins


def unit_codes(n: int, twins: np.ndarray | None) -> np.ndarray:
    """Number the units of resampling 0, 1, ... in order of first row: pairs if there are twins, else texts.

    >>> unit_codes(4, np.array([2, 3, 0, 1])).tolist()
    [0, 1, 0, 1]
    """
    if twins is None:
        return np.arange(n)
    first = np.minimum(np.arange(n), twins)
    return np.unique(first, return_inverse=True)[1]


def fold_of_units(harmful: np.ndarray, twins: np.ndarray | None, n_folds: int, rng: np.random.Generator) -> np.ndarray:
    """Deal units into folds of nearly equal size; without twins each class is dealt by itself.

    Returns:
        int (n,), the fold of each row; twins share a fold.
    """
    n = len(harmful)
    if twins is not None:
        units = unit_codes(n, twins)
        return np.asarray(rng.permutation(np.arange(units.max() + 1) % n_folds)[units])
    folds = np.empty(n, dtype=np.intp)
    for label in (True, False):
        rows = np.flatnonzero(harmful == label)
        folds[rows] = rng.permutation(np.arange(len(rows)) % n_folds)
    return folds
