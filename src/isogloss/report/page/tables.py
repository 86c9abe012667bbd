"""The page's tables: cells with what is shown and, for sorting and checking, the number itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from isogloss.report.numbers import DASH, interval, number, plain
from isogloss.report.page.figures import metric_title, metrics_of
from isogloss.report.page.languages import Named, primary, primary_row
from isogloss.report.tables import CONTROL_HEADINGS, primary_layer
from isogloss.report.visible import visible
from isogloss.results import Audit, Estimate


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What a cell shows, the number behind it, and what stands below it in small print."""

    text: str
    value: float | None = None
    below: str = ""
    tag: str = ""
    kind: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table; the first cell of a line is its heading. `groups` names what each line belongs to, for filters."""

    name: str
    caption: str
    headings: tuple[str, ...]
    lines: tuple[tuple[Cell, ...], ...]
    left: frozenset[str] = frozenset()
    groups: tuple[int, ...] = ()


def language_table(audit: Audit, languages: Sequence[Named]) -> Table:
    """One line a language at the primary estimand: verdict, retention, gain, and what they rest on."""
    retained = audit.has_reference and len(languages) > 1
    headings = ["language", "resources"]
    headings += ["verdict", "retention", "gain"] if retained else (["gain"] if audit.has_reference else [])
    headings += ["reference", "aligned"] if audit.has_reference else ["aligned"]
    headings += ["smallest visible gap"] if retained else []
    headings += ["probe AUROC", "warnings"]
    return Table(
        name="languages",
        caption="Languages at the number that verdicts come from",
        headings=tuple(headings),
        lines=tuple(tuple(_language_cells(audit, one)[name] for name in headings) for one in languages),
        left=frozenset({"language", "resources", "verdict", "warnings"}),
    )


def _language_cells(audit: Audit, one: Named) -> dict[str, Cell]:
    gain = primary_row(audit, one.code, "gain")
    codes = dict.fromkeys(notice.code for notice in audit.notices if notice.language == one.code)
    said = []
    if one.verdict and one.verdict.disagree:
        said.append("metrics disagree")
    if one.verdict and one.verdict.matched:
        said.append(f"on matched texts: {one.verdict.matched}")
    if one.verdict and one.verdict.reason:
        said.append(one.verdict.reason)
    level = one.resource_class
    return {
        "language": _heading(one),
        "resources": Cell(text=DASH if level is None else f"class {level}", value=level, below=one.group),
        "verdict": Cell(text=one.word, below=visible("; ".join(said)), kind=one.known),
        "retention": Cell(text="pivot") if one.pivot else _cell(primary(audit, one.code, "retention"), digits=2),
        "gain": _cell(gain.estimate if gain else None, signed=True),
        "reference": _cell(primary(audit, one.code, "score", "reference")),
        "aligned": _cell(primary(audit, one.code, "score", "aligned")),
        "smallest visible gap": _plain(gain.detectable_gap if gain else math.nan),
        "probe AUROC": _probe(audit, one),
        "warnings": Cell(text=" ".join(codes) or DASH),
    }


def _heading(one: Named) -> Cell:
    return Cell(text=one.name, below=visible(one.code), tag=one.tag)


def _cell(estimate: Estimate | None, *, digits: int = 3, signed: bool = False) -> Cell:
    if estimate is None:
        return Cell(text=DASH)
    bounds = interval(estimate, digits=digits, signed=signed)
    below = visible(estimate.reason or "") if math.isnan(estimate.value) else ("" if bounds == DASH else bounds)
    value = None if math.isnan(estimate.value) else estimate.value
    return Cell(text=number(estimate, digits=digits, signed=signed), value=value, below=below)


def _plain(value: float, *, digits: int = 3) -> Cell:
    return Cell(text=plain(value, digits=digits), value=None if math.isnan(value) else value)


def _probe(audit: Audit, one: Named) -> Cell:
    layer, norm = primary_layer(audit)
    here = {"kind": "score", "language": one.code, "layer": layer, "norm": norm, "metric": "auroc", "sample": "all"}
    before, after = (audit.value(model=model, **here) for model in ("reference", "aligned"))
    cell = _cell(after, digits=2)
    was = f"before {number(before, digits=2)}" if before and not math.isnan(before.value) else ""
    return Cell(text=cell.text, value=cell.value, below=was or cell.below)


def score_table(audit: Audit, languages: Sequence[Named]) -> Table:
    """Every metric at the primary layer: scores, gain, retention, chance and p values."""
    layer, norm = primary_layer(audit)
    lines, groups = [], []
    metrics = metrics_of(audit)
    for group, (metric, components) in enumerate(metrics):
        here = {"layer": layer, "norm": norm, "metric": metric, "components": components, "sample": "all"}
        for one in languages:
            score = {
                model: audit.value(kind="score", language=one.code, model=model, **here)
                for model in ("reference", "aligned")
            }
            found = {kind: audit.value(kind=kind, language=one.code, **here) for kind in ("gain", "retention")}
            aligned = score["aligned"]
            line = [_heading(one), Cell(text=metric_title(metric, components))]
            if audit.has_reference:
                line.append(_cell(score["reference"]))
            line += [_cell(aligned), _plain(aligned.null_high if aligned else math.nan)]
            line.append(_p(aligned))
            if audit.has_reference:
                logit = any(row.scale == "logit" for row in audit.find(kind="gain", language=one.code, **here))
                gain = _cell(found["gain"], signed=True)
                line.append(Cell(text=gain.text, value=gain.value, below=gain.below + (" log odds" if logit else "")))
                line += [_p(found["gain"]), Cell(text="pivot") if one.pivot else _cell(found["retention"], digits=2)]
            lines.append(tuple(line))
            groups.append(group)
    headings = ["language", "metric", "reference", "aligned", "shuffled up to", "p or fdr", "gain", "p or fdr of gain"]
    headings += ["retention"]
    if not audit.has_reference:
        headings = ["language", "metric", "aligned", "shuffled up to", "p or fdr"]
    return Table(
        name="scores",
        caption="Every metric at the layer that verdicts come from, with 95 % intervals",
        headings=tuple(headings),
        lines=tuple(lines),
        left=frozenset({"language", "metric"}),
        groups=tuple(groups),
    )


def _p(estimate: Estimate | None) -> Cell:
    """What is corrected for many comparisons, where there is such a number."""
    if estimate is None:
        return Cell(text=DASH)
    known = (("family-wise", estimate.p_family), ("fdr", estimate.fdr), ("p", estimate.p_value))
    name, value = next(((name, value) for name, value in known if not math.isnan(value)), ("", math.nan))
    text = "< 0.001" if value < 0.001 else plain(value)  # noqa: PLR2004 - the last digit that is shown
    return Cell(text=text, value=None if math.isnan(value) else value, below=name)


def control_table(audit: Audit, languages: Sequence[Named]) -> Table:
    """The aligned model's probe and its controls, AUROC above share of pairs told apart."""
    layer, norm = primary_layer(audit)
    lines = []
    for one in languages:
        own = {"language": one.code, "sample": "all"}
        probes = [
            audit.value(kind="score", model="aligned", layer=layer, norm=norm, metric=metric, **own)
            for metric in ("auroc", "twin_accuracy")
        ]
        line = [_heading(one), _two(probes)]
        for name in ("length", "ngram", "random_weights"):
            pair = (f"{name}_auroc", f"{name}_twin_accuracy")
            line.append(_two([audit.value(kind="control", metric=metric, **own) for metric in pair]))
        shuffled = audit.value(kind="control", metric="shuffled_labels_auroc", **own)
        line.append(_plain(shuffled.high, digits=2) if shuffled else Cell(text=DASH))
        others = ("edit_share", "tokens_per_character", "bits_per_character")
        line += [_cell(audit.value(kind="control", metric=name, **own), digits=2) for name in others]
        lines.append(tuple(line))
    return Table(
        name="controls",
        caption="The aligned model's probe and what could explain its score: AUROC, and the share of pairs told apart",
        headings=tuple(CONTROL_HEADINGS.values()),
        lines=tuple(lines),
        left=frozenset({"language"}),
    )


def _two(found: Sequence[Estimate | None]) -> Cell:
    first, second = found
    cell = _cell(first, digits=2)
    below = f"pairs {number(second, digits=2)}" if second and not math.isnan(second.value) else cell.below
    return Cell(text=cell.text, value=cell.value, below=below)


def matched_table(audit: Audit, languages: Sequence[Named]) -> Table | None:
    """Retention on all texts beside that on texts matched with the pivot's; None where nothing was matched."""
    lines = []
    for one in languages:
        on_matched = primary_row(audit, one.code, "retention", sample="matched")
        if on_matched and not one.pivot:
            word = visible(one.verdict.matched or DASH) if one.verdict else DASH
            texts = Cell(text=str(on_matched.estimate.n), value=on_matched.estimate.n)
            kept = _cell(primary(audit, one.code, "retention"), digits=2)
            lines.append(
                (_heading(one), Cell(text=one.word, kind=one.known), kept, Cell(text=word),
                 _cell(on_matched.estimate, digits=2), texts)
            )  # fmt: skip
    headings = (
        "language",
        "verdict",
        "retention",
        "verdict, matched",
        "retention, matched",
        "texts per class, matched",
    )
    left = frozenset({"language", "verdict", "verdict, matched"})
    caption = "The same comparison on texts that are matched with the pivot's"
    return Table(name="matched", caption=caption, headings=headings, lines=tuple(lines), left=left) if lines else None


@dataclass(frozen=True, kw_only=True)
class Lost:
    """The pairs of one language that lose most; `ids` are the text ids of toxic text and twin, line by line."""

    language: Named
    table: Table
    ids: tuple[tuple[str, str], ...]


def lost_tables(lost: pl.DataFrame, languages: Sequence[Named]) -> list[Lost]:
    """Write the pairs that lose most, a table a language; `lost` as from `report.pairs.losses`."""
    found = []
    for index, one in enumerate(languages):
        mine = lost.filter(pl.col("language") == one.code)
        if mine.height:
            lines = tuple(
                (
                    Cell(text=visible(row["item_id"] or row["pair_id"])),
                    *(_plain(row[name], digits=2) for name in ("before", "after", "loss")),
                )
                for row in mine.iter_rows(named=True)
            )
            before = "margin in the pivot" if mine["basis"][0] == "pivot" else "margin, reference"
            headings = ("pair", before, "margin, aligned", "loss")
            table = Table(
                name=f"lost-{index}", caption=f"Pairs that lose most in {one.name}", headings=headings, lines=lines,
                left=frozenset({"pair"}),
            )  # fmt: skip
            ids = tuple(mine.select("harmful_id", "harmless_id").iter_rows())
            found.append(Lost(language=one, table=table, ids=ids))
    return found
