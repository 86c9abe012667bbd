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
from isogloss.analyses.cross_lingual.request import CrossLingual
from isogloss.analyses.cross_lingual.semantic_layers import semantic_layer_rows
from isogloss.analyses.cross_lingual.shared_folds import LinkedTexts, share_folds
from isogloss.analyses.cross_lingual.shift_rank import shift_rank
from isogloss.analyses.cross_lingual.transfer import transfer_scores
from isogloss.auditing.analysis import Findings
from isogloss.auditing.measure import Measured
from isogloss.auditing.plan import Plan
from isogloss.auditing.rows import RowKey, difference_row, jackknife_estimate, missing_row, score_row
from isogloss.auditing.sample import Sample
from isogloss.auditing.score import map_side_by_side
from isogloss.hidden_states.activations import Activations
from isogloss.hidden_states.spec import Layer
from isogloss.records import Row
from isogloss.stats.effects import false_discovery, gain
from isogloss.stats.metric import GROUPS, Score

REFITTED = "delete-group jackknife, probe refitted, logit scale"
#: Kinds whose p values are corrected together.
JUDGED = ("transfer", "cosine", "frozen")


class ModelItem(NamedTuple):
    """Work for anybody: a layer of a model, rows of each language's texts there, and how they are parted."""

    activations: Activations
    layer: Layer
    rows: Mapping[str, np.ndarray]
    parts: Mapping[str, LinkedTexts]


class LanguageItem(NamedTuple):
    """Work for anybody: the plan of one language, and its sample."""

    plan: Plan
    sample: Sample


class FittedModel(NamedTuple):
    """What one model says across languages."""

    transfers: Mapping[tuple[str, str], Score]
    directions: Directions


def cross_lingual_findings(measured: Measured, request: CrossLingual) -> Findings:
    """Compute all rows that compare languages, at the primary layer."""
    del request
    plan, samples, track, engine = measured.plan, measured.samples, measured.track, measured.engine
    parts = share_folds(
        {language: sample.draws for language, sample in samples.items()},
        {language: _links(plan, sample) for language, sample in samples.items()},
        plan.config.seed,
    )
    workers = plan.config.workers
    rows_of = {language: sample.rows for language, sample in samples.items()}
    items = [ModelItem(plan.activations[role], plan.primary_layer, rows_of, parts) for role in plan.roles]
    fitted = map_side_by_side(fit_model, items, engine, track, "Cross-lingual transfer", workers=workers)
    models = dict(zip(plan.roles, fitted, strict=True))
    keys = {language: _key(plan, sample) for language, sample in samples.items()}
    rows = [
        *_transfer_rows(models, keys),
        *direction_rows({role: model.directions for role, model in models.items()}, keys, plan.config.pivot),
    ]
    alone = [LanguageItem(plan.of_language(language), sample) for language, sample in samples.items()]
    of_languages = map_side_by_side(language_rows, alone, engine, track, "Frozen components", workers=workers)
    rows += [row for of_language in of_languages for row in of_language]
    layers = semantic_layer_rows(plan, samples, track, engine)
    return Findings(rows=(*_correct_exploration(rows), *layers), judged=True)


def _links(plan: Plan, sample: Sample) -> list[list[str]]:
    """Name what links each text to others, in this language and in others: pair, item, words."""
    part = plan.corpus.part(sample.language)[sample.rows.tolist()]
    links = []
    for text_id, pair, item, text in part.select("text_id", "pair_id", "item_id", "text").iter_rows():
        unit = f"{sample.language} {pair or text_id}"
        links.append([unit, f"text {text}", *([f"item {item}"] if item else [])])
    return links


def _key(plan: Plan, sample: Sample) -> RowKey:
    seed = plan.config.seed
    return RowKey(language=sample.language, layer=plan.primary_layer, n=sample.draws.per_class, seed=seed)


def fit_model(item: ModelItem) -> FittedModel:
    """Fit probes and directions on the states of every language."""
    hidden = {code: item.activations.block(code, item.layer).hidden[rows] for code, rows in item.rows.items()}
    return FittedModel(transfers=transfer_scores(hidden, item.parts), directions=harm_directions(hidden, item.parts))


def _transfer_rows(models: Mapping[str, FittedModel], keys: Mapping[str, RowKey]) -> list[Row]:
    """A row a language of the fit, language that is scored, and model; and one for what alignment changed."""
    rows = []
    for role, model in models.items():
        for (fitted, scored), score in model.transfers.items():
            key = replace(keys[scored], language=fitted)
            row = score_row(score, role, key)
            estimate = row.estimate if score.jackknife is None else replace(row.estimate, method=REFITTED)
            rows.append(replace(row, kind="transfer", other=scored, estimate=estimate))
    if "reference" in models:
        for (fitted, scored), after in models["aligned"].transfers.items():
            before = models["reference"].transfers[fitted, scored]
            key = replace(keys[scored], language=fitted)
            rows.append(replace(_change(before, after, key), other=scored))
    return rows


def _change(before: Score, after: Score, key: RowKey) -> Row:
    if before.jackknife is None or after.jackknife is None:
        return missing_row("transfer", after, f"the score of a model is missing: {before.reason or after.reason}", key)
    moved = gain(before.jackknife, after.jackknife)
    return difference_row("transfer", after, moved, np.empty(0), key, critical=None, method=REFITTED)


def language_rows(item: LanguageItem) -> list[Row]:
    """Frozen components and rank of the shift of one language; nothing where there is no reference."""
    plan, sample = item
    if "reference" not in plan.roles:
        return []
    key, layer = _key(plan, sample), plan.primary_layer
    before, after = (plan.activations[role].block(sample.language, layer).hidden[sample.rows] for role in plan.roles)
    if before.shape != after.shape:
        return []  # models of different widths: warning M005 says so
    k = plan.config.primary.components
    scores = [frozen_share(before, states, sample.draws, k) for states in (before, after)]
    rows = []
    for role, score in zip(plan.roles, scores, strict=True):
        row = score_row(score, role, key)
        method = None if score.jackknife is None else "delete-group jackknife, components refitted"
        rows.append(replace(row, kind="frozen", basis="reference", estimate=replace(row.estimate, method=method)))
    first, second = scores
    if first.jackknife is not None and second.jackknife is not None:
        moved = gain(first.jackknife, second.jackknife)
        null = second.null - first.null
        row = difference_row("frozen", second, moved, null, key, critical=None, method=GROUPS)
        rows.append(replace(row, basis="reference"))
    return [*rows, *_rank_rows(before, after, sample, key)]


def _rank_rows(before: np.ndarray, after: np.ndarray, sample: Sample, key: RowKey) -> list[Row]:
    found = shift_rank(before, after, sample.draws, key.seed)
    reason = None if found else "alignment moved no text differently from another"
    rank, mean, null = (found.rank, found.mean_share, found.null) if found else (None, None, None)
    numbers = {
        "effective_rank": jackknife_estimate(rank, key, method=GROUPS, null=null, reason=reason),
        "mean_shift_share": jackknife_estimate(mean, key, method=GROUPS, reason=reason),
    }
    layer = key.layer
    return [
        Row(
            kind="rank",
            language=key.language,
            layer=layer.index,
            norm=layer.norm,
            basis="shift",
            metric=name,
            estimate=estimate,
        )
        for name, estimate in numbers.items()
    ]


def _correct_exploration(rows: Sequence[Row]) -> list[Row]:
    """Give p values their false discovery rate, among rows of their kind."""
    corrected = list(rows)
    for kind in JUDGED:
        family = [i for i, row in enumerate(rows) if row.kind == kind]
        rates = false_discovery(np.array([rows[i].estimate.p_value for i in family]))
        for i, rate in zip(family, rates, strict=True):
            corrected[i] = replace(rows[i], estimate=replace(rows[i].estimate, fdr=float(rate)))
    return corrected
