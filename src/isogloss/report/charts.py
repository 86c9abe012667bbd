"""Audit and points -> Vega-Altair charts, and their PNG and SVG files."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import altair as alt
import polars as pl
import vl_convert

from isogloss.corpora.languages import LANGUAGES
from isogloss.report.tables import metric_words, primary_layer
from isogloss.results import Audit

# Okabe and Ito's palette: told apart with any colour vision. Shape repeats what colour says.
HARMFUL, HARMLESS = "#D55E00", "#0072B2"
REFERENCE, ALIGNED = "#999999", "#009E73"
LABELS = ["harmful", "harmless"]
MODELS = ["reference", "aligned"]
ChartT = TypeVar("ChartT", alt.VConcatChart, alt.LayerChart)
PANEL = 150
COLUMNS = 4


def write_figures(audit: Audit, points: pl.DataFrame, folder: Path) -> None:
    """Write scatter and separation, each as PNG and SVG."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, chart in (("scatter", scatter(audit, points)), ("separation", separation(audit))):
        svg = vl_convert.vegalite_to_svg(chart.to_dict(validate=False))
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
        (folder / f"{name}.png").write_bytes(vl_convert.svg_to_png(svg, scale=2))


def _title(code: str) -> str:
    return f"{LANGUAGES[code].name} ({code})"


def scatter(audit: Audit, points: pl.DataFrame) -> alt.VConcatChart:
    """Draw the first two principal components per language: reference on the left, aligned on the right."""
    layer, norm = primary_layer(audit)
    shown = points.filter((pl.col("layer") == layer) & (pl.col("norm") == norm)).with_columns(
        text=pl.when("harmful").then(pl.lit(LABELS[0])).otherwise(pl.lit(LABELS[1]))
    )
    panels = [_panel(shown.filter(pl.col("language") == code), code) for code in audit.languages]
    per_row = COLUMNS // 2
    grid = alt.vconcat(*(alt.hconcat(*panels[i : i + per_row], spacing=30) for i in range(0, len(panels), per_row)))
    place = f"layer {layer}" + (f", {norm}-norm" if norm else "")
    title = alt.TitleParams(
        "Harmful and harmless text in hidden space, before and after alignment",
        subtitle=f"First two principal components, fitted per model and language; {place}",
        anchor="start",
        fontSize=15,
        subtitleColor="#555",
    )
    return _styled(grid.properties(title=title))


def _panel(shown: pl.DataFrame, code: str) -> alt.HConcatChart:
    colour = alt.Color(
        "text:N", scale=alt.Scale(domain=LABELS, range=[HARMFUL, HARMLESS]), legend=alt.Legend(title=None, orient="top")
    )
    shape = alt.Shape("text:N", scale=alt.Scale(domain=LABELS, range=["triangle-up", "circle"]))
    axis = alt.Axis(labels=False, ticks=False, grid=False, titleColor="#555", titleFontWeight="normal")
    models = [model for model in MODELS if shown.filter(pl.col("model") == model).height]
    charts = [
        alt.Chart(shown.filter(pl.col("model") == model).select("pc1", "pc2", "text"))
        .mark_point(filled=True, opacity=0.65, size=22)
        .encode(
            x=alt.X("pc1:Q", axis=axis, title="PC 1", scale=alt.Scale(zero=False)),
            y=alt.Y("pc2:Q", axis=axis, title="PC 2", scale=alt.Scale(zero=False)),
            color=colour,
            shape=shape,
        )
        .properties(width=PANEL, height=PANEL, title=alt.TitleParams(model, fontSize=11, fontWeight="normal"))
        for model in models
    ]
    title = alt.TitleParams(_title(code), anchor="middle", fontSize=13)
    return alt.hconcat(*charts, spacing=8, title=title)


def separation(audit: Audit) -> alt.LayerChart:
    """Draw the primary metric per language: reference and aligned with their intervals, joined by a line."""
    layer, norm = primary_layer(audit)
    rows = audit.find(
        kind="score",
        sample="all",
        layer=layer,
        norm=norm,
        metric=audit.primary.metric,
        components=audit.primary.components,
    )
    data = pl.DataFrame(
        [
            {
                "language": _title(row.language),
                "model": row.model,
                "value": row.estimate.value,
                "low": row.estimate.low,
                "high": row.estimate.high,
                "null": row.estimate.null_high,
            }
            for row in rows
        ]
    )
    aligned = data.filter(pl.col("model") == "aligned").sort("value", descending=True)
    y = alt.Y("language:N", sort=aligned["language"].to_list(), title=None, axis=alt.Axis(grid=True, gridColor="#eee"))
    colour = alt.Color(
        "model:N",
        scale=alt.Scale(domain=MODELS, range=[REFERENCE, ALIGNED]),
        legend=alt.Legend(title=None, orient="top", symbolSize=90, symbolOpacity=1),
    )
    base = alt.Chart(data)
    title = f"{metric_words(audit.primary.metric)} ({audit.primary.components} principal components)"
    x = alt.X("value:Q", title=title, scale=alt.Scale(zero=True))
    span = alt.Chart(_spans(data)).mark_rule(color="#ccc", strokeWidth=1.5).encode(y=y, x="from:Q", x2="to:Q")
    interval = base.mark_rule(strokeWidth=5, opacity=0.35).encode(y=y, x="low:Q", x2="high:Q", color=colour)
    dot = base.mark_point(filled=True, size=90, opacity=1).encode(
        y=y, x=x, color=colour, shape=alt.Shape("model:N", scale=alt.Scale(domain=MODELS, range=["circle", "diamond"]))
    )
    null = base.mark_tick(color="#333", thickness=1.2, size=13).encode(y=y, x="null:Q")
    heading = alt.TitleParams(
        "Separation of harmful from harmless text, before and after alignment",
        subtitle="Debiased. Bars: 95 % intervals. Ticks: 97.5 % of scores with shuffled labels",
        anchor="start",
        fontSize=15,
        subtitleColor="#555",
    )
    return _styled(alt.layer(span, interval, null, dot).properties(width=480, height=alt.Step(26), title=heading))


def _spans(data: pl.DataFrame) -> pl.DataFrame:
    return data.group_by("language", maintain_order=True).agg(
        pl.col("value").first().alias("from"), pl.col("value").last().alias("to")
    )


def _styled(chart: ChartT) -> ChartT:
    return chart.configure_view(stroke="#ddd").configure(background="white", padding=14, font="sans-serif")
