"""Salience scores of a block: how much of its variance the harm axis takes, the fit of the components included.

For each metric and number of components k:

- what moves the estimate: its values without each unit, the components fitted without it too (delete-one jackknife);
- its bias: from the same jackknife with the components held, less its mean over permuted labels; and, for what fitting
  them adds, from groups of units left out (from single units that part would be all noise where two components are
  nearly tied; where the score hangs on which of them is kept, it is noise from groups too, and is not taken off);
- its null: permuted labels. The spread of the null joins the variance, because where there is no separation the
  statistic is of second order and its first-order variance vanishes.

docs/methods.md derives this, docs/validation.md says how well it does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from isogloss.stats import leave_one_out as downdate
from isogloss.stats.components import Projection, Space, open_space
from isogloss.stats.jackknife import bias, delete_one, with_null
from isogloss.stats.leave_one_out import LEADING, LeftOut, leave_out, rows_of_units
from isogloss.stats.metric import Metric
from isogloss.stats.overlap import bhattacharyya_estimates
from isogloss.stats.permutations import Draws
from isogloss.stats.score import Score, missing
from isogloss.stats.silhouette import open_silhouette, silhouette_left_out
from isogloss.stats.thresholds import THRESHOLDS


def component_scores(
    x: np.ndarray, draws: Draws, metrics: Sequence[Metric], components: Sequence[int]
) -> tuple[list[Score], Projection]:
    """Score the "pca" metrics in several numbers of components.

    Args:
        x: float (n, d).
        draws: of this language.
        metrics: rows of METRICS with basis "pca".
        components: such as (2, 10).

    Returns:
        The scores, and the projection on the largest number of components.
    """
    space = open_space(x, max(components) + LEADING)
    missing_scores, wanted = [], []
    for row in metrics:
        for k in components:
            if reason := _too_little(row, k, space, draws):
                missing_scores.append(missing(row, k, reason))
            else:
                wanted.append((row, k))
    left = _without_units(space, draws, wanted) if wanted else {}
    groups = {k: _without_groups(space, draws, k) for k in {k for _, k in wanted} if space.rank > k}
    scores = [_score(row, k, space, draws, left=left[row.name, k], groups=groups.get(k)) for row, k in wanted]
    return [*scores, *missing_scores], space.projection(max(components))


def _too_little(row: Metric, k: int, space: Space, draws: Draws) -> str | None:
    if k > space.rank:
        return f"the texts vary in {space.rank} directions only"
    if draws.per_class < row.per_component * k:
        return f"fewer than {row.per_component * k} texts per class for {k} components"
    return None


def _score(
    row: Metric, k: int, space: Space, draws: Draws, *, left: _Left, groups: Sequence[np.ndarray] | None
) -> Score:
    z = space.leading[:, :k]
    plug_in, *permuted = row.many(
        z, np.vstack([draws.harmful[None, :], draws.permutations]), draws.partners, draws.folds
    )
    if np.isnan([plug_in, *left.fitted]).any():
        return missing(row, k, "a class does not vary in every component")
    plug_in, plug_in_null = float(plug_in), np.array(permuted)
    null = _null(row, z, draws, plug_in_null)
    if np.isnan(null).any():
        return missing(row, k, "a class does not vary in every component under some shuffle")
    shift = float(null.mean()) if len(null) else 0.0
    value = plug_in - float(bias(plug_in, left.held, draws.strata)) - shift
    if groups is not None and row.name != "bhattacharyya" and not _hangs(left, draws):
        value -= _bias_of_fit(row, z, draws, groups)
    found = replace(delete_one(plug_in, left.fitted, draws.units, draws.strata), value=value)
    return Score(
        metric=row.name,
        components=k,
        plug_in=plug_in,
        found=with_null(found, null, draws.permutation_ids),
        plug_in_null=plug_in_null,
        null=null - shift,
        approximate=_approximate(left, draws) if groups is not None else None,
    )


def _null(row: Metric, z: np.ndarray, draws: Draws, plug_in: np.ndarray) -> np.ndarray:
    """Return the estimate under permuted labels, the components held: (B,)."""
    if row.name == "between_class_variance":
        held = Space(leading=z, outside=None, scatter=(z**2).sum(axis=0))
        parts = leave_out(held, rows_of_units(draws.unit_of_row), z.shape[1], per_unit=len(draws.packed) * z.shape[1])
        left = np.concatenate(
            [downdate.between_class_variance(held, part, draws.permutations, z.shape[1]) for part in parts]
        )
        return np.asarray(plug_in - bias(plug_in, left, None if draws.partners is not None else draws.permutations.T))
    if row.name == "bhattacharyya":
        return bhattacharyya_estimates(z, draws.permutations, draws.partners)
    return plug_in


def _share(space: Space, part: LeftOut, harmful: np.ndarray, k: int) -> np.ndarray:
    return downdate.between_class_variance(space, part, harmful[None, :], k)[:, 0]


#: Metric -> its values without each unit of a chunk. A new "pca" metric needs a row; the silhouette has its own way.
WITHOUT: dict[str, Callable[[Space, LeftOut, np.ndarray, int], np.ndarray]] = {
    "between_class_variance": _share,
    "bhattacharyya": downdate.bhattacharyya,
}


class _Left(NamedTuple):
    """A metric without each unit, float64 (units,): the components fitted without the unit, and held."""

    fitted: np.ndarray
    held: np.ndarray


def _without_units(space: Space, draws: Draws, wanted: Sequence[tuple[Metric, int]]) -> dict[tuple[str, int], _Left]:
    removed = rows_of_units(draws.unit_of_row)
    opened = {
        k: open_silhouette(space, draws.harmful, draws.partners, removed, k)
        for row, k in wanted
        if row.name == "silhouette"
    }

    def values(within: Space, part: LeftOut, row: Metric, k: int) -> np.ndarray:
        if row.name == "silhouette":
            return silhouette_left_out(within, part, opened[k])
        return WITHOUT[row.name](within, part, draws.harmful, k)

    fitted: dict[tuple[str, int], list[np.ndarray]] = {(row.name, k): [] for row, k in wanted}
    for part in leave_out(space, removed, max(k for _, k in wanted)):
        for row, k in wanted:
            fitted[row.name, k].append(values(space, part, row, k))
    found = {}
    for row, k in wanted:
        if row.name == "silhouette":
            held = opened[k].held
        else:
            inner = space.held(k)
            held = np.concatenate([values(inner, part, row, k) for part in leave_out(inner, removed, k)])
        found[row.name, k] = _Left(fitted=np.concatenate(fitted[row.name, k]), held=held)
    return found


def _without_groups(space: Space, draws: Draws, k: int) -> list[np.ndarray]:
    """Rows in k components fitted without each jackknife group: (n, k) each."""
    scores = []
    for group in range(draws.n_groups):
        rows = np.flatnonzero(draws.groups == group)
        part = next(leave_out(space, rows[None, :], k))
        scores.append(part.scores(space, 0, k))
    return scores


def _bias_of_fit(row: Metric, z: np.ndarray, draws: Draws, fitted: Sequence[np.ndarray]) -> float:
    """Bias that fitting the components adds: delete-group jackknife with and without fitting."""
    differences = []
    for group, scores in enumerate(fitted):
        kept, labels, partners = draws.without(group)
        with_fit, without = (row.many(rows[kept], labels, partners, draws.folds[kept])[0] for rows in (scores, z))
        differences.append(with_fit - without)
    return float((draws.n_groups - 1) * np.mean(differences))


def _hangs(left: _Left, draws: Draws) -> bool:
    """Whether fitting the components moves the score as much as the texts do."""
    moved, still = (delete_one(0.0, values, draws.units, draws.strata).se for values in (left.fitted, left.held))
    return moved > THRESHOLDS.component_edge * still


def _approximate(left: _Left, draws: Draws) -> str | None:
    if draws.per_class < THRESHOLDS.few_texts:
        return f"fewer than {THRESHOLDS.few_texts} texts per class with fitted components"
    if _hangs(left, draws):
        return "it hangs on components that the texts do not determine"
    return None
