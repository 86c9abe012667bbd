"""Figures with a row per language: the answer, separation before and after, the probe beside its controls."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

from isogloss.report.grammar import (
    Axis,
    by_model,
    dashed_if_approximate,
    fitting,
    margin_for,
    model_shape,
    number,
    rows,
)
from isogloss.report.palette import Theme
from isogloss.report.view import MODELS

#: Pixels per language.
STEP = 34
STEP_OF_TWO = 46
#: Room for the verdict on the right.
WORDS = 118
#: Resource classes of Joshi et al. in three groups, with the shapes that stand for them.
RESOURCES = {
    "high-resource": "circle",
    "middle": "square",
    "low-resource": "triangle-up",
    "not classed": "cross",
}
#: What could explain the probe's score, with the shapes that stand for it.
CONTROLS = {"n-grams": "square", "text length": "triangle-up", "untrained model": "cross"}


def answer(
    axis: Axis, labels: Sequence[str], theme: Theme, *, data: alt.Data, threshold: float | None = None
) -> alt.LayerChart:
    """Draw one number per language with its interval: verdict by colour and word, resource class by shape.

    Fields of data: label, value, low, high, verdict, colour (a verdict that isogloss knows), shape, approximate, open,
    cut_low, cut_high (whether the interval leaves the axis). From `threshold` on a language is reached.
    """
    words = list(theme.verdicts)
    scale = alt.Scale(domain=words, range=[theme.verdicts[word] for word in words])
    stroke = alt.Stroke("colour:N", scale=scale, legend=None)
    fill = alt.Fill("colour:N", scale=scale, legend=None)
    shape = alt.Shape("shape:N", scale=alt.Scale(domain=list(RESOURCES), range=list(RESOURCES.values())), legend=None)
    y = rows(labels, theme, bold_first=True)
    ends = [{"from": max(threshold, axis.low), "to": axis.high}] if threshold is not None else []
    band = alt.Chart(alt.InlineData(values=ends)).mark_rect(color=theme.band)
    zero = alt.Chart(alt.InlineData(values=[{"at": 0}])).mark_rule(color=theme.muted)
    base = alt.Chart(data)
    bar = base.mark_rule(strokeWidth=2.5)
    dot = base.mark_point(size=95, strokeWidth=2, opacity=1, tooltip=alt.TooltipContent("data"))
    word = base.mark_text(align="left", dx=16, fontSize=13, limit=WORDS - 18)
    layers = [
        band.encode(x=number("from", axis), x2="to:Q"),
        zero.encode(x=number("at", axis)),
        bar.encode(y=y, x=number("low", axis), x2="high:Q", stroke=stroke, strokeDash=dashed_if_approximate()),
        *_arrows(base, axis, y, fill),
        dot.encode(
            y=y,
            x=number("value", axis),
            stroke=stroke,
            fill=alt.condition("datum.open", alt.value(theme.paper), fill),
            shape=shape,
        ),
        word.encode(y=y, x=alt.value(alt.ExprRef("width")), text="verdict:N"),
    ]
    chart = alt.layer(*layers).properties(height=alt.Step(STEP))
    return fitting(chart, theme, left=margin_for(labels), right=WORDS)


def _arrows(base: alt.Chart, axis: Axis, y: alt.Y, fill: alt.Fill) -> list[alt.Chart]:
    """Point out of the plot where an interval goes on beyond it."""
    return [
        base.transform_filter(f"datum.cut_{end}")
        .mark_point(shape=f"triangle-{side}", size=70, opacity=1, strokeWidth=0)
        .encode(y=y, x=number(end, axis), fill=fill)
        for end, side in (("low", "left"), ("high", "right"))
    ]


def separation(
    axis: Axis, labels: Sequence[str], theme: Theme, *, data: alt.Data, legend: bool = False
) -> alt.LayerChart:
    """Draw a metric per language, reference above aligned: estimate, interval, and the range of permuted labels.

    Fields of data: label, model, value, low, high, null_low, null_high, approximate. With a legend it is a chart for a
    file, without margins and theme.
    """
    y, offset = rows(labels, theme), alt.YOffset("model:N", scale=alt.Scale(domain=list(MODELS), paddingOuter=0.35))
    stroke = by_model(alt.Stroke, theme, legend=legend)
    fill = by_model(alt.Fill, theme, legend=legend)
    base = alt.Chart(data).encode(y=y, yOffset=offset)
    null = base.mark_rule(strokeWidth=9, color=theme.faint)
    bar = base.mark_rule(strokeWidth=2.5)
    dot = base.mark_point(size=105, opacity=1, strokeWidth=0, tooltip=alt.TooltipContent("data"))
    layers = [
        null.encode(x=number("null_low", axis), x2="null_high:Q"),
        bar.encode(x=number("low", axis), x2="high:Q", stroke=stroke, strokeDash=dashed_if_approximate()),
        *([_beyond(base, axis, fill)] if axis.log else []),
        dot.encode(x=number("value", axis), fill=fill, shape=model_shape(legend=legend)),
    ]
    chart = alt.layer(*layers).properties(height={"step": STEP_OF_TWO, "for": "position"})
    return chart if legend else fitting(chart, theme, left=margin_for(labels), right=18)


def _beyond(base: alt.Chart, axis: Axis, fill: alt.Fill) -> alt.Chart:
    """Point to the left where an interval goes on to zero or below, which a log axis does not have."""
    cut = base.transform_filter(f"isValid(datum.low) && datum.low < {axis.low}")
    return cut.mark_point(shape="triangle-left", size=60, opacity=1, strokeWidth=0).encode(
        x=number("low", axis), fill=fill
    )


def controls(axis: Axis, labels: Sequence[str], theme: Theme, *, data: alt.Data) -> alt.LayerChart:
    """Draw the aligned model's probe per language beside what could explain its score.

    Fields of data: label, what ("probe", "permuted labels", or a key of CONTROLS), value, low, high, approximate.
    """
    y = rows(labels, theme)
    base = alt.Chart(data)
    probe, permuted = (base.transform_filter(f"datum.what === '{what}'") for what in ("probe", "permuted labels"))
    others = base.transform_filter("datum.what !== 'probe' && datum.what !== 'permuted labels'")
    chance = alt.Chart(alt.InlineData(values=[{"at": 0.5}])).mark_rule(color=theme.muted)
    shape = alt.Shape("what:N", scale=alt.Scale(domain=list(CONTROLS), range=list(CONTROLS.values())), legend=None)
    tip = alt.TooltipContent("data")
    bar = probe.mark_rule(strokeWidth=2.5, color=theme.aligned)
    layers = [
        permuted.mark_rule(strokeWidth=12, color=theme.faint).encode(y=y, x=number("low", axis), x2="high:Q"),
        chance.encode(x=number("at", axis)),
        bar.encode(y=y, x=number("low", axis), x2="high:Q", strokeDash=dashed_if_approximate()),
        probe.mark_point(size=110, shape="diamond", fill=theme.aligned, opacity=1, strokeWidth=0, tooltip=tip).encode(
            y=y, x=number("value", axis)
        ),
        others.mark_point(size=60, stroke=theme.ink, strokeWidth=1.6, opacity=1, tooltip=tip).encode(
            y=y, x=number("value", axis), shape=shape
        ),
    ]
    chart = alt.layer(*layers).properties(height=alt.Step(STEP))
    return fitting(chart, theme, left=margin_for(labels), right=18)
