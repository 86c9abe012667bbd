"""Raw text and chat template, two by two: the table that shows what the template changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from isogloss.report.audit_tables import LANGUAGE
from isogloss.report.cells import estimate_cell
from isogloss.report.table import Block, Cell, Column, Section, TableKind
from isogloss.report.view import MODELS, Named, View, view
from isogloss.results import Audit
from isogloss.text import sanitize

if TYPE_CHECKING:
    import polars as pl

#: Name of the sample -> how headings name it.
SAMPLES = {"all": "raw", "chat": "chat"}

PROMPT_FORMATS = TableKind(
    key="prompt-formats",
    title="Separation on raw text and in the chat template",
    columns=(
        LANGUAGE,
        *(
            column
            for name, words in (("raw", "raw text"), ("chat", "the chat template"))
            for column in (
                Column(
                    key=f"reference_{name}",
                    heading=f"reference, {name}",
                    description=f"Separation in the reference model on {words}.",
                    priority=4,
                ),
                Column(
                    key=f"aligned_{name}",
                    heading=f"aligned, {name}",
                    description=f"Separation in the aligned model on {words}.",
                    priority=3,
                ),
                Column(
                    key=f"gain_{name}",
                    heading=f"gain, {name}",
                    description=f"Gain on {words}.",
                    priority=2,
                ),
                Column(
                    key=f"verdict_{name}",
                    heading=f"verdict, {name}",
                    description=f"Verdict on {words}.",
                    align="left",
                    priority=1,
                ),
            )
        ),
        Column(
            key="difference",
            heading="difference",
            description="Gain in the chat template minus gain on raw text, with intervals that hold for all languages "
            "together.",
        ),
    ),
)
TABLES = (PROMPT_FORMATS,)


def sections(audit: Audit, frames: Mapping[str, pl.DataFrame]) -> Sequence[Section]:
    """Show the two prompt formats side by side; nothing unless both were read."""
    del frames
    if not audit.find(sample="chat"):
        return ()
    shown = view(audit)
    both = ", which both models were given" if audit.has_reference else ""
    text = f"The same texts were read twice: raw, and as a user turn in the aligned model's chat template{both}."
    if audit.has_reference:
        text += (
            " A gain in one prompt format only comes from the format as much as from alignment: the last column is the "
            "gain in the template minus the gain on raw text. All other numbers of this report are of raw text."
        )
    table = PROMPT_FORMATS.fill([_cells(shown, language) for language in shown.languages])
    block = Block(text=text, tables=(table,))
    return (Section(key="prompt-formats", title="Raw text and chat template", blocks=(block,), within="measured"),)


def _cells(shown: View, language: Named) -> dict[str, Cell]:
    cells = {"language": language.cell}
    for sample, name in SAMPLES.items():
        for model in MODELS if shown.audit.has_reference else ("aligned",):
            cells[f"{model}_{name}"] = estimate_cell(shown.primary("score", language, model=model, sample=sample))
        if shown.audit.has_reference:
            gain = shown.primary_row("gain", language, sample=sample)
            cells[f"gain_{name}"] = estimate_cell(gain.estimate if gain else None, signed=True)
            cells[f"verdict_{name}"] = _verdict_cell(gain.verdict if gain else "", language)
    if shown.audit.has_reference:
        cells["difference"] = estimate_cell(shown.primary("prompt_format", language, sample="chat"), signed=True)
    return cells


def _verdict_cell(verdict: str, language: Named) -> Cell:
    if not verdict:
        return Cell()
    named = replace(language, verdict=replace(language.verdict, verdict=verdict)) if language.verdict else language
    return Cell(text=sanitize(verdict), tag=named.known)
