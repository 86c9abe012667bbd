"""Rows of directional ablation: does behaviour depend on the harm direction, and does a probe still detect harm?"""

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
#: Language of rows about all languages together, and layer of rows without one.
EVERYWHERE, NOWHERE = "", Layer(0, "")
TEXTS = "delete-one jackknife t"
DIRECTIONS = "delete-one jackknife t, with the spread of the random directions"
LANGUAGES = "t over languages, at least the error over the items that they share"
NO_PROBE = "no probe that can be compared"


@dataclass(frozen=True, kw_only=True)
class EditTrial:
    """The texts of one language that the edits are tried on; values are by model: aligned, ABLATED and RANDOMS.

    Attributes:
        sample: the texts.
        margins: refusal log-odds, float64 (n,), nats.
        detection: AUROC of a probe at the primary layer.
    """

    sample: Sample
    margins: Mapping[str, np.ndarray]
    detection: Mapping[str, Score]


def ablation_findings(measured: Measured, request: Ablation) -> Findings:
    """Measure directional ablation from the numbers in the cache."""
    del request
    plan = measured.plan
    behaviour: BehaviourPlan = plan.needs["behaviour"].inputs
    ablation: AblationPlan = plan.needs["ablation"].inputs
    trials = [_read_trial(plan, behaviour, ablation, measured.samples[language]) for language in ablation.rows]
    rows = [row for trial in trials for row in (*_make_score_rows(plan, trial), *_make_change_rows(plan, trial))]
    return Findings(rows=(*rows, *_make_mean_rows(plan, trials)))


def _read_trial(plan: Plan, behaviour: BehaviourPlan, ablation: AblationPlan, whole: Sample) -> EditTrial:
    language, layer = whole.language, plan.primary_layer
    sample = whole.part(ablation.rows[language], plan.config.permutations, plan.config.seed)
    log_odds = {"aligned": margins(behaviour.answers["aligned"], language).total[sample.rows]}
    hidden = {"aligned": plan.activations["aligned"].block(language, layer).hidden[sample.rows]}
    # Edited models read only these texts, in this order.
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


def _make_key(plan: Plan, trial: EditTrial, layer: Layer = NOWHERE) -> RowKey:
    return RowKey(language=trial.sample.language, layer=layer, n=trial.sample.draws.per_class, seed=plan.config.seed)


def _make_score_rows(plan: Plan, trial: EditTrial) -> Iterator[Row]:
    for name, log_odds in trial.margins.items():
        margin = mean_difference("refusal_margin", log_odds, trial.sample.draws)
        row = score_row(margin, name, _make_key(plan, trial))
        yield replace(row, kind=KIND, layer=None, estimate=replace(row.estimate, method=TEXTS))
        ranks = ranked("refusal_auroc", log_odds, trial.sample.draws)
        yield replace(score_row(ranks, name, _make_key(plan, trial)), kind=KIND, layer=None)
        yield replace(score_row(trial.detection[name], name, _make_key(plan, trial, plan.primary_layer)), kind=KIND)


def _make_change_rows(plan: Plan, trial: EditTrial) -> Iterator[Row]:
    key = _make_key(plan, trial)
    for name in (ABLATED, *RANDOMS):
        shift = change(trial.margins["aligned"], trial.margins[name], trial.sample.draws)
        yield _make_row("refusal_margin_change", name, key, jackknife_estimate(shift, key, method=TEXTS, test=True))
    beyond = jackknife_estimate(_compare_with_random(trial), key, method=DIRECTIONS, test=True)
    yield _make_row("refusal_margin_beyond_random", ABLATED, key, beyond)
    reason = None if (detection := _compare_detection(trial)) else NO_PROBE
    estimate = jackknife_estimate(detection, key, method=HELD, test=True, reason=reason)
    yield _make_row("auroc_change", ABLATED, key, estimate, scale="logit")


def _compare_with_random(trial: EditTrial) -> Jackknife:
    randoms = np.stack([trial.margins[name] for name in RANDOMS])
    return beyond_random(
        trial.margins["aligned"], trial.margins[ABLATED], randoms, trial.sample.draws, name=trial.sample.language
    )


def _compare_detection(trial: EditTrial) -> Jackknife | None:
    """Return the change of the probe's log odds; None if a score is missing."""
    before, after = trial.detection["aligned"].jackknife, trial.detection[ABLATED].jackknife
    return gain(before, after) if before and after else None


def _make_mean_rows(plan: Plan, trials: Sequence[EditTrial]) -> Iterator[Row]:
    """Average over languages: the margin before the edits, its changes, and detection."""

    def row(
        metric: str, model: str, jackknives: Sequence[Jackknife | None], single: str, *, scale: str = "plain"
    ) -> Row:
        known = [jackknife for jackknife in jackknives if jackknife]
        key = RowKey(language=EVERYWHERE, layer=NOWHERE, n=len(known), seed=plan.config.seed)
        mean, reason = (mean_over(known), None) if known else (None, NO_PROBE)
        method = LANGUAGES if len(known) > 1 else single
        return _make_row(
            metric, model, key, jackknife_estimate(mean, key, method=method, test=True, reason=reason), scale=scale
        )

    def list_changes(name: str) -> list[Jackknife]:
        return [change(trial.margins["aligned"], trial.margins[name], trial.sample.draws) for trial in trials]

    before = [
        mean_difference("refusal_margin", trial.margins["aligned"], trial.sample.draws).jackknife for trial in trials
    ]
    yield row("refusal_margin", "aligned", before, TEXTS)
    for name in (ABLATED, *RANDOMS):
        yield row("refusal_margin_change", name, list_changes(name), TEXTS)
    yield row("refusal_margin_beyond_random", ABLATED, [_compare_with_random(trial) for trial in trials], DIRECTIONS)
    yield row("auroc_change", ABLATED, [_compare_detection(trial) for trial in trials], HELD, scale="logit")


def _make_row(metric: str, model: str, key: RowKey, estimate: Estimate, *, scale: str = "plain") -> Row:
    return Row(kind=KIND, language=key.language, metric=metric, model=model, scale=scale, estimate=estimate)
