"""Several audits -> the tables of their page, each with a column or a line a run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from isogloss.records import Estimate
from isogloss.report.comparison_matrix import HIGHER, LOWER, held_against
from isogloss.report.estimates import DASH, format_interval, format_number, format_value
from isogloss.report.heatmap import QUANTITIES, Quantity
from isogloss.report.page.tables import Cell, Table
from isogloss.report.page.view import Named, View
from isogloss.report.palette import OPEN
from isogloss.text import sanitize
from isogloss.warnings import WARNINGS

#: So many runs can be chosen to hold others against: the table grows with the square of them.
BASELINES = 12


def runs_table(names: Sequence[str], views: Sequence[View]) -> Table:
    """One line a run: the gain that all retention rests on, and how many languages have each verdict."""
    groups = {
        "reached": {"reached"},
        "in part": {"weakened", "lagging"},
        "not reached": {"not reached"},
        "reversed": {"reversed"},
        "open": OPEN,
    }
    lines = []
    for name, each in zip(names, views, strict=True):
        row = each.primary_row("gain", each.languages[0])
        counts = Counter(one.known for one in each.others)
        judged = each.audit.has_reference and bool(each.others)
        lines.append(
            (
                Cell(text=name),
                _number(row.estimate if row else None, digits=3, signed=True),
                _plain(row.pivot_z if row else math.nan),
                *(
                    Cell(text=str(total), value=total) if judged else Cell(text=DASH)
                    for total in (sum(counts[word] for word in words) for words in groups.values())
                ),
            )
        )
    return Table(
        name="runs",
        caption="Runs: the gain in the pivot, and the number of other languages by verdict",
        headings=("run", "gain in the pivot", "in standard errors", *groups),
        lines=tuple(lines),
        left=frozenset({"run"}),
    )


def cells_table(names: Sequence[str], views: Sequence[View], languages: Sequence[Named]) -> Table:
    """All that the heat map can show, in words: a group of lines a quantity."""
    lines, groups = [], []
    for group, quantity in enumerate(QUANTITIES):
        for one in languages:
            cells = (_cell(each, one, quantity) for each in views)
            lines.append((Cell(text=one.name, below=sanitize(one.code)), Cell(text=quantity.name), *cells))
            groups.append(group)
    return Table(
        name="cells",
        caption="Languages by run, with intervals",
        headings=("language", "quantity", *names),
        lines=tuple(lines),
        left=frozenset({"language", "quantity"}),
        groups=tuple(groups),
    )


def _cell(each: View, one: Named, quantity: Quantity) -> Cell:
    own = next((mine for mine in each.languages if mine.code == one.code), None)
    if own is None:
        return Cell(text=DASH, below="not here")
    judged = quantity.name in {"retention", "verdict"}
    if not quantity.kind:
        said = own.verdict
        below = [
            *(["metrics disagree"] if said and said.disagree else []),
            *([f"on matched texts: {said.cross_check}"] if said and said.cross_check else []),
            *([said.reason] if said and said.reason else []),
        ]
        return Cell(text=own.word, below=sanitize("; ".join(below)), kind=own.known)
    found = each.primary(quantity.kind, own, model=quantity.model)
    shown = _number(found, digits=quantity.digits, signed=quantity.signed)
    if not judged:
        return shown
    text = own.word if shown.text == DASH else f"{shown.text} {own.word}"
    return Cell(text=text, value=shown.value, below=shown.below, kind=own.known)


def against_table(names: Sequence[str], views: Sequence[View], languages: Sequence[Named]) -> Table:
    """Every run held against one of them, which is a group of lines: does its interval exclude the other's?"""
    pivots = {each.audit.pivot for each in views}
    lines, groups = [], []
    for group, (name, base) in enumerate(zip(names[:BASELINES], views, strict=False)):
        for one in languages:
            if one.code in pivots:
                continue
            own = _kept(base, one)
            cells = [
                Cell(text=format_number(own, digits=2), value=_known(own), below=_interval(own)) if each is base else
                _held(_kept(each, one), own)
                for each in views
            ]  # fmt: skip
            lines.append((Cell(text=one.name, below=sanitize(one.code)), Cell(text=name), *cells))
            groups.append(group)
    return Table(
        name="against",
        caption="Runs held against one of them: does the interval of retention exclude the other's?",
        headings=("language", "held against", *names),
        lines=tuple(lines),
        left=frozenset({"language", "held against"}),
        groups=tuple(groups),
    )


def _kept(each: View, one: Named) -> Estimate | None:
    return each.primary("retention", one)


def _held(found: Estimate | None, base: Estimate | None) -> Cell:
    said = held_against(found, base)
    signs = {HIGHER: 1.0, LOWER: -1.0}
    shown = format_number(found, digits=2)
    below = shown if shown == DASH else f"{shown} {_interval(found)}"
    return Cell(text=said, value=None if said == DASH else signs.get(said, 0.0), below=below)


def codes_table(names: Sequence[str], views: Sequence[View]) -> Table | None:
    """Warnings by run: for each code in how many languages, or that it was seen."""
    codes = sorted({warning.code for each in views for warning in each.audit.warnings})
    lines = []
    for code in codes:
        cells = []
        for each in views:
            mine = [warning for warning in each.audit.warnings if warning.code == code]
            touched = {warning.language for warning in mine if warning.language}
            text = f"{len(touched)} of {len(each.languages)} languages" if touched else ("yes" if mine else DASH)
            cells.append(Cell(text=text, value=len(touched) or len(mine)))
        lines.append((Cell(text=code, below=WARNINGS[code].meaning), *cells))
    headings = ("warning", *names)
    caption = "Warnings by run, and how many languages they touch"
    return Table(name="codes", caption=caption, headings=headings, lines=tuple(lines), left=frozenset({"warning"})) \
        if lines else None  # fmt: skip


def _number(estimate: Estimate | None, *, digits: int, signed: bool) -> Cell:
    if estimate is None:
        return Cell(text=DASH)
    if math.isnan(estimate.value):
        return Cell(text=DASH, below=sanitize(estimate.reason or ""))
    below = format_interval(estimate, digits=digits, signed=signed)
    shown = format_number(estimate, digits=digits, signed=signed)
    return Cell(text=shown, value=estimate.value, below="" if below == DASH else below)


def _plain(value: float) -> Cell:
    return Cell(text=format_value(value, digits=1), value=None if math.isnan(value) else value)


def _known(estimate: Estimate | None) -> float | None:
    return None if estimate is None or math.isnan(estimate.value) else estimate.value


def _interval(estimate: Estimate | None) -> str:
    found = format_interval(estimate, digits=2)
    return "" if found == DASH else found
