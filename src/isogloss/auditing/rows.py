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
    """Where a row belongs: language, layer and sample, with the texts per class and the seed that it carries."""

    language: str
    layer: Layer
    n: int
    seed: int
    sample: str = "all"


def score_row(score: Score, role: str, key: RowKey) -> Row:
    """Write a score as a row."""
    return _row("score", score, score_estimate(score, key.n, key.seed), key, role=role)


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
        # Log odds stop half a text short of 0 and 1, the score does not.
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
    found: Jackknife | None,
    key: RowKey,
    *,
    method: str,
    plug_in: float = NAN,
    null: np.ndarray | None = None,
    reason: str | None = None,
    test: bool = False,
) -> Estimate:
    """Write a jackknife column as an estimate; with a `reason` there is none.

    Args:
        found: on a plain scale.
        key: of the row.
        method: how the interval is made.
        plug_in: the statistic before anything was taken off.
        null: (B,), the estimate under permuted labels.
        reason: why there is no number.
        test: give a p value: one-sided against the null or, where there is none, two-sided of zero.
    """
    if reason is None and (found is None or np.isnan([found.value, found.se]).any()):
        reason = "too few texts"
    if reason is not None or found is None:
        return Estimate(value=NAN, n=key.n, seed=key.seed, plug_in=plug_in, reason=reason)
    bounds = found.interval(LEVEL)
    permuted = np.empty(0) if null is None else null
    mean, low, high = null_summary(permuted)
    p_value = (1 + int((permuted >= found.value).sum())) / (1 + len(permuted)) if len(permuted) else found.p_value
    return Estimate(
        value=found.value,
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
    """Wilson's interval of a share of n, for a score of 0 or 1 that no text moves.

    >>> wilson(1.0, 100).high, round(wilson(1.0, 100).low, 3)
    (1.0, 0.963)
    """
    z2 = 1.959963984540054**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    # The bounds of 0 and 1 are 0 and 1 themselves but for rounding.
    return Interval(low=min(share, float(max(0.0, middle - half))), high=max(share, float(min(1.0, middle + half))))


def null_summary(null: np.ndarray) -> tuple[float, float, float]:
    """Mean and 2.5 and 97.5 % quantiles; NaN for an empty null. Shuffles without a value do not count."""
    null = null[~np.isnan(null)]
    if not len(null):
        return NAN, NAN, NAN
    low, high = np.quantile(null, [0.025, 0.975])
    return float(null.mean()), float(low), float(high)


def difference_row(
    kind: str, score: Score, found: Jackknife, null: np.ndarray, key: RowKey, *, critical: float | None, method: str
) -> Row:
    """Write a gain or a gap as a row.

    Args:
        kind: gain or gap.
        score: any score of the same metric.
        found: on the metric's scale.
        null: (B,), on the metric's scale; empty where languages are not paired.
        key: of the row.
        critical: simultaneous critical value; None takes the pointwise t.
        method: how the interval is made.
    """
    moves = found.se > 0
    interval = found.interval(LEVEL, critical) if moves else Interval(low=NAN, high=NAN)
    mean, low, high = null_summary(null)
    estimate = Estimate(
        value=found.value,
        n=key.n,
        seed=key.seed,
        low=interval.low,
        high=interval.high,
        level=LEVEL if moves else NAN,
        method=method if moves else None,
        null_mean=mean,
        null_low=low,
        null_high=high,
        p_value=found.p_value,
        approximate=score.approximate if moves else "no text moves it",
    )
    return _row(kind, score, estimate, key, scale=score.row.scale)


def retention_row(score: Score, found: Retention, key: RowKey, *, method: str) -> Row:
    """Write retention with its Fieller set as a row."""
    known = found.reason is None
    estimate = Estimate(
        value=found.value,
        n=key.n,
        seed=key.seed,
        low=found.low,
        high=found.high,
        level=LEVEL if known else NAN,
        method=method if known else None,
        approximate=score.approximate,
        reason=found.reason,
    )
    return _row("retention", score, estimate, key)


def give_verdicts(rows: Sequence[Row], verdicts: Sequence[LanguageVerdict]) -> list[Row]:
    """Give every row the verdict of its language, and every score the MDE and pivot z of its gain."""
    words = {verdict.language: verdict.verdict for verdict in verdicts}
    gains = {_gain_key(row): row for row in rows if row.kind == "gain"}
    judged = []
    for row in rows:
        gain = gains.get(_gain_key(row)) if row.kind == "score" else None
        with_gain = replace(row, mde=gain.mde, pivot_z=gain.pivot_z) if gain else row
        judged.append(replace(with_gain, verdict=words.get(row.language, "")))
    return judged


def _gain_key(row: Row) -> tuple[object, ...]:
    return row.language, row.layer, row.norm, row.metric, row.components, row.sample


def missing_row(kind: str, score: Score, reason: str, key: RowKey) -> Row:
    """Write a comparison that could not be made as a row."""
    return _row(kind, score, Estimate(value=NAN, n=key.n, seed=key.seed, reason=reason), key)


def _row(kind: str, score: Score, estimate: Estimate, key: RowKey, *, role: str = "", scale: str = "plain") -> Row:
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
