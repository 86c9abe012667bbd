"""Words, numbers and estimates -> cells of a table, each with the number that it sorts by."""

from __future__ import annotations

import math

from isogloss.records import Estimate
from isogloss.report.estimates import DASH, format_interval, format_number, format_value
from isogloss.report.table import Cell
from isogloss.text import sanitize


def text_cell(text: str | None, *, note: str = "", tag: str = "") -> Cell:
    """Show words; a dash for None or nothing."""
    return Cell(text=sanitize(text) if text else DASH, note=sanitize(note), tag=tag)


def number_cell(value: float | None, *, digits: int = 3, note: str = "") -> Cell:
    """Show a number without an interval; a dash for None or NaN."""
    if value is None or math.isnan(value):
        return Cell(note=sanitize(note))
    return Cell(text=format_value(value, digits=digits), value=value, note=sanitize(note))


def count_cell(count: int) -> Cell:
    """Show a whole number."""
    return Cell(text=str(count), value=count)


def estimate_cell(estimate: Estimate | None, *, digits: int = 3, signed: bool = False, note: str = "") -> Cell:
    """Show an estimate with its interval; a dash with the reason where there is no value."""
    if estimate is None:
        return Cell(note=sanitize(note))
    if math.isnan(estimate.value):
        return Cell(note=sanitize(estimate.reason or note))
    bounds = format_interval(estimate, digits=digits, signed=signed)
    return Cell(
        text=format_number(estimate, digits=digits, signed=signed),
        value=estimate.value,
        interval="" if bounds == DASH else bounds,
        note=sanitize(note),
    )


def change_cell(before: Estimate | None, after: Estimate | None, *, digits: int = 3, signed: bool = False) -> Cell:
    """Show how a number changed from the reference to the aligned model; only one of them where one is missing."""
    known = [estimate for estimate in (before, after) if estimate is not None]
    if not known or all(math.isnan(estimate.value) for estimate in known):
        return Cell(note=sanitize(next((estimate.reason or "" for estimate in known), "")))
    text = " → ".join(format_number(estimate, digits=digits, signed=signed) for estimate in known)
    value = known[-1].value
    return Cell(text=text, value=None if math.isnan(value) else value)


def pair_cell(first: Estimate | None, second: Estimate | None, *, digits: int = 2) -> Cell:
    """Show two numbers of one row, such as AUROC / pair accuracy; the cell sorts by the first."""
    known = [estimate for estimate in (first, second) if estimate is not None]
    if not known or all(math.isnan(estimate.value) for estimate in known):
        return Cell(note=sanitize(next((estimate.reason or "" for estimate in known), "")))
    text = " / ".join(format_number(estimate, digits=digits) for estimate in known)
    value = first.value if first is not None and not math.isnan(first.value) else None
    return Cell(text=text, value=value)
