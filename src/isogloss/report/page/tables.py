"""The page's tables: cells with what is shown and, for sorting and checking, the number itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from isogloss.records import Estimate, Row
from isogloss.report.estimates import DASH, format_interval, format_number, format_value
from isogloss.report.grammar import MODELS
from isogloss.report.page.figures import metric_title, metrics_of
from isogloss.report.page.view import Named, View
from isogloss.report.tables import CONTROL_HEADINGS
from isogloss.text import sanitize


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


def language_table(view: View) -> Table:
    """One line a language at the primary estimand: verdict, retention, gain, and what they rest on."""
    audit, languages = view.audit, view.languages
    retained = audit.has_reference and bool(view.others)
    headings = ["language", "resources"]
    headings += ["verdict", "retention", "gain"] if retained else (["gain"] if audit.has_reference else [])
    headings += ["reference", "aligned"] if audit.has_reference else ["aligned"]
    headings += ["smallest visible gap"] if retained else []
    headings += ["probe AUROC", "warnings"]
    return Table(
        name="languages",
        caption="Languages at the number that verdicts come from",
        headings=tuple(headings),
        lines=tuple(tuple(_language_cells(view, one)[name] for name in headings) for one in languages),
        left=frozenset({"language", "resources", "verdict", "warnings"}),
    )


def _language_cells(view: View, one: Named) -> dict[str, Cell]:
    gain = view.primary_row("gain", one)
    codes = dict.fromkeys(warning.code for warning in view.audit.warnings if warning.language == one.code)
    said = []
    if one.verdict and one.verdict.disagree:
        said.append("metrics disagree")
    if one.verdict and one.verdict.cross_check:
        said.append(f"on matched texts: {one.verdict.cross_check}")
    if one.verdict and one.verdict.reason:
        said.append(one.verdict.reason)
    level = one.resource_class
    return {
        "language": heading(one),
        "resources": Cell(text=DASH if level is None else f"class {level}", value=level, below=one.group),
        "verdict": Cell(text=one.word, below=sanitize("; ".join(said)), kind=one.known),
        "retention": Cell(text="pivot") if one.pivot else estimate_cell(view.primary("retention", one), digits=2),
        "gain": estimate_cell(gain.estimate if gain else None, signed=True),
        "reference": estimate_cell(view.primary("score", one, model="reference")),
        "aligned": estimate_cell(view.primary("score", one, model="aligned")),
        "smallest visible gap": _plain(gain.mde if gain else math.nan),
        "probe AUROC": _probe(view, one),
        "warnings": Cell(text=" ".join(codes) or DASH),
    }


def heading(one: Named) -> Cell:
    """Head a line with its language."""
    return Cell(text=one.name, below=sanitize(one.code), tag=one.tag)


def estimate_cell(estimate: Estimate | None, *, digits: int = 3, signed: bool = False) -> Cell:
    """Show an estimate with its interval below."""
    if estimate is None:
        return Cell(text=DASH)
    bounds = format_interval(estimate, digits=digits, signed=signed)
    below = sanitize(estimate.reason or "") if math.isnan(estimate.value) else ("" if bounds == DASH else bounds)
    value = None if math.isnan(estimate.value) else estimate.value
    return Cell(text=format_number(estimate, digits=digits, signed=signed), value=value, below=below)


def _plain(value: float, *, digits: int = 3) -> Cell:
    return Cell(text=format_value(value, digits=digits), value=None if math.isnan(value) else value)


def _probe(view: View, one: Named) -> Cell:
    before, after = (view.estimate("score", one, "auroc", model=model) for model in ("reference", "aligned"))
    cell = estimate_cell(after, digits=2)
    was = f"before {format_number(before, digits=2)}" if before and not math.isnan(before.value) else ""
    return Cell(text=cell.text, value=cell.value, below=was or cell.below)


def score_table(view: View) -> Table:
    """Every metric at the primary layer: scores, gain, retention, chance and p values."""
    audit = view.audit
    lines, groups = [], []
    metrics = metrics_of(audit)
    for group, (metric, components) in enumerate(metrics):
        for one in view.languages:
            score = {model: view.estimate("score", one, metric, model=model, components=components) for model in MODELS}
            gain, kept = (view.row(kind, one, metric, components=components) for kind in ("gain", "retention"))
            aligned = score["aligned"]
            line = [heading(one), Cell(text=metric_title(metric, components))]
            if audit.has_reference:
                line.append(estimate_cell(score["reference"]))
            line += [estimate_cell(aligned), _plain(aligned.null_high if aligned else math.nan)]
            line.append(_p(aligned))
            if audit.has_reference:
                line += _gain_cells(gain)
                line.append(
                    Cell(text="pivot") if one.pivot else estimate_cell(kept.estimate if kept else None, digits=2)
                )
            lines.append(tuple(line))
            groups.append(group)
    headings = ["language", "metric", "reference", "aligned", "null 97.5%", "p or fdr", "gain", "p or fdr of gain"]
    headings += ["retention"]
    if not audit.has_reference:
        headings = ["language", "metric", "aligned", "null 97.5%", "p or fdr"]
    return Table(
        name="scores",
        caption="Every metric at the layer that verdicts come from, with 95 % intervals",
        headings=tuple(headings),
        lines=tuple(lines),
        left=frozenset({"language", "metric"}),
        groups=tuple(groups),
    )


def _gain_cells(gain: Row | None) -> list[Cell]:
    found = estimate_cell(gain.estimate if gain else None, signed=True)
    logit = " log odds" if gain and gain.scale == "logit" else ""
    return [replace(found, below=found.below + logit), _p(gain.estimate if gain else None)]


def _p(estimate: Estimate | None) -> Cell:
    """What is corrected for many comparisons, where there is such a number."""
    if estimate is None:
        return Cell(text=DASH)
    known = (("family-wise", estimate.p_family), ("fdr", estimate.fdr), ("p", estimate.p_value))
    name, value = next(((name, value) for name, value in known if not math.isnan(value)), ("", math.nan))
    text = "< 0.001" if value < 0.001 else format_value(value)  # noqa: PLR2004 - the last digit that is shown
    return Cell(text=text, value=None if math.isnan(value) else value, below=name)


def control_table(view: View) -> Table:
    """The aligned model's probe and its controls, AUROC above share of pairs told apart."""
    lines = []
    for one in view.languages:
        probes = [view.estimate("score", one, metric, model="aligned") for metric in ("auroc", "pair_accuracy")]
        line = [heading(one), _two(probes)]
        for name in ("length", "ngram", "untrained"):
            pair = (f"{name}_auroc", f"{name}_pair_accuracy")
            line.append(_two([view.estimate("control", one, metric) for metric in pair]))
        permuted = view.estimate("control", one, "permuted_labels_auroc")
        line.append(_plain(permuted.high, digits=2) if permuted else Cell(text=DASH))
        others = ("edit_rate", "tokens_per_character", "bits_per_character")
        line += [estimate_cell(view.estimate("control", one, name), digits=2) for name in others]
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
    cell = estimate_cell(first, digits=2)
    below = f"pairs {format_number(second, digits=2)}" if second and not math.isnan(second.value) else cell.below
    return Cell(text=cell.text, value=cell.value, below=below)


def matched_table(view: View) -> Table | None:
    """Retention on all texts beside that on texts matched with the pivot's; None where nothing was matched."""
    lines = []
    for one in view.languages:
        on_matched = view.primary_row("retention", one, sample="matched")
        if on_matched and not one.pivot:
            word = sanitize(one.verdict.cross_check or DASH) if one.verdict else DASH
            texts = Cell(text=str(on_matched.estimate.n), value=on_matched.estimate.n)
            kept = estimate_cell(view.primary("retention", one), digits=2)
            lines.append(
                (heading(one), Cell(text=one.word, kind=one.known), kept, Cell(text=word),
                 estimate_cell(on_matched.estimate, digits=2), texts)
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


def prompt_format_table(view: View) -> Table | None:
    """Model and prompt format, two by two, and their difference in differences; None unless both prompt formats were read."""
    if not view.audit.find(sample="chat"):
        return None
    both = view.audit.has_reference
    lines = []
    for one in view.languages:
        line = [heading(one)]
        for sample in ("all", "chat"):
            scores = [view.primary_row("score", one, model=model, sample=sample) for model in MODELS]
            line += [estimate_cell(row.estimate if row else None) for row in (scores if both else scores[1:])]
            if both:
                line.append(_gain_and_verdict(view.primary_row("gain", one, sample=sample)))
        if both:
            difference = view.primary_row("prompt_format", one, sample="chat")
            line.append(estimate_cell(difference.estimate if difference else None, signed=True))
        lines.append(tuple(line))
    columns = [*(["reference"] if both else []), "aligned", *(["gain"] if both else [])]
    headings = ["language", *(f"{name}, {where}" for where in ("raw", "chat") for name in columns)]
    return Table(
        name="prompt formats",
        caption="Separation on raw text and in the chat template",
        headings=(*headings, *(["difference of gains"] if both else [])),
        lines=tuple(lines),
        left=frozenset({"language"}),
    )


def _gain_and_verdict(gain: Row | None) -> Cell:
    found = estimate_cell(gain.estimate if gain else None, signed=True)
    word = sanitize(gain.verdict) if gain else ""
    return replace(found, below=f"{word} {found.below}".strip())


@dataclass(frozen=True, kw_only=True)
class Lost:
    """The pairs of one language that lose most; `ids` are the ids, as shown, of toxic text and twin, line by line."""

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
                    Cell(text=sanitize(row["item_id"] or row["pair_id"])),
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
            ids = tuple(
                (sanitize(toxic), sanitize(partner))
                for toxic, partner in mine.select("harmful_id", "harmless_id").iter_rows()
            )
            found.append(Lost(language=one, table=table, ids=ids))
    return found
