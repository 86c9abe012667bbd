"""Scores of what others print: plug-in value, interval from groups of units left out, and the null as it stands.

Nothing is debiased, because what is compared with is not. The interval is that of the delete-group jackknife around the
plug-in value: it says how far other texts of this number would move it, not how far it lies from the truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from isogloss.stats.components import Space, open_space
from isogloss.stats.jackknife import Jackknife, delete_one
from isogloss.stats.leave_one_out import LEADING, leave_out
from isogloss.stats.metric import Metric
from isogloss.stats.permutations import Draws
from isogloss.stats.probe_scores import SHARED_TRAINING
from isogloss.stats.score import Score, missing
from isogloss.stats.text_pairs import unit_ids

AS_PUBLISHED = "as published: not debiased"


def peer_scores(
    x: np.ndarray, fitted: np.ndarray | None, draws: Draws, metrics: Sequence[Metric], components: Sequence[int]
) -> list[Score]:
    """Score metrics of the family "comparison".

    Args:
        x: float (n, d).
        fitted: float64 (1 + permutations, n), cross-fitted scores, if a metric reads them.
        draws: of this language.
        metrics: rows of METRICS.
        components: numbers of principal components of the "pca" metrics.
    """
    by_basis = {basis: [row for row in metrics if row.basis == basis] for basis in ("pca", "probe", "means")}
    found: list[Score] = []
    if by_basis["pca"]:
        space = open_space(x, max(components) + LEADING)
        for k in components:
            found += _in_components(space, draws, by_basis["pca"], k)
    if by_basis["probe"] and fitted is not None:
        left = [fitted[0][draws.groups != group] for group in range(draws.n_groups)]
        found += [
            _score(row, None, draws, _Read(fitted[:1], fitted[1:], [rows[None, :] for rows in left]), SHARED_TRAINING)
            for row in by_basis["probe"]
        ]
    if by_basis["means"]:
        states = x.astype(np.float64)
        parts = [states[draws.groups != group] for group in range(draws.n_groups)]
        found += [_score(row, None, draws, _Read(states, states, parts)) for row in by_basis["means"]]
    return found


def _in_components(space: Space, draws: Draws, metrics: Sequence[Metric], k: int) -> Iterator[Score]:
    if k > space.rank:
        yield from (missing(row, k, f"the texts vary in {space.rank} directions only") for row in metrics)
        return
    z = space.leading[:, :k]
    parts = []
    for group in range(draws.n_groups):
        out = np.flatnonzero(draws.groups == group)
        rows = z if space.rank == k else next(leave_out(space, out[None, :], k)).scores(space, 0, k)
        parts.append(rows[draws.groups != group])
    yield from (_score(row, k, draws, _Read(z, z, parts)) for row in metrics)


class _Read(NamedTuple):
    """What a metric reads: for the true labels, for the permutations, and without each jackknife group."""

    true: np.ndarray
    permuted: np.ndarray
    parts: Sequence[np.ndarray]


def _score(row: Metric, k: int | None, draws: Draws, read: _Read, factor: float = 1.0) -> Score:
    plug_in = float(row.many(read.true, draws.harmful[None, :], draws.partners, draws.folds)[0])
    left = np.array([_without(row, draws, group, rows) for group, rows in enumerate(read.parts)])
    if np.isnan([plug_in, *left]).any():
        return missing(row, k, "the classes do not vary, or too few texts are left without a group")
    null = (
        row.many(read.permuted, draws.permutations, draws.partners, draws.folds) if len(draws.packed) else np.empty(0)
    )
    found = replace(delete_one(plug_in, left, group_ids(draws)), value=plug_in)
    return Score(
        metric=row.name,
        components=k,
        plug_in=plug_in,
        found=_widened(found, factor),
        plug_in_null=null,
        null=null,
        approximate=AS_PUBLISHED,
    )


def _without(row: Metric, draws: Draws, group: int, rows: np.ndarray) -> float:
    kept, labels, partners = draws.without(group)
    return float(row.many(rows, labels, partners, draws.folds[kept])[0])


def _widened(found: Jackknife, factor: float) -> Jackknife:
    return replace(found, influence=found.influence * np.sqrt(factor))


def group_ids(draws: Draws) -> np.ndarray:
    """Name the jackknife groups by their units: uint64 (groups,); languages share a group if it is the same units."""
    names = []
    for group in range(draws.n_groups):
        rows = np.flatnonzero(draws.groups == group)
        names.append(",".join(map(str, np.unique(draws.units[draws.unit_of_row[rows]]))))
    return unit_ids(names)
