"""Edited models -> rows: does behaviour depend on the harm direction, and does a probe still find harm without it?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from isogloss.analyses.ablation.needs import ABLATED, RANDOMS, AblationPlan
from isogloss.analyses.ablation.request import Ablation
from isogloss.analyses.ablation.statistics import beyond_random, change, mean_over
from isogloss.analyses.behaviour.needs import BehaviourPlan
from isogloss.analyses.behaviour.statistics import mean_difference, ranked
from isogloss.auditing.analysis import Findings
from isogloss.auditing.measure import Measured
from isogloss.auditing.plan import Plan
from isogloss.auditing.rows import RowKey, jackknife_estimate, score_row
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
class EditTrial:
    """The texts of trial language on which the edits are trials; by model: aligned, ABLATED and RANDOMS.

    Attributes:
        sample: the texts.
        margins: refusal log-odds, float64 (n,), nats.
        detection: AUROC of a probe at the primary layer.
    """

    sample: Sample
    margins: Mapping[str, np.ndarray]
    detection: Mapping[str, Score]


def ablation_findings(measured: Measured, request: Ablation) -> Findings:
    """Measure the edited models, whose numbers are in the cache."""
    del request
    plan = measured.plan
    behaviour: BehaviourPlan = plan.needs["behaviour"].inputs
    ablation: AblationPlan = plan.needs["ablation"].inputs
    trials = [_read_trial(plan, behaviour, ablation, measured.samples[language]) for language in ablation.rows]
    rows = [row for trial in trials for row in (*_scores(plan, trial), *_changes(plan, trial))]
    return Findings(rows=(*rows, *_means(plan, trials)))


def _read_trial(plan: Plan, behaviour: BehaviourPlan, ablation: AblationPlan, whole: Sample) -> EditTrial:
    language, layer = whole.language, plan.primary_layer
    sample = whole.part(ablation.rows[language], plan.config.permutations, plan.config.seed)
    log_odds = {"aligned": margins(behaviour.answers["aligned"], language).total[sample.rows]}
    hidden = {"aligned": plan.activations["aligned"].block(language, layer).hidden[sample.rows]}
    # Edited models were given these texts only, in this order.
    log_odds |= {name: margins(answers, language).total for name, answers in ablation.answers[language].items()}
    hidden |= {name: states.block(language, layer).hidden for name, states in ablation.states[language].items()}
    return EditTrial(
        sample=sample,
        margins=log_odds,
        detection={
            name: probe_scores(ridge_probe(states), sample.draws, [METRICS["auroc"]])[0]
            for name, states in hidden.items()
        },
    )


def _key(plan: Plan, trial: EditTrial, layer: Layer = NOWHERE) -> RowKey:
    return RowKey(language=trial.sample.language, layer=layer, n=trial.sample.draws.per_class, seed=plan.config.seed)


def _scores(plan: Plan, trial: EditTrial) -> Iterator[Row]:
    for name, log_odds in trial.margins.items():
        margin = mean_difference("refusal_margin", log_odds, trial.sample.draws)
        row = score_row(margin, name, _key(plan, trial))
        yield replace(row, kind=KIND, layer=None, estimate=replace(row.estimate, method=TEXTS))
        ranks = ranked("refusal_auroc", log_odds, trial.sample.draws)
        yield replace(score_row(ranks, name, _key(plan, trial)), kind=KIND, layer=None)
        yield replace(score_row(trial.detection[name], name, _key(plan, trial, plan.primary_layer)), kind=KIND)


def _changes(plan: Plan, trial: EditTrial) -> Iterator[Row]:
    key = _key(plan, trial)
    for name in (ABLATED, *RANDOMS):
        moved = change(trial.margins["aligned"], trial.margins[name], trial.sample.draws)
        yield _row("refusal_margin_change", name, key, jackknife_estimate(moved, key, method=TEXTS, test=True))
    beyond = jackknife_estimate(_beyond(trial), key, method=DIRECTIONS, test=True)
    yield _row("refusal_margin_beyond_random", ABLATED, key, beyond)
    reason = None if (moved_probe := _detection(trial)) else NO_PROBE
    estimate = jackknife_estimate(moved_probe, key, method=HELD, test=True, reason=reason)
    yield _row("auroc_change", ABLATED, key, estimate, scale="logit")


def _beyond(trial: EditTrial) -> Jackknife:
    randoms = np.stack([trial.margins[name] for name in RANDOMS])
    return beyond_random(
        trial.margins["aligned"], trial.margins[ABLATED], randoms, trial.sample.draws, name=trial.sample.language
    )


def _detection(trial: EditTrial) -> Jackknife | None:
    """Change of the probe's log odds; None where a score is missing."""
    before, after = trial.detection["aligned"].jackknife, trial.detection[ABLATED].jackknife
    return gain(before, after) if before and after else None


def _means(plan: Plan, trials: Sequence[EditTrial]) -> Iterator[Row]:
    """Means over languages: where the margin stood, how far it moved, and detection."""

    def row(metric: str, model: str, found: Sequence[Jackknife | None], alone: str, *, scale: str = "plain") -> Row:
        known = [trial for trial in found if trial]
        key = RowKey(language=EVERYWHERE, layer=NOWHERE, n=len(known), seed=plan.config.seed)
        mean, reason = (mean_over(known), None) if known else (None, NO_PROBE)
        method = LANGUAGES if len(known) > 1 else alone
        return _row(
            metric, model, key, jackknife_estimate(mean, key, method=method, test=True, reason=reason), scale=scale
        )

    def moved(name: str) -> list[Jackknife]:
        return [change(trial.margins["aligned"], trial.margins[name], trial.sample.draws) for trial in trials]

    before = [
        mean_difference("refusal_margin", trial.margins["aligned"], trial.sample.draws).jackknife for trial in trials
    ]
    yield row("refusal_margin", "aligned", before, TEXTS)
    for name in (ABLATED, *RANDOMS):
        yield row("refusal_margin_change", name, moved(name), TEXTS)
    yield row("refusal_margin_beyond_random", ABLATED, [_beyond(trial) for trial in trials], DIRECTIONS)
    yield row("auroc_change", ABLATED, [_detection(trial) for trial in trials], HELD, scale="logit")


def _row(metric: str, model: str, key: RowKey, estimate: Estimate, *, scale: str = "plain") -> Row:
    return Row(kind=KIND, language=key.language, metric=metric, model=model, scale=scale, estimate=estimate)
