"""Likelihoods of answers and texts -> rows: how likely each model refuses, and what alignment changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import polars as pl

from isogloss.analyses.behaviour.generated_answers import greedy_rows, greedy_warnings
from isogloss.analyses.behaviour.link import LinkPairs, link_rows, read_pairs
from isogloss.analyses.behaviour.metrics import BEHAVIOURS, LINEAR
from isogloss.analyses.behaviour.needs import BehaviourPlan
from isogloss.analyses.behaviour.request import Behaviour
from isogloss.analyses.behaviour.statistics import (
    adjusted_mean,
    mean_difference,
    pair_differences,
    planted_gain,
    ranked,
    zero_score,
)
from isogloss.auditing.analysis import Findings
from isogloss.auditing.compare import Change, Family, compare
from isogloss.auditing.config import LEVEL
from isogloss.auditing.measure import Measured
from isogloss.auditing.plan import Plan
from isogloss.auditing.rows import RowKey, difference_row, score_row
from isogloss.auditing.sample import Sample
from isogloss.auditing.score import map_side_by_side
from isogloss.hidden_states.spec import Layer
from isogloss.likelihoods.margins import Margins, margins
from isogloss.records import Estimate, Row
from isogloss.stats.effects import false_discovery, gain, gap
from isogloss.stats.jackknife import Jackknife
from isogloss.stats.metric import Score
from isogloss.warnings import CodedWarning

#: The file of the run folder with a line for each pair.
PAIRS_FILE = "behaviour.parquet"
#: Rows of behaviour belong to no layer.
NO_LAYER = Layer(0, "")
#: Nats that the control plants in the pivot and in the other languages; the gap between them is to be found.
PLANTED = (2.0, 1.0)
#: Scores of a text's margins: BEHAVIOURS row -> field of `Margins`.
MARGIN_FIELDS = {"refusal_margin": "total", "refusal_margin_per_token": "per_token", "first_token_gap": "first"}


class BehaviourItem(NamedTuple):
    """Work for an engine: the plan of one language, what is read of its texts, and its sample."""

    plan: Plan
    behaviour: BehaviourPlan
    sample: Sample


@dataclass(frozen=True, kw_only=True)
class LanguageReading:
    """What the models make of the texts of one language; all by role.

    Attributes:
        sample: the texts.
        margins: refusal log-odds of each text.
        nats: -ln p of each text, float64 (n,); empty where texts have no pairs.
        preferences: shift of the preference for the neutral text of a pair from the reference's, adjusted; of aligned
            and placebo, and empty where there are no pairs or no reference.
        pairs: the pairs for the link; None where there is none.
    """

    sample: Sample
    margins: Mapping[str, Margins]
    nats: Mapping[str, np.ndarray]
    preferences: Mapping[str, Score]
    pairs: LinkPairs | None

    @property
    def language(self) -> str:
        """Its code."""
        return self.sample.language

    @property
    def n(self) -> int:
        """Texts per class."""
        return self.sample.draws.per_class

    @property
    def shift(self) -> np.ndarray:
        """Refusal log-odds, aligned minus reference: float64 (n,), nats."""
        return np.asarray(self.margins["aligned"].total - self.margins["reference"].total)


def behaviour_findings(measured: Measured, request: Behaviour) -> Findings:
    """Measure behaviour, and its link to the hidden states; everything is in the cache."""
    del request
    plan = measured.plan
    behaviour: BehaviourPlan = plan.needs["behaviour"].inputs
    items = [
        BehaviourItem(part, behaviour.of_language(part.corpus), measured.samples[language])
        for language in plan.languages
        if language in behaviour.languages
        for part in [plan.of_language(language)]
    ]
    readings = map_side_by_side(
        read_language, items, measured.engine, measured.track, "Behaviour", workers=plan.config.workers
    )
    rows = [
        *_scores(plan, readings),
        *_compared(plan, readings),
        *_placebo(plan, readings),
        *_planted(plan, readings),
        *greedy_rows(behaviour, plan.config.seed),
    ]
    pairs = [reading.pairs for reading in readings if reading.pairs]
    if pairs:
        rows += link_rows(pairs, plan, behaviour)
    return Findings(
        rows=tuple(_correct_exploration(rows)),
        warnings=(*_warnings(plan, behaviour), *greedy_warnings(behaviour)),
        frames={PAIRS_FILE: pl.concat([language.frame for language in pairs])} if pairs else {},
    )


def read_language(item: BehaviourItem) -> LanguageReading:
    """Read the likelihoods of the texts of a language, and its pairs for the link."""
    plan, behaviour, sample = item
    language, rows, draws = sample.language, sample.rows, sample.draws
    text_margins = {role: margins(answers, language) for role, answers in behaviour.answers.items()}
    nats = {role: np.log(2) * texts.bits(language)[rows] for role, texts in behaviour.texts.items()}
    preferences = {}
    if "reference" in nats:
        tokens = plan.activations["aligned"].token_counts(language)[rows].astype(np.float64)
        covariates = np.column_stack([pair_differences(tokens, draws), pair_differences(nats["reference"], draws)])
        for role in [role for role in nats if role != "reference"]:
            # -ln p of the harmful text minus that of the neutral one: what alignment added to it.
            shifts = pair_differences(nats[role] - nats["reference"], draws)
            preferences[role] = adjusted_mean("text_preference_adjusted", shifts, covariates, draws)
    pairs = read_pairs(plan, behaviour, sample, text_margins, nats["reference"]) if behaviour.layer else None
    return LanguageReading(sample=sample, margins=text_margins, nats=nats, preferences=preferences, pairs=pairs)


def _scores_of(reading: LanguageReading, role: str) -> dict[str, Score]:
    draws, of_model = reading.sample.draws, reading.margins[role]
    scores = {name: mean_difference(name, getattr(of_model, part), draws) for name, part in MARGIN_FIELDS.items()}
    scores["refusal_auroc"] = ranked("refusal_auroc", of_model.total, draws)
    if role in reading.nats:
        scores["text_preference"] = mean_difference("text_preference", reading.nats[role], draws)
    return scores


def _key(plan: Plan, reading: LanguageReading) -> RowKey:
    return RowKey(language=reading.language, layer=NO_LAYER, n=reading.n, seed=plan.config.seed)


def _without_layer(row: Row, kind: str) -> Row:
    """Make a row of hidden states one of behaviour, which has no layer."""
    return replace(row, kind=kind, layer=None, norm="")


def _scores(plan: Plan, readings: Sequence[LanguageReading]) -> Iterator[Row]:
    for reading in readings:
        key = _key(plan, reading)
        for role in reading.margins:
            for score in _scores_of(reading, role).values():
                yield _without_layer(score_row(score, role, key), "behaviour")
        if "reference" in reading.margins:
            reward = ranked("reward_auroc", reading.shift, reading.sample.draws)
            yield _without_layer(score_row(reward, "", key), "behaviour")


def _compared(plan: Plan, readings: Sequence[LanguageReading]) -> Iterator[Row]:
    """Gain, gap and retention of every score, by the same machinery as those of hidden states."""
    if "reference" not in plan.roles:
        return
    families: dict[str, dict[str, Change]] = {}
    for reading in readings:
        before, after = (_scores_of(reading, role) for role in ("reference", "aligned"))
        changes = {name: (before[name], after[name]) for name in before}
        if reading.preferences:
            score = reading.preferences["aligned"]
            changes[score.metric] = (zero_score(score.metric, score), score)
        for name, (reference, aligned) in changes.items():
            change = Change(reference=reference, aligned=aligned, n=reading.n)
            families.setdefault(name, {})[reading.language] = change
    pivot = plan.config.pivot
    for of_metric in families.values():
        pivots = {language: of_metric[pivot] for language in of_metric if language != pivot}
        family = Family(changes=of_metric, pivots=pivots, pivot=pivot, layer=NO_LAYER)
        for row in compare(family, plan.config.seed).rows:
            yield _without_layer(row, f"behaviour_{row.kind}")


def _placebo(plan: Plan, readings: Sequence[LanguageReading]) -> Iterator[Row]:
    """How the placebo changed preferences, and what alignment changed beyond it."""
    for reading in readings:
        if "placebo" not in reading.preferences:
            continue
        key = _key(plan, reading)
        placebo, aligned = (reading.preferences[role] for role in ("placebo", "aligned"))
        yield _without_layer(score_row(placebo, "placebo", key), "behaviour")
        if placebo.jackknife and aligned.jackknife:
            beyond = gain(placebo.jackknife, aligned.jackknife)
            named = replace(aligned, row=BEHAVIOURS["text_preference_over_placebo"])
            row = difference_row("gain", named, beyond, np.empty(0), key, critical=None, method=LINEAR)
            yield _without_layer(row, "behaviour_gain")


def _planted(plan: Plan, readings: Sequence[LanguageReading]) -> Iterator[Row]:
    """A gain of known size in every language, larger in the pivot: can the estimators see the gap?"""
    if "reference" not in plan.roles:
        return
    gains: dict[str, Jackknife] = {}
    for reading in readings:
        size = PLANTED[0] if reading.language == plan.config.pivot else PLANTED[1]
        gains[reading.language] = planted_gain(reading.shift, reading.sample.draws, size, plan.config.seed)
    for reading in readings:
        if reading.language == plan.config.pivot:
            continue
        difference = gap(gains[plan.config.pivot], gains[reading.language])
        bounds = difference.interval(LEVEL)
        yield Row(
            kind="behaviour_control",
            language=reading.language,
            metric="planted_gap",
            basis="answers",
            estimate=Estimate(
                value=difference.value,
                n=reading.n,
                seed=plan.config.seed,
                low=bounds.low,
                high=bounds.high,
                level=LEVEL,
                method=f"a gap of {PLANTED[0] - PLANTED[1]:g} nats planted in gains drawn again",
                p_value=difference.p_value,
            ),
        )


def _correct_exploration(rows: Sequence[Row]) -> list[Row]:
    """Give every p its false discovery rate among rows of its kind: no verdict comes from behaviour."""
    corrected = list(rows)
    for kind in ("behaviour", "behaviour_gain", "behaviour_gap"):
        family = [i for i, row in enumerate(rows) if row.kind == kind]
        rates = false_discovery(np.array([rows[i].estimate.p_value for i in family]))
        for i, rate in zip(family, rates, strict=True):
            corrected[i] = replace(rows[i], estimate=replace(rows[i].estimate, fdr=float(rate)))
    return corrected


def _warnings(plan: Plan, behaviour: BehaviourPlan) -> list[CodedWarning]:
    if without := [language for language in plan.languages if language not in behaviour.languages]:
        return [CodedWarning(code="B001", detail=", ".join(without))]
    return []
