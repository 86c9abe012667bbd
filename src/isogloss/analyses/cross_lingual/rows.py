"""What languages have in common: transfer of probes, harm directions, frozen components, rank of the shift.

At the primary layer, for each model and, where there is a reference, for what alignment changed. All of it is
exploration: false discovery rates, no verdicts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from isogloss.analyses.cross_lingual.directions import Directions, direction_rows, harm_directions
from isogloss.analyses.cross_lingual.frozen_components import frozen_share
from isogloss.analyses.cross_lingual.semantic_layers import meaning_rows
from isogloss.analyses.cross_lingual.shared_folds import LinkedTexts, share_folds
from isogloss.analyses.cross_lingual.shift_rank import shift_rank
from isogloss.analyses.cross_lingual.transfer import transfer_scores
from isogloss.auditing.plan import Plan
from isogloss.auditing.rows import AnyPath, difference_row, jackknife_estimate, missing_row, score_row
from isogloss.auditing.sample import Sample
from isogloss.auditing.score import side_by_side
from isogloss.engines.engine import Engine
from isogloss.hidden_states.activations import Activations
from isogloss.hidden_states.spec import Layer
from isogloss.progress import Track
from isogloss.records import Row
from isogloss.stats.effects import false_discovery, gain
from isogloss.stats.metric import GROUPS, Score

REFITTED = "delete-group jackknife, probe refitted, logit scale"
#: Kinds whose p values are corrected together.
JUDGED = ("transfer", "cosine", "frozen")


class Together(NamedTuple):
    """Work for anybody: a layer of a model, rows of each language's texts there, and how they are parted."""

    activations: Activations
    layer: Layer
    rows: Mapping[str, np.ndarray]
    parts: Mapping[str, LinkedTexts]


class Alone(NamedTuple):
    """Work for anybody: the plan of one language, and its sample."""

    plan: Plan
    sample: Sample


class Model(NamedTuple):
    """What one model says across languages."""

    transfers: Mapping[tuple[str, str], Score]
    directions: Directions


def cross_lingual_rows(plan: Plan, samples: Mapping[str, Sample], track: Track, engine: Engine) -> list[Row]:
    """Compute all rows across languages; none unless the plan asks for them."""
    if not plan.config.cross_lingual:
        return []
    parts = share_folds(
        {code: one.draws for code, one in samples.items()},
        {code: _links(plan, one) for code, one in samples.items()},
        plan.config.seed,
    )
    workers = plan.config.workers
    rows_of = {code: one.rows for code, one in samples.items()}
    together = [Together(plan.activations[role], plan.primary_layer, rows_of, parts) for role in plan.roles]
    models = side_by_side(cross_lingual_of_model, together, engine, track, "Across languages", workers=workers)
    found = dict(zip(plan.roles, models, strict=True))
    places = {code: _place(plan, one) for code, one in samples.items()}
    pivot = plan.config.pivot
    rows = [
        *_transfer_rows(found, places),
        *direction_rows({role: one.directions for role, one in found.items()}, places, pivot),
    ]
    alone = [Alone(plan.of(code), one) for code, one in samples.items()]
    rows_each = side_by_side(language_rows, alone, engine, track, "Frozen components", workers=workers)
    rows += [row for one in rows_each for row in one]
    return [*_discovered(rows), *meaning_rows(plan, samples, track, engine)]


def _links(plan: Plan, sample: Sample) -> list[list[str]]:
    """Name what links each text to others, in this language and in others: pair, item, words."""
    part = plan.corpus.part(sample.language)[sample.rows.tolist()]
    keys = []
    for text_id, pair, item, text in part.select("text_id", "pair_id", "item_id", "text").iter_rows():
        own = f"{sample.language} {pair or text_id}"
        keys.append([own, f"text {text}", *([f"item {item}"] if item else [])])
    return keys


def _place(plan: Plan, sample: Sample) -> AnyPath:
    seed = plan.config.seed
    return AnyPath(language=sample.language, layer=plan.primary_layer, n=sample.draws.per_class, seed=seed)


def cross_lingual_of_model(one: Together) -> Model:
    """Fit probes and directions on the states of every language."""
    hidden = {code: one.activations.block(code, one.layer).hidden[rows] for code, rows in one.rows.items()}
    return Model(transfers=transfer_scores(hidden, one.parts), directions=harm_directions(hidden, one.parts))


def _transfer_rows(found: Mapping[str, Model], places: Mapping[str, AnyPath]) -> list[Row]:
    """A row a language of the fit, language that is scored, and model; and one for what alignment changed."""
    rows = []
    for role, model in found.items():
        for (fitted, scored), score in model.transfers.items():
            place = replace(places[scored], language=fitted)
            row = score_row(score, role, place)
            estimate = row.estimate if score.jackknife is None else replace(row.estimate, method=REFITTED)
            rows.append(replace(row, kind="transfer", other=scored, estimate=estimate))
    if "reference" in found:
        for (fitted, scored), after in found["aligned"].transfers.items():
            before = found["reference"].transfers[fitted, scored]
            place = replace(places[scored], language=fitted)
            rows.append(replace(_change(before, after, place), other=scored))
    return rows


def _change(before: Score, after: Score, place: AnyPath) -> Row:
    if before.jackknife is None or after.jackknife is None:
        return missing_row(
            "transfer", after, f"the score of a model is missing: {before.reason or after.reason}", place
        )
    moved = gain(before.jackknife, after.jackknife)
    return difference_row("transfer", after, moved, np.empty(0), place, critical=None, method=REFITTED)


def language_rows(one: Alone) -> list[Row]:
    """Frozen components and rank of the shift of one language; nothing where there is no reference."""
    plan, sample = one
    if "reference" not in plan.roles:
        return []
    place, layer = _place(plan, sample), plan.primary_layer
    before, after = (plan.activations[role].block(sample.language, layer).hidden[sample.rows] for role in plan.roles)
    if before.shape != after.shape:
        return []  # models of different widths: warning M005 says so
    k = plan.config.primary.components
    scores = [frozen_share(before, states, sample.draws, k) for states in (before, after)]
    rows = []
    for role, score in zip(plan.roles, scores, strict=True):
        row = score_row(score, role, place)
        method = None if score.jackknife is None else "delete-group jackknife, components refitted"
        rows.append(replace(row, kind="frozen", basis="reference", estimate=replace(row.estimate, method=method)))
    first, second = scores
    if first.jackknife is not None and second.jackknife is not None:
        moved = gain(first.jackknife, second.jackknife)
        null = second.null - first.null
        row = difference_row("frozen", second, moved, null, place, critical=None, method=GROUPS)
        rows.append(replace(row, basis="reference"))
    return [*rows, *_rank_rows(before, after, sample, place)]


def _rank_rows(before: np.ndarray, after: np.ndarray, sample: Sample, place: AnyPath) -> list[Row]:
    found = shift_rank(before, after, sample.draws, place.seed)
    reason = None if found else "alignment moved no text differently from another"
    rank, mean, null = (found.rank, found.mean_share, found.null) if found else (None, None, None)
    numbers = {
        "effective_rank": jackknife_estimate(rank, place, method=GROUPS, null=null, reason=reason),
        "mean_shift_share": jackknife_estimate(mean, place, method=GROUPS, reason=reason),
    }
    layer = place.layer
    return [
        Row(
            kind="rank",
            language=place.language,
            layer=layer.index,
            norm=layer.norm,
            basis="shift",
            metric=name,
            estimate=estimate,
        )
        for name, estimate in numbers.items()
    ]


def _discovered(rows: Sequence[Row]) -> list[Row]:
    """Give p values their false discovery rate, among rows of their kind."""
    found = list(rows)
    for kind in JUDGED:
        here = [i for i, row in enumerate(rows) if row.kind == kind]
        rates = false_discovery(np.array([rows[i].estimate.p_value for i in here]))
        for i, rate in zip(here, rates, strict=True):
            found[i] = replace(rows[i], estimate=replace(rows[i].estimate, fdr=float(rate)))
    return found
