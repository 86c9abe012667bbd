"""A matrix of languages: the row is fitted on, the column is scored."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

from isogloss.report.grammar import fitting, margin_for, rows
from isogloss.report.palette import Theme

#: Pixels per language.
STEP = 26
#: Room above the columns for codes that lie.
ABOVE = 30


def matrix(labels: Sequence[str], codes: Sequence[str], theme: Theme, *, data: alt.Data) -> alt.LayerChart:
    """Draw a matrix with a number in every cell.

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
