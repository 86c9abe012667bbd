"""Units of one language matched with units of the pivot, to repeat a comparison on equal terms.

Gaps between languages may come from texts that were edited more, or whose length gives the class away. `match` takes
units with similar features from both languages (edit rate and difference in log length of a pair; log length of a
text). It sees neither scores nor hidden states, so it cannot favour a result, and it draws nothing at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from isogloss.errors import MetricError

#: Largest difference allowed between matched units, in standard deviations of each feature; tried from the widest.
CALIPERS = (1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05)

#: Means may differ by less than this many standard deviations (Stuart, 2010, Matching Methods for Causal Inference).
MAX_SMD = 0.1

#: Distribution functions may differ by this much, or by what two samples of the same size from one population differ
#: by half of the time: TYPICAL_KS * sqrt(2 / size), if that is more (the median of the Kolmogorov distribution).
MAX_KS = 0.1
TYPICAL_KS = 0.83


@dataclass(frozen=True, kw_only=True)
class MatchedUnits:
    """Units of two languages that agree.

    Attributes:
        rows, pivot_rows: int (k,), rows of the two languages; rows[i] is matched with pivot_rows[i], of the same
            stratum. Empty if no units agree.
        caliper: largest difference within a match, in standard deviations; NaN if empty.
        smd_before, smd_after: (f,), largest standardised mean difference of each feature between any two groups
            (language and stratum), of all and of the matched units; NaN where a group is empty.
        ks_before, ks_after: (f,), the same for the Kolmogorov-Smirnov distance.
    """

    rows: np.ndarray
    pivot_rows: np.ndarray
    caliper: float
    smd_before: np.ndarray
    smd_after: np.ndarray
    ks_before: np.ndarray
    ks_after: np.ndarray


def match(
    units: np.ndarray,
    pivot_units: np.ndarray,
    *,
    order: np.ndarray,
    pivot_order: np.ndarray,
    strata: np.ndarray | None = None,
    pivot_strata: np.ndarray | None = None,
) -> MatchedUnits:
    """Take as many units of both languages as agree in the distribution of every feature.

    Greedy nearest neighbours: each unit, in its order, takes the nearest unit of the pivot that is still free
    and that differs by no more than a caliper in any feature. The widest caliper that leaves all groups balanced
    (MAX_SMD, MAX_KS) counts. With strata, such as the class, a match is one unit of each stratum of each language,
    all of them within the caliper of the first, so that strata have the same sizes and distributions too.

    >>> matched = match(np.array([[1.0], [2], [9]]), np.array([[2.0], [1], [4]]), order=np.arange(3),
    ...                 pivot_order=np.arange(3))
    >>> matched.rows.tolist(), matched.pivot_rows.tolist()
    ([0, 1], [1, 0])

    Args:
        units: float (n, f), features of the units of the language.
        pivot_units: float (m, f), features of the units of the pivot.
        order: (n,) sortable, such as a hash of the name of each unit: earlier units are served first.
        pivot_order: (m,) sortable: of units at the same distance the earlier is taken.
        strata: int (n,) or None.
        pivot_strata: int (m,) or None; the same strata as `strata`.

    Raises:
        MetricError: shapes, strata or features that cannot be matched.
    """
    _check_side("language", units, units.shape[-1], order, strata)
    _check_side("pivot", pivot_units, units.shape[-1], pivot_order, pivot_strata)
    _check_strata(strata, pivot_strata)
    groups = [*_groups(strata, order), *_groups(pivot_strata, pivot_order)]
    half = len(groups) // 2
    values = [(units if i < half else pivot_units)[rows].astype(np.float64) for i, rows in enumerate(groups)]
    empty = np.empty(0, dtype=np.intp)
    unknown = np.full(units.shape[1], np.nan)
    if not all(map(len, values)):
        return _result(empty, empty, np.nan, (unknown, unknown), (unknown, unknown))
    scale = _scale(values)
    before = _imbalance(values, scale)
    scaled = [value / scale for value in values]
    for caliper in CALIPERS:
        taken = _tuples(scaled, caliper)
        if not len(taken):
            continue
        after = _imbalance([value[rows] for value, rows in zip(values, taken.T, strict=True)], scale)
        if _balanced(after, len(taken)):
            rows = [group[column] for group, column in zip(groups, taken.T, strict=True)]
            return _result(np.concatenate(rows[:half]), np.concatenate(rows[half:]), caliper, before, after)
    return _result(empty, empty, np.nan, before, (unknown, unknown))


def _groups(strata: np.ndarray | None, order: np.ndarray) -> list[np.ndarray]:
    """Rows of each stratum, the earlier first."""
    ranked = np.argsort(order, kind="stable")
    if strata is None:
        return [ranked]
    return [ranked[strata[ranked] == stratum] for stratum in np.unique(strata)]


def _scale(values: Sequence[np.ndarray]) -> np.ndarray:
    """(f,): standard deviation of each feature within the groups; 1 for a feature that does not vary there."""
    spread = np.sqrt(np.mean([value.var(axis=0) for value in values], axis=0))
    return np.where(spread > 0, spread, 1.0)


def _tuples(values: Sequence[np.ndarray], caliper: float) -> np.ndarray:
    """(k, groups): the rows of each match, of which the first group's rows come in their order."""
    first, others = values[0], values[1:]
    free = [np.ones(len(group), dtype=bool) for group in others]
    tuples = []
    for row, unit in enumerate(first):
        chosen = [_nearest(unit, group, open_, caliper) for group, open_ in zip(others, free, strict=True)]
        if None not in chosen:
            for open_, taken in zip(free, chosen, strict=True):
                open_[taken] = False
            tuples.append([row, *chosen])
    return np.array(tuples, dtype=np.intp).reshape(len(tuples), len(values))


def _nearest(unit: np.ndarray, others: np.ndarray, free: np.ndarray, caliper: float) -> int | None:
    apart = np.abs(others - unit)
    within = np.flatnonzero(free & (apart <= caliper).all(axis=1))
    if not len(within):
        return None
    return int(within[np.argmin((apart[within] ** 2).sum(axis=1))])


def _imbalance(values: Sequence[np.ndarray], scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Largest standardised mean difference and KS distance between any two groups, (f,) each."""
    pairs = list(combinations(values, 2))
    means = np.max([np.abs(a.mean(axis=0) - b.mean(axis=0)) / scale for a, b in pairs], axis=0)
    distances = np.max([[_ks(a[:, j], b[:, j]) for j in range(len(scale))] for a, b in pairs], axis=0)
    return means, distances


def _ks(first: np.ndarray, second: np.ndarray) -> float:
    """Largest difference between two empirical distribution functions."""
    at = np.concatenate([first, second])
    shares = [np.searchsorted(np.sort(values), at, side="right") / len(values) for values in (first, second)]
    return float(np.abs(shares[0] - shares[1]).max())


def _balanced(imbalance: tuple[np.ndarray, np.ndarray], size: int) -> bool:
    means, distances = imbalance
    limit = max(MAX_KS, TYPICAL_KS * np.sqrt(2 / size))
    return bool((means < MAX_SMD).all() and (distances <= limit).all())


def _result(
    rows: np.ndarray,
    pivot_rows: np.ndarray,
    caliper: float,
    before: tuple[np.ndarray, np.ndarray],
    after: tuple[np.ndarray, np.ndarray],
) -> MatchedUnits:
    return MatchedUnits(
        rows=rows,
        pivot_rows=pivot_rows,
        caliper=float(caliper),
        smd_before=before[0],
        smd_after=after[0],
        ks_before=before[1],
        ks_after=after[1],
    )


def _check_side(name: str, features: np.ndarray, width: int, order: np.ndarray, strata: np.ndarray | None) -> None:
    if features.ndim != 2 or features.shape[1] != width or not width:  # noqa: PLR2004 - units by features
        raise MetricError(
            f"features to match, {name}",
            found=f"shape {features.shape}",
            expected="(units, features), with the same features in both languages",
            do="stack one column a feature",
        )
    if not np.isfinite(features).all():
        raise MetricError(
            f"features to match, {name}",
            found="a value that is not finite",
            expected="numbers",
            do="leave out units without a feature",
        )
    for what, values in (("order", order), ("strata", strata)):
        if values is not None and values.shape != (len(features),):
            raise MetricError(
                f"{what} of the units to match, {name}",
                found=f"shape {values.shape}",
                expected=f"({len(features)},)",
                do="give one value a unit",
            )


def _check_strata(strata: np.ndarray | None, pivot: np.ndarray | None) -> None:
    names = [None if groups is None else set(groups.tolist()) for groups in (strata, pivot)]
    if names[0] != names[1]:
        raise MetricError(
            "strata of the units to match",
            found=f"{names[0]} in one language and {names[1]} in the other",
            expected="the same in both",
            do="leave out the stratum that one language lacks",
        )
