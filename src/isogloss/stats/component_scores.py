"""Component scores of a block: how much of its variance lies between the classes, the fit of the components included.

For each metric and number of components k:

- Influence: the values without each unit, the components fitted without it too (delete-one jackknife).
- Bias: from the same jackknife with the components held, less its mean over permuted labels. What fitting the
  components adds comes from groups of units left out: from single units that part would be all noise where two
  components are nearly tied. If the score depends on which near-tied component is kept, it is noise from groups too,
  and is not taken off.
- Null: permuted labels. The spread of the null joins the variance, because where there is no separation the statistic
  is of second order and its first-order variance vanishes.

docs/methods.md derives this, docs/validation.md says how well it does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from isogloss.errors import MetricError
from isogloss.stats.components import Space
from isogloss.stats.jackknife import bias, delete_one, with_null
from isogloss.stats.leave_one_out import leave_out, rows_of_units
from isogloss.stats.metric import Metric, Score, StateBlock, WithoutUnits, missing
from isogloss.stats.permutations import Draws
from isogloss.stats.thresholds import THRESHOLDS


def component_scores(x: np.ndarray, draws: Draws, metrics: Sequence[Metric], components: Sequence[int]) -> list[Score]:
    """Score states by metrics in several numbers of components.

    Args:
        x: float (n, d).
        draws: of this language.
        metrics: rows whose scorer is `score_components`.
        components: such as (2, 10).
    """
    return score_components(StateBlock(x=x, draws=draws, components=tuple(components)), metrics)


def score_components(block: StateBlock, metrics: Sequence[Metric]) -> list[Score]:
    """Score a block by metrics that read principal components; scores that are missing come last."""
    space, draws = block.space, block.draws
    missing_scores, wanted = [], []
    for row in metrics:
        for k in block.components:
            if reason := _too_little(row, k, space, draws):
                missing_scores.append(missing(row, k, reason))
            else:
                wanted.append((row, k))
    left = _without_units(space, draws, wanted) if wanted else {}
    groups = {k: _without_groups(space, draws, k) for k in {k for _, k in wanted} if space.rank > k}
    scores = [_score(row, k, space, draws, left=left[row.name, k], groups=groups.get(k)) for row, k in wanted]
    return [*scores, *missing_scores]


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
    null = row.null(z, draws, plug_in_null)
    if np.isnan(null).any():
        return missing(row, k, "a class does not vary in every component under some permutation")
    shift = float(null.mean()) if len(null) else 0.0
    value = plug_in - float(bias(plug_in, left.held, draws.strata)) - shift
    if groups is not None and row.fit_bias and not _depends_on_fit(left, draws):
        value -= _bias_of_fit(row, z, draws, groups)
    estimate = replace(delete_one(plug_in, left.fitted, draws.units, draws.strata), value=value)
    return Score(
        row=row,
        components=k,
        plug_in=plug_in,
        jackknife=with_null(estimate, null, draws.permutation_ids),
        plug_in_null=plug_in_null,
        null=null - shift,
        approximate=_approximate(left, draws) if groups is not None else None,
    )


class _Left(NamedTuple):
    """A metric without each unit, float64 (units,): the components fitted without the unit, and held."""

    fitted: np.ndarray
    held: np.ndarray


def _without_units(space: Space, draws: Draws, wanted: Sequence[tuple[Metric, int]]) -> Mapping[tuple[str, int], _Left]:
    opened = {(row.name, k): _opened(row, space, draws, k) for row, k in wanted}
    fitted: dict[tuple[str, int], list[np.ndarray]] = {key: [] for key in opened}
    # The components without a chunk of units are found once for all metrics.
    for left in leave_out(space, rows_of_units(draws.unit_of_row), max(k for _, k in wanted)):
        for key, metric in opened.items():
            fitted[key].append(metric.refitted(space, left))
    return {key: _Left(fitted=np.concatenate(fitted[key]), held=metric.held) for key, metric in opened.items()}


def _opened(row: Metric, space: Space, draws: Draws, k: int) -> WithoutUnits:
    if row.without_units is None:
        raise MetricError(
            row.name,
            found="no function `without_units`",
            expected="one: the metric is scored in principal components",
            do="add it to the row of the metric",
        )
    return row.without_units(space, draws, k)


def _without_groups(space: Space, draws: Draws, k: int) -> list[np.ndarray]:
    """Rows in k components fitted without each jackknife group: (n, k) each."""
    scores = []
    for group in range(draws.n_groups):
        rows = np.flatnonzero(draws.groups == group)
        left = next(leave_out(space, rows[None, :], k))
        scores.append(left.scores(space, 0, k))
    return scores


def _bias_of_fit(row: Metric, z: np.ndarray, draws: Draws, fitted: Sequence[np.ndarray]) -> float:
    """Bias that fitting the components adds: delete-group jackknife with and without fitting."""
    differences = []
    for group, scores in enumerate(fitted):
        kept, labels, partners = draws.without(group)
        with_fit, without = (row.many(rows[kept], labels, partners, draws.folds[kept])[0] for rows in (scores, z))
        differences.append(with_fit - without)
    return float((draws.n_groups - 1) * np.mean(differences))


def _depends_on_fit(left: _Left, draws: Draws) -> bool:
    """Whether fitting the components moves the score as much as the texts do."""
    fitted, held = (delete_one(0.0, values, draws.units, draws.strata).se for values in (left.fitted, left.held))
    return fitted > THRESHOLDS.component_edge * held


def _approximate(left: _Left, draws: Draws) -> str | None:
    if draws.per_class < THRESHOLDS.few_texts:
        return f"fewer than {THRESHOLDS.few_texts} texts per class with fitted components"
    if _depends_on_fit(left, draws):
        return "it depends on components that the texts do not determine"
    return None
