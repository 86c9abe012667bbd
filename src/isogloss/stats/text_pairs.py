"""Text pairs: the partner of each text, the units of resampling, and folds that keep pairs together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from isogloss.errors import MetricError


def partner_index(pairs: Sequence[object] | np.ndarray, harmful: np.ndarray) -> np.ndarray:
    """Find the partner of each text.

    >>> partner_index(["a", "b", "a", "b"], np.array([True, True, False, False])).tolist()
    [2, 3, 0, 1]

    Args:
        pairs: (n,) pair ids.
        harmful: bool (n,).

    Returns:
        int (n,), the row of each text's partner.

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
            do="correct the pair ids",
        )
    partners = np.empty(len(code), dtype=np.intp)
    partners[first], partners[second] = second, first
    return partners


def unit_codes(n: int, partners: np.ndarray | None) -> np.ndarray:
    """Number the units of resampling 0, 1, ... in order of first row: pairs if there are partners, else texts.

    >>> unit_codes(4, np.array([2, 3, 0, 1])).tolist()
    [0, 1, 0, 1]
    """
    if partners is None:
        return np.arange(n)
    first = np.minimum(np.arange(n), partners)
    return np.unique(first, return_inverse=True)[1]


def unit_ids(keys: Sequence[str]) -> np.ndarray:
    """Name units by content: uint64 (n,), the first eight bytes of sha256 of each key."""
    return np.array([int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) for key in keys], dtype=np.uint64)


def deal(order: np.ndarray, harmful: np.ndarray, partners: np.ndarray | None, n_parts: int) -> np.ndarray:
    """Deal units into parts of nearly equal size; without pairs each class is dealt by itself.

    Args:
        order: float (n,), a random number for each row, equal for the texts of a pair; units are dealt in its order.
        harmful: bool (n,).
        partners: int (n,) or None.
        n_parts: number of parts.

    Returns:
        int (n,), the part of each row; both texts of a pair are in one part.
    """
    n = len(harmful)
    parts = np.empty(n, dtype=np.intp)
    first = np.flatnonzero(np.arange(n) < partners) if partners is not None else np.arange(n)
    for rows in (first,) if partners is not None else (first[harmful], first[~harmful]):
        parts[rows[np.argsort(order[rows])]] = np.arange(len(rows)) % n_parts
    if partners is not None:
        parts[partners[first]] = parts[first]
    return parts
