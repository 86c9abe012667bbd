"""What languages have in common, on the page: matrices, a table, and where texts lie by meaning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from isogloss.records import Estimate, Row
from isogloss.report.cross_lingual import bottleneck
from isogloss.report.estimates import DASH
from isogloss.report.grammar import MODELS
from isogloss.report.page import multiples
from isogloss.report.page.figures import ROWS, columns, drawn, score_numbers, spread
from isogloss.report.page.matrices import matrix
from isogloss.report.page.tables import Cell, Table, estimate_cell, heading
from isogloss.report.page.view import Named, View, layer_name
from isogloss.text import sanitize

CHANCE = 0.5
#: What a line of the table shows: heading, kind, metric, model, whether a sign is shown.
COLUMNS = (
    ("share along {pivot}, reference", "share", "harm_direction", "reference", False),
    ("share along {pivot}, aligned", "share", "harm_direction", "aligned", False),
    ("reliability, aligned", "reliability", "harm_direction", "aligned", False),
    ("gain, own components", "gain", None, "", True),
    ("gain, reference's components", "frozen", None, "", True),
    ("effective rank of the shift", "rank", "effective_rank", "", False),
)


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """A quantity of two languages; `chance` is drawn without colour, `end` in full colour."""

    kind: str
    title: str
    number: str
    chance: float
    end: float


MATRICES = (
    Matrix(kind="transfer", title="Probe of one language on another", number="AUROC", chance=CHANCE, end=1.0),
    Matrix(kind="cosine", title="Harm directions of two languages", number="cosine", chance=0.0, end=1.0),
)


def cross_lingual_figures(view: View, layers: Sequence[tuple[int, str]]) -> dict[str, Any]:
    """The matrices of both models, and the curves of meaning and language; empty where nothing was asked for."""
    audit = view.audit
    if not audit.find(kind="transfer"):
        return {}
    labels, codes = [one.name for one in view.languages], [sanitize(one.code) for one in view.languages]
    found = [
        {
            "name": one.kind,
            "model": model,
            "title": f"{one.title}, {model} model",
            "number": one.number,
            "cells": columns(_cells(view, one, model)),
        }
        for one in MATRICES
        for model in MODELS
        if audit.find(kind=one.kind, model=model)
    ]
    return {
        "spec": drawn(lambda theme: matrix(labels, codes, theme, data=ROWS)),
        "matrices": found,
        "meaning": _meaning(view, layers),
    }


def _cells(view: View, one: Matrix, model: str) -> list[dict[str, Any]]:
    rows = {(row.language, row.other): row.estimate for row in view.audit.find(kind=one.kind, model=model)}
    ceilings = {(row.language, row.other): row.estimate for row in view.audit.find(kind="ceiling", model=model)}
    cells = []
    for own in view.languages:
        for other in view.languages:
            estimate = rows.get((own.code, other.code))
            ceiling = ceilings.get((own.code, other.code)) if one.kind == "cosine" else None
            cells.append(_cell(one, own, other, estimate) | {"plain": _plain(estimate, ceiling)})
    return cells


def _cell(one: Matrix, own: Named, other: Named, estimate: Estimate | None) -> dict[str, Any]:
    found = estimate or Estimate(value=math.nan, n=0, seed=0, reason="1 by definition")
    shade = (found.value - one.chance) / (one.end - one.chance)
    return {
        "label": own.name,
        "other": sanitize(other.code),
        "scored": other.name,
        "shade": shade,
        "shown": short(found.value),
        **score_numbers(found),
    }


def _plain(estimate: Estimate | None, ceiling: Estimate | None) -> str:
    """Say what the estimated directions show, and what they could show at most."""
    if estimate is None or ceiling is None or math.isnan(estimate.plug_in) or math.isnan(ceiling.value):
        return ""
    return f"{short(estimate.plug_in)} of at most about {short(ceiling.value)}"


def short(value: float) -> str:
    """Write a number of a small cell: two digits, no zero before the point.

    >>> short(0.974), short(-0.104), short(1.0), short(-0.001)
    ('.97', '-.10', '1.0', '.00')
    """
    if math.isnan(value):
        return DASH
    text = f"{value:.2f}"
    return "1.0" if text == "1.00" else text.replace("-0.00", ".00").replace("0.", ".", 1) if abs(value) < 1 else text


def _meaning(view: View, layers: Sequence[tuple[int, str]]) -> dict[str, Any]:
    """Curves of silhouette by meaning minus silhouette by language; empty for one layer, or with the reason."""
    rows = view.audit.find(kind="meaning", metric="meaning_minus_language")
    if reasons := [row.estimate.reason for row in rows if row.estimate.reason]:
        return {"reason": sanitize(reasons[0])}
    places = {place: index for index, place in enumerate(layers)}
    rows = tuple(row for row in rows if (row.layer or 0, row.norm) in places)
    if len({(row.layer, row.norm) for row in rows}) < 2:  # noqa: PLR2004 - a curve
        return {}
    axis = spread((x for row in rows for x in (row.estimate.value, row.estimate.low, row.estimate.high)), title="")
    records = [
        {"layer": places[row.layer or 0, row.norm], "model": sanitize(row.model), **score_numbers(row.estimate)}
        for row in rows
    ]
    return {
        "spec": drawn(lambda theme: multiples.layers(axis, theme, data=ROWS, null=False)),
        "rows": columns(records),
        "said": [said for model in MODELS if (said := _bottleneck(view, model))],
    }


def _bottleneck(view: View, model: str) -> str:
    """Name the layer that wins, and how often it does."""
    found = bottleneck(view.audit, model)
    if found is None:
        return ""
    best, won = found
    share = f", in {100 * won.value:.0f} % of random halves of the items" if won else ""
    return f"layer {sanitize(layer_name(best.layer or 0, best.norm))} in the {model} model{share}"


def cross_lingual_table(view: View) -> Table | None:
    """One line a language: what of its separation lies along the pivot's direction, and what alignment moved."""
    if not view.audit.find(kind="transfer"):
        return None
    shown = [column for column in COLUMNS if any(_row(view, one, column) for one in view.languages)]
    lines = tuple(
        (heading(one), *(_shown(_row(view, one, column), column) for column in shown)) for one in view.languages
    )
    return Table(
        name="cross_lingual",
        caption="What each language shares with the pivot, and what alignment moved in it",
        headings=("language", *(column[0].format(pivot=view.pivot) for column in shown)),
        lines=lines,
        left=frozenset({"language"}),
    )


def _shown(row: Row | None, column: tuple[Any, ...]) -> Cell:
    # The text above says what a dash means; reasons would make the columns wider than the page.
    if row is None or math.isnan(row.estimate.value):
        return Cell(text=DASH)
    return estimate_cell(row.estimate, digits=_digits(column), signed=column[4])


def _digits(column: tuple[Any, ...]) -> int:
    return 1 if column[1] == "rank" else 3 if column[4] else 2


def _row(view: View, one: Named, column: tuple[Any, ...]) -> Row | None:
    _, kind, metric, model, _ = column
    components = None if metric else view.audit.primary.components
    name = metric or ("between_class_variance" if kind == "frozen" else view.audit.primary.metric)
    return view.row(kind, one, name, model=model, components=components)
