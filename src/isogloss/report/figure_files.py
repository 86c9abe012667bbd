"""Audit and points -> figures as PNG and SVG files, drawn as on the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import altair as alt
import polars as pl
import vl_convert

from isogloss.report import grammar
from isogloss.report.page import by_language, small_multiples
from isogloss.report.page.figures import score_axis, score_numbers
from isogloss.report.page.page_points import at_primary, choose, shown_per_layer
from isogloss.report.palette import LIGHT
from isogloss.report.view import MODELS, Named, view
from isogloss.results import Audit

PER_ROW = 2
WIDTH = 480


def write_figures(audit: Audit, points: pl.DataFrame, folder: Path) -> None:
    """Write scatter and separation, each as PNG and SVG."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, chart in (("scatter", scatter(audit, points)), ("separation", separation(audit))):
        svg = vl_convert.vegalite_to_svg(chart.to_dict(validate=False))
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
        (folder / f"{name}.png").write_bytes(vl_convert.svg_to_png(svg, scale=2))


def scatter(audit: Audit, points: pl.DataFrame) -> alt.VConcatChart:
    """Draw the first two principal components per language: reference on the left, aligned on the right."""
    layer, norm = audit.primary_layer
    at_layer = at_primary(audit, points)
    few = choose(at_layer, shown_per_layer(at_layer["language"].n_unique(), 1)).select("language", "text_id")
    shown = at_layer.join(few, on=["language", "text_id"], how="semi", maintain_order="left")
    models = [model for model in MODELS if (shown["model"] == model).any()]
    panels = [
        _panel(shown.filter(pl.col("language") == language.code), language, models)
        for language in view(audit).languages
    ]
    starts = range(0, len(panels), PER_ROW)
    grid = alt.vconcat(*(alt.hconcat(*panels[i : i + PER_ROW], spacing=30) for i in starts))
    where = f"layer {layer}" + (f", {norm}-norm" if norm else "")
    where += f"; {len(shown)} of {len(at_layer)} points" if len(shown) < len(at_layer) else ""
    title = alt.TitleParams(
        "Harmful and harmless text in hidden space, before and after alignment",
        subtitle=f"First two principal components, fitted per model and language; {where}",
        fontSize=15,
    )
    return grammar.alone(grid.properties(title=title), LIGHT)


def _panel(shown: pl.DataFrame, language: Named, models: Sequence[str]) -> alt.HConcatChart:
    texts = shown.select(
        "text_id", pl.when("harmful").then(pl.lit("harmful")).otherwise(pl.lit("harmless")).alias("class")
    )
    rows = texts.unique(maintain_order=True)
    for model in models:
        of_model = shown.filter(pl.col("model") == model)
        rows = rows.join(
            of_model.select("text_id", pl.col("pc1").alias(f"{model}_x"), pl.col("pc2").alias(f"{model}_y")),
            on="text_id",
            maintain_order="left",
        )
    data = alt.InlineData(values=rows.drop("text_id").to_dicts())
    title = alt.TitleParams(f"{language.name} ({language.code})", anchor="middle", fontSize=13)
    return alt.hconcat(*(small_multiples.panel(model, LIGHT, data=data, legend=True) for model in models), title=title)


def separation(audit: Audit) -> alt.LayerChart:
    """Draw the primary metric per language: reference and aligned with their intervals and permuted labels."""
    layer, norm = audit.primary_layer
    metric, components = audit.primary.metric, audit.primary.components
    names = {language.code: f"{language.name} ({language.code})" for language in view(audit).languages}
    rows = audit.find(kind="score", sample="all", layer=layer, norm=norm, metric=metric, components=components)
    values = [{"label": names[row.language], "model": row.model, **score_numbers(row.estimate)} for row in rows]
    labels = list(names.values())
    data = alt.InlineData(values=[value | {"approximate": bool(value["approximate"])} for value in values])
    chart = by_language.separation(score_axis(rows, metric, components), labels, LIGHT, data=data, legend=True)
    heading = alt.TitleParams(
        "Separation of harmful from harmless text, before and after alignment",
        subtitle="Debiased. Lines: 95 % intervals, dashed where approximate. Grey: 95 % of scores with permuted labels",
        fontSize=15,
    )
    return grammar.alone(chart.properties(width=WIDTH, title=heading), LIGHT)
