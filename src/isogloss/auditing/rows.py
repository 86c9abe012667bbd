"""Scores and jackknife columns -> the rows of an audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from isogloss.auditing.config import LEVEL
from isogloss.hidden_states.spec import Layer
from isogloss.records import NAN, Estimate, LanguageVerdict, Row
from isogloss.stats.effects import Retention
from isogloss.stats.jackknife import Interval, Jackknife
from isogloss.stats.metric import Score
from isogloss.stats.probe_scores import from_logit

WILSON = "Wilson: no text moves the score"


@dataclass(frozen=True, kw_only=True)
class RowKey:
    """The key of a row: language, layer and sample, with the texts per class and the seed that the row holds."""

    language: str
    layer: Layer
    n: int
    seed: int
    sample: str = "all"


def score_row(score: Score, role: str, key: RowKey) -> Row:
    """Write a score as a row."""
    return _make_row("score", score, score_estimate(score, key.n, key.seed), key, role=role)


def score_estimate(score: Score, n: int, seed: int) -> Estimate:
    """Write a score as an estimate with its interval and null."""
    if score.jackknife is None:
        return Estimate(value=NAN, n=n, seed=seed, reason=score.reason)
    logit = score.row.scale == "logit"
    bounds = score.jackknife.interval(LEVEL)
    method = score.row.method
    if logit and not score.jackknife.se > 0:
        bounds, method = wilson(score.plug_in, score.effective_n), WILSON
    elif logit:
        # Log odds stop half a text short of 0 and 1; the score does not.
        bounds = Interval(
            low=min(score.plug_in, from_logit(bounds.low)), high=max(score.plug_in, from_logit(bounds.high))
        )
    null = null_summary(score.null)
    return Estimate(
        value=score.plug_in if logit else score.jackknife.value,
        n=n,
        seed=seed,
        low=bounds.low,
        high=bounds.high,
        level=LEVEL,
        method=method,
        plug_in=score.plug_in,
        null_mean=null[0],
        null_low=null[1],
        null_high=null[2],
        p_value=score.p_value,
        approximate=score.approximate,
    )


def jackknife_estimate(
    jackknife: Jackknife | None,
    key: RowKey,
    *,
    method: str,
    plug_in: float = NAN,
    null: np.ndarray | None = None,
    reason: str | None = None,
    test: bool = False,
) -> Estimate:
    """Write a jackknife column as an estimate; with a `reason`, the estimate has no value.

    Args:
        jackknife: the statistic on a plain scale.
        key: key of the row.
        method: how the interval is made.
        plug_in: the statistic before debiasing.
        null: (B,), the estimate under permuted labels.
        reason: why there is no number.
        test: add a p value: one-sided against the null or, without a null, two-sided against zero.
    """
    if reason is None and (jackknife is None or np.isnan([jackknife.value, jackknife.se]).any()):
        reason = "too few texts"
    if reason is not None or jackknife is None:
        return Estimate(value=NAN, n=key.n, seed=key.seed, plug_in=plug_in, reason=reason)
    bounds = jackknife.interval(LEVEL)
    permuted = np.empty(0) if null is None else null
    mean, low, high = null_summary(permuted)
    p_value = (
        (1 + int((permuted >= jackknife.value).sum())) / (1 + len(permuted)) if len(permuted) else jackknife.p_value
    )
    return Estimate(
        value=jackknife.value,
        n=key.n,
        seed=key.seed,
        low=bounds.low,
        high=bounds.high,
        level=LEVEL,
        method=method,
        plug_in=plug_in,
        null_mean=mean,
        null_low=low,
        null_high=high,
        p_value=p_value if test else NAN,
    )


def wilson(share: float, n: float) -> Interval:
    """Compute Wilson's interval of a share of n, for a score of 0 or 1 that no text changes.

    >>> wilson(1.0, 100).high, round(wilson(1.0, 100).low, 3)
    (1.0, 0.963)
    """
    z2 = 1.959963984540054**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    # Except for rounding, the bounds of 0 and 1 are 0 and 1 themselves.
    return Interval(low=min(share, float(max(0.0, middle - half))), high=max(share, float(min(1.0, middle + half))))


def null_summary(null: np.ndarray) -> tuple[float, float, float]:
    """Compute mean and 2.5 and 97.5 % quantiles; NaN for an empty null. Permutations without a value do not count."""
    null = null[~np.isnan(null)]
    if not len(null):
        return NAN, NAN, NAN
    low, high = np.quantile(null, [0.025, 0.975])
    return float(null.mean()), float(low), float(high)


def difference_row(
    kind: str, score: Score, jackknife: Jackknife, null: np.ndarray, key: RowKey, *, critical: float | None, method: str
) -> Row:
    """Write a gain or a gap as a row.

    Args:
        kind: gain or gap.
        score: any score of the same metric.
        jackknife: the difference on the metric's scale.
        null: (B,), on the metric's scale; empty if languages are not paired.
        key: key of the row.
        critical: simultaneous critical value; None takes the pointwise t.
        method: how the interval is made.
    """
    varies = jackknife.se > 0
    interval = jackknife.interval(LEVEL, critical) if varies else Interval(low=NAN, high=NAN)
    mean, low, high = null_summary(null)
    estimate = Estimate(
        value=jackknife.value,
        n=key.n,
        seed=key.seed,
        low=interval.low,
        high=interval.high,
        level=LEVEL if varies else NAN,
        method=method if varies else None,
        null_mean=mean,
        null_low=low,
        null_high=high,
        p_value=jackknife.p_value,
        approximate=score.approximate if varies else "no text moves it",
    )
    return _make_row(kind, score, estimate, key, scale=score.row.scale)


def retention_row(score: Score, retention: Retention, key: RowKey, *, method: str) -> Row:
    """Write retention with its Fieller set as a row."""
    known = retention.reason is None
    estimate = Estimate(
        value=retention.value,
        n=key.n,
        seed=key.seed,
        low=retention.low,
        high=retention.high,
        level=LEVEL if known else NAN,
        method=method if known else None,
        approximate=score.approximate,
        reason=retention.reason,
    )
    return _make_row("retention", score, estimate, key)


def give_verdicts(rows: Sequence[Row], verdicts: Sequence[LanguageVerdict]) -> list[Row]:
    """Add the verdict of its language to every row, and the MDE and pivot z of its gain to every score."""
    verdict_names = {verdict.language: verdict.verdict for verdict in verdicts}
    gains = {_make_gain_key(row): row for row in rows if row.kind == "gain"}
    complete = []
    for row in rows:
        gain = gains.get(_make_gain_key(row)) if row.kind == "score" else None
        with_gain = replace(row, mde=gain.mde, pivot_z=gain.pivot_z) if gain else row
        complete.append(replace(with_gain, verdict=verdict_names.get(row.language, "")))
    return complete


def _make_gain_key(row: Row) -> tuple[object, ...]:
    return row.language, row.layer, row.norm, row.metric, row.components, row.sample


def missing_row(kind: str, score: Score, reason: str, key: RowKey) -> Row:
    """Write a row without a value, with the reason why the comparison could not be made."""
    return _make_row(kind, score, Estimate(value=NAN, n=key.n, seed=key.seed, reason=reason), key)


def _make_row(kind: str, score: Score, estimate: Estimate, key: RowKey, *, role: str = "", scale: str = "plain") -> Row:
    return Row(
        kind=kind,
        model=role,
        language=key.language,
        layer=key.layer.index,
        norm=key.layer.norm,
        basis=score.row.basis,
        components=score.components,
        metric=score.metric,
        sample=key.sample,
        scale=scale,
        estimate=estimate,
    )
