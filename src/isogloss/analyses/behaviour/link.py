"""The link: whether shifts of hidden states predict shifts of answers, pair by pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from isogloss.analyses.behaviour.link_statistics import (
    FEWEST_LANGUAGES,
    POWER_AT,
    SPLITS,
    correlate_languages,
    halves,
    mean_slope,
    rank_slope,
    share_units,
)
from isogloss.analyses.behaviour.needs import BehaviourPlan
from isogloss.analyses.behaviour.statistics import pair_differences
from isogloss.auditing.config import LEVEL
from isogloss.auditing.plan import Plan
from isogloss.auditing.sample import Sample, edit_rates
from isogloss.likelihoods.margins import Margins
from isogloss.records import NAN, Estimate, Row
from isogloss.stats.components import open_space
from isogloss.stats.jackknife import Jackknife
from isogloss.stats.metrics import METRICS
from isogloss.stats.permutations import Draws
from isogloss.stats.probe import cross_fitted_scores, ridge_probe

#: What could affect both shifts of a pair other than alignment; all enter as ranks.
COVARIATES = ("length", "length_difference", "edit_rate", "surprisal_difference")
SLOPE = "rank regression within the language, adjusted; delete-one jackknife t"
MEAN = "t over languages"
MEAN_SHARED = "t over languages, at least the error over the pairs that they share"
#: A correlation needs at least this many languages.
LEAST_LANGUAGES = 3


@dataclass(frozen=True, kw_only=True)
class LinkPairs:
    """The pairs of one language.

    Attributes:
        language: code.
        frame: one row per pair: pair_id, language, latent_reference, latent_aligned (cross-fitted margin of the probe,
            harmful minus harmless), behaviour_reference, behaviour_aligned (refusal log-odds after the first token of
            the answer, harmful minus harmless; nats), and COVARIATES.
        units: uint64 (pairs,), ids in row order.
        folds: int (pairs,), folds of the probe.
        gains: float64 (splits,), gains of the primary metric at the link's layer in one half of the pairs; NaN if it
            cannot be computed.
        halves: bool (splits, pairs), the pairs of that half.
    """

    language: str
    frame: pl.DataFrame
    units: np.ndarray
    folds: np.ndarray
    gains: np.ndarray
    halves: np.ndarray

    @property
    def latent(self) -> np.ndarray:
        """Aligned minus reference: (pairs,)."""
        return (self.frame["latent_aligned"] - self.frame["latent_reference"]).to_numpy()

    @property
    def behaviour(self) -> np.ndarray:
        """Aligned minus reference: (pairs,), nats."""
        return (self.frame["behaviour_aligned"] - self.frame["behaviour_reference"]).to_numpy()


def read_pairs(
    plan: Plan,
    behaviour_plan: BehaviourPlan,
    sample: Sample,
    text_margins: Mapping[str, Margins],
    surprisal: np.ndarray,
) -> LinkPairs:
    """Read the pairs of a language.

    Args:
        plan: plan of the audit.
        behaviour_plan: plan of the analysis, with a layer for the link.
        sample: the texts.
        text_margins: role -> margins of the texts.
        surprisal: -ln p of each text under the reference, (n,).
    """
    assert behaviour_plan.layer is not None  # noqa: S101 - the caller checks this
    draws, code = sample.draws, sample.language
    columns: dict[str, np.ndarray] = {}
    hidden = {}
    for role in ("reference", "aligned"):
        hidden[role] = behaviour_plan.states[role].block(code, behaviour_plan.layer).hidden[sample.rows]
        scores = cross_fitted_scores(ridge_probe(hidden[role]), draws.harmful[None, :], draws.folds)[0]
        columns[f"latent_{role}"] = pair_differences(scores, draws)
        columns[f"behaviour_{role}"] = pair_differences(text_margins[role].rest, draws)
    first, length = _find_harmful_rows(draws), np.log([len(text) for text in sample.texts])
    columns["length"] = (length[first] + length[_get_partners(draws)[first]]) / 2
    columns["length_difference"] = pair_differences(length, draws)
    columns["edit_rate"] = edit_rates(sample)[np.argsort(np.argsort(first))]
    columns["surprisal_difference"] = pair_differences(surprisal, draws)
    half_masks = halves(draws.units, SPLITS, plan.config.seed)
    before, after = (_score_halves(plan, states, draws, half_masks) for states in hidden.values())
    ids = plan.corpus.part(code)["pair_id"].to_numpy()[sample.rows][first]
    numbers = {name: pl.Series(name, column, dtype=pl.Float64) for name, column in columns.items()}
    return LinkPairs(
        language=code,
        frame=pl.DataFrame({"pair_id": ids, "language": [code] * len(ids)} | numbers),
        units=draws.units,
        folds=draws.folds[first],
        gains=after - before,
        halves=half_masks,
    )


def _find_harmful_rows(draws: Draws) -> np.ndarray:
    """Return the row of the harmful text of each unit: int (units,), in the order of `draws.units`."""
    harmful = np.flatnonzero(draws.harmful)
    rows = np.empty(len(harmful), dtype=np.intp)
    rows[draws.unit_of_row[harmful]] = harmful
    return rows


def _get_partners(draws: Draws) -> np.ndarray:
    assert draws.partners is not None  # noqa: S101 - a link needs pairs
    return draws.partners


def _score_halves(plan: Plan, hidden: np.ndarray, draws: Draws, half_masks: np.ndarray) -> np.ndarray:
    """Compute the plug-in primary metric on each half: float64 (splits,), NaN if it cannot be computed.

    It is not debiased: with equal numbers of pairs, the bias is nearly the same in both models and all languages.
    """
    metric, k = METRICS[plan.primary.metric], plan.primary.components
    scores = np.full(len(half_masks), np.nan)
    for i, half in enumerate(half_masks):
        selected = half[draws.unit_of_row]
        z = open_space(hidden[selected], k).leading
        if z.shape[1] == k and selected.sum() // 2 >= metric.per_component * k:
            partners = (np.cumsum(selected) - 1)[_get_partners(draws)[selected]]
            scores[i] = metric.many(z, draws.harmful[None, selected], partners, draws.folds[selected])[0]
    return scores


def link_rows(pairs: Sequence[LinkPairs], plan: Plan, behaviour_plan: BehaviourPlan) -> list[Row]:
    """Estimate the slope of each language, their mean, and the correlation over languages with its power."""
    seed = plan.config.seed
    slopes = {language_pairs.language: _fit_slope(language_pairs) for language_pairs in pairs}
    known = [slope for slope in slopes.values() if slope]
    rows = [
        _make_row(behaviour_plan, code, "item_slope", _estimate_slope(slope, pairs, code, seed))
        for code, slope in slopes.items()
    ]
    rows.append(_make_row(behaviour_plan, "", "item_slope_mean", _estimate_mean(known, seed)))
    return [*rows, *_correlate(pairs, behaviour_plan, seed)]


def _fit_slope(pairs: LinkPairs) -> Jackknife | None:
    if not np.isfinite(pairs.latent).all():
        return None
    covariates = pairs.frame.select(COVARIATES).to_numpy()
    return rank_slope(pairs.behaviour, pairs.latent, covariates, pairs.folds, pairs.units)


def _estimate_slope(slope: Jackknife | None, pairs: Sequence[LinkPairs], code: str, seed: int) -> Estimate:
    n = next(language_pairs.frame.height for language_pairs in pairs if language_pairs.language == code)
    if slope is None:
        return Estimate(value=NAN, n=n, seed=seed, reason="too few pairs, or no shift that differs between them")
    return _make_estimate(slope, n, seed, SLOPE)


def _estimate_mean(slopes: Sequence[Jackknife], seed: int) -> Estimate:
    if len(slopes) < 2:  # noqa: PLR2004 - one slope has no spread
        return Estimate(value=NAN, n=len(slopes), seed=seed, reason="fewer than two languages with a slope")
    return _make_estimate(mean_slope(slopes), len(slopes), seed, MEAN_SHARED if share_units(slopes) else MEAN)


def _make_estimate(jackknife: Jackknife, n: int, seed: int, method: str) -> Estimate:
    bounds = jackknife.interval(LEVEL)
    return Estimate(
        value=jackknife.value,
        n=n,
        seed=seed,
        low=bounds.low,
        high=bounds.high,
        level=LEVEL,
        method=method,
        p_value=jackknife.p_value,
    )


def _correlate(pairs: Sequence[LinkPairs], behaviour_plan: BehaviourPlan, seed: int) -> list[Row]:
    usable = [language_pairs for language_pairs in pairs if np.isfinite(language_pairs.gains).all()]
    n = len(usable)
    if n < LEAST_LANGUAGES:
        reason = f"{n} languages with scores of half of their pairs; {LEAST_LANGUAGES} are needed"
        missing = Estimate(value=NAN, n=n, seed=seed, reason=reason)
        return [_make_row(behaviour_plan, "", "across_spearman", missing)]
    behaviour = [
        [language_pairs.behaviour[~half].mean() for half in language_pairs.halves] for language_pairs in usable
    ]
    correlation = correlate_languages(
        np.column_stack([language_pairs.gains for language_pairs in usable]), np.array(behaviour).T, seed
    )
    orders = "all orders of the languages" if correlation.exact else "orders of the languages, drawn"
    too_few = n < FEWEST_LANGUAGES
    value = Estimate(
        value=correlation.value,
        n=n,
        seed=seed,
        method=f"mean over {SPLITS} split halves; p from {orders}",
        p_value=correlation.p_value,
        approximate=f"fewer than {FEWEST_LANGUAGES} languages: no p can reach .05" if too_few else None,
    )
    power = Estimate(
        value=correlation.power,
        n=n,
        seed=seed,
        method=f"simulation: chance of p <= .05 if the true rank correlation is {POWER_AT:g}, without noise",
    )
    return [
        _make_row(behaviour_plan, "", "across_spearman", value),
        _make_row(behaviour_plan, "", "across_power", power),
    ]


def _make_row(behaviour_plan: BehaviourPlan, code: str, metric: str, estimate: Estimate) -> Row:
    layer = behaviour_plan.layer
    assert layer is not None  # noqa: S101 - the caller checks this
    return Row(kind="link", language=code, metric=metric, layer=layer.index, norm=layer.norm, estimate=estimate)
