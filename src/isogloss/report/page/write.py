"""Audit and points -> the page of an audit."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import polars as pl

from isogloss.report.audit_tables import language_table, score_table
from isogloss.report.command import command
from isogloss.report.control_table import control_table
from isogloss.report.lost_pairs import lost_pairs_table
from isogloss.report.page.figures import (
    answer_figure,
    controls_figure,
    margins_figure,
    scatter_figure,
    scores_figure,
)
from isogloss.report.page.page_points import layer_names, layers_of, pair_figures, shown_per_layer
from isogloss.report.page.provenance import provenance
from isogloss.report.page.render import render
from isogloss.report.recorded_settings import setting
from isogloss.report.sentences import (
    advice,
    by_code,
    detectable,
    headline,
    metric_title,
    percent,
    primary_layer_name,
    rests_on,
    verdict_meanings,
)
from isogloss.report.table import Section, Table
from isogloss.report.view import MODELS, Named, View, view
from isogloss.results import Audit
from isogloss.text import sanitize
from isogloss.warning_kinds import SectionKey
from isogloss.warnings import WARNINGS

#: Columns of LOST_PAIRS on the page, where each language has a table of its own.
LOST_COLUMNS = ("pair", "pivot_margin", "reference_margin", "aligned_margin", "loss")


def page_html(
    audit: Audit,
    points: pl.DataFrame,
    *,
    sections: Sequence[Section] = (),
    run: Mapping[str, Any] | None = None,
    texts: Mapping[str, str] | None = None,
) -> str:
    """Return the page of an audit as HTML. Equal arguments give equal pages.

    Args:
        audit: the result; every number of the page but the positions of points comes from it.
        points: as `report.read_run.read_points` gives them.
        sections: what analyses show of the audit.
        run: content of run.json (dates, host), or None.
        texts: text of each text id, to be shown on request; None embeds no text at all.
    """
    shown = view(audit)
    sections = place_sections(sections)
    languages = list(shown.languages)
    layers = layers_of(audit, points)
    histograms, lost_pairs = pair_figures(audit, points, [language.code for language in languages])
    lost = lost_tables(audit, lost_pairs, languages)
    figures = {
        "answer": answer_figure(shown),
        "scores": scores_figure(shown, layers),
        "scatter": scatter_figure(points, languages, layers),
        "margins": margins_figure(histograms),
        "controls": controls_figure(shown),
        "lost": [{"language": languages.index(each.language), "ids": each.ids} for each in lost],
    }
    data = {
        "name": sanitize(str(audit.corpus.get("name", "")))[:60],
        "languages": [{"name": language.name, "tag": language.tag} for language in languages],
        "layers": layer_names(layers),
        "figures": figures,
        "sections": section_figures(sections),
    }
    content = {
        "audit": audit,
        "provenance": provenance(audit, run or {}),
        "languages": languages,
        "layers": data["layers"],
        "figures": figures,
        "tables": {
            "languages": language_table(shown),
            "scores": score_table(shown),
            "controls": control_table(shown),
        },
        "sections": sections,
        "lost": lost,
        "answer": headline(shown, names="name"),
        "rests_on": rests_on(shown),
        "advice": advice(shown),
        "meanings": verdict_meanings(audit.thresholds),
        "warnings": _warnings(shown),
        "codes": {code: (kind.meaning, kind.advice) for code, kind in WARNINGS.items()},
        "command": command(audit).split("\n"),
        "setting": functools.partial(setting, audit),
        "facts": _facts(shown, points, layers),
        "has_texts": texts is not None,
    }
    return render("page.html.j2", content, data | _texts(figures, texts))


def place_sections(sections: Sequence[Section]) -> list[Section]:
    """Let a section stand by itself where that which it should be within is not shown."""
    keys = {"", *get_args(SectionKey), *(section.key for section in sections)}
    return [section if section.within in keys else replace(section, within="") for section in sections]


def section_figures(sections: Sequence[Section]) -> dict[str, Any]:
    """Collect the figures of sections and the charts that they share, as the scripts read them."""
    return {
        "specs": {f"{section.key}:{name}": spec for section in sections for name, spec in section.specs.items()},
        "figures": {
            figure.key: {
                "title": sanitize(figure.title),
                "heading": sanitize(figure.heading),
                "legend": sanitize(figure.legend),
                "spec": f"{section.key}:{figure.spec}",
                "size": figure.size,
                "rows": {name: [_visible(value) for value in values] for name, values in figure.rows.items()},
                "fields": [{name: _visible(value) for name, value in vars(field).items()} for field in figure.fields],
            }
            for section in sections
            for block in section.blocks
            for figure in block.figures
        },
    }


def _visible(value: Any) -> Any:  # noqa: ANN401 - a JSON value
    return sanitize(value) if isinstance(value, str) else value


@dataclass(frozen=True, kw_only=True)
class LostPairs:
    """The pairs of one language that lose most; `ids` are the ids of harmful and harmless text, row by row."""

    language: Named
    table: Table
    ids: tuple[tuple[str, str], ...]
    most: float


def lost_tables(audit: Audit, lost: pl.DataFrame, languages: Sequence[Named]) -> list[LostPairs]:
    """Fill a table of the pairs that lose most for each language; `lost` as from `report.lost_pairs.losses`."""
    tables = []
    for number, language in enumerate(languages):
        pairs = lost.filter(pl.col("language") == language.code)
        if pairs.is_empty():
            continue
        table = lost_pairs_table(audit, pairs)
        ids = tuple((row[0].text, row[1].text) for row in table.select(["harmful", "harmless"]).rows)
        kept = [column.key for column in table.columns if column.key in LOST_COLUMNS]
        table = table.select(kept).renamed(f"lost-{number}", f"Pairs that lose most in {language.name}")
        tables.append(LostPairs(language=language, table=table, ids=ids, most=pairs["loss"][0]))
    return tables


@dataclass(frozen=True, kw_only=True)
class Warned:
    """One code of a section: its meaning, what it means for the reader, and where it was seen."""

    code: str
    meaning: str
    advice: str
    seen: tuple[tuple[str, str], ...]


def _warnings(view: View) -> dict[str, list[Warned]]:
    """Gather warnings by the section whose numbers they qualify, then by code."""
    names = {language.code: language.name for language in view.languages}
    sections: dict[str, list[Warned]] = {section: [] for section in get_args(SectionKey)}
    for code, group in by_code(view.audit.warnings).items():
        seen = tuple(
            (names.get(warning.language, warning.language) if warning.language else "", warning.detail)
            for warning in group
        )
        kind = WARNINGS[code]
        sections[kind.section].append(Warned(code=code, meaning=kind.meaning, advice=kind.advice, seen=seen))
    return sections


def _facts(view: View, points: pl.DataFrame, layers: Sequence[tuple[int, str]]) -> dict[str, Any]:
    audit = view.audit
    scores, level = audit.find(kind="score"), audit.config.get("level")
    most = shown_per_layer(len(audit.languages), len(layers))
    texts = max((part["text_id"].n_unique() for part in points.partition_by("language")), default=0)
    return {
        "per_class": scores[0].estimate.n if scores else 0,
        "gaps": detectable(view),
        "layer": primary_layer_name(audit),
        "level": percent(level) if isinstance(level, float) else "level not stated",
        "reached": percent(audit.thresholds.reached),
        "corpus": str(audit.corpus.get("name") or "without a name"),
        **{role: str((audit.models.get(role) or {}).get("name") or "without a name") for role in MODELS},
        "metric": metric_title(audit.primary.metric, audit.primary.components),
        "shown": min(most, texts),
        "texts": texts,
        "pairs": bool(points["pair_id"].is_not_null().any()),
        "scored": bool(points["score"].is_not_null().any()),
    }


def _texts(figures: Mapping[str, Any], texts: Mapping[str, str] | None) -> dict[str, Any]:
    """Keep the texts of points and pairs that the page shows, made visible."""
    if texts is None:
        return {"texts": None}
    wanted = {text for language in figures["scatter"]["languages"] for text in language["text"]}
    wanted |= {text for lost in figures["lost"] for ids in lost["ids"] for text in ids}
    return {"texts": {sanitize(key): sanitize(text) for key, text in texts.items() if sanitize(key) in wanted}}
