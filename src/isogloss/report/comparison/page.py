"""Several audits -> one page: language by run, which runs differ, and what was compared."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from isogloss.report.command import command
from isogloss.report.comparison.comparable import NamedAudits, remarks, warning
from isogloss.report.comparison.heatmap import heatmap_figure
from isogloss.report.comparison.runs import codes_table, runs_table
from isogloss.report.comparison.tables import (
    BASELINES,
    QUANTITIES,
    against_table,
    languages_of,
    quantities_table,
)
from isogloss.report.page.provenance import Fact, provenance
from isogloss.report.page.render import render
from isogloss.report.palette import OPEN
from isogloss.report.sentences import metric_title, percent
from isogloss.report.view import View, view
from isogloss.text import sanitize

NOT_COMPARABLE = "These audits are not comparable."
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
class ComparedRuns:
    """A run on the page: its name, what was run, and the command that repeats it."""

    name: str
    facts: tuple[Fact, ...]
    command: str


def comparison_html(audits: NamedAudits) -> str:
    """Return a page that puts audits side by side. Equal arguments give equal pages.

    Args:
        audits: names and audits, as from `name_audits`. Where corpus, pivot or primary metric differ, the page
            says above all that they are not comparable; whether to make it then is up to the caller.
    """
    names = [sanitize(name) for name, _ in audits]
    views = [view(audit) for _, audit in audits]
    languages = languages_of(views)
    caution = warning(audits)
    pivots = sorted({run.pivot.name for run in views})
    primary = audits[0][1].primary
    content = {
        "names": names,
        "caution": caution,
        "remarks": remarks(audits),
        "headline": [Part(text=NOT_COMPARABLE)] if caution else comparison_headline(names, views),
        "pivot": pivots[0] if len(pivots) == 1 else "the pivot",
        "languages": languages,
        "corpora": list(dict.fromkeys(sanitize(str(audit.corpus["name"])) for _, audit in audits)),
        "metric": metric_title(primary.metric, primary.components),
        "quantities": [quantity.title for quantity in QUANTITIES],
        "tables": {
            "runs": runs_table(names, views),
            "cells": quantities_table(names, views, languages),
            "against": against_table(names, views, languages),
            "codes": codes_table(names, views),
        },
        "baselines": names[:BASELINES],
        "runs": [_compared(name, run) for name, run in zip(names, views, strict=True)],
        "version": audits[0][1].versions.get("isogloss", ""),
    }
    data: dict[str, Any] = {
        "name": "published",
        "languages": [{"name": language.name, "tag": language.tag} for language in languages],
        "layers": [],
        "figures": {"heatmap": heatmap_figure(names, views, languages)},
        "sections": {"specs": {}, "figures": {}},
        "texts": None,
    }
    return render("comparison.html.j2", content, data)


def comparison_headline(names: Sequence[str], views: Sequence[View]) -> list[Part]:
    """Say how many languages retain enough of the gain in each run; of many runs, in the least and the most."""
    counts = [
        Reached(
            name=name,
            count=sum(language.known == "reached" for language in run.others),
            total=len(run.others),
        )
        for name, run in zip(names, views, strict=True)
        if run.audit.has_reference and run.others
    ]
    if not counts:
        return [Part(text="None of these audits can say how many languages alignment reached.")]
    # Where some languages are open, one of them may have been reached all the same.
    surely = "demonstrably " if any(language.known in OPEN for run in views for language in run.others) else ""
    least = percent(views[0].audit.thresholds.reached)
    start = f"Languages that {surely}retain at least {least} of the pivot's gain: "
    if len({(each.count, each.total) for each in counts}) == 1 and len(counts) == len(names):
        runs = "both runs" if len(counts) == 2 else f"each of {len(counts)} runs"  # noqa: PLR2004 - two are both
        return [Part(text=f"{start}{counts[0].count} of {counts[0].total} in {runs}.")]
    if len(counts) > FEW:
        fewest, most = (choose(counts, key=lambda each: each.count / each.total) for choose in (min, max))
        return [*_share(f"{start}from ", fewest), *_share(" to ", most), Part(text=".")]
    joints = [start, *[", "] * (len(counts) - 2), " and "][: len(counts)]
    parts = (_share(joint, each) for joint, each in zip(joints, counts, strict=True))
    return [*itertools.chain(*parts), Part(text=".")]


def _share(before: str, reached: Reached) -> list[Part]:
    return [Part(text=f"{before}{reached.count} of {reached.total} in "), Part(text=reached.name, name=True)]


def _compared(name: str, run: View) -> ComparedRuns:
    return ComparedRuns(name=name, facts=tuple(provenance(run.audit, {})), command=command(run.audit))
