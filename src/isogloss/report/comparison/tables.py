"""Several audits -> tables with a column or a row for each run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from isogloss.records import Estimate
from isogloss.report.audit_tables import LANGUAGE, verdict_cell
from isogloss.report.cells import estimate_cell
from isogloss.report.comparison.comparable import NamedAudits, remarks, warning
from isogloss.report.estimates import DASH, format_interval, format_number, format_percent
from isogloss.report.sentences import metric_title
from isogloss.report.table import Cell, Column, Table, TableKind
from isogloss.report.view import Named, View, number_equal_names, view
from isogloss.results import Audit
from isogloss.text import sanitize

#: So many runs can be chosen to hold others against: the table grows with the square of them.
BASELINES = 12
#: Intervals of two audits can be held against each other in one table.
TWO = 2
#: What can be said of two intervals: the first lies above the other, below it, or neither.
HIGHER, LOWER, OVERLAP = "higher", "lower", "overlap"
RUN = Column(key="run", heading="run", description="Name of the run.", align="left")

COMPARED = TableKind(
    key="comparison",
    title="Languages by run",
    columns=(
        LANGUAGE,
        Column(key="quantity", heading="quantity", description="What the row compares.", align="left"),
        replace(RUN, description="The number in this run with its interval; one column for each run.", align="right"),
    ),
)
AGAINST = TableKind(
    key="against",
    title="Does the interval of retention exclude that of another run?",
    columns=(
        LANGUAGE,
        Column(
            key="baseline",
            heading="held against",
            description="The run that the others are held against.",
            align="left",
        ),
        replace(
            RUN,
            description="Whether the interval of retention lies above (higher) or below (lower) that of the run it is "
            "held against, or overlaps it; one column for each run.",
        ),
    ),
)
TABLES = (COMPARED, AGAINST)


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """What a comparison can show; `name` is "retention", "gain", "separation" or "verdict"."""

    name: str
    title: str
    kind: str = ""
    model: str = ""
    digits: int = 3
    signed: bool = False


QUANTITIES = (
    Quantity(
        name="retention", title="retention: share of the pivot's gain that was retained", kind="retention", digits=2
    ),
    Quantity(name="gain", title="gain: separation after minus before alignment", kind="gain", signed=True),
    Quantity(name="separation", title="separation in the aligned model", kind="score", model="aligned"),
    Quantity(name="verdict", title="verdict"),
)


def languages_of(views: Sequence[View]) -> list[Named]:
    """All languages: pivots first, then by mean retention, or by the first run that has them."""
    by_name: dict[str, Named] = {}
    for run in views:
        for language in run.languages:
            by_name.setdefault(language.code, language)
    codes = list(by_name)

    def order(code: str) -> tuple[bool, float, int]:
        pivot = any(run.audit.pivot == code for run in views)
        retained = [run.primary("retention", by_name[code]) for run in views]
        known = [estimate.value for estimate in retained if estimate and not math.isnan(estimate.value)]
        return not pivot, -sum(known) / len(known) if known else math.inf, codes.index(code)

    return number_equal_names([by_name[code] for code in sorted(codes, key=order)])


def comparison_tables(audits: NamedAudits, *, intervals: bool = True) -> list[Table]:
    """Fill a table for each quantity, with a row for each language and a column for each audit.

    Args:
        audits: names and audits; see `comparable.name_audits`.
        intervals: with the interval of every number.
    """
    names, views = [sanitize(name) for name, _ in audits], [view(audit) for _, audit in audits]
    languages, caution = languages_of(views), warning(audits)
    first = audits[0][1]
    metric = metric_title(first.primary.metric, first.primary.components, unit="principal components")
    tables = []
    for quantity in QUANTITIES:
        if not quantity.kind:
            continue
        rows = [
            {"language": language.cell} | run_cells([quantity_cell(run, language, quantity) for run in views])
            for language in languages
        ]
        title = f"{sanitize(str(first.corpus['name']))}: {quantity.title} ({metric})"
        table = fill_runs(
            COMPARED,
            names,
            rows,
            key=f"comparison-{quantity.name}",
            title=f"{caution} {title}" if caution else title,
            caption=" ".join(remarks(audits)) if quantity.name == "retention" else "",
        )
        tables.append(table if intervals else without_intervals(table))
    if len(audits) == TWO:
        table = against_table(names, views, languages, baselines=1)
        tables.append(replace(table, caption=f"{table.caption} {caution}" if caution else table.caption))
    return tables


def without_intervals(table: Table) -> Table:
    """Leave the intervals out, for a narrow terminal."""
    return replace(table, rows=tuple(tuple(replace(cell, interval="") for cell in row) for row in table.rows))


def quantities_table(names: Sequence[str], views: Sequence[View], languages: Sequence[Named]) -> Table:
    """Fill all quantities into one table, a group of rows for each: what the heat map of the page shows."""
    rows, groups = [], []
    for group, quantity in enumerate(QUANTITIES):
        for language in languages:
            cells = run_cells([quantity_cell(run, language, quantity) for run in views])
            rows.append({"language": language.cell, "quantity": Cell(text=quantity.name)} | cells)
            groups.append(group)
    return fill_runs(COMPARED, names, rows, key="cells", groups=groups)


def quantity_cell(run: View, language: Named, quantity: Quantity) -> Cell:
    """Show a quantity of a language in a run; retention with its verdict."""
    in_run = run.find(language.code)
    if in_run is None:
        return Cell(note="not in this run")
    if not quantity.kind:
        return verdict_cell(in_run)
    estimate = run.primary(quantity.kind, in_run, model=quantity.model)
    cell = estimate_cell(estimate, digits=quantity.digits, signed=quantity.signed)
    if quantity.name != "retention":
        return cell
    text = in_run.word if cell.text == DASH else f"{cell.text} {in_run.word}"
    return replace(cell, text=text, tag=in_run.known)


def against_table(
    names: Sequence[str], views: Sequence[View], languages: Sequence[Named], *, baselines: int = BASELINES
) -> Table:
    """Hold every run against one of them, a group of rows for each: does its interval exclude that of the other run?

    Nothing is tested: the answer follows from the two intervals alone, whatever the dependence between the audits.
    """
    pivots = {run.audit.pivot for run in views}
    rows, groups = [], []
    for group, (name, base) in enumerate(zip(names[:baselines], views, strict=False)):
        for language in languages:
            if language.code in pivots:
                continue
            baseline = base.primary("retention", language)
            cells = [
                estimate_cell(baseline, digits=2)
                if run is base
                else _held_cell(run.primary("retention", language), baseline)
                for run in views
            ]
            rows.append({"language": language.cell, "baseline": Cell(text=name)} | run_cells(cells))
            groups.append(group)
    return fill_runs(AGAINST, names, rows, groups=groups, caption=error_rate_words([run.audit for run in views]))


def error_rate_words(audits: Sequence[Audit]) -> str:
    """Say how often "higher" or "lower" can be wrong, at most."""
    levels = [audit.config.get("level") for audit in audits]
    wrong = [1 - float(level) for level in levels if isinstance(level, float)]
    rate = ""
    if len(wrong) == len(audits):
        pair = format_percent(sum(sorted(wrong, reverse=True)[:TWO]))
        every = format_percent(min(1.0, sum(wrong)))
        rate = f" The chance that any such word is wrong is at most {pair} for two runs"
        rate += f", and at most {every} for all of them at once" if len(audits) > TWO else ""
        rate += " (≈: approximate, may be more)."
    return (
        "The intervals of an audit hold for all its languages together. Where they exclude each other, retention "
        f"differs.{rate} Where they overlap nothing follows: it does not mean that the models are alike."
    )


def hold_against(estimate: Estimate | None, base: Estimate | None) -> str:
    """Say whether an interval lies above another, below it, or overlaps it; a dash where either does not exist."""
    if estimate is None or base is None or math.isnan(estimate.low) or math.isnan(base.low):
        return DASH
    if estimate.low > base.high:
        return HIGHER
    return LOWER if estimate.high < base.low else OVERLAP


def _held_cell(estimate: Estimate | None, base: Estimate | None) -> Cell:
    word = hold_against(estimate, base)
    value = {HIGHER: 1.0, LOWER: -1.0, OVERLAP: 0.0}.get(word)
    shown = format_number(estimate, digits=2)
    if DASH in {word, shown}:
        return Cell()
    return Cell(text=word, value=value, interval=f"{shown} {format_interval(estimate, digits=2)}")


def run_cells(cells: Sequence[Cell]) -> dict[str, Cell]:
    """Key the cells of one row by the columns of `fill_runs`."""
    return {f"run_{number}": cell for number, cell in enumerate(cells)}


def fill_runs(
    kind: TableKind,
    names: Sequence[str],
    rows: Sequence[Mapping[str, Cell]],
    *,
    key: str = "",
    title: str = "",
    caption: str = "",
    groups: Sequence[int] = (),
) -> Table:
    """Fill a table whose last declared column stands for one column of each run; the caption describes it once."""
    *fixed, run = kind.columns
    runs = [replace(run, key=f"run_{number}", heading=name, description="") for number, name in enumerate(names)]
    described = " ".join(part for part in (caption, run.description.split(";")[0].rstrip(".") + ".") if part)
    return replace(kind, columns=(*fixed, *runs)).fill(rows, key=key, title=title, caption=described, groups=groups)


def comparison_frame(audits: NamedAudits) -> pl.DataFrame:
    """Put the rows of all audits into one tidy frame, with the run and its models in front."""
    caution = warning(audits)
    return pl.concat(
        audit.table().select(
            pl.lit(name).alias("run"),
            pl.lit(_model_name(audit, "reference"), dtype=pl.String).alias("reference"),
            pl.lit(_model_name(audit, "aligned"), dtype=pl.String).alias("aligned"),
            *([pl.lit(caution).alias("caution")] if caution else []),
            pl.all(),
        )
        for name, audit in audits
    )


def _model_name(audit: Audit, role: str) -> str | None:
    model = audit.models.get(role)
    return str(model["name"]) if model else None
