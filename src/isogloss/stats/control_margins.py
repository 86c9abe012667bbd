"""Control margins: how much better the probe separates the classes than a control does, on the same texts.

Two scores of the same texts err together, so their difference is known better than their two intervals suggest.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

from isogloss.stats.jackknife import Interval, Jackknife, combine

PAIRED = "delete-one jackknife of the paired difference"
SEPARATE = "Newcombe's interval of a difference, texts not paired"


class MarginScore(NamedTuple):
    """A score between 0 and 1, its interval, and how each unit moves it; `jackknife` is None where no unit does."""

    value: float
    interval: Interval
    jackknife: Jackknife | None


class Margin(NamedTuple):
    """The probe's score minus the control's, with its interval."""

    value: float
    interval: Interval
    method: str


def plain_scale(value: float, jackknife: Jackknife) -> Jackknife | None:
    """Bring a jackknife from log odds to the score itself; None where no unit moves it.

    Args:
        value: the score, strictly between 0 and 1 unless no unit moves it.
        jackknife: of its log odds.
    """
    slope = value * (1 - value)
    if not jackknife.se > 0 or not slope > 0:
        return None
    return replace(jackknife, value=value, influence=jackknife.influence * slope)


def mirrored(score: MarginScore) -> MarginScore:
    """Read a score without a direction of its own, such as length, in the direction that its interval shows.

    A score whose whole interval lies below one half separates as well as its mirror image. One whose interval holds
    one half shows no direction, and stays as it is.

    >>> mirrored(MarginScore(0.25, Interval(low=0.125, high=0.375), None))
    MarginScore(value=0.75, interval=Interval(low=0.625, high=0.875), jackknife=None)
    """
    if not score.interval.high < 0.5:  # noqa: PLR2004 - chance
        return score
    jackknife = score.jackknife
    if jackknife is not None:
        jackknife = replace(jackknife, value=1 - jackknife.value, influence=-jackknife.influence)
    interval = Interval(low=1 - score.interval.high, high=1 - score.interval.low)
    return MarginScore(1 - score.value, interval, jackknife)


def margin(probe: MarginScore, control: MarginScore, level: float) -> Margin:
    """Compare a probe with a control on the same texts.

    Args:
        probe: score of the probe.
        control: score of the control.
        level: of the interval, such as 0.95.
    """
    value = probe.value - control.value
    if probe.jackknife is not None and control.jackknife is not None:
        difference = combine((1.0, probe.jackknife), (-1.0, control.jackknife))
        if difference.se > 0:
            return Margin(value, difference.interval(level), PAIRED)
    down = math.hypot(probe.value - probe.interval.low, control.interval.high - control.value)
    up = math.hypot(probe.interval.high - probe.value, control.value - control.interval.low)
    return Margin(value, Interval(low=value - down, high=value + up), SEPARATE)
