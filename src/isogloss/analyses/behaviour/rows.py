"""Likelihoods of answers and texts -> rows: what each model would say, what alignment changed, in which languages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import polars as pl

from isogloss.analyses.ablation.rows import ablation_rows
from isogloss.analyses.behaviour.generated_answers import spoken_rows, spoken_warnings
from isogloss.analyses.behaviour.link import Items, link_rows, take_items
from isogloss.analyses.behaviour.metrics import BEHAVIOURS, LINEAR
from isogloss.analyses.behaviour.needs import BehaviourPlan
from isogloss.analyses.behaviour.statistics import (
    adjusted_mean,
    mean_difference,
    pair_differences,
    planted_gain,
    ranked,
    zero_score,
)
from isogloss.auditing.compare import Change, Family, compare
from isogloss.auditing.config import LEVEL
from isogloss.auditing.measure import samples_of
from isogloss.auditing.plan import Plan
from isogloss.auditing.rows import AnyPath, difference_row, score_row
from isogloss.auditing.sample import Sample
from isogloss.auditing.score import side_by_side
from isogloss.engines.engine import Engine
from isogloss.hidden_states.spec import Layer
from isogloss.likelihoods.margins import Margins, margins
from isogloss.progress import Track
from isogloss.records import Estimate, Row
from isogloss.results import Audit
from isogloss.stats.effects import false_discovery, gain, gap
from isogloss.stats.jackknife import Jackknife
from isogloss.stats.metric import Score
from isogloss.warnings import CodedWarning

#: Where rows of behaviour belong: to no layer.
NOWHERE = Layer(0, "")
#: Nats that the control plants in the pivot, and in the other languages: the gap between them is to be found.
PLANTED = (2.0, 1.0)
#: Scores of a text's margins: BEHAVIOURS row -> part of `Margins`.
OF_MARGINS = {"refusal_margin": "total", "refusal_margin_per_token": "per_token", "first_token_gap": "first"}


class OneLanguage(NamedTuple):
    """Work for anybody: the plan of one language, what is asked of its texts, and its sample."""

    plan: Plan
    told: BehaviourPlan
    sample: Sample


@dataclass(frozen=True, kw_only=True)
class Told:
    """What models say of the texts of one language; all by role.

    Attributes:
        sample: the texts.
        margins: refusal log-odds of each text.
        nats: -ln p of each text, float64 (n,); empty where texts have no twins.
        preferences: shift of the preference for the neutral twin from the reference's, adjusted; of aligned and
            placebo, and empty where there are no twins or no reference.
        items: the pairs for the link; None where there is none.
    """

    sample: Sample
    margins: Mapping[str, Margins]
    nats: Mapping[str, np.ndarray]
    preferences: Mapping[str, Score]
    items: Items | None

    @property
    def n(self) -> int:
        """Texts per class."""
        return self.sample.draws.per_class


def with_behaviour(
    audit: Audit, plan: Plan, told: BehaviourPlan, track: Track, engine: Engine
) -> tuple[Audit, pl.DataFrame | None]:
    """Add what the models would say to an audit; everything is in the store.

    Args:
        audit: of hidden states.
        plan: that it followed.
        told: what is asked of behaviour.
        track: progress display.
        engine: who measures; the numbers are the same.

    Returns:
        The audit with rows of behaviour and of the link, and one line a pair for the scatter (see `link.Items`): None
        where there is no link.
    """
    samples = samples_of(plan)
    mine = [samples[code] for code in plan.languages if code in told.languages]
    parts = [OneLanguage(own, told.of(own.corpus), sample) for sample in mine for own in [plan.of(sample.language)]]
    read = side_by_side(tell, parts, engine, track, "Behaviour", workers=plan.config.workers)
    rows = [*_scores(plan, read), *_compared(plan, read), *_placebo(plan, read), *_planted(plan, read)]
    rows += [*spoken_rows(told, plan.config.seed), *ablation_rows(plan)]
    warnings = [*audit.warnings, *_warnings(plan, told), *spoken_warnings(told)]
    items = [one.items for one in read if one.items]
    if items:
        rows += link_rows(items, plan, told)
    found = replace(audit, rows=(*audit.rows, *_exploratory(rows)), warnings=tuple(warnings))
    return found, pl.concat([one.frame for one in items]) if items else None


def tell(part: OneLanguage) -> Told:
    """Read what models say of the texts of a language, and its pairs for the link."""
    plan, told, sample = part
    code, rows = sample.language, sample.rows
    read = {role: margins(one, code) for role, one in told.answers.items()}
    nats = {role: np.log(2) * one.bits(code)[rows] for role, one in told.texts.items()}
    preferences = {}
    if "reference" in nats:
        tokens = plan.activations["aligned"].token_counts(code)[rows].astype(np.float64)
        covariates = np.column_stack(
            [pair_differences(tokens, sample.draws), pair_differences(nats["reference"], sample.draws)]
        )
        for role in [role for role in nats if role != "reference"]:
            # -ln p of the harmful twin minus that of the neutral one: what it rose by under alignment.
            shifts = pair_differences(nats[role] - nats["reference"], sample.draws)
            preferences[role] = adjusted_mean("text_preference_adjusted", shifts, covariates, sample.draws)
    items = take_items(plan, told, sample, read, nats["reference"]) if told.layer else None
    return Told(sample=sample, margins=read, nats=nats, preferences=preferences, items=items)


def _scores_of(one: Told, role: str) -> dict[str, Score]:
    draws, said = one.sample.draws, one.margins[role]
    found = {name: mean_difference(name, getattr(said, part), draws) for name, part in OF_MARGINS.items()}
    found["refusal_auroc"] = ranked("refusal_auroc", said.total, draws)
    if role in one.nats:
        found["text_preference"] = mean_difference("text_preference", one.nats[role], draws)
    return found


def _place(plan: Plan, one: Told) -> AnyPath:
    return AnyPath(language=one.sample.language, layer=NOWHERE, n=one.n, seed=plan.config.seed)


def _nowhere(row: Row, kind: str) -> Row:
    """Make a row of hidden states one of behaviour, which has no layer."""
    return replace(row, kind=kind, layer=None, norm="")


def _scores(plan: Plan, read: Sequence[Told]) -> Iterator[Row]:
    for one in read:
        place = _place(plan, one)
        for role in one.margins:
            for score in _scores_of(one, role).values():
                yield _nowhere(score_row(score, role, place), "behaviour")
        if "reference" in one.margins:
            shift = one.margins["aligned"].total - one.margins["reference"].total
            reward = ranked("reward_auroc", shift, one.sample.draws)
            yield _nowhere(score_row(reward, "", place), "behaviour")


def _compared(plan: Plan, read: Sequence[Told]) -> Iterator[Row]:
    """Gain, gap and retention of every score, by the same machinery as those of hidden states."""
    if "reference" not in plan.roles:
        return
    families: dict[str, dict[str, Change]] = {}
    for one in read:
        before, after = (_scores_of(one, role) for role in ("reference", "aligned"))
        changes = {name: (before[name], after[name]) for name in before}
        if one.preferences:
            score = one.preferences["aligned"]
            changes[score.metric] = (zero_score(score.metric, score), score)
        for name, (reference, aligned) in changes.items():
            families.setdefault(name, {})[one.sample.language] = Change(reference=reference, aligned=aligned, n=one.n)
    pivot = plan.config.pivot
    for own in families.values():
        pivots = {code: own[pivot] for code in own if code != pivot}
        family = Family(changes=own, pivots=pivots, pivot=pivot, layer=NOWHERE)
        for row in compare(family, plan.config.seed).rows:
            yield _nowhere(row, f"behaviour_{row.kind}")


def _placebo(plan: Plan, read: Sequence[Told]) -> Iterator[Row]:
    """What the placebo did to preferences, and what alignment did beyond it."""
    for one in read:
        if "placebo" not in one.preferences:
            continue
        place = _place(plan, one)
        scores = {role: one.preferences[role] for role in ("placebo", "aligned")}
        yield _nowhere(score_row(scores["placebo"], "placebo", place), "behaviour")
        if scores["placebo"].jackknife and scores["aligned"].jackknife:
            beyond = gain(scores["placebo"].jackknife, scores["aligned"].jackknife)
            named = replace(scores["aligned"], row=BEHAVIOURS["text_preference_over_placebo"])
            none = np.empty(0)
            row = difference_row("gain", named, beyond, none, place, critical=None, method=LINEAR)
            yield _nowhere(row, "behaviour_gain")


def _planted(plan: Plan, read: Sequence[Told]) -> Iterator[Row]:
    """A gain of known size in every language, larger in the pivot: can the estimators see the gap?"""
    if "reference" not in plan.roles:
        return
    found: dict[str, Jackknife] = {}
    for one in read:
        code = one.sample.language
        size = PLANTED[0] if code == plan.config.pivot else PLANTED[1]
        shift = one.margins["aligned"].total - one.margins["reference"].total
        found[code] = planted_gain(shift, one.sample.draws, size, plan.config.seed)
    for one in read:
        code = one.sample.language
        if code == plan.config.pivot:
            continue
        seen = gap(found[plan.config.pivot], found[code])
        bounds = seen.interval(LEVEL)
        yield Row(
            kind="behaviour_control",
            language=code,
            metric="planted_gap",
            basis="answers",
            estimate=Estimate(
                value=seen.value,
                n=one.n,
                seed=plan.config.seed,
                low=bounds.low,
                high=bounds.high,
                level=LEVEL,
                method=f"a gap of {PLANTED[0] - PLANTED[1]:g} nats planted in gains drawn again",
                p_value=seen.p_value,
            ),
        )


def _exploratory(rows: Sequence[Row]) -> list[Row]:
    """Give every p its false discovery rate among rows of its kind: no verdict comes from behaviour."""
    found = list(rows)
    for kind in ("behaviour", "behaviour_gain", "behaviour_gap"):
        here = [i for i, row in enumerate(rows) if row.kind == kind]
        rates = false_discovery(np.array([rows[i].estimate.p_value for i in here]))
        for i, rate in zip(here, rates, strict=True):
            found[i] = replace(rows[i], estimate=replace(rows[i].estimate, fdr=float(rate)))
    return found


def _warnings(plan: Plan, told: BehaviourPlan) -> list[CodedWarning]:
    if without := [code for code in plan.languages if code not in told.languages]:
        return [CodedWarning(code="B001", detail=", ".join(without))]
    return []
