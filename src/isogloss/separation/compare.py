"""Gain, gap and retention from the scores of two models, and the reading of a gain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from isogloss.separation.resample import Interval, jackknife_interval
from isogloss.separation.score import Score

Reading = Literal["rose", "fell", "no clear change", "not measured"]


@dataclass(frozen=True, kw_only=True)
class Gain:
    """Aligned minus reference, same texts."""

    value: float
    left_out: np.ndarray
    null_mean: float


def gain(reference: Score, aligned: Score) -> Gain:
    """Subtract the reference's score from the aligned model's; resamples are subtracted one by one."""
    paired_null = len(reference.null) == len(aligned.null) > 0
    paired = len(reference.left_out) == len(aligned.left_out)
    return Gain(
        value=aligned.value - reference.value,
        left_out=aligned.left_out - reference.left_out if paired else np.empty(0),
        null_mean=float(np.mean(aligned.null - reference.null)) if paired_null else float("nan"),
    )


def gain_interval(found: Gain, level: float) -> Interval:
    """Jackknife interval of a gain; NaN without jackknife values."""
    if not len(found.left_out) or np.isnan(found.value):
        return Interval(low=float("nan"), high=float("nan"))
    return jackknife_interval(found.value, found.left_out, level)


def read_gain(interval: Interval) -> Reading:
    """Say what a gain's interval allows.

    >>> read_gain(Interval(low=0.1, high=0.3)), read_gain(Interval(low=-0.1, high=0.3))
    ('rose', 'no clear change')
    """
    if math.isnan(interval.low) or math.isnan(interval.high):
        return "not measured"
    if interval.low > 0:
        return "rose"
    return "fell" if interval.high < 0 else "no clear change"


def retention(own: float, pivot: float) -> tuple[float, str | None]:
    """Divide a language's gain by the pivot's.

    >>> retention(0.1, 0.4)
    (0.25, None)
    >>> retention(0.1, -0.2)
    (nan, 'the pivot language gained nothing')

    Returns:
        The ratio, and a reason where it is NaN.
    """
    if math.isnan(own) or math.isnan(pivot):
        return float("nan"), "a gain is missing"
    if not pivot > 0:
        return float("nan"), "the pivot language gained nothing"
    return own / pivot, None
