"""Edited models -> rows: does behaviour hang on the harm direction, and is harm still seen without it?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from isogloss.analyses.ablation.edited_reading import ABLATED, RANDOMS, Ablation
from isogloss.analyses.ablation.statistics import beyond_random, change, mean_over
from isogloss.analyses.behaviour.needs import BehaviourPlan
from isogloss.analyses.behaviour.statistics import mean_difference, ranked
from isogloss.auditing.measure import samples_of
from isogloss.auditing.plan import Plan
from isogloss.auditing.rows import AnyPath, jackknife_estimate, score_row
from isogloss.auditing.sample import Sample
from isogloss.hidden_states.spec import Layer
from isogloss.likelihoods.margins import margins
from isogloss.records import Estimate, Row
from isogloss.stats.effects import gain
from isogloss.stats.jackknife import Jackknife
from isogloss.stats.metric import HELD, Score
from isogloss.stats.metrics import METRICS
from isogloss.stats.probe import ridge_probe
from isogloss.stats.probe_scores import probe_scores

KIND = "behaviour_control"
#: Where rows of all languages together stand, and those of no layer.
EVERYWHERE, NOWHERE = "", Layer(0, "")
TEXTS = "delete-one jackknife t"
DIRECTIONS = "delete-one jackknife t, with the spread of the random directions"
LANGUAGES = "t over languages, at least the error over the items that they share"
NO_PROBE = "no probe that can be compared"


@dataclass(frozen=True, kw_only=True)
class Tried:
    """The texts of one language on which the edits are tried; by model: aligned, ABLATED and RANDOMS.

    Attributes:
        sample: the texts.
        margins: refusal log-odds, float64 (n,), nats.
        detection: AUROC of a probe at the primary layer.
    """

    sample: Sample
    margins: Mapping[str, np.ndarray]
    detection: Mapping[str, Score]


def ablation_rows(plan: Plan) -> list[Row]:
    """Measure edited models, whose numbers are in the store; nothing where that was not asked for."""
    told, ablation = plan.behaviour, plan.ablation
    if told is None or ablation is None:
        return []
    samples = samples_of(plan)
    tried = [_tried(plan, told, ablation, samples[code]) for code in ablation.rows]
    rows = [row for one in tried for row in (*_scores(plan, one), *_changes(plan, one))]
    return [*rows, *_means(plan, tried)]


def _tried(plan: Plan, told: BehaviourPlan, ablation: Ablation, whole: Sample) -> Tried:
    code = whole.language
    sample = whole.part(ablation.rows[code], plan.config.permutations, plan.config.seed)
    said = {"aligned": margins(told.answers["aligned"], code).total[sample.rows]}
    hidden = {"aligned": plan.activations["aligned"].block(code, plan.primary_layer).hidden[sample.rows]}
    # Edited models were given these texts only, in this order.
    said |= {name: margins(one, code).total for name, one in ablation.answers[code].items()}
    hidden |= {name: one.block(code, plan.primary_layer).hidden for name, one in ablation.states[code].items()}
    return Tried(
        sample=sample,
        margins=said,
        detection={
            name: probe_scores(ridge_probe(one), sample.draws, [METRICS["auroc"]])[0] for name, one in hidden.items()
        },
    )


def _place(plan: Plan, one: Tried, layer: Layer = NOWHERE) -> AnyPath:
    return AnyPath(language=one.sample.language, layer=layer, n=one.sample.draws.per_class, seed=plan.config.seed)


def _scores(plan: Plan, one: Tried) -> Iterator[Row]:
    for name, said in one.margins.items():
        margin = mean_difference("refusal_margin", said, one.sample.draws)
        row = score_row(margin, name, _place(plan, one))
        yield replace(row, kind=KIND, layer=None, estimate=replace(row.estimate, method=TEXTS))
        ranks = ranked("refusal_auroc", said, one.sample.draws)
        yield replace(score_row(ranks, name, _place(plan, one)), kind=KIND, layer=None)
        yield replace(score_row(one.detection[name], name, _place(plan, one, plan.primary_layer)), kind=KIND)


def _changes(plan: Plan, one: Tried) -> Iterator[Row]:
    place = _place(plan, one)
    for name in (ABLATED, *RANDOMS):
        moved = change(one.margins["aligned"], one.margins[name], one.sample.draws)
        yield _row("refusal_margin_change", name, place, jackknife_estimate(moved, place, method=TEXTS, test=True))
    beyond = jackknife_estimate(_beyond(one), place, method=DIRECTIONS, test=True)
    yield _row("refusal_margin_beyond_random", ABLATED, place, beyond)
    reason = None if (moved_probe := _detection(one)) else NO_PROBE
    estimate = jackknife_estimate(moved_probe, place, method=HELD, test=True, reason=reason)
    yield _row("auroc_change", ABLATED, place, estimate, scale="logit")


def _beyond(one: Tried) -> Jackknife:
    randoms = np.stack([one.margins[name] for name in RANDOMS])
    return beyond_random(
        one.margins["aligned"], one.margins[ABLATED], randoms, one.sample.draws, name=one.sample.language
    )


def _detection(one: Tried) -> Jackknife | None:
    """Change of the probe's log odds; None where a score is missing."""
    before, after = one.detection["aligned"].jackknife, one.detection[ABLATED].jackknife
    return gain(before, after) if before and after else None


def _means(plan: Plan, tried: Sequence[Tried]) -> Iterator[Row]:
    """Means over languages: where the margin stood, how far it moved, and detection."""

    def row(metric: str, model: str, found: Sequence[Jackknife | None], alone: str, *, scale: str = "plain") -> Row:
        known = [one for one in found if one]
        place = AnyPath(language=EVERYWHERE, layer=NOWHERE, n=len(known), seed=plan.config.seed)
        mean, reason = (mean_over(known), None) if known else (None, NO_PROBE)
        method = LANGUAGES if len(known) > 1 else alone
        return _row(
            metric, model, place, jackknife_estimate(mean, place, method=method, test=True, reason=reason), scale=scale
        )

    def moved(name: str) -> list[Jackknife]:
        return [change(one.margins["aligned"], one.margins[name], one.sample.draws) for one in tried]

    before = [mean_difference("refusal_margin", one.margins["aligned"], one.sample.draws).jackknife for one in tried]
    yield row("refusal_margin", "aligned", before, TEXTS)
    for name in (ABLATED, *RANDOMS):
        yield row("refusal_margin_change", name, moved(name), TEXTS)
    yield row("refusal_margin_beyond_random", ABLATED, [_beyond(one) for one in tried], DIRECTIONS)
    yield row("auroc_change", ABLATED, [_detection(one) for one in tried], HELD, scale="logit")


def _row(metric: str, model: str, place: AnyPath, estimate: Estimate, *, scale: str = "plain") -> Row:
    return Row(kind=KIND, language=place.language, metric=metric, model=model, scale=scale, estimate=estimate)
