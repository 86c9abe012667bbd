"""Behaviour on the page: its table, the scatter of languages, and the pairs of each language."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl

from isogloss.records import Estimate
from isogloss.report.ablation import ABLATION_HEADINGS, ablation_lines
from isogloss.report.behaviour import BEHAVIOUR_HEADINGS, behaviour_lines, link_sentences
from isogloss.report.grammar import Axis, fitting, number
from isogloss.report.page.tables import Cell, Table
from isogloss.report.page.view import Named, View
from isogloss.report.palette import LIGHT, Theme, in_dark
from isogloss.text import sanitize

ROWS = alt.NamedData(name="rows")
#: Pixels.
TALL, SHORT = 300, 150
#: Height of a label, and how wide one is on a narrow screen as a share of the picture.
LABEL, LABEL_WIDTH = 14, 0.25
HIDDEN = "gain in separation (hidden states)"
SAID = "gain in refusal margin (nats)"


def behaviour_table(view: View) -> Table | None:
    """One line a language; None unless behaviour was measured."""
    lines = behaviour_lines(view.audit)
    if not lines:
        return None
    return Table(
        name="behaviour",
        caption="What the models would say, before and after alignment",
        headings=tuple(_headings(BEHAVIOUR_HEADINGS)),
        lines=tuple(tuple(Cell(text=sanitize(getattr(line, name))) for name in BEHAVIOUR_HEADINGS) for line in lines),
        left=frozenset({"language"}),
    )


def ablation_table(view: View) -> Table | None:
    """One line a language; None unless the ablation control was asked for."""
    lines = ablation_lines(view.audit)
    if not lines:
        return None
    return Table(
        name="ablation",
        caption="What the aligned model would say without its harm direction",
        headings=tuple(_headings(ABLATION_HEADINGS)),
        lines=tuple(tuple(Cell(text=sanitize(getattr(line, name))) for name in ABLATION_HEADINGS) for line in lines),
        left=frozenset({"language"}),
    )


def _headings(named: Mapping[str, str]) -> list[str]:
    """Headings that differ, for an interval says which number it is of."""
    found: list[str] = []
    for heading in named.values():
        found.append(f"{found[-1]}, interval" if heading == "[low, high]" else heading)
    return found


def behaviour_figure(view: View, pairs: pl.DataFrame | None) -> dict[str, Any]:
    """Gains of languages in both measures with their intervals, and every pair of each language.

    Args:
        view: of an audit.
        pairs: content of behaviour.parquet, or None.
    """
    rows = [row for one in view.languages if (row := _language(view, one))]
    if not rows:
        return {}
    cross_lingual = _around((row[name] for row in rows for name in ("x", "x_low", "x_high")), HIDDEN)
    up = _around((row[name] for row in rows for name in ("y", "y_low", "y_high")), SAID)
    found: dict[str, Any] = {
        "rows": _labelled(rows, cross_lingual, up),
        "spec": _drawn(lambda theme: _languages(cross_lingual, up, theme)),
        "said": link_sentences(view.audit),
        "items": [],
    }
    if pairs is not None:
        found["items"] = [_items(pairs, one) for one in view.languages]
        cross_lingual, up = (_around((x for one in found["items"] for x in one[name]), "") for name in ("x", "y"))
        found["item_spec"] = _drawn(lambda theme: _pairs(cross_lingual, up, theme))
    return found


def _language(view: View, one: Named) -> dict[str, Any] | None:
    hidden = view.primary("gain", one)
    said = view.audit.value(kind="behaviour_gain", language=one.code, metric="refusal_margin")
    if hidden is None or said is None or math.isnan(hidden.value) or math.isnan(said.value):
        return None
    return {"label": one.name, **_numbers("x", hidden), **_numbers("y", said)}


def _labelled(rows: Sequence[Mapping[str, Any]], cross_lingual: Axis, up: Axis) -> list[dict[str, Any]]:
    """Give each label its height `at`, above its point and above labels that it would cover."""
    wide, step = (cross_lingual.high - cross_lingual.low) * LABEL_WIDTH, (up.high - up.low) * LABEL / TALL
    heights: list[float | None] = [None] * len(rows)
    for i in sorted(range(len(rows)), key=lambda i: rows[i]["y"]):
        at = rows[i]["y"] + step / 2
        for row, other in sorted(zip(rows, heights, strict=True), key=lambda one: one[1] or 0):
            if other is not None and abs(row["x"] - rows[i]["x"]) < wide and abs(other - at) < step:
                at = other + step
        heights[i] = at
    return [{**row, "at": at} for row, at in zip(rows, heights, strict=True)]


def _numbers(axis: str, found: Estimate) -> dict[str, float]:
    return {axis: found.value, f"{axis}_low": found.low, f"{axis}_high": found.high}


def _items(pairs: pl.DataFrame, one: Named) -> dict[str, Any]:
    """The shifts of a language's pairs, with four digits: the picture needs no more."""
    mine = pairs.filter(pl.col("language") == one.code)
    x = mine["latent_aligned"] - mine["latent_reference"]
    y = mine["behaviour_aligned"] - mine["behaviour_reference"]
    return {
        "pair": [sanitize(str(pair)) for pair in mine["pair_id"]],
        "x": [float(f"{value:.4g}") for value in x],
        "y": [float(f"{value:.4g}") for value in y],
    }


def _around(values: Iterable[float], title: str) -> Axis:
    known = [value for value in values if math.isfinite(value)]
    low, high = min([0.0, *known]), max([0.0, *known])
    room = 0.05 * ((high - low) or 1.0)
    return Axis(title=title, low=low - room, high=high + room, form="~r")


def _drawn(build: Any) -> dict[str, Any]:  # noqa: ANN401 - a function of a theme
    spec = build(LIGHT).to_dict(validate=False)
    return {"light": spec, "dark": in_dark(spec)}


def _zeros(cross_lingual: Axis, up: Axis, theme: Theme) -> Sequence[alt.Chart]:
    at = alt.Chart(alt.InlineData(values=[{"at": 0}]))
    return (
        at.mark_rule(color=theme.muted, strokeWidth=1).encode(x=number("at", cross_lingual)),
        at.mark_rule(color=theme.muted, strokeWidth=1).encode(y=number("at", up, kind=alt.Y)),
    )


def _languages(cross_lingual: Axis, up: Axis, theme: Theme) -> Any:  # noqa: ANN401 - a chart
    """Draw a cross of two intervals for each language. Fields of data: label, at, and x and y with their bounds."""
    base = alt.Chart(ROWS)
    x, y, at = number("x", cross_lingual), number("y", up, kind=alt.Y), number("at", up, kind=alt.Y)
    layers = [
        *_zeros(cross_lingual, up, theme),
        base.mark_rule(color=theme.muted, strokeWidth=0.5).encode(x=x, y=y, y2="at:Q"),
        base.mark_rule(color=theme.aligned, strokeWidth=1.5, opacity=0.6).encode(
            x=number("x_low", cross_lingual), x2="x_high:Q", y=y
        ),
        base.mark_rule(color=theme.aligned, strokeWidth=1.5, opacity=0.6).encode(
            x=x, y=number("y_low", up, kind=alt.Y), y2="y_high:Q"
        ),
        base.mark_point(
            size=80, filled=True, opacity=1, color=theme.aligned, tooltip=alt.TooltipContent("data")
        ).encode(x=x, y=y),
        base.mark_text(align="left", dx=8, fontSize=12, color=theme.ink).encode(x=x, y=at, text="label:N"),
    ]
    return fitting(alt.layer(*layers).properties(height=TALL), theme, left=64, right=70)


def _pairs(cross_lingual: Axis, up: Axis, theme: Theme) -> Any:  # noqa: ANN401 - a chart
    """Draw every pair of one language. Fields of data: pair, x, y."""
    dots = alt.Chart(ROWS).mark_point(
        size=22, filled=True, opacity=0.5, color=theme.aligned, tooltip=alt.TooltipContent("data")
    )
    layers = [
        *_zeros(cross_lingual, up, theme),
        dots.encode(x=number("x", cross_lingual), y=number("y", up, kind=alt.Y)),
    ]
    return fitting(alt.layer(*layers).properties(height=SHORT), theme, left=44, right=10)
