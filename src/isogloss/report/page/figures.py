"""Audit and points -> the figures of the page: for each its charts and the rows that they draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import altair as alt
import polars as pl

from isogloss.records import Estimate, Row
from isogloss.report.grammar import Axis
from isogloss.report.page import charts, multiples
from isogloss.report.page.points import packed
from isogloss.report.page.view import Named, View, layer_name
from isogloss.report.palette import LIGHT, OPEN, Theme, in_dark
from isogloss.report.tables import metric_words, primary_layer
from isogloss.results import Audit
from isogloss.stats.metrics import METRICS
from isogloss.text import sanitize

ROWS = alt.NamedData(name="rows")
#: Retention from which a language counts as reached; docs/methods.md, section 7.
KEPT = 0.8
#: Retention beyond these is drawn as an arrow: an interval of a hopeless language would flatten all others.
RETENTION_ENDS = (-1.0, 2.0)
#: What verdicts are read at; fewer of them where a long axis would make them collide.
TICKS, FEW_TICKS = (0.0, 0.25, 0.8, 1.0), (-1.0, 0.0, 0.8, 2.0)
LONG_AXIS = 1.7
CHANCE = 0.5
PERMUTED = "permuted_labels_auroc"
CONTROL_NAMES = {"ngram_auroc": "n-grams", "length_auroc": "text length", "untrained_auroc": "an untrained model"}
WORDS = {
    "auroc": "probe, AUROC",
    "pair_accuracy": "probe, share of pairs told apart",
}


def metric_title(metric: str, components: int | None) -> str:
    """Name a metric and its components."""
    words = sanitize(WORDS.get(metric, metric_words(metric)))
    return f"{words}, {components} components" if components else words


def metrics_of(audit: Audit) -> list[tuple[str, int | None]]:
    """Metrics with scores, the primary one first."""
    first = (audit.primary.metric, audit.primary.components)
    found = dict.fromkeys((row.metric, row.components) for row in audit.find(kind="score"))
    return sorted(found, key=lambda one: one != first)


def drawn(build: Callable[[Theme], Any]) -> dict[str, Any]:
    """Draw a chart in both themes."""
    spec = build(LIGHT).to_dict(validate=False)
    return {"light": spec, "dark": in_dark(spec)}


def _finite(values: Iterable[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]


def spread(values: Iterable[float], *, title: str, log: bool = False) -> Axis:
    """Span what is there with a little room; a linear axis has its zero."""
    known = _finite(values)
    if log:
        above = [value for value in known if value > 0]
        return Axis(title=title, low=min(above, default=0.1) * 0.8, high=max(above, default=1.0) * 1.25, log=True)
    low, high = min([0.0, *known]), max([0.0, *known])
    room = 0.04 * ((high - low) or 1.0)
    return Axis(title=title, low=low - room if low < 0 else 0.0, high=high + room)


def columns(records: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Rows as columns, which take a fraction of the room."""
    return {name: [record[name] for record in records] for name in records[0]} if records else {}


def answer_figure(view: View) -> dict[str, Any]:
    """The first picture: retention per language, or what there is instead."""
    kind = view.kind
    found = [(one, _answer(view, one)) for one in view.languages]
    if kind == "retention":
        bounds = [x for _, e in found if e for x in (e.low, e.high, e.value)]
        axis = _retention_axis(bounds, view.pivot)
    else:
        title = "gain in separation (aligned minus reference)" if kind == "gain" else "separation, aligned model"
        axis = spread((x for _, e in found if e for x in (e.low, e.high, e.value)), title=title)
    rows = [_answer_row(one, estimate, axis) for one, estimate in found]
    labels = [row["label"] for row in rows]
    threshold = KEPT if kind == "retention" else None
    spec = drawn(lambda theme: charts.answer(axis, labels, theme, data=ROWS, threshold=threshold))
    return {"kind": kind, "spec": spec, "rows": rows}


def _answer(view: View, one: Named) -> Estimate | None:
    if view.kind == "retention" and one.pivot:
        return Estimate(value=1.0, n=0, seed=0, method="by definition")
    return view.primary(view.kind, one, model=view.model)


def _retention_axis(bounds: Iterable[float], pivot: str) -> Axis:
    known = _finite(bounds)
    low = max(RETENTION_ENDS[0], min([0.0, *known]) - 0.04)
    high = min(RETENTION_ENDS[1], max([1.0, *known]) + 0.06)
    ticks = tuple(tick for tick in (FEW_TICKS if high - low > LONG_AXIS else TICKS) if low <= tick <= high)
    return Axis(title=f"share of the gain in {pivot} that arrived", low=low, high=high, percent=True, ticks=ticks)


def _answer_row(one: Named, estimate: Estimate | None, axis: Axis) -> dict[str, Any]:
    found = estimate or Estimate(value=math.nan, n=0, seed=0, reason="not measured")
    return {
        "label": one.name,
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "cut_low": found.low < axis.low,
        "cut_high": found.high > axis.high,
        "verdict": "pivot: 100 %" if one.pivot and found.method == "by definition" else one.word,
        "colour": one.known,
        "shape": one.group,
        "approximate": bool(found.approximate),
        "open": one.known in OPEN,
        "reason": sanitize(found.reason or ""),
    }


def scores_figure(view: View, layers: Sequence[tuple[int, str]]) -> dict[str, Any]:
    """Every score, and charts of each metric: by language and, with several layers, by layer."""
    audit, languages = view.audit, view.languages
    metrics = metrics_of(audit)
    codes = {one.code: i for i, one in enumerate(languages)}
    records = [
        {
            "language": codes[row.language],
            "metric": metrics.index((row.metric, row.components)),
            "layer": layers.index((row.layer or 0, row.norm)),
            "model": sanitize(row.model),
            **score_numbers(row.estimate),
        }
        for row in audit.find(kind="score", sample="all")
    ]
    labels = [one.name for one in languages]
    charts = [_metric_charts(audit, metric, labels, several=len(layers) > 1) for metric in metrics]
    layer, norm = primary_layer(audit)
    return {"metrics": charts, "scores": columns(records), "layer": layers.index((layer, norm))}


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
    found: dict[str, Any] = {
        "title": title,
        "spec": drawn(lambda theme: charts.separation(wide, labels, theme, data=ROWS)),
    }
    if several:
        found["layers"] = drawn(lambda theme: multiples.layers(wide, theme, data=ROWS))
    return found


def scatter_figure(
    points: pl.DataFrame, languages: Sequence[Named], layers: Sequence[tuple[int, str]]
) -> dict[str, Any]:
    """The points of every language, and the chart that draws one."""
    models = [model for model in ("reference", "aligned") if (points["model"] == model).any()]
    spec = drawn(lambda theme: multiples.scatter(models, theme, data=ROWS))
    return {"models": models, "spec": spec, "languages": packed(points, [one.code for one in languages], layers)}


def margins_figure(histograms: Mapping[str, Any]) -> dict[str, Any]:
    """Distributions of within-pair margins and the chart that draws one language's."""
    if not histograms:
        return {}
    shares = [share for one in histograms["languages"] for model in one.values() for share in model["shares"]]
    edges = histograms["edges"]
    cross_lingual = Axis(title="margin: toxic text minus its twin", low=edges[0], high=edges[-1])
    up = Axis(title="", low=0.0, high=max(shares) * 1.05, percent=True)
    return {"spec": drawn(lambda theme: multiples.margins(cross_lingual, up, theme, data=ROWS)), **histograms}


def controls_figure(view: View) -> dict[str, Any]:
    """The aligned model's probe beside what could explain its score."""
    rows = []
    for one in view.languages:
        found = [("probe", view.row("score", one, "auroc", model="aligned"))]
        for metric, name in (CONTROL_NAMES | {PERMUTED: "permuted labels"}).items():
            found.append((name, view.row("control", one, metric)))
        rows += [{"label": one.name, "what": what, **score_numbers(row.estimate)} for what, row in found if row]
    rows = [row | {"approximate": bool(row["approximate"])} for row in rows if math.isfinite(row["value"])]
    if not rows:
        return {}
    known = _finite(row[part] for row in rows for part in ("value", "low", "high"))
    axis = Axis(title="AUROC: how often the harmful text scores higher", low=min(CHANCE, *known) - 0.02, high=1.0)
    labels = [one.name for one in view.languages]
    return {"spec": drawn(lambda theme: charts.controls(axis, labels, theme, data=ROWS)), "rows": rows}


def place(audit: Audit) -> str:
    """Name the layer that verdicts come from."""
    return sanitize(layer_name(*primary_layer(audit)))
