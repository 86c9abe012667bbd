"""Small multiples, one chart per language: the scatter before and after, separation by layer, margins of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import altair as alt

from isogloss.report.grammar import Axis, by_label, by_model, fitting, label_shape, model_shape, number
from isogloss.report.palette import Theme
from isogloss.report.view import MODELS

PANEL = 150
HEIGHT = 130


def scatter(models: Sequence[str], theme: Theme, *, data: alt.Data) -> alt.HConcatChart:
    """Draw the first two principal components: reference on the left, aligned on the right, each text in both.

    Fields of data: index, class, and for each model reference_x, reference_y, aligned_x, aligned_y. Brushing one panel
    highlights the same texts in the other; `focus` is the index of a text to point out.
    """
    brush = alt.selection_interval(name="brush")
    panels = [
        panel(model, theme, data=data)
        .encode(
            opacity=alt.condition(brush, alt.value(0.75), alt.value(0.08)),
            size=alt.condition("datum.index === focus", alt.value(260), alt.value(32)),
        )
        .properties(name=model)
        for model in models
    ]
    chart = alt.hconcat(*panels, spacing=10)
    chart.params = _params(models, theme)
    return chart.configure(**theme.config())


def panel(model: str, theme: Theme, *, data: alt.Data, legend: bool = False) -> alt.Chart:
    """Draw one model's points; see `scatter` for the fields of data."""
    axis = alt.Axis(labels=False, ticks=False, grid=False, title=None)
    title = alt.TitleParams(model, fontSize=12, fontWeight=400, color=theme.muted, anchor="middle", offset=4)
    points = alt.Chart(data).mark_point(filled=True, strokeWidth=0, opacity=0.65, size=22)
    if not legend:
        points = alt.Chart(data).mark_point(filled=True, strokeWidth=0, tooltip=alt.TooltipContent("data"))
    return points.encode(
        x=alt.X(f"{model}_x:Q", axis=axis, scale=alt.Scale(zero=False, nice=False, padding=9)),
        y=alt.Y(f"{model}_y:Q", axis=axis, scale=alt.Scale(zero=False, nice=False, padding=9)),
        color=by_label(theme, legend=legend),
        shape=label_shape(legend=legend),
    ).properties(width=PANEL, height=PANEL, view=alt.ViewConfig(stroke=theme.faint), title=title)


def _params(models: Sequence[str], theme: Theme) -> list[Any]:
    """One brush for both panels, and the text to point out. Altair would add a brush to each panel and merge them."""
    select = alt.IntervalSelectionConfig(type="interval", resolve="global", mark=alt.BrushConfig(stroke=theme.muted))
    return [
        alt.TopLevelSelectionParameter(name="brush", select=select, views=list(models)),
        alt.VariableParameter(name="focus", value=-1),
    ]


def layers(axis: Axis, theme: Theme, *, data: alt.Data, null: bool = True) -> alt.LayerChart:
    """Draw one language's metric by layer, reference and aligned, with intervals and the range of permuted labels.

    Fields of data: layer (a name), model, value, low, high and, if there is a `null`, null_low, null_high.
    """
    x = alt.X("layer:N", sort=None, title="layer", axis=alt.Axis(labelAngle=0, labelOverlap="parity", labelFontSize=11))
    base = alt.Chart(data).encode(x=x)
    fill, stroke = (by_model(channel, theme, legend=False) for channel in (alt.Fill, alt.Stroke))
    dash = alt.StrokeDash("model:N", scale=alt.Scale(domain=list(MODELS), range=[[4, 3], [1, 0]]), legend=None)

    def y(field: str) -> alt.Y:
        return number(field, axis, kind=alt.Y)

    axis = replace(axis, title="")
    permuted = base.mark_area(color=theme.faint, opacity=0.6)
    parts = [
        *([permuted.encode(y=y("null_low"), y2="null_high:Q", detail="model:N")] if null else []),
        base.mark_area(opacity=0.2).encode(y=y("low"), y2="high:Q", fill=fill),
        base.mark_line(strokeWidth=2).encode(y=y("value"), stroke=stroke, strokeDash=dash),
        base.mark_point(size=40, opacity=1, strokeWidth=0, tooltip=alt.TooltipContent("data")).encode(
            y=y("value"), fill=fill, shape=model_shape(legend=False)
        ),
    ]
    return fitting(alt.layer(*parts).properties(height=HEIGHT), theme, left=44, right=10)


def margins(x_axis: Axis, y_axis: Axis, theme: Theme, *, data: alt.Data) -> alt.LayerChart:
    """Draw one language's distribution of within-pair margins: aligned filled, reference as an outline.

    Fields of data: from, to (a bin), reference, aligned (shares of pairs in it).
    """
    base = alt.Chart(data)
    x = number("from", x_axis)
    zero = alt.Chart(alt.InlineData(values=[{"at": 0}])).mark_rule(color=theme.muted, strokeWidth=1)
    parts = [
        base.mark_rect(color=theme.aligned, opacity=0.55, tooltip=alt.TooltipContent("data")).encode(
            x=x, x2="to:Q", y=number("aligned", y_axis, kind=alt.Y), y2=alt.datum(0)
        ),
        base.mark_line(interpolate="step-after", stroke=theme.reference, strokeWidth=1.8).encode(
            x=number("from", x_axis), y=number("reference", y_axis, kind=alt.Y)
        ),
        zero.encode(x=number("at", x_axis)),
    ]
    return fitting(alt.layer(*parts).properties(height=HEIGHT - 20), theme, left=44, right=10)
