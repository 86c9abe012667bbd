"""Several audits -> language by model: retention and verdict, gain, separation; and what two of them can say."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import polars as pl

from isogloss.records import Estimate
from isogloss.report.comparison.comparable import remarks, warning
from isogloss.report.estimates import DASH, format_interval, format_number, format_percent
from isogloss.report.exports.paper import PaperTable
from isogloss.report.tables import label, metric_words, order, primary
from isogloss.results import Audit
from isogloss.text import sanitize

Named = Sequence[tuple[str, Audit]]
#: Intervals of two audits can be held against each other; of more, the table says it all.
TWO = 2
#: What can be said of two intervals: the first lies above the other, below it, or neither.
HIGHER, LOWER, OVERLAP = "higher", "lower", "overlap"


def matrix_tables(audits: Named, *, intervals: bool = True) -> list[PaperTable]:
    """Write a table a quantity, a line a language and a column an audit.

    Args:
        audits: names and audits; see `comparable.named`.
        intervals: with the interval of every number.
    """
    retention = [[_retention(audit, code, intervals=intervals) for _, audit in audits] for code in _languages(audits)]
    tables = [_table(audits, "retention", "retention and verdict", retention, remarks(audits))]
    for kind, model, title in (
        ("gain", "", "gain"),
        ("score", "aligned", "separation in the aligned model"),
    ):
        cells = [
            [
                _cell(primary(audit, code, kind, model), intervals=intervals, signed=kind == "gain")
                for _, audit in audits
            ]
            for code in _languages(audits)
        ]
        tables.append(_table(audits, kind, title, cells, []))
    return [*tables, *([exclusions(audits)] if len(audits) == TWO else [])]


def _languages(audits: Named) -> list[str]:
    """The languages of all audits, in the order of the first that has them."""
    orders = [sorted(audit.languages, key=functools.partial(order, audit)) for _, audit in audits]
    return list(dict.fromkeys(itertools.chain(*orders)))


def _table(audits: Named, name: str, what: str, cells: list[list[str]], notes: list[str]) -> PaperTable:
    first = audits[0][1]
    metric = f"{metric_words(first.primary.metric)}, {first.primary.components} principal components"
    caution = warning(audits)
    title = f"{sanitize(str(first.corpus['name']))}: {what} ({metric})"
    return PaperTable(
        name=f"comparison-{name}",
        title=f"{caution} {title}" if caution else title,
        headings=("language", *(sanitize(name) for name, _ in audits)),
        rows=tuple((label(code), *row) for code, row in zip(_languages(audits), cells, strict=True)),
        left=frozenset(range(len(audits) + 1)) if name == "retention" else frozenset({0}),
        notes=tuple(notes),
    )


def _retention(audit: Audit, code: str, *, intervals: bool) -> str:
    word = next((one.verdict for one in audit.verdicts if one.language == code), DASH)
    kept = _cell(primary(audit, code, "retention"), intervals=intervals, digits=2)
    return sanitize(word) if kept == DASH else f"{kept} {sanitize(word)}"


def _cell(estimate: Estimate | None, *, intervals: bool, digits: int = 3, signed: bool = False) -> str:
    value = format_number(estimate, digits=digits, signed=signed)
    if value == DASH or not intervals:
        return value
    return f"{value} {format_interval(estimate, digits=digits, signed=signed)}"


def exclusions(audits: Named) -> PaperTable:
    """Say per language whether the retention intervals of two audits exclude each other.

    Nothing is tested: what is said follows from the two intervals alone, whatever the dependence between the audits.
    """
    (first, one), (second, other) = audits
    rows = []
    for code in _languages(audits):
        if code in {one.pivot, other.pivot}:
            continue
        kept = [primary(audit, code, "retention") for audit in (one, other)]
        rows.append(
            (label(code), *(_cell(each, intervals=True, digits=2) for each in kept), _said(first, second, *kept))
        )
    wrong = sum(1 - float(audit.config["level"]) for audit in (one, other))
    meaning = (
        "The intervals of an audit hold for all its languages together. Where they exclude each other, retention "
        f"differs; the chance that any line saying so is wrong is at most {format_percent(wrong)} (≈: approximate, may be "
        "more). Where they overlap nothing follows: it does not mean that the models are alike."
    )
    caution = warning(audits)
    return PaperTable(
        name="comparison-exclusions",
        title=f"Do the retention intervals of {sanitize(first)} and {sanitize(second)} exclude each other?",
        headings=("language", sanitize(first), sanitize(second), "the intervals"),
        rows=tuple(rows),
        left=frozenset({0, 3}),
        notes=(meaning, *([caution] if caution else [])),
    )


def held_against(one: Estimate | None, other: Estimate | None) -> str:
    """Say whether an interval lies above another, below it, or overlaps it; a dash where either does not exist."""
    if one is None or other is None or math.isnan(one.low) or math.isnan(other.low):
        return DASH
    if one.low > other.high:
        return HIGHER
    return LOWER if one.high < other.low else OVERLAP


def _said(first: str, second: str, one: Estimate | None, other: Estimate | None) -> str:
    found = held_against(one, other)
    if found not in {HIGHER, LOWER}:
        return found
    return f"exclude each other: higher in {sanitize(first if found == HIGHER else second)}"


def comparison_frame(audits: Named) -> pl.DataFrame:
    """Put the rows of all audits into one tidy frame, with the run and its models in front."""
    caution = warning(audits)
    return pl.concat(
        audit.table().select(
            pl.lit(name).alias("run"),
            pl.lit(_model(audit, "reference"), dtype=pl.String).alias("reference"),
            pl.lit(_model(audit, "aligned"), dtype=pl.String).alias("aligned"),
            *([pl.lit(caution).alias("caution")] if caution else []),
            pl.all(),
        )
        for name, audit in audits
    )


def _model(audit: Audit, role: str) -> str | None:
    model = audit.models.get(role)
    return str(model["name"]) if model else None
