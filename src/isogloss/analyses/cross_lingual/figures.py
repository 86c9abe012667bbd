"""Figures of cross-lingual transfer: matrices of two languages, and silhouettes by layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import altair as alt

from isogloss.records import Estimate, Row
from isogloss.report.estimates import DASH
from isogloss.report.grammar import ROWS, as_columns, draw_in_both_themes, fitting, margin_for, rows, spread
from isogloss.report.page import small_multiples
from isogloss.report.page.figures import score_numbers
from isogloss.report.palette import Theme
from isogloss.report.table import Field, Figure
from isogloss.report.view import MODELS, Named, View, layer_name
from isogloss.results import Audit
from isogloss.text import sanitize

CHANCE = 0.5
#: Pixels per language.
STEP = 26
#: Room above the columns for codes that lie.
ABOVE = 30


class Matrix(NamedTuple):
    """A quantity of two languages; `chance` is drawn without colour, `end` in full colour."""

    title: str
    number: str
    row: str
    column: str
    chance: float
    end: float


MATRICES = {
    "transfer": Matrix("Probe of one language on another", "AUROC", "fitted on", "scored on", CHANCE, 1.0),
    "cosine": Matrix("Harm directions of two languages", "cosine", "language", "other language", 0.0, 1.0),
}


def matrix_chart(view: View) -> dict[str, Any]:
    """Draw the chart that all matrices share."""
    labels = [language.name for language in view.languages]
    codes = [sanitize(language.code) for language in view.languages]
    return draw_in_both_themes(lambda theme: draw_matrix(labels, codes, theme, data=ROWS))


def matrix_figures(view: View, kind: str) -> tuple[Figure, ...]:
    """Draw a matrix for each model that has one, side by side."""
    matrix = MATRICES[kind]
    plain = (Field(name="plain", heading="as estimated", form="text"),) if kind == "cosine" else ()
    return tuple(
        Figure(
            key=f"{kind}-{model}",
            title=f"{model.capitalize()} model: {matrix.title.lower()}, {matrix.number}",
            legend="blue: above chance; orange: below it",
            spec="matrix",
            size="pair",
            rows=as_columns(_cells(view, kind, model)),
            fields=(
                Field(name="label", heading=matrix.row, form="text"),
                Field(name="scored", heading=matrix.column, form="text"),
                Field(name="value", heading=matrix.number),
                Field(name="", heading="interval", form="interval"),
                *plain,
                Field(name="null", heading="null 95 %", form="interval"),
            ),
        )
        for model in MODELS
        if view.audit.find(kind=kind, model=model)
    )


def _cells(view: View, kind: str, model: str) -> list[dict[str, Any]]:
    estimates = {(row.language, row.other): row.estimate for row in view.audit.find(kind=kind, model=model)}
    ceilings = {(row.language, row.other): row.estimate for row in view.audit.find(kind="ceiling", model=model)}
    cells = []
    for fitted in view.languages:
        for scored in view.languages:
            estimate = estimates.get((fitted.code, scored.code))
            ceiling = ceilings.get((fitted.code, scored.code)) if kind == "cosine" else None
            cells.append(_cell(MATRICES[kind], fitted, scored, estimate) | {"plain": _plain(estimate, ceiling)})
    return cells


def _cell(matrix: Matrix, fitted: Named, scored: Named, known: Estimate | None) -> dict[str, Any]:
    estimate = known or Estimate(value=math.nan, n=0, seed=0, reason="1 by definition")
    return {
        "label": fitted.name,
        "other": sanitize(scored.code),
        "scored": scored.name,
        "shade": (estimate.value - matrix.chance) / (matrix.end - matrix.chance),
        "shown": format_short(estimate.value),
        **score_numbers(estimate),
    }


def _plain(estimate: Estimate | None, ceiling: Estimate | None) -> str:
    """Say what the estimated directions show, and what they could show at most."""
    if estimate is None or ceiling is None or math.isnan(estimate.plug_in) or math.isnan(ceiling.value):
        return ""
    return f"{format_short(estimate.plug_in)} of at most about {format_short(ceiling.value)}"


def format_short(value: float) -> str:
    """Write a number of a small cell: two digits, no zero before the point.

    >>> format_short(0.974), format_short(-0.104), format_short(1.0), format_short(-0.001)
    ('.97', '-.10', '1.0', '.00')
    """
    if math.isnan(value):
        return DASH
    text = f"{value:.2f}"
    return "1.0" if text == "1.00" else text.replace("-0.00", ".00").replace("0.", ".", 1) if abs(value) < 1 else text


def draw_matrix(labels: Sequence[str], codes: Sequence[str], theme: Theme, *, data: alt.Data) -> alt.LayerChart:
    """Draw a matrix of languages with a number in every cell: the row is fitted on, the column is scored.

    Fields of data: label (row), other (code of the column), shade (-1 to 1, or nothing), shown (the text of the cell).
    """
    axis = alt.Axis(orient="top", labelAngle=0, labelFontSize=11, labelOverlap=False, grid=False, labelPadding=6)
    x = alt.X("other:N", scale=alt.Scale(domain=list(codes), padding=0), axis=axis, title=None)
    base = alt.Chart(data).encode(x=x, y=rows(labels, theme, bold_first=True))
    tip = alt.TooltipContent("data")
    heat = alt.Scale(
        domain=[-1, 0, 1], range=[theme.heat_low, theme.heat_zero, theme.heat_high], interpolate="rgb", clamp=True
    )
    gap = {"stroke": theme.paper, "strokeWidth": 1, "tooltip": tip}
    layers = [
        base.transform_filter("isValid(datum.shade)")
        .mark_rect(**gap)
        .encode(fill=alt.Fill("shade:Q", scale=heat, legend=None)),
        base.transform_filter("!isValid(datum.shade)").mark_rect(fill=theme.paper, **gap),
        base.mark_text(fontSize=9, color=theme.ink, tooltip=tip).encode(text="shown:N"),
    ]
    chart = alt.layer(*layers).properties(height=alt.Step(STEP))
    room = {"left": margin_for(labels), "right": 4, "top": ABOVE, "bottom": 8}
    return fitting(chart, theme, left=0, right=0).properties(padding=room)


def layers_figure(audit: Audit) -> Figure:
    """Draw silhouette by meaning minus silhouette by language, by layer and model."""
    return Figure(
        key="semantic-layers",
        title="Silhouette by meaning minus silhouette by language",
        legend="circle, grey: reference; diamond, green: aligned",
        spec="layers",
        rows=as_columns(
            [
                {
                    "layer": sanitize(layer_name(row.layer, row.norm)),
                    "model": sanitize(row.model),
                    **score_numbers(row.estimate),
                }
                for row in _by_depth(audit)
            ]
        ),
        fields=(
            Field(name="layer", heading="layer", form="text"),
            Field(name="model", heading="model", form="text"),
            Field(name="value", heading="meaning minus language"),
            Field(name="", heading="interval", form="interval"),
        ),
        models=True,
    )


def layers_chart(audit: Audit) -> dict[str, Any]:
    """Draw the chart of `layers_figure`."""
    bounds = (x for row in _by_depth(audit) for x in (row.estimate.value, row.estimate.low, row.estimate.high))
    axis = spread(bounds, title="")
    return draw_in_both_themes(lambda theme: small_multiples.layers(axis, theme, data=ROWS, null=False))


def _by_depth(audit: Audit) -> list[Row]:
    rows = audit.find(kind="meaning", metric="meaning_minus_language")
    return sorted(rows, key=lambda row: (row.layer or 0, row.norm == "post"))
