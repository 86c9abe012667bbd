"""The tables that every audit has: languages at the primary estimand, and every metric."""

from __future__ import annotations

import math
from dataclasses import replace

from isogloss.records import Estimate, Row
from isogloss.report.cells import change_cell, estimate_cell, number_cell, text_cell
from isogloss.report.estimates import DASH, format_value
from isogloss.report.sentences import measured, metric_title
from isogloss.report.table import Cell, Column, Table, TableKind
from isogloss.report.view import MODELS, Named, View
from isogloss.results import Audit
from isogloss.text import sanitize
from isogloss.warnings import WARNINGS

LANGUAGE = Column(key="language", heading="language", description="Code and name of the language.", align="left")
VERDICT = Column(
    key="verdict",
    heading="verdict",
    description="Read from the whole interval of retention; docs/methods.md explains the words.",
    align="left",
)
RETENTION = Column(key="retention", heading="retention", description="Gain as a share of the pivot's gain.")
GAIN = Column(
    key="gain", heading="gain", description="Separation in the aligned model minus the reference.", priority=1
)
REFERENCE = Column(
    key="reference", heading="reference", description="Separation in the model before alignment.", priority=4
)
ALIGNED = Column(key="aligned", heading="aligned", description="Separation in the model after alignment.", priority=3)
NULL = Column(
    key="null",
    heading="null 97.5%",
    description="97.5th percentile of the aligned model's score under permuted labels.",
    priority=5,
)

LANGUAGES = TableKind(
    key="languages",
    title="Languages at the primary estimand",
    columns=(
        LANGUAGE,
        VERDICT,
        RETENTION,
        GAIN,
        REFERENCE,
        ALIGNED,
        NULL,
        Column(
            key="probe",
            heading="probe AUROC",
            description="AUROC of a cross-fitted linear probe, reference → aligned.",
            priority=5,
        ),
        Column(
            key="distance",
            heading="class distance",
            description=(
                "Squared distance of the class means, reference → aligned, in units of the reference model's variance "
                "within classes in the pivot language."
            ),
            priority=2,
        ),
        Column(
            key="mde",
            heading="MDE",
            description="Minimum detectable gap to the pivot's gain, at 90 % power.",
            priority=7,
        ),
        Column(
            key="warnings",
            heading="warnings",
            description="Codes of the warnings about the language; those about levels stand beside the controls.",
            align="left",
            priority=6,
        ),
        Column(
            key="resources",
            heading="resources",
            description="Resource class of the language, 0 (least) to 5 (Joshi et al. 2020).",
            align="left",
            priority=8,
        ),
    ),
)
SCORES = TableKind(
    key="scores",
    title="Every metric at the layer that verdicts come from",
    columns=(
        LANGUAGE,
        Column(
            key="metric",
            heading="metric",
            description="Metric and the principal components that it reads.",
            align="left",
        ),
        replace(REFERENCE, description="Score in the model before alignment."),
        replace(ALIGNED, description="Score in the model after alignment."),
        NULL,
        Column(
            key="p_score",
            heading="p of score",
            description="Family-wise p of the aligned model's score, else its false discovery rate, else its p.",
            priority=6,
        ),
        replace(GAIN, description="Aligned minus reference; a difference of log odds where the cell says so."),
        Column(
            key="p_gain",
            heading="p of gain",
            description="Family-wise p of the gain, else its false discovery rate, else its p.",
            priority=6,
        ),
        RETENTION,
    ),
)


def language_table(view: View) -> Table:
    """Fill a row for each language at the primary estimand; the pivot comes first."""
    return LANGUAGES.fill([_language_cells(view, language) for language in view.languages], caption=measured(view))


def _language_cells(view: View, language: Named) -> dict[str, Cell]:
    audit = view.audit
    level = language.resource_class
    aligned = view.primary("score", language, model="aligned")
    probes, distances = (
        [view.estimate("score", language, name, model=model) for model in MODELS]
        for name in ("auroc", "class_distance")
    )
    cells = {
        "language": language.cell,
        "aligned": estimate_cell(aligned),
        "probe": change_cell(*probes, digits=2),
        "distance": change_cell(*distances),
        "resources": Cell() if level is None else Cell(text=f"class {level}", value=level, note=language.group),
        "warnings": warning_cell(view, language, levels=False),
    }
    if not audit.has_reference:
        return cells | {"null": number_cell(aligned.null_high if aligned else None)}
    gain = view.primary_row("gain", language)
    cells |= {
        "reference": estimate_cell(view.primary("score", language, model="reference")),
        "gain": estimate_cell(gain.estimate if gain else None, signed=True),
    }
    if not view.others:
        return cells
    return cells | {
        "verdict": verdict_cell(language),
        "retention": retention_cell(view, language),
        "mde": number_cell(gain.mde if gain else None),
    }


def warning_cell(view: View, language: Named, *, levels: bool) -> Cell:
    """List the codes of a language's warnings: those that qualify levels only, or all others."""
    codes = dict.fromkeys(
        warning.code
        for warning in view.audit.warnings
        if warning.language == language.code and WARNINGS[warning.code].levels == levels
    )
    return text_cell(" ".join(codes))


def verdict_cell(language: Named) -> Cell:
    """Show the verdict of a language, that metrics disagree, and what a cross-check or the reason says."""
    verdict = language.verdict
    if verdict is None:
        return Cell()
    notes = [f"cross-check: {verdict.cross_check}"] if verdict.cross_check else []
    notes += [verdict.reason] if verdict.reason else []
    text = f"{language.word}, metrics disagree" if verdict.disagree else language.word
    return Cell(text=text, note=sanitize("; ".join(notes)), tag=language.known)


def retention_cell(view: View, language: Named, *, sample: str = "all") -> Cell:
    """Show the retention of a language; the pivot has none."""
    return Cell() if language.pivot else estimate_cell(view.primary("retention", language, sample=sample), digits=2)


def metrics_of(audit: Audit) -> list[tuple[str, int | None]]:
    """Metrics with scores, each with its components; the primary one first."""
    primary = (audit.primary.metric, audit.primary.components)
    metrics = dict.fromkeys((row.metric, row.components) for row in audit.find(kind="score"))
    return sorted(metrics, key=lambda metric: metric != primary)


def score_table(view: View) -> Table:
    """Fill a row for each metric and language at the primary layer; each metric is a group."""
    metrics = metrics_of(view.audit)
    return SCORES.fill(
        [_score_cells(view, language, *metric) for metric in metrics for language in view.languages],
        caption="Intervals hold one by one; those of the primary estimand hold for all languages together.",
        groups=[number for number, _ in enumerate(metrics) for _ in view.languages],
    )


def _score_cells(view: View, language: Named, metric: str, components: int | None) -> dict[str, Cell]:
    def estimate(kind: str, model: str = "") -> Estimate | None:
        return view.estimate(kind, language, metric, model=model, components=components)

    aligned = estimate("score", "aligned")
    cells = {
        "language": language.cell,
        "metric": Cell(text=metric_title(metric, components)),
        "aligned": estimate_cell(aligned),
        "null": number_cell(aligned.null_high if aligned else None),
        "p_score": _p_cell(aligned),
    }
    if not view.audit.has_reference:
        return cells
    gain = view.row("gain", language, metric, components=components)
    return cells | {
        "reference": estimate_cell(estimate("score", "reference")),
        "gain": _gain_cell(gain),
        "p_gain": _p_cell(gain.estimate if gain else None),
        "retention": Cell() if language.pivot else estimate_cell(estimate("retention"), digits=2),
    }


def _gain_cell(gain: Row | None) -> Cell:
    cell = estimate_cell(gain.estimate if gain else None, signed=True)
    return replace(cell, note="log odds") if gain and gain.scale == "logit" and cell.text != DASH else cell


def _p_cell(estimate: Estimate | None) -> Cell:
    """Show what is corrected for many comparisons, where there is such a number."""
    if estimate is None:
        return Cell()
    known = (("family-wise", estimate.p_family), ("fdr", estimate.fdr), ("p", estimate.p_value))
    name, value = next(((name, value) for name, value in known if not math.isnan(value)), ("", math.nan))
    if math.isnan(value):
        return Cell()
    text = "< 0.001" if value < 0.001 else format_value(value)  # noqa: PLR2004 - the last digit that is shown
    return Cell(text=text, value=value, note=name)
