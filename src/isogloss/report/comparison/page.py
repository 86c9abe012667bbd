"""Several audits -> one page: language by run, which runs differ, and what was compared."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from isogloss.report.command import command
from isogloss.report.comparison.comparable import remarks, warning
from isogloss.report.comparison_tables import BASELINES, against_table, cells_table, codes_table, runs_table
from isogloss.report.estimates import format_percent
from isogloss.report.heatmap import QUANTITIES, cell, heatmap_figure
from isogloss.report.page.figures import metric_title, place
from isogloss.report.page.provenance import Fact, provenance
from isogloss.report.page.render import render
from isogloss.report.page.view import Named, View, told_apart, view
from isogloss.report.palette import OPEN
from isogloss.results import Audit
from isogloss.text import sanitize

#: Of more runs than these the headline names the extremes.
FEW = 3


@dataclass(frozen=True, kw_only=True)
class Reached:
    """How many of its other languages alignment reached in a run."""

    name: str
    count: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a sentence; a name is set apart, so that its direction stays its own."""

    text: str
    name: bool = False


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A run on the page: its name, what was run, and the command that repeats it."""

    name: str
    facts: tuple[Fact, ...]
    command: str


def comparison_html(audits: Sequence[tuple[str, Audit]]) -> str:
    """Return a page that puts audits side by side. Equal arguments give equal pages.

    Args:
        audits: names and audits, as from `comparable.named`. Where corpus, pivot or primary metric differ, the page
            says above all that they are not comparable; whether to make it then is up to the caller.
    """
    names = [sanitize(name) for name, _ in audits]
    views = [view(audit) for _, audit in audits]
    languages = _languages(views)
    figures = {"heatmap": heatmap_figure(names, views, languages)}
    caution = warning(audits)
    pivots = sorted({one.pivot for one in views})
    content = {
        "names": names,
        "caution": caution,
        "remarks": remarks(audits),
        "headline": [Part(text="These audits are not comparable.")] if caution else headline(names, views),
        "pivot": pivots[0] if len(pivots) == 1 else "the pivot",
        "languages": languages,
        "corpora": list(dict.fromkeys(sanitize(str(audit.corpus["name"])) for _, audit in audits)),
        "metric": metric_title(audits[0][1].primary.metric, audits[0][1].primary.components),
        "quantities": [one.title for one in QUANTITIES],
        "tables": {
            "runs": runs_table(names, views),
            "cells": cells_table(names, views, languages),
            "against": against_table(names, views, languages),
            "codes": codes_table(names, views),
        },
        "baselines": names[:BASELINES],
        "wrong": _wrong([audit for _, audit in audits]),
        "runs": [_compared(name, audit) for name, audit in zip(names, [a for _, a in audits], strict=True)],
        "version": audits[0][1].versions.get("isogloss", ""),
    }
    data = {
        "name": "published",
        "languages": [{"name": one.name, "tag": one.tag} for one in languages],
        "layers": [],
        "figures": figures,
        "texts": None,
    }
    return render("comparison.html.j2", content, data)


def _languages(views: Sequence[View]) -> list[Named]:
    """All languages: pivots first, then by mean retention, or by the first run that has them."""
    found: dict[str, Named] = {}
    for one in views:
        for named in one.languages:
            found.setdefault(named.code, named)
    codes = list(found)

    def order(code: str) -> tuple[bool, float, int]:
        pivot = any(one.audit.pivot == code for one in views)
        kept = [cell(one, found[code], QUANTITIES[0])["value"] for one in views]
        known = [value for value in kept if math.isfinite(value)]
        return not pivot, -sum(known) / len(known) if known else math.inf, codes.index(code)

    return told_apart([found[code] for code in sorted(codes, key=order)])


def headline(names: Sequence[str], views: Sequence[View]) -> list[Part]:
    """Say how many of its other languages alignment reached in each run; of many runs, in the least and the most."""
    found = [
        Reached(name=name, count=sum(one.known == "reached" for one in each.others), total=len(each.others))
        for name, each in zip(names, views, strict=True)
        if each.audit.has_reference and each.others
    ]
    if not found:
        return [Part(text="None of these audits can say what alignment reached.")]
    # Where some languages are open, one of them may have been reached all the same.
    surely = "demonstrably " if any(one.known in OPEN for each in views for one in each.others) else ""
    start = f"Alignment {surely}reached "
    if len({(one.count, one.total) for one in found}) == 1 and len(found) == len(names):
        runs = "both runs" if len(found) == 2 else f"each of {len(found)} runs"  # noqa: PLR2004 - two are both
        return [Part(text=f"{start}{found[0].count} of {found[0].total} other languages in {runs}.")]
    if len(found) > FEW:
        least, most = (chosen(found, key=lambda one: one.count / one.total) for chosen in (min, max))
        return [*_share(f"{start}from ", least, " other languages"), *_share(" to ", most), Part(text=".")]
    joints = [start, *[", "] * (len(found) - 2), " and "][: len(found)]
    parts = (
        _share(joint, one, "" if i else " other languages")
        for i, (joint, one) in enumerate(zip(joints, found, strict=True))
    )
    return [*itertools.chain(*parts), Part(text=".")]


def _share(before: str, one: Reached, what: str = "") -> list[Part]:
    return [Part(text=f"{before}{one.count} of {one.total}{what} in "), Part(text=one.name, name=True)]


def _wrong(audits: Sequence[Audit]) -> dict[str, str]:
    """How often a line that says "exclude" can be wrong: of two runs, and of all of them, at most."""
    levels = [audit.config.get("level") for audit in audits]
    if not all(isinstance(level, float) for level in levels):
        return {}
    each = sorted((1 - float(level) for level in levels if isinstance(level, float)), reverse=True)
    return {"two": format_percent(sum(each[:2])), "all": format_percent(min(1.0, sum(each)))}


def _compared(name: str, audit: Audit) -> Compared:
    verdicts_from = f"{metric_title(audit.primary.metric, audit.primary.components)} at layer {place(audit)}"
    return Compared(name=name, facts=tuple(provenance(audit, {}, verdicts_from)), command=command(audit))
