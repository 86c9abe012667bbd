"""Audit and points -> the figures of the page: for each its charts and the rows that they draw."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from isogloss.records import Estimate, Row
from isogloss.report.audit_tables import metrics_of
from isogloss.report.grammar import ROWS, Axis, as_columns, draw_in_both_themes, finite, spread
from isogloss.report.page import by_language, small_multiples
from isogloss.report.page.page_points import pack_points
from isogloss.report.palette import OPEN
from isogloss.report.sentences import metric_title, percent
from isogloss.report.view import MODELS, Named, View
from isogloss.results import Audit
from isogloss.stats.metrics import METRICS
from isogloss.stats.thresholds import Thresholds
from isogloss.text import sanitize

#: Retention beyond these is drawn as an arrow: an interval of a hopeless language would flatten all others.
RETENTION_ENDS = (-1.0, 2.0)
#: On a longer axis than this, ticks would collide, so fewer are drawn.
LONG_AXIS = 1.7
CHANCE = 0.5
PERMUTED = "permuted_labels_auroc"
CONTROL_NAMES = {"ngram_auroc": "n-grams", "length_auroc": "text length", "untrained_auroc": "untrained model"}


def answer_figure(view: View) -> dict[str, Any]:
    """Draw the first picture: retention per language, or what there is instead."""
    kind, thresholds = view.kind, view.audit.thresholds
    answers = [(language, _answer(view, language)) for language in view.languages]
    bounds = [x for _, answer in answers if answer for x in (answer.low, answer.high, answer.value)]
    if kind == "retention":
        axis = _retention_axis(bounds, view.pivot.name, thresholds)
    else:
        title = "gain in separation (aligned minus reference)" if kind == "gain" else "separation, aligned model"
        axis = spread(bounds, title=title)
    rows = [_answer_row(language, estimate, axis) for language, estimate in answers]
    labels = [row["label"] for row in rows]
    threshold = thresholds.reached if kind == "retention" else None
    spec = draw_in_both_themes(lambda theme: by_language.answer(axis, labels, theme, data=ROWS, threshold=threshold))
    return {"kind": kind, "spec": spec, "rows": rows}


def _answer(view: View, language: Named) -> Estimate | None:
    if view.kind == "retention" and language.pivot:
        return Estimate(value=1.0, n=0, seed=0, method="by definition")
    return view.primary(view.kind, language, model=view.model)


def _retention_axis(bounds: Iterable[float], pivot: str, thresholds: Thresholds) -> Axis:
    known = finite(bounds)
    low = max(RETENTION_ENDS[0], min([0.0, *known]) - 0.04)
    high = min(RETENTION_ENDS[1], max([1.0, *known]) + 0.06)
    # Ticks stand where verdicts turn.
    if high - low > LONG_AXIS:
        ticks = (RETENTION_ENDS[0], 0.0, thresholds.reached, RETENTION_ENDS[1])
    else:
        ticks = (0.0, thresholds.not_reached, thresholds.reached, 1.0)
    shown = tuple(tick for tick in ticks if low <= tick <= high)
    return Axis(title=f"share of the {pivot} gain that is retained", low=low, high=high, percent=True, ticks=shown)


def _answer_row(language: Named, estimate: Estimate | None, axis: Axis) -> dict[str, Any]:
    number = estimate or Estimate(value=math.nan, n=0, seed=0, reason="not measured")
    return {
        "label": language.name,
        "value": number.value,
        "low": number.low,
        "high": number.high,
        "cut_low": number.low < axis.low,
        "cut_high": number.high > axis.high,
        "verdict": f"pivot: {percent(1.0)}" if language.pivot and number.method == "by definition" else language.word,
        "colour": language.known,
        "shape": language.group,
        "approximate": bool(number.approximate),
        "open": language.known in OPEN,
        "reason": sanitize(number.reason or ""),
    }


def scores_figure(view: View, layers: Sequence[tuple[int, str]]) -> dict[str, Any]:
    """Every score, and charts of each metric: by language and, with several layers, by layer."""
    audit, languages = view.audit, view.languages
    metrics = metrics_of(audit)
    numbers = {language.code: number for number, language in enumerate(languages)}
    records = [
        {
            "language": numbers[row.language],
            "metric": metrics.index((row.metric, row.components)),
            "layer": layers.index((row.layer or 0, row.norm)),
            "model": sanitize(row.model),
            **score_numbers(row.estimate),
        }
        for row in audit.find(kind="score", sample="all")
    ]
    labels = [language.name for language in languages]
    charts = [_metric_charts(audit, metric, labels, several=len(layers) > 1) for metric in metrics]
    return {"metrics": charts, "scores": as_columns(records), "layer": layers.index(audit.primary_layer)}


def score_numbers(estimate: Estimate) -> dict[str, Any]:
    """The numbers of a score that figures draw."""
    names = ("value", "low", "high", "null_low", "null_high")
    return {name: getattr(estimate, name) for name in names} | {
        "approximate": sanitize(estimate.approximate or ""),
        "reason": sanitize(estimate.reason or ""),
    }


def score_axis(rows: Sequence[Row], metric: str, components: int | None) -> Axis:
    """Span the scores of a metric with their intervals and nulls; distances that grow without end get a log axis."""
    parts = ("value", "low", "high", "null_low", "null_high")
    known = (getattr(row.estimate, part) for row in rows for part in parts)
    return spread(known, title=metric_title(metric, components), log=metric in METRICS and METRICS[metric].log_axis)


def _metric_charts(
    audit: Audit, metric: tuple[str, int | None], labels: Sequence[str], *, several: bool
) -> dict[str, Any]:
    name, components = metric
    rows = audit.find(kind="score", sample="all", metric=name, components=components)
    title = metric_title(name, components)

    wide = replace(score_axis(rows, name, components), title="")  # the caption has it, in as many lines as it needs
    charts: dict[str, Any] = {
        "title": title,
        "spec": draw_in_both_themes(lambda theme: by_language.separation(wide, labels, theme, data=ROWS)),
    }
    if several:
        charts["layers"] = draw_in_both_themes(lambda theme: small_multiples.layers(wide, theme, data=ROWS))
    return charts


def scatter_figure(
    points: pl.DataFrame, languages: Sequence[Named], layers: Sequence[tuple[int, str]]
) -> dict[str, Any]:
    """The points of every language, and the chart that draws one."""
    models = [model for model in MODELS if (points["model"] == model).any()]
    spec = draw_in_both_themes(lambda theme: small_multiples.scatter(models, theme, data=ROWS))
    return {
        "models": models,
        "spec": spec,
        "languages": pack_points(points, [language.code for language in languages], layers),
    }


def margins_figure(histograms: Mapping[str, Any]) -> dict[str, Any]:
    """Distributions of within-pair margins and the chart that draws one language's."""
    if not histograms:
        return {}
    shares = [share for language in histograms["languages"] for model in language.values() for share in model["shares"]]
    edges = histograms["edges"]
    x_axis = Axis(title="margin: harmful minus harmless", low=edges[0], high=edges[-1])
    y_axis = Axis(title="", low=0.0, high=max(shares) * 1.05, percent=True)
    return {
        "spec": draw_in_both_themes(lambda theme: small_multiples.margins(x_axis, y_axis, theme, data=ROWS)),
        **histograms,
    }


def controls_figure(view: View) -> dict[str, Any]:
    """Draw the aligned model's probe beside what could explain its score."""
    rows = []
    for language in view.languages:
        sources = [("probe", view.row("score", language, "auroc", model="aligned"))]
        for metric, name in (CONTROL_NAMES | {PERMUTED: "permuted labels"}).items():
            sources.append((name, view.row("control", language, metric)))
        rows += [{"label": language.name, "what": what, **score_numbers(row.estimate)} for what, row in sources if row]
    rows = [row | {"approximate": bool(row["approximate"])} for row in rows if math.isfinite(row["value"])]
    if not rows:
        return {}
    known = finite(row[part] for row in rows for part in ("value", "low", "high"))
    axis = Axis(title="AUROC: how often the harmful text scores higher", low=min(CHANCE, *known) - 0.02, high=1.0)
    labels = [language.name for language in view.languages]
    spec = draw_in_both_themes(lambda theme: by_language.controls(axis, labels, theme, data=ROWS))
    return {"spec": spec, "rows": rows}
