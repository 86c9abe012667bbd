"""Audit -> the tables that a paper prints: separation per language and metric, gain, retention, verdict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from isogloss.records import Estimate, Row
from isogloss.report.estimates import DASH, format_with_interval
from isogloss.report.tables import headline, label, measured, metric_words, order, primary_layer, verdict_words
from isogloss.results import Audit
from isogloss.text import sanitize

RETENTION_DIGITS = 2


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """A table as plain text: a title, headings, rows of as many cells, notes below it.

    `left` numbers the columns that hold words; all others hold numbers. `name` is for labels and file names.
    """

    name: str
    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: frozenset[int] = frozenset({0})
    notes: tuple[str, ...] = ()


def paper_tables(audit: Audit) -> list[PaperTable]:
    """Write one table a metric at the layer that verdicts come from, the primary estimand first.

    Cells hold the debiased estimate and its interval; a dash stands where there is none, and a note says why.
    """
    cells = dict.fromkeys((row.metric, row.components) for row in _scores(audit))
    first = (audit.primary.metric, audit.primary.components)
    tables = [_table(audit, *cell) for cell in sorted(cells, key=lambda cell: cell != first)]
    return [*tables, *_matched(audit, first)]


def _scores(audit: Audit) -> Sequence[Row]:
    layer, norm = primary_layer(audit)
    return audit.find(kind="score", layer=layer, norm=norm, sample="all")


def _table(audit: Audit, metric: str, components: int | None) -> PaperTable:
    primary = (metric, components) == (audit.primary.metric, audit.primary.components)
    rows = {(row.language, row.kind, row.model): row for row in _rows(audit, metric, components, "all")}
    columns = _columns(audit, rows.values())
    codes = sorted(audit.languages, key=lambda code: order(audit, code))
    words = {one.language: verdict_words(one) for one in audit.verdicts} if primary else {}
    headings = ("language", *columns, *(["verdict"] if words else []))
    return PaperTable(
        name="-".join(part for part in (metric.replace("_", "-"), str(components or "")) if part),
        title=_title(audit, metric, components),
        headings=headings,
        rows=tuple(
            (
                label(code),
                *(_cell(rows.get((code, *column)), column[0]) for column in columns.values()),
                *([sanitize(words.get(code, DASH))] if words else []),
            )
            for code in codes
        ),
        left=frozenset({0, len(headings) - 1}) if words else frozenset({0}),
        notes=(*([headline(audit), measured(audit)] if primary else _scale(rows.values())), *_reasons(rows.values())),
    )


def _columns(audit: Audit, rows: Iterable[Row]) -> dict[str, tuple[str, str]]:
    """Headings, and kind and model of what stands below them."""
    logit = any(row.scale == "logit" for row in rows)
    if not audit.has_reference:
        return {"aligned": ("score", "aligned")}
    return {
        "reference": ("score", "reference"),
        "aligned": ("score", "aligned"),
        "gain (log odds)" if logit else "gain": ("gain", ""),
        "retention": ("retention", ""),
    }


def _matched(audit: Audit, cell: tuple[str, int]) -> Iterator[PaperTable]:
    """The primary estimand on pairs that are matched with the pivot's, where that was asked for."""
    rows = {(row.language, row.kind): row for row in _rows(audit, *cell, "matched")}
    if not rows:
        return
    codes = sorted({code for code, _ in rows}, key=lambda code: order(audit, code))
    verdicts = {one.language: one.cross_check for one in audit.verdicts}
    features = " and ".join(audit.config.get("match", ())) or "what was asked for"
    yield PaperTable(
        name="matched",
        title=f"The same on texts matched with those of {label(audit.pivot)} in {features}",
        headings=("language", "texts per class", "gain", "retention", "verdict on matched texts"),
        rows=tuple(
            (
                label(code),
                str(next(row.estimate.n for row in rows.values() if row.language == code)),
                *(_cell(rows.get((code, kind)), kind) for kind in ("gain", "retention")),
                sanitize(verdicts.get(code) or DASH),
            )
            for code in codes
        ),
        left=frozenset({0, 4}),
        notes=tuple(_reasons(rows.values())),
    )


def _rows(audit: Audit, metric: str, components: int | None, sample: str) -> Sequence[Row]:
    layer, norm = primary_layer(audit)
    return audit.find(metric=metric, components=components, layer=layer, norm=norm, sample=sample)


def _cell(row: Row | None, kind: str) -> str:
    estimate: Estimate | None = row.estimate if row else None
    if kind == "retention":
        return format_with_interval(estimate, digits=RETENTION_DIGITS)
    return format_with_interval(estimate, signed=kind == "gain")


def _title(audit: Audit, metric: str, components: int | None) -> str:
    layer, norm = primary_layer(audit)
    models = " → ".join(sanitize(str(model["name"])) for model in _models(audit))
    parts = [
        metric_words(metric),
        *([f"{components} principal components"] if components else []),
        f"layer {layer}" + (f" ({norm}-norm)" if norm else ""),
    ]
    return f"{sanitize(str(audit.corpus['name']))}, {models}: {', '.join(parts)}"


def _models(audit: Audit) -> list[dict[str, object]]:
    return [audit.models[role] for role in ("reference", "aligned") if audit.models.get(role)]


def _scale(rows: Iterable[Row]) -> list[str]:
    """Say that differences of shares are differences of log odds, and that intervals hold one by one."""
    found = ["Intervals hold one by one, not for all languages together."]
    if any(row.scale == "logit" for row in rows):
        found.append("Gain: difference of log odds.")
    return found


def _reasons(rows: Iterable[Row]) -> list[str]:
    """Say why numbers are missing, a reason a line."""
    missing = sorted({(row.estimate.reason, row.language) for row in rows if row.estimate.reason})
    return [
        f"{DASH} {', '.join(sanitize(code) for _, code in group)}: {sanitize(reason)}."
        for reason, group in groupby(missing, key=lambda pair: pair[0])
    ]
