"""Estimates as text: a value, its interval, or a dash where there is none."""

from __future__ import annotations

import math

from isogloss.records import Estimate

DASH = "–"


def format_number(estimate: Estimate | None, *, digits: int = 3, signed: bool = False) -> str:
    """Write the value; a dash where there is none."""
    if estimate is None or math.isnan(estimate.value):
        return DASH
    return f"{estimate.value:{'+' if signed else ''}.{digits}f}"


def format_value(value: float, *, digits: int = 3) -> str:
    """Write a number that is no estimate; a dash for NaN.

    >>> format_value(0.25, digits=1), format_value(float("nan"))
    ('0.2', '–')
    """
    return DASH if math.isnan(value) else f"{value:.{digits}f}"


def format_percent(share: float) -> str:
    """Write a share in percent, with as many digits as it needs up to three.

    >>> format_percent(0.95), format_percent(0.995), format_percent(0.05 + 0.05)
    ('95%', '99.5%', '10%')
    """
    return f"{100 * share:.3g}%"


def format_interval(estimate: Estimate | None, *, digits: int = 3, signed: bool = False) -> str:
    """Bounds in brackets; about-signs for bounds that are only approximate."""
    if estimate is None or math.isnan(estimate.low):
        return DASH
    form = f"{'+' if signed else ''}.{digits}f"
    about = "≈" if estimate.approximate else ""
    return f"{about}[{estimate.low:{form}}, {estimate.high:{form}}]"


def format_with_interval(estimate: Estimate | None, *, digits: int = 3, signed: bool = False) -> str:
    """Write the value with its bounds, as far as they exist."""
    value = format_number(estimate, digits=digits, signed=signed)
    if estimate is None or value == DASH or math.isnan(estimate.low):
        return value
    return f"{value} {format_interval(estimate, digits=digits, signed=signed)}"
