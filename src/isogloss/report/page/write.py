"""Audit and points -> the page of an audit."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import polars as pl

from isogloss.report.ablation import ablation_caption, ablation_sentences
from isogloss.report.behaviour import behaviour_caption
from isogloss.report.command import command
from isogloss.report.grammar import MODELS
from isogloss.report.page.behaviour import ablation_table, behaviour_figure, behaviour_table
from isogloss.report.page.cross_lingual import cross_lingual_figures, cross_lingual_table
from isogloss.report.page.figures import (
    answer_figure,
    controls_figure,
    margins_figure,
    metric_title,
    place,
    scatter_figure,
    scores_figure,
)
from isogloss.report.page.points import layer_names, layers_of, pair_figures, shown_per_place
from isogloss.report.page.provenance import provenance
from isogloss.report.page.render import render
from isogloss.report.page.tables import (
    control_table,
    language_table,
    lost_tables,
    matched_table,
    prompt_format_table,
    score_table,
)
from isogloss.report.page.text import MEANING, advice, answer, below_answer, detectable, pivot_clear, spoken
from isogloss.report.page.view import View
from isogloss.report.page.view import view as look
from isogloss.report.page.warnings import warned
from isogloss.results import Audit
from isogloss.text import sanitize
from isogloss.warnings import WARNINGS, SectionKey


def page_html(
    audit: Audit,
    points: pl.DataFrame,
    *,
    run: Mapping[str, Any] | None = None,
    pairs: pl.DataFrame | None = None,
    texts: Mapping[str, str] | None = None,
) -> str:
    """Return the page of an audit as HTML. Equal arguments give equal pages.

    Args:
        audit: the result; every number of the page but the positions of points comes from it.
        points: as `report.read_run.read_points` gives them.
        run: content of run.json (dates, host), or None.
        pairs: as `report.read_run.read_pairs` gives them.
        texts: text of each text id, to be shown on request; None embeds no text at all.
    """
    view = look(audit)
    languages = list(view.languages)
    codes = [one.code for one in languages]
    layers = layers_of(audit, points)
    histograms, lost = pair_figures(audit, points, codes)
    lost_found = lost_tables(lost, languages)
    figures = {
        "answer": answer_figure(view),
        "scores": scores_figure(view, layers),
        "scatter": scatter_figure(points, languages, layers),
        "margins": margins_figure(histograms),
        "controls": controls_figure(view),
        "behaviour": behaviour_figure(view, pairs),
        "cross_lingual": cross_lingual_figures(view, layers),
        "lost": [{"language": languages.index(one.language), "ids": one.ids} for one in lost_found],
    }
    data = {
        "name": sanitize(str(audit.corpus.get("name", "")))[:60],
        "languages": [{"name": one.name, "tag": one.tag} for one in languages],
        "layers": layer_names(layers),
        "figures": figures,
    }
    content = {
        "audit": audit,
        "provenance": provenance(audit, run or {}, _verdicts_from(audit)),
        "languages": languages,
        "layers": data["layers"],
        "figures": figures,
        "tables": {
            "languages": language_table(view),
            "scores": score_table(view),
            "controls": control_table(view),
            "matched": matched_table(view),
            "prompt formats": prompt_format_table(view),
            "behaviour": behaviour_table(view),
            "ablation": ablation_table(view),
            "cross_lingual": cross_lingual_table(view),
        },
        "lost": lost_found,
        "answer": answer(view),
        "below_answer": below_answer(view),
        "behaviour_caption": behaviour_caption(),
        "ablation_said": ablation_sentences(audit),
        "ablation_caption": ablation_caption(),
        "advice": advice(view),
        "meaning": MEANING,
        "warnings": _warnings(view),
        "codes": {code: (kind.meaning, kind.advice) for code, kind in WARNINGS.items()},
        "command": command(audit).split("\n"),
        "setting": functools.partial(spoken, audit),
        "facts": _facts(view, points, layers),
        "has_texts": texts is not None,
    }
    return render("page.html.j2", content, data | _texts(figures, texts))


def _warnings(view: View) -> dict[str, Any]:
    names = {one.code: one.name for one in view.languages}
    return {section: warned(view.audit.warnings, section, names) for section in get_args(SectionKey)}


def _facts(view: View, points: pl.DataFrame, layers: Sequence[tuple[int, str]]) -> dict[str, Any]:
    audit = view.audit
    scores, level = audit.find(kind="score"), audit.config.get("level")
    most = shown_per_place(len(audit.languages), len(layers))
    texts = max((part["text_id"].n_unique() for part in points.partition_by("language")), default=0)
    return {
        "per_class": scores[0].estimate.n if scores else 0,
        "gaps": detectable(view),
        "pivot_z": pivot_clear(view),
        "place": place(audit),
        "level": f"{100 * level:.0f} %" if isinstance(level, float) else "level not stated",
        "corpus": str(audit.corpus.get("name") or "without a name"),
        **{role: str((audit.models.get(role) or {}).get("name") or "without a name") for role in MODELS},
        "metric": metric_title(audit.primary.metric, audit.primary.components),
        "shown": min(most, texts),
        "texts": texts,
        "pairs": bool(points["pair_id"].is_not_null().any()),
        "scored": bool(points["score"].is_not_null().any()),
    }


def _verdicts_from(audit: Audit) -> str:
    return f"{metric_title(audit.primary.metric, audit.primary.components)} at layer {place(audit)}"


def _texts(figures: Mapping[str, Any], texts: Mapping[str, str] | None) -> dict[str, Any]:
    """Keep the texts of points and pairs that the page shows, made visible."""
    if texts is None:
        return {"texts": None}
    wanted = {one for language in figures["scatter"]["languages"] for one in language["text"]}
    wanted |= {one for lost in figures["lost"] for ids in lost["ids"] for one in ids}
    return {"texts": {sanitize(one): sanitize(text) for one, text in texts.items() if sanitize(one) in wanted}}
