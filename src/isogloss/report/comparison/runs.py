"""Several audits -> tables of runs: gains and verdicts, warnings, and descendants of one reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from isogloss.report.audit_tables import LANGUAGE
from isogloss.report.cells import count_cell, estimate_cell, number_cell
from isogloss.report.comparison.tables import RUN, fill_runs, run_cells
from isogloss.report.estimates import DASH
from isogloss.report.palette import OPEN
from isogloss.report.sentences import by_code
from isogloss.report.table import Cell, Column, Table, TableKind
from isogloss.report.view import Named, View, view
from isogloss.results import Audit
from isogloss.text import sanitize
from isogloss.warnings import WARNINGS

GROUPS: Mapping[str, frozenset[str]] = {
    "reached": frozenset({"reached"}),
    "in part": frozenset({"weakened", "lagging"}),
    "not reached": frozenset({"not reached"}),
    "reversed": frozenset({"reversed"}),
    "open": OPEN,
}

RUNS = TableKind(
    key="runs",
    title="Runs: the gain in the pivot, and the number of other languages by verdict",
    columns=(
        RUN,
        Column(key="gain", heading="gain in the pivot", description="The gain that all retention rests on."),
        Column(key="pivot_z", heading="z of that gain", description="The gain in the pivot over its standard error."),
        *(
            Column(key=name.replace(" ", "_"), heading=name, description=f"Languages whose verdict is {words}.")
            for name, words in (
                ("reached", "reached"),
                ("in part", "weakened or lagging"),
                ("not reached", "not reached"),
                ("reversed", "reversed"),
                ("open", "confounded, inconclusive or not measured"),
            )
        ),
    ),
)
CODES = TableKind(
    key="codes",
    title="Warnings by run, and how many languages they touch",
    columns=(
        Column(key="warning", heading="warning", description="Code and meaning of the warning.", align="left"),
        replace(RUN, description="Languages that the warning touches in this run; one column for each run."),
    ),
)
DESCENDANTS = TableKind(
    key="descendants",
    title="Descendants of one reference model",
    columns=(
        LANGUAGE,
        replace(
            RUN,
            description="Gain over the reference and verdict of each descendant, or its separation where there is no "
            "reference; one column for each descendant.",
            align="right",
        ),
    ),
)
TABLES = (RUNS, CODES, DESCENDANTS)


def runs_table(names: Sequence[str], views: Sequence[View]) -> Table:
    """Fill a row for each run: the gain that all retention rests on, and how many languages have each verdict."""
    rows = []
    for name, run in zip(names, views, strict=True):
        row = run.primary_row("gain", run.pivot)
        counts = Counter(language.known for language in run.others)
        judged = run.audit.has_reference and bool(run.others)
        cells = {
            "run": Cell(text=name),
            "gain": estimate_cell(row.estimate if row else None, signed=True),
            "pivot_z": number_cell(row.pivot_z if row else None, digits=1),
        }
        for group, words in GROUPS.items():
            total = sum(counts[word] for word in words)
            cells[group.replace(" ", "_")] = count_cell(total) if judged else Cell()
        rows.append(cells)
    return RUNS.fill(rows)


def codes_table(names: Sequence[str], views: Sequence[View]) -> Table | None:
    """Fill a row for each warning: how many languages it touches in each run; None without warnings."""
    codes = sorted({warning.code for run in views for warning in run.audit.warnings})
    rows = []
    for code in codes:
        cells = []
        for run in views:
            group = by_code(run.audit.warnings).get(code, [])
            touched = {warning.language for warning in group if warning.language}
            text = f"{len(touched)} of {len(run.languages)} languages" if touched else ("yes" if group else DASH)
            cells.append(Cell(text=text, value=len(touched) or len(group)))
        rows.append({"warning": Cell(text=code, note=WARNINGS[code].meaning)} | run_cells(cells))
    return fill_runs(CODES, names, rows) if rows else None


def descendant_table(audits: Mapping[str, Audit]) -> Table:
    """Fill a row for each language: its gain in each audit with the verdict, or the aligned score without a gain.

    Args:
        audits: name -> audit, at least one, all of the same corpus and settings.
    """
    views = [view(audit) for audit in audits.values()]
    rows = [
        {"language": language.cell} | run_cells([_descendant_cell(run, language) for run in views])
        for language in views[0].languages
    ]
    caption = (
        "Intervals and verdicts hold within one descendant: nothing here corrects for picking the best of several."
    )
    return fill_runs(DESCENDANTS, [sanitize(name) for name in audits], rows, caption=caption)


def _descendant_cell(run: View, language: Named) -> Cell:
    kind, model = ("gain", "") if run.audit.has_reference else ("score", "aligned")
    row = run.primary_row(kind, language, model=model)
    cell = estimate_cell(row.estimate if row else None, signed=run.audit.has_reference)
    if row is None or cell.text == DASH or not row.verdict:
        return replace(cell, interval="")
    return replace(cell, text=f"{cell.text} {sanitize(row.verdict)}", interval="", tag=language.known)
