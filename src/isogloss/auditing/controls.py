"""The controls of one language: what could explain its scores other than alignment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.stats

from isogloss.auditing.config import LEVEL
from isogloss.auditing.plan import Plan
from isogloss.auditing.rows import null_summary, score_estimate
from isogloss.auditing.sample import Sample, edit_rates
from isogloss.records import NAN, Estimate, Row
from isogloss.stats.jackknife import Jackknife, delete_one
from isogloss.stats.metric import Metric, Score
from isogloss.stats.metrics import METRICS
from isogloss.stats.probe import kernel_probe, ridge_probe
from isogloss.stats.probe_scores import fixed_scores, probe_scores
from isogloss.stats.text_controls import CONTROLS, length_scores, ngram_gram

RATIO = "delete-one jackknife of a ratio"
MEDIAN = "order statistics"
PERMUTED = "permuted labels"


def control_rows_of_language(item: tuple[Plan, Sample]) -> list[Row]:
    """Compute the controls of one work item of an engine: the plan of a language, and its sample."""
    return control_rows(*item)


def control_rows(plan: Plan, sample: Sample) -> list[Row]:
    """Compute all requested controls of a language; models are scored at the primary layer."""
    probes = [METRICS["auroc"], *([METRICS["pair_accuracy"]] if sample.partners is not None else [])]
    estimates = _estimate_of_texts(plan, sample, probes) if plan.given is None else {}
    if "untrained" in plan.activations:
        estimates |= _name_estimates("untrained", _score_states(plan, "untrained", sample, probes), sample, plan)
    estimates["permuted_labels_auroc"] = _summarise_null(plan, sample)
    if plan.likelihoods:
        bits, characters = plan.likelihoods.bits(sample.language), plan.likelihoods.characters(sample.language)
        estimates["bits_per_character"] = _estimate_ratio(
            bits, characters, np.arange(len(bits)), n=len(bits), seed=plan.config.seed
        )
    return [
        Row(kind="control", language=sample.language, metric=name, estimate=estimates[name])
        for name in CONTROLS
        if name in estimates
    ]


def _estimate_of_texts(plan: Plan, sample: Sample, probes: Sequence[Metric]) -> dict[str, Estimate]:
    """Compute the controls that read the texts themselves."""
    lengths = length_scores(sample.texts)
    estimates = _name_estimates("length", fixed_scores(lengths, sample.draws, probes), sample, plan)
    grams = kernel_probe(ngram_gram(sample.texts))
    estimates |= _name_estimates("ngram", probe_scores(grams, sample.draws, probes), sample, plan)
    if sample.partners is not None:
        estimates["edit_rate"] = _estimate_median(edit_rates(sample), plan.config.seed)
    counts = plan.activations["aligned"].token_counts(sample.language)[sample.rows]
    estimates["tokens_per_character"] = _estimate_ratio(
        counts, lengths, sample.draws.unit_of_row, n=sample.draws.per_class, seed=plan.config.seed
    )
    return estimates


def _score_states(plan: Plan, role: str, sample: Sample, probes: Sequence[Metric]) -> list[Score]:
    hidden = plan.activations[role].block(sample.language, plan.primary_layer).hidden[sample.rows]
    return probe_scores(ridge_probe(hidden), sample.draws, probes)


def _name_estimates(name: str, scores: Sequence[Score], sample: Sample, plan: Plan) -> dict[str, Estimate]:
    n = sample.draws.per_class
    return {f"{name}_{score.metric}": score_estimate(score, n, plan.config.seed) for score in scores}


def _summarise_null(plan: Plan, sample: Sample) -> Estimate:
    """Describe the aligned model's AUROC under permuted labels: the probe's score without any signal."""
    null = _score_states(plan, "aligned", sample, [METRICS["auroc"]])[0].null
    mean, low, high = null_summary(null)
    n, seed = sample.draws.per_class, plan.config.seed
    return Estimate(value=mean, n=n, seed=seed, low=low, high=high, level=LEVEL, method=PERMUTED)


def ratio(numerators: np.ndarray, denominators: np.ndarray, units: np.ndarray) -> Jackknife:
    """Compute the ratio of two sums over texts, with its jackknife over units.

    Args:
        numerators: (n,).
        denominators: (n,); their sum is not zero.
        units: int (n,), 0, 1, ...: the unit of each text.
    """
    top, bottom = (np.bincount(units, weights=terms.astype(np.float64)) for terms in (numerators, denominators))
    leave_one_out = (top.sum() - top) / (bottom.sum() - bottom)
    return delete_one(float(top.sum() / bottom.sum()), leave_one_out, np.arange(len(top)))


def _estimate_ratio(
    numerators: np.ndarray, denominators: np.ndarray, units: np.ndarray, *, n: int, seed: int
) -> Estimate:
    if not denominators.sum() > 0:
        return Estimate(value=NAN, n=n, seed=seed, reason="no characters")
    jackknife = ratio(numerators, denominators, units)
    bounds = jackknife.interval(LEVEL)
    return Estimate(value=jackknife.value, n=n, seed=seed, low=bounds.low, high=bounds.high, level=LEVEL, method=RATIO)


def _estimate_median(values: np.ndarray, seed: int) -> Estimate:
    """Estimate a median; its bounds are the order statistics that cover the true median in at least 95 % of samples."""
    ordered = np.sort(values)
    n = len(ordered)
    first = int(scipy.stats.binom.ppf((1 - LEVEL) / 2, n, 0.5))
    low, high = ordered[max(0, first - 1)], ordered[min(n - 1, n - first)]
    return Estimate(
        value=float(np.median(ordered)),
        n=n,
        seed=seed,
        low=float(low),
        high=float(high),
        level=LEVEL,
        method=MEDIAN,
    )
