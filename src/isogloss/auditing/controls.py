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
from isogloss.stats.control_margins import MarginScore, margin, mirrored, plain_scale
from isogloss.stats.jackknife import Interval, Jackknife, delete_one
from isogloss.stats.metric import Metric, Score
from isogloss.stats.metrics import METRICS
from isogloss.stats.probe import kernel_probe, ridge_probe
from isogloss.stats.probe_scores import fixed_scores, probe_scores
from isogloss.stats.text_controls import CONTROLS, length_scores, margin_name, ngram_gram

RATIO = "delete-one jackknife of a ratio"
MEDIAN = "order statistics"
PERMUTED = "permuted labels"


def control_rows_of_language(item: tuple[Plan, Sample]) -> list[Row]:
    """Compute the controls of one work item of an engine: the plan of a language, and its sample."""
    return control_rows(*item)


def control_rows(plan: Plan, sample: Sample) -> list[Row]:
    """Compute all requested controls of a language; models are scored at the primary layer."""
    probes = [METRICS["auroc"], *([METRICS["pair_accuracy"]] if sample.partners is not None else [])]
    n, seed = sample.draws.per_class, plan.config.seed
    known = plan.given is None  # the texts themselves
    lengths = length_scores(sample.texts)
    scores: dict[str, Sequence[Score]] = {}
    if known:
        scores["length"] = fixed_scores(lengths, sample.draws, probes)
        scores["ngram"] = probe_scores(kernel_probe(ngram_gram(sample.texts)), sample.draws, probes)
    if "untrained" in plan.activations:
        scores["untrained"] = _score_states(plan, "untrained", sample, probes)
    aligned = _score_states(plan, "aligned", sample, probes)
    estimates: dict[str, Estimate] = {}
    for control, scores_of_control in scores.items():
        for probe, score in zip(aligned, scores_of_control, strict=True):
            estimates[f"{control}_{score.metric}"] = score_estimate(score, n, seed)
            estimates[margin_name(control, score.metric)] = _compare(control, probe, score, n=n, seed=seed)
    estimates["permuted_labels_auroc"] = _summarise_null(aligned[0], n=n, seed=seed)
    if known and sample.partners is not None:
        estimates["edit_rate"] = _estimate_median(edit_rates(sample), seed)
    if known:
        counts = plan.activations["aligned"].token_counts(sample.language)[sample.rows]
        estimates["tokens_per_character"] = _estimate_ratio(counts, lengths, sample.draws.unit_of_row, n=n, seed=seed)
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


def _score_states(plan: Plan, role: str, sample: Sample, probes: Sequence[Metric]) -> list[Score]:
    hidden = plan.activations[role].block(sample.language, plan.primary_layer).hidden[sample.rows]
    return probe_scores(ridge_probe(hidden), sample.draws, probes)


def _compare(control: str, probe: Score, score: Score, *, n: int, seed: int) -> Estimate:
    """Estimate the aligned model's probe minus a control, on the same texts."""
    both = [(estimate, side) for side in (probe, score) if (estimate := score_estimate(side, n, seed)).reason is None]
    if len(both) < 2:  # noqa: PLR2004 - the probe and the control
        return Estimate(value=NAN, n=n, seed=seed, reason="the probe or the control has no score")
    of_probe, of_control = (_margin_score(estimate, side) for estimate, side in both)
    # Length has no direction of its own; a probe has, so that one below chance has found nothing.
    compared = margin(of_probe, mirrored(of_control) if control == "length" else of_control, LEVEL)
    return Estimate(
        value=compared.value,
        n=n,
        seed=seed,
        low=compared.interval.low,
        high=compared.interval.high,
        level=LEVEL,
        method=compared.method,
    )


def _margin_score(estimate: Estimate, score: Score) -> MarginScore:
    jackknife = score.jackknife and plain_scale(estimate.value, score.jackknife)
    return MarginScore(estimate.value, Interval(low=estimate.low, high=estimate.high), jackknife)


def _summarise_null(score: Score, *, n: int, seed: int) -> Estimate:
    """Describe the aligned model's AUROC under permuted labels: the probe's score without any signal."""
    mean, low, high = null_summary(score.null)
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
