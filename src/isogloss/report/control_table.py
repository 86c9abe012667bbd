"""The table of controls: the aligned model's probe, and what else could explain its score."""

from __future__ import annotations

from isogloss.records import Estimate
from isogloss.report.audit_tables import LANGUAGE, warning_cell
from isogloss.report.cells import estimate_cell, number_cell, pair_cell
from isogloss.report.table import Cell, Column, Table, TableKind
from isogloss.report.view import Named, View

CONTROLS = TableKind(
    key="controls",
    title="The aligned model's probe, and what else could explain its score",
    columns=(
        LANGUAGE,
        Column(
            key="probe",
            heading="probe, aligned",
            description="AUROC / pair accuracy of the aligned model's linear probe.",
        ),
        Column(key="length", heading="length", description="AUROC / pair accuracy of text length alone.", priority=1),
        Column(
            key="ngrams",
            heading="n-grams",
            description="AUROC / pair accuracy of a classifier on character n-grams alone.",
            priority=1,
        ),
        Column(
            key="untrained",
            heading="untrained",
            description="AUROC / pair accuracy of a probe on the same architecture, randomly initialised.",
            priority=1,
        ),
        Column(
            key="null",
            heading="null 97.5%",
            description="97.5th percentile of the probe's AUROC under permuted labels.",
            priority=3,
        ),
        Column(
            key="edit_rate",
            heading="edit rate",
            description="Median share of words that differ between the texts of a pair.",
            priority=2,
        ),
        Column(key="tokens", heading="tokens/char", description="Tokens per character, median over texts.", priority=4),
        Column(
            key="bits",
            heading="bits/char",
            description="Bits per character of the model before alignment on harmless texts.",
            priority=4,
        ),
        Column(
            key="warnings",
            heading="warnings",
            description="Codes of the warnings that qualify levels of separation, but not gains.",
            align="left",
            priority=3,
        ),
    ),
)


def control_table(view: View) -> Table:
    """Fill a row for each language: the aligned model's probe beside its controls."""
    return CONTROLS.fill(
        [_control_cells(view, language) for language in view.languages],
        caption=(
            "A control that scores as high as the probe could explain its level. It is the same for both models, so by "
            "itself it does not explain a gain."
        ),
    )


def _control_cells(view: View, language: Named) -> dict[str, Cell]:
    def control(name: str) -> Estimate | None:
        return view.estimate("control", language, name)

    def both(name: str) -> Cell:
        return pair_cell(control(f"{name}_auroc"), control(f"{name}_pair_accuracy"))

    probe = [view.estimate("score", language, metric, model="aligned") for metric in ("auroc", "pair_accuracy")]
    permuted = control("permuted_labels_auroc")
    return {
        "language": language.cell,
        "probe": pair_cell(*probe),
        "length": both("length"),
        "ngrams": both("ngram"),
        "untrained": both("untrained"),
        "null": number_cell(permuted.high if permuted else None, digits=2),
        "edit_rate": estimate_cell(control("edit_rate"), digits=2),
        "tokens": estimate_cell(control("tokens_per_character"), digits=2),
        "bits": estimate_cell(control("bits_per_character"), digits=2),
        "warnings": warning_cell(view, language, levels=True),
    }
