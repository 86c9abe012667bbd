"""The figures of behaviour: gains of languages in both measures, and the shifts of every pair."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl

from isogloss.records import Estimate
from isogloss.report.grammar import ROWS, Axis, as_columns, draw_in_both_themes, finite, fitting, number
from isogloss.report.palette import Theme
from isogloss.report.read_run import select_columns
from isogloss.report.sentences import percent
from isogloss.report.table import Field, Figure
from isogloss.report.view import MODELS, Named, View
from isogloss.text import sanitize

#: Columns of behaviour.parquet that are drawn; all numbers are harmful minus harmless text.
PAIRS: dict[str, type[pl.DataType]] = {"pair_id": pl.String, "language": pl.String} | {
    f"{what}_{model}": pl.Float64 for what in ("latent", "behaviour") for model in MODELS
}
#: Pixels.
TALL, SHORT = 300, 150
#: Height of a label, and how wide one is on a narrow screen as a share of the picture.
LABEL, LABEL_WIDTH = 14, 0.25
HIDDEN_STATES = "gain in separation (hidden states)"
BEHAVIOUR = "gain in refusal margin (nats)"


def language_figure(view: View) -> tuple[tuple[Figure, ...], dict[str, Any]]:
    """Draw the gains of languages in both measures with their intervals; nothing where no language has both."""
    rows = [row for language in view.languages if (row := _language_row(view, language))]
    if not rows:
        return (), {}
    x_axis = _axis_around((row[name] for row in rows for name in ("x", "x_low", "x_high")), HIDDEN_STATES)
    y_axis = _axis_around((row[name] for row in rows for name in ("y", "y_low", "y_high")), BEHAVIOUR)
    level = view.audit.config.get("level")
    intervals = f"{percent(level)} intervals" if isinstance(level, float) else "intervals"
    figure = Figure(
        key="behaviour-languages",
        title="Gain in hidden states and in behaviour, by language.",
        caption=f"Lines are {intervals}: across, for all languages together; up, for each language by itself. A few "
        "languages decide no correlation.",
        legend=f"a point: a language; lines: {intervals}",
        spec="languages",
        rows=as_columns(place_labels(rows, x_axis, y_axis)),
        fields=(
            Field(name="label", heading="language", form="text"),
            Field(name="x", heading="gain in separation"),
            Field(name="x", heading="separation interval", form="interval"),
            Field(name="y", heading="gain in refusal margin"),
            Field(name="y", heading="margin interval", form="interval"),
        ),
    )
    return (figure,), {"languages": draw_in_both_themes(lambda theme: _languages_chart(x_axis, y_axis, theme))}


def pair_figures(view: View, frame: pl.DataFrame) -> tuple[tuple[Figure, ...], dict[str, Any]]:
    """Draw the shifts of every pair, a panel a language.

    Args:
        view: of an audit.
        frame: content of behaviour.parquet.

    Raises:
        StoreError: it lacks a column.
    """
    pairs = select_columns("behaviour.parquet", frame, PAIRS)
    shifts = [(language, _shifts(pairs, language)) for language in view.languages]
    shifts = [(language, rows) for language, rows in shifts if rows["pair"]]
    x_axis, y_axis = (_axis_around((value for _, rows in shifts for value in rows[name]), "") for name in ("x", "y"))
    figures = tuple(
        Figure(
            key=f"behaviour-pairs-{position}",
            title="pairs, hidden states against behaviour",
            heading=language.name,
            legend="a point: a pair",
            spec="pairs",
            size="multiple",
            rows=rows,
            fields=(
                Field(name="pair", heading="pair", form="text"),
                Field(name="x", heading="hidden states"),
                Field(name="y", heading="behaviour"),
            ),
        )
        for position, (language, rows) in enumerate(shifts)
    )
    specs = {"pairs": draw_in_both_themes(lambda theme: _pairs_chart(x_axis, y_axis, theme))}
    return figures, specs if figures else {}


def _language_row(view: View, language: Named) -> dict[str, Any] | None:
    hidden = view.primary("gain", language)
    rows = view.audit.find(kind="behaviour_gain", language=language.code, metric="refusal_margin")
    margin = rows[0].estimate if rows else None
    if hidden is None or margin is None or math.isnan(hidden.value) or math.isnan(margin.value):
        return None
    return {"label": language.name, **_numbers("x", hidden), **_numbers("y", margin)}


def _numbers(axis: str, estimate: Estimate) -> dict[str, float]:
    return {axis: estimate.value, f"{axis}_low": estimate.low, f"{axis}_high": estimate.high}


def place_labels(rows: Sequence[Mapping[str, Any]], x_axis: Axis, y_axis: Axis) -> list[dict[str, Any]]:
    """Give each label its height `at`, above its point and above labels that it would cover."""
    wide, step = (x_axis.high - x_axis.low) * LABEL_WIDTH, (y_axis.high - y_axis.low) * LABEL / TALL
    heights: list[float | None] = [None] * len(rows)
    for index in sorted(range(len(rows)), key=lambda index: rows[index]["y"]):
        at = rows[index]["y"] + step / 2
        for row, height in sorted(zip(rows, heights, strict=True), key=lambda placed: placed[1] or 0):
            if height is not None and abs(row["x"] - rows[index]["x"]) < wide and abs(height - at) < step:
                at = height + step
        heights[index] = at
    return [{**row, "at": at} for row, at in zip(rows, heights, strict=True)]


def _shifts(pairs: pl.DataFrame, language: Named) -> dict[str, list[Any]]:
    """The shifts of a language's pairs, with four digits: the picture needs no more."""
    shown = pairs.filter(pl.col("language") == language.code)
    x = shown["latent_aligned"] - shown["latent_reference"]
    y = shown["behaviour_aligned"] - shown["behaviour_reference"]
    return {
        "pair": [sanitize(str(pair)) for pair in shown["pair_id"]],
        "x": [_short(value) for value in x],
        "y": [_short(value) for value in y],
    }


def _short(value: float | None) -> float:
    return math.nan if value is None else float(f"{value:.4g}")


def _axis_around(values: Iterable[float], title: str) -> Axis:
    known = finite(values)
    low, high = min([0.0, *known]), max([0.0, *known])
    room = 0.05 * ((high - low) or 1.0)
    return Axis(title=title, low=low - room, high=high + room, form="~r")


def _zeros(x_axis: Axis, y_axis: Axis, theme: Theme) -> Sequence[alt.Chart]:
    at = alt.Chart(alt.InlineData(values=[{"at": 0}]))
    return (
        at.mark_rule(color=theme.muted, strokeWidth=1).encode(x=number("at", x_axis)),
        at.mark_rule(color=theme.muted, strokeWidth=1).encode(y=number("at", y_axis, kind=alt.Y)),
    )


def _languages_chart(x_axis: Axis, y_axis: Axis, theme: Theme) -> Any:  # noqa: ANN401 - a chart
    """Draw a cross of two intervals for each language. Fields of data: label, at, and x and y with their bounds."""
    base = alt.Chart(ROWS)
    x, y, at = number("x", x_axis), number("y", y_axis, kind=alt.Y), number("at", y_axis, kind=alt.Y)
    line = {"color": theme.aligned, "strokeWidth": 1.5, "opacity": 0.6}
    layers = [
        *_zeros(x_axis, y_axis, theme),
        base.mark_rule(color=theme.muted, strokeWidth=0.5).encode(x=x, y=y, y2="at:Q"),
        base.mark_rule(**line).encode(x=number("x_low", x_axis), x2="x_high:Q", y=y),
        base.mark_rule(**line).encode(x=x, y=number("y_low", y_axis, kind=alt.Y), y2="y_high:Q"),
        base.mark_point(
            size=80, filled=True, opacity=1, color=theme.aligned, tooltip=alt.TooltipContent("data")
        ).encode(x=x, y=y),
        base.mark_text(align="left", dx=8, fontSize=12, color=theme.ink).encode(x=x, y=at, text="label:N"),
    ]
    return fitting(alt.layer(*layers).properties(height=TALL), theme, left=64, right=70)


def _pairs_chart(x_axis: Axis, y_axis: Axis, theme: Theme) -> Any:  # noqa: ANN401 - a chart
    """Draw every pair of one language. Fields of data: pair, x, y."""
    dots = alt.Chart(ROWS).mark_point(
        size=22, filled=True, opacity=0.5, color=theme.aligned, tooltip=alt.TooltipContent("data")
    )
    layers = [
        *_zeros(x_axis, y_axis, theme),
        dots.encode(x=number("x", x_axis), y=number("y", y_axis, kind=alt.Y)),
    ]
    return fitting(alt.layer(*layers).properties(height=SHORT), theme, left=44, right=10)
