"""What languages have in common: probes and harm directions of one language on another, and semantic layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from isogloss.records import Estimate, Row
from isogloss.report.audit_tables import LANGUAGE
from isogloss.report.cells import change_cell, estimate_cell
from isogloss.report.sentences import percent
from isogloss.report.table import Block, Cell, Column, Figure, Section, Table, TableKind
from isogloss.report.view import MODELS, Named, View, layer_name, view
from isogloss.results import Audit
from isogloss.text import sanitize

if TYPE_CHECKING:
    import polars as pl

TRANSFER = TableKind(
    key="transfer",
    title="Probes of one language on another",
    columns=(
        LANGUAGE,
        Column(
            key="from_pivot",
            heading="pivot's probe here",
            description="AUROC of the probe fitted on the pivot and scored on the language, reference → aligned.",
        ),
        Column(
            key="own",
            heading="own probe",
            description="AUROC of the probe fitted and scored on the language, reference → aligned.",
            priority=1,
        ),
        Column(
            key="to_pivot",
            heading="its probe on pivot",
            description="AUROC of the probe fitted on the language and scored on the pivot, reference → aligned.",
            priority=2,
        ),
        Column(
            key="cosine_change",
            heading="cosine with pivot",
            description="Cosine of the harm direction (difference of class means) with the pivot's, noise taken out, "
            "reference → aligned; a dash where a direction is not clear of noise.",
            priority=1,
        ),
        Column(
            key="cosine",
            heading="cosine, aligned",
            description="Cosine of the harm direction with the pivot's in the aligned model, noise taken out.",
            priority=3,
        ),
    ),
)
DIRECTIONS = TableKind(
    key="directions",
    title="What each language shares with the pivot, and what alignment moved in it",
    columns=(
        LANGUAGE,
        Column(
            key="share_reference",
            heading="share along pivot, reference",
            description="Share of the class difference that lies along the pivot's harm direction, reference model.",
            priority=3,
        ),
        Column(
            key="share_aligned",
            heading="share along pivot, aligned",
            description="Share of the class difference that lies along the pivot's harm direction, aligned model.",
        ),
        Column(
            key="reliability",
            heading="reliability, aligned",
            description="Reliability of the language's harm direction in the aligned model.",
            priority=4,
        ),
        Column(key="gain", heading="gain, own components", description="Gain in components of each model.", priority=1),
        Column(
            key="frozen",
            heading="gain, reference's components",
            description="Gain if the aligned model is read in the components of the reference model.",
            priority=2,
        ),
        Column(
            key="rank",
            heading="effective rank",
            description="Effective rank of the shift from the reference to the aligned model.",
            priority=5,
        ),
    ),
)
TABLES = (TRANSFER, DIRECTIONS)
CAPTION = (
    "No text that is scored, and no translation of it, took part in the fit. Cross-lingual transfer is exploratory: no "
    "verdict comes from it."
)


class MatrixQuantity(NamedTuple):
    """Where a column of DIRECTIONS is found; a `metric` of None is the primary one, with its components."""

    kind: str
    metric: str | None
    model: str
    digits: int
    signed: bool


QUANTITIES = {
    "share_reference": MatrixQuantity("share", "harm_direction", "reference", 2, signed=False),
    "share_aligned": MatrixQuantity("share", "harm_direction", "aligned", 2, signed=False),
    "reliability": MatrixQuantity("reliability", "harm_direction", "aligned", 2, signed=False),
    "gain": MatrixQuantity("gain", None, "", 3, signed=True),
    "frozen": MatrixQuantity("frozen", None, "", 3, signed=True),
    "rank": MatrixQuantity("rank", "effective_rank", "", 1, signed=False),
}


def sections(audit: Audit, frames: Mapping[str, pl.DataFrame]) -> Sequence[Section]:
    """Show what languages have in common; nothing unless cross-lingual transfer was measured."""
    del frames
    if not audit.find(kind="transfer"):
        return ()
    from isogloss.analyses.cross_lingual.figures import (  # noqa: PLC0415 - altair is slow
        layers_chart,
        matrix_chart,
        matrix_figures,
    )

    shown = view(audit)
    specs: dict[str, Any] = {"matrix": matrix_chart(shown)}
    meaning, figures = semantic_block(shown)
    if figures:
        specs["layers"] = layers_chart(audit)
    blocks = [
        Block(
            text="Does a probe that was fitted on one language detect harm in another? Rows are the languages that "
            "probes were fitted on, columns those that they were scored on. Scored texts, their pairs and their "
            "translations took no part in the fit. The diagonal is the probe of every other table. Blue: above chance; "
            "orange: below it.",
            figures=matrix_figures(shown, "transfer"),
            tables=(transfer_table(shown),),
        ),
        Block(
            heading="Do the directions agree?",
            text="The harm direction of a language leads from the mean of its harmless texts to that of its harmful "
            "ones. The cosine is that of the true directions: noise, and what translations have in common, is taken "
            "out, so by chance it may exceed 1. A dash: the direction is not clear of noise.",
            figures=matrix_figures(shown, "cosine"),
            tables=(directions_table(shown),),
        ),
        *([meaning] if meaning else []),
    ]
    return (Section(key="cross-lingual", title="What do languages share?", blocks=tuple(blocks), specs=specs),)


def transfer_table(shown: View) -> Table:
    """Fill a row for each language but the pivot: its probe and direction beside the pivot's."""
    numbers = {
        (row.kind, row.model, row.language, row.other): row.estimate
        for kind in ("transfer", "cosine")
        for row in shown.audit.find(kind=kind)
    }
    models = MODELS if shown.audit.has_reference else ("aligned",)
    pivot = shown.pivot.code

    def change(kind: str, fitted: str, scored: str) -> Cell:
        known = [numbers.get((kind, model, fitted, scored)) for model in models]
        return change_cell(*known, digits=2) if len(known) == len(MODELS) else change_cell(None, known[0], digits=2)

    rows = [
        {
            "language": language.cell,
            "from_pivot": change("transfer", pivot, language.code),
            "own": change("transfer", language.code, language.code),
            "to_pivot": change("transfer", language.code, pivot),
            "cosine_change": change("cosine", language.code, pivot),
            "cosine": estimate_cell(numbers.get(("cosine", "aligned", language.code, pivot)), digits=2),
        }
        for language in shown.others
    ]
    return TRANSFER.fill(rows, caption=CAPTION)


def directions_table(shown: View) -> Table:
    """Fill a row for each language: what of its separation lies along the pivot's direction, and what moved."""
    rows = [
        {"language": language.cell}
        | {
            key: _cell(row, quantity)
            for key, quantity in QUANTITIES.items()
            if (row := _row(shown, language, quantity))
        }
        for language in shown.languages
    ]
    return DIRECTIONS.fill(rows)


def _cell(row: Row, quantity: MatrixQuantity) -> Cell:
    # A caption says what a dash means; reasons would make the columns wider than the page.
    if math.isnan(row.estimate.value):
        return Cell()
    return estimate_cell(row.estimate, digits=quantity.digits, signed=quantity.signed)


def _row(shown: View, language: Named, quantity: MatrixQuantity) -> Row | None:
    primary = shown.audit.primary
    components = None if quantity.metric else primary.components
    metric = quantity.metric or ("between_class_variance" if quantity.kind == "frozen" else primary.metric)
    return shown.row(quantity.kind, language, metric, model=quantity.model, components=components)


def semantic_block(shown: View) -> tuple[Block | None, tuple[Figure, ...]]:
    """Show where texts lie by meaning rather than by language; a note where that cannot be said."""
    audit = shown.audit
    rows = audit.find(kind="meaning", metric="meaning_minus_language")
    reasons = [row.estimate.reason for row in rows if row.estimate.reason]
    if reasons:
        return Block(note=f"Semantic layers could not be measured: {sanitize(reasons[0]).rstrip('.')}."), ()
    findings = tuple(finding for model in MODELS if (finding := semantic_finding(audit, model)))
    if len({(row.layer, row.norm) for row in rows}) < 2:  # noqa: PLR2004 - a curve
        return (Block(heading="Semantic layers", findings=findings) if findings else None), ()
    from isogloss.analyses.cross_lingual.figures import layers_figure  # noqa: PLC0415 - altair is slow

    figures = (layers_figure(audit),)
    text = (
        "Texts of all languages are clustered twice: by meaning (a text and its translations) and by language. Where "
        "the curve is highest, meaning counts most relative to language."
    )
    return Block(heading="Semantic layers", text=text, findings=findings, figures=figures), figures


def semantic_finding(audit: Audit, model: str) -> str:
    """Name the layer where meaning counts most relative to language, and how often it comes first."""
    bottleneck = semantic_bottleneck(audit, model)
    if bottleneck is None:
        return ""
    best, first = bottleneck
    share = f", the best in {percent(round(first.value, 2))} of random halves of the items" if first else ""
    layer = sanitize(layer_name(best.layer or 0, best.norm))
    return f"{model.capitalize()} model: layer {layer}{share}."


def semantic_bottleneck(audit: Audit, model: str) -> tuple[Row, Estimate | None] | None:
    """Find the layer where texts lie most by meaning, not by language (LASA), and how often it is first."""
    rows = [
        row
        for row in audit.find(kind="meaning", metric="meaning_minus_language", model=model)
        if row.estimate.reason is None
    ]
    if not rows:
        return None
    best = max(rows, key=lambda row: row.estimate.value)
    first = audit.find(kind="meaning", metric="bottleneck", model=model, layer=best.layer, norm=best.norm)
    return best, first[0].estimate if first else None
