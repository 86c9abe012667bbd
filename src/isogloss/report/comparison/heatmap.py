"""Several audits as a heat map: a row a language, a column a run, one quantity at a time."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Any

import altair as alt

from isogloss.records import Estimate
from isogloss.report.comparison.tables import QUANTITIES, Quantity
from isogloss.report.estimates import DASH, format_number
from isogloss.report.grammar import ROWS, as_columns, draw_in_both_themes, fitting, margin_for, rows
from isogloss.report.palette import Theme
from isogloss.report.view import Named, View
from isogloss.text import sanitize

#: Pixels per language.
STEP = 42
#: A column that is narrower than this has its name upright and signs instead of words.
WORDY = 84
#: A name above a column: letters a line, lines, pixels a line.
LETTERS, LINES, LINE = 13, 3, 15
BLANK = "\u2800"
#: Room above the columns for names that lie, and for names that stand.
LYING, STANDING = 64, 156
#: Verdicts as signs where there is no room for words: the more is filled, the more has arrived.
SIGNS = {
    "pivot": "◆",
    "reached": "●",
    "weakened": "◑",
    "lagging": "◔",
    "not reached": "○",
    "reversed": "▼",
    "confounded": "?",
    "inconclusive": "?",
    "not measured": DASH,
}


def heatmap_figure(names: Sequence[str], views: Sequence[View], languages: Sequence[Named]) -> dict[str, Any]:
    """The cells of every quantity, and the chart that draws one: with room for words, and without.

    Args:
        names: of the runs, sanitized, each once.
        views: the audits of the runs.
        languages: rows from top to bottom.
    """
    columns = column_names(names)
    labels = [language.name for language in languages]

    def draw(layout: str) -> dict[str, Any]:
        upright = layout == "upright"
        return draw_in_both_themes(lambda theme: heatmap(labels, columns, theme, data=ROWS, upright=upright))

    spec = {layout: draw(layout) for layout in ("lying", "upright")}
    shown = []
    for quantity in QUANTITIES:
        cells = [
            {"name": name, "run": column, "label": language.name, **heat_cell(run, language, quantity)}
            for language in languages
            for name, column, run in zip(names, columns, views, strict=True)
        ]
        end = _end(quantity, cells)
        for cell in cells:
            cell["shade"] = cell["value"] / end if quantity.kind else math.nan
        shown.append({"name": quantity.name, "title": quantity.title, "end": end, "cells": as_columns(cells)})
    return {"quantities": shown, "spec": spec, "runs": len(columns), "wordy": WORDY}


def heat_cell(run: View, language: Named, quantity: Quantity) -> dict[str, Any]:
    """Draw what a run says of a language: the number with its interval, the verdict, and the text of its cell."""
    in_run = run.find(language.code)
    number = run.primary(quantity.kind, in_run, model=quantity.model) if in_run and quantity.kind else None
    missing = "the pivot" if in_run and in_run.pivot else "not in this run"
    estimate = number or Estimate(value=math.nan, n=0, seed=0, reason=missing)
    word, known = (in_run.word, in_run.known) if in_run else (DASH, "not measured")
    sign = SIGNS[known] if in_run else DASH
    shown = format_number(estimate, digits=quantity.digits, signed=quantity.signed)
    if not quantity.kind:
        shown = sign
    elif shown == DASH and in_run and in_run.pivot:
        shown = "pivot" if quantity.kind == "retention" else DASH
    judged = quantity.name in {"retention", "verdict"}
    return {
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "approximate": bool(estimate.approximate),
        "reason": sanitize(estimate.reason or "") if quantity.kind else _reason(in_run),
        "verdict": word,
        "known": known,
        "over": shown,
        "under": word if judged and in_run and shown != word else "",
        "sign": sign if quantity.name == "retention" and shown not in {*SIGNS.values(), "pivot"} else "",
        "worded": not quantity.kind and in_run is not None,
    }


def _reason(language: Named | None) -> str:
    if language is None:
        return "not in this run"
    return sanitize(language.verdict.reason or "") if language.verdict else ""


def _end(quantity: Quantity, cells: Sequence[dict[str, Any]]) -> float:
    """The number at which the colours end, on both sides of zero."""
    if quantity.name == "retention":
        return 1.0
    return max((abs(cell["value"]) for cell in cells if math.isfinite(cell["value"])), default=1.0) or 1.0


def column_names(names: Sequence[str]) -> list[str]:
    r"""Shorten names to what fits above a column, in as many lines each, the first ones blank; each is found once.

    >>> [name.strip("\n" + BLANK) for name in column_names(["meta/Llama-3.1-8B-Instruct", "mistral/Mistral-7B"])]
    ['Llama-3.1-8B-\nInstruct', 'Mistral-7B']
    """
    ends = [name.rstrip("/").rpartition("/")[2] for name in names]
    short = ends if all(ends) and len(set(ends)) == len(names) else list(names)
    twice = {lines for lines, times in Counter(map(_lines, short)).items() if times > 1}
    written = [_lines(f"{i}: {name}" if _lines(name) in twice else name) for i, name in enumerate(short, start=1)]
    # A sign that shows nothing: lines that hold nothing, or spaces, take no room in browsers.
    return ["\n".join([BLANK] * (LINES - len(lines)) + list(lines)) for lines in written]


def _lines(name: str) -> tuple[str, ...]:
    lines = textwrap.wrap(name, LETTERS, drop_whitespace=False) or [name]
    return tuple(lines if len(lines) <= LINES else [*lines[: LINES - 1], lines[LINES - 1][: LETTERS - 1] + "…"])


def heatmap(
    labels: Sequence[str], columns: Sequence[str], theme: Theme, *, data: alt.Data, upright: bool
) -> alt.LayerChart:
    """Draw a heat map.

    Fields of data: label, run, shade (-1 to 1, or nothing), worded (filled by verdict), known (a verdict that isogloss
    knows), over and under (the words of a cell), sign (stands for `under` where columns are narrow).
    """
    x = alt.X("run:N", scale=alt.Scale(domain=list(columns), padding=0), axis=_axis(theme, upright=upright), title=None)
    base = alt.Chart(data).encode(x=x, y=rows(labels, theme, bold_first=True))
    tip = alt.TooltipContent("data")
    gap = {"stroke": theme.paper, "strokeWidth": 2, "tooltip": tip}
    heat = alt.Scale(
        domain=[-1, 0, 1], range=[theme.heat_low, theme.heat_zero, theme.heat_high], interpolate="rgb", clamp=True
    )
    words = list(theme.verdicts)
    verdicts = alt.Scale(domain=words, range=[theme.verdicts[word] for word in words])
    words_below = "sign" if upright else "under"
    double, single = (base.transform_filter(f"datum.{words_below} {test} ''") for test in ("!==", "==="))
    letters = {"tooltip": tip, "color": theme.ink, "limit": 2 * WORDY}
    size = 11 if upright else 13
    layers = [
        base.transform_filter("isValid(datum.shade)")
        .mark_rect(**gap)
        .encode(fill=alt.Fill("shade:Q", scale=heat, legend=None)),
        base.transform_filter("datum.worded")
        .mark_rect(fillOpacity=0.3, **gap)
        .encode(fill=alt.Fill("known:N", scale=verdicts, legend=None)),
        base.transform_filter("!datum.worded && !isValid(datum.shade)").mark_rect(fill=theme.heat_zero, **gap),
        double.mark_text(dy=-7, fontSize=size, **letters).encode(text="over:N"),
        double.mark_text(dy=9, fontSize=11, **letters).encode(text=f"{words_below}:N"),
        single.mark_text(fontSize=size, **letters).encode(text="over:N"),
    ]
    chart = alt.layer(*layers).properties(height=alt.Step(STEP)).resolve_scale(fill="independent")
    room = {"left": margin_for(labels), "right": 8, "top": STANDING if upright else LYING, "bottom": 8}
    return fitting(chart, theme, left=0, right=0).properties(padding=room)


def _axis(theme: Theme, *, upright: bool) -> alt.Axis:
    # Names are split at line ends of our own making: `sanitize` has replaced any other.
    lines = "split(datum.label, '\\n')"
    if upright:
        lines = f"join({lines}, '')"
        for _ in range(LINES - 1):  # `replace` takes the first that it finds
            lines = f"replace({lines}, '{BLANK}', '')"
    # The first line stands where a single one would; the others go down from there, so it has to begin higher.
    turned = (
        {"labelAngle": -90, "labelLimit": STANDING - 16, "labelPadding": 6}
        if upright
        else {"labelAngle": 0, "labelLineHeight": LINE, "labelPadding": 6 + LINE * (LINES - 1)}
    )
    return alt.Axis(
        orient="top", labelExpr=lines, labelFontSize=12, labelColor=theme.ink, labelOverlap=False,
        grid=False, **turned,
    )  # fmt: skip
