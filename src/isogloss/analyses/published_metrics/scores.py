"""Scores of published metrics: plug-in value, interval from groups of units left out, and the null as it stands.

Nothing is debiased, because the published numbers are not. The interval is that of the delete-group jackknife around
the plug-in value. It says how far other texts of this number would move the value, not how far the value lies from the
truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from isogloss.stats.jackknife import delete_one
from isogloss.stats.leave_one_out import leave_out
from isogloss.stats.metric import Metric, Score, StateBlock, missing
from isogloss.stats.permutations import Draws
from isogloss.stats.probe_scores import SHARED_TRAINING

AS_PUBLISHED = "as published: not debiased"


def score_published(block: StateBlock, metrics: Sequence[Metric]) -> list[Score]:
    """Score a block by published metrics: first those of components, then of probe scores, then of states."""
    x, fitted, draws = block.x, block.cross_fitted, block.draws
    by_basis = {basis: [row for row in metrics if row.basis == basis] for basis in ("pca", "probe", "means")}
    scores: list[Score] = []
    if by_basis["pca"]:
        for k in block.components:
            scores += _in_components(block, by_basis["pca"], k)
    if by_basis["probe"] and fitted is not None:
        left = [fitted[0][draws.groups != group][None, :] for group in range(draws.n_groups)]
        reading = _Reading(fitted[:1], fitted[1:], left, SHARED_TRAINING)
        scores += [_score(row, None, draws, reading) for row in by_basis["probe"]]
    if by_basis["means"]:
        states = x.astype(np.float64)
        left = [states[draws.groups != group] for group in range(draws.n_groups)]
        scores += [_score(row, None, draws, _Reading(states, states, left)) for row in by_basis["means"]]
    return scores


def _in_components(block: StateBlock, metrics: Sequence[Metric], k: int) -> Iterator[Score]:
    space, draws = block.space, block.draws
    if k > space.rank:
        yield from (missing(row, k, f"the texts vary in {space.rank} directions only") for row in metrics)
        return
    z = space.leading[:, :k]
    left = []
    for group in range(draws.n_groups):
        removed = np.flatnonzero(draws.groups == group)
        rows = z if space.rank == k else next(leave_out(space, removed[None, :], k)).scores(space, 0, k)
        left.append(rows[draws.groups != group])
    yield from (_score(row, k, draws, _Reading(z, z, left)) for row in metrics)


class _Reading(NamedTuple):
    """What a metric reads: for the true labels, for the permutations, and without each jackknife group.

    `factor` is that on the variance, for training texts that folds of a probe share.
    """

    true: np.ndarray
    permuted: np.ndarray
    left: Sequence[np.ndarray]
    factor: float = 1.0


def _score(row: Metric, k: int | None, draws: Draws, reading: _Reading) -> Score:
    plug_in = float(row.many(reading.true, draws.harmful[None, :], draws.partners, draws.folds)[0])
    left = np.array([_without(row, draws, group, rows) for group, rows in enumerate(reading.left)])
    if np.isnan([plug_in, *left]).any():
        return missing(row, k, "the classes do not vary, or too few texts are left without a group")
    null = (
        row.many(reading.permuted, draws.permutations, draws.partners, draws.folds)
        if len(draws.packed)
        else np.empty(0)
    )
    estimate = delete_one(plug_in, left, draws.group_ids)
    return Score(
        row=row,
        components=k,
        plug_in=plug_in,
        jackknife=replace(estimate, value=plug_in, influence=estimate.influence * np.sqrt(reading.factor)),
        plug_in_null=null,
        null=null,
        approximate=AS_PUBLISHED,
    )


def _without(row: Metric, draws: Draws, group: int, rows: np.ndarray) -> float:
    kept, labels, partners = draws.without(group)
    return float(row.many(rows, labels, partners, draws.folds[kept])[0])
