"""What all figures share: axes, colours and shapes, written once for the page and for files.

Every field name and expression is written in these files; nothing of an audit becomes part of a chart but as a value of
its data, so no text of a corpus or a model can be read as an expression.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from isogloss.report.palette import LIGHT, Theme, in_dark
from isogloss.report.view import MODELS

#: The rows that a figure of the page hands to its chart.
ROWS = alt.NamedData(name="rows")
LABELS = ("harmful", "harmless")
LABEL_SHAPES = ("triangle-up", "circle")
MODEL_SHAPES = ("circle", "diamond")
#: Dashes for intervals that are only approximate.
DASHED = [[1, 0], [4, 3]]
#: Points of 10 pixels per letter would be generous, 6.6 is what sans-serif text of size 13 takes.
LETTER = 6.9


@dataclass(frozen=True, kw_only=True)
class Axis:
    """The axis of a number: `low` and `high` hold all that is drawn inside, `ticks` replaces the usual ones.

    `form` is d3's format of its numbers; "~g" writes tens as 1e+1 where ticks are fives, "~r" does not.
    """

    title: str
    low: float
    high: float
    log: bool = False
    percent: bool = False
    ticks: tuple[float, ...] = ()
    form: str = "~g"


def draw_in_both_themes(build: Callable[[Theme], Any]) -> dict[str, Any]:
    """Draw a chart in light and dark."""
    spec = build(LIGHT).to_dict(validate=False)
    return {"light": spec, "dark": in_dark(spec)}


def as_columns(records: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Turn rows into columns, which take a fraction of the room."""
    return {name: [record[name] for record in records] for name in records[0]} if records else {}


def finite(values: Iterable[float]) -> list[float]:
    """Keep the numbers that can be drawn."""
    return [value for value in values if math.isfinite(value)]


def spread(values: Iterable[float], *, title: str, log: bool = False) -> Axis:
    """Span the values with a little room; a linear axis has its zero."""
    known = finite(values)
    if log:
        above = [value for value in known if value > 0]
        return Axis(title=title, low=min(above, default=0.1) * 0.8, high=max(above, default=1.0) * 1.25, log=True)
    low, high = min([0.0, *known]), max([0.0, *known])
    room = 0.04 * ((high - low) or 1.0)
    return Axis(title=title, low=low - room if low < 0 else 0.0, high=high + room)


def rows(labels: Sequence[str], theme: Theme, *, bold_first: bool = False) -> alt.Y:
    """Languages (field `label`) from top to bottom in the order given."""
    weight = alt.ExprRef("datum.index === 0 ? 600 : 400") if bold_first else 400
    axis = alt.Axis(
        grid=False, labelFontSize=13, labelLimit=150, labelFontWeight=weight, labelColor=theme.ink, labelPadding=12
    )
    return alt.Y("label:N", scale=alt.Scale(domain=list(labels)), axis=axis, title=None)


def number(field: str, axis: Axis, *, kind: type[Any] = alt.X) -> Any:  # noqa: ANN401 - alt.X or Y
    """Encode a number along an axis; what lies beyond its ends stands at the end."""
    kind_of_scale = {"type": "log"} if axis.log else {"type": "linear", "zero": False}
    scale = alt.Scale(domain=[axis.low, axis.high], nice=False, clamp=True, **kind_of_scale)
    drawn = alt.Axis(
        format=axis.form,
        labelExpr="format(100 * datum.value, '~g') + ' %'" if axis.percent else alt.Undefined,
        tickCount=5,
        values=list(axis.ticks) if axis.ticks else alt.Undefined,
        labelOverlap="greedy",
        labelFontSize=12,
    )
    return kind(f"{field}:Q", scale=scale, axis=drawn, title=axis.title or None)


def by_model(channel: type[Any], theme: Theme, *, legend: bool) -> Any:  # noqa: ANN401 - any colour channel
    """Colour by model."""
    scale = alt.Scale(domain=list(MODELS), range=[theme.reference, theme.aligned])
    return channel("model:N", scale=scale, legend=_legend() if legend else None)


def model_shape(*, legend: bool) -> alt.Shape:
    """Shape by model, repeating its colour."""
    scale = alt.Scale(domain=list(MODELS), range=list(MODEL_SHAPES))
    return alt.Shape("model:N", scale=scale, legend=_legend() if legend else None)


def by_label(theme: Theme, *, legend: bool) -> alt.Color:
    """Colour by class of text."""
    scale = alt.Scale(domain=list(LABELS), range=[theme.harmful, theme.harmless])
    return alt.Color("class:N", scale=scale, legend=_legend() if legend else None)


def label_shape(*, legend: bool) -> alt.Shape:
    """Shape by class of text, repeating its colour."""
    scale = alt.Scale(domain=list(LABELS), range=list(LABEL_SHAPES))
    return alt.Shape("class:N", scale=scale, legend=_legend() if legend else None)


def dashed_if_approximate() -> alt.StrokeDash:
    """Dash intervals that simulation says cover less than they should."""
    return alt.StrokeDash("approximate:N", scale=alt.Scale(domain=[False, True], range=DASHED), legend=None)


def margin_for(labels: Sequence[str]) -> int:
    """Width in pixels that labels take on the left of a plot."""
    longest = max((len(label) for label in labels), default=0)
    return round(min(150, longest * LETTER)) + 20


def fitting(chart: Any, theme: Theme, *, left: int, right: int) -> Any:  # noqa: ANN401 - any chart
    """Fix a page's chart's margins: the rest is as wide as the page says."""
    padding = {"left": left, "right": right, "top": 8, "bottom": 44}
    return chart.properties(padding=padding, autosize="none").configure(**theme.config())


def alone(chart: Any, theme: Theme) -> Any:  # noqa: ANN401 - any chart
    """Finish a chart that stands in a file of its own: on white, as large as it is."""
    return chart.properties(padding=14).configure(**theme.config() | {"background": "white"})


def _legend() -> alt.Legend:
    return alt.Legend(title=None, orient="top", symbolSize=90, symbolOpacity=1, labelFontSize=12)
