"""The aligned model without its harm direction: the table, and whether behaviour and detection fell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from isogloss.records import Estimate
from isogloss.report.audit_tables import LANGUAGE
from isogloss.report.cells import change_cell, estimate_cell
from isogloss.report.estimates import DASH, format_value, format_with_interval
from isogloss.report.table import Block, Cell, Column, Section, TableKind
from isogloss.report.view import Named, view
from isogloss.results import Audit

if TYPE_CHECKING:
    import polars as pl

KIND = "behaviour_control"

ABLATION = TableKind(
    key="ablation",
    title="The aligned model without its harm direction",
    columns=(
        LANGUAGE,
        Column(
            key="margin",
            heading="refusal margin",
            description="Refusal margin of the aligned model in nats, harmful minus harmless text.",
            priority=1,
        ),
        Column(
            key="ablated",
            heading="ablated",
            description="Refusal margin without the harm direction, which half of the language's texts give; measured "
            "on the other texts.",
            priority=1,
        ),
        Column(
            key="random",
            heading="random",
            description="Mean refusal margin with as much of every token taken out along random directions.",
            priority=2,
        ),
        Column(
            key="beyond",
            heading="beyond random",
            description="Change of the margin by the ablation minus its change by random directions.",
        ),
        Column(
            key="answers",
            heading="AUROC of answers",
            description="AUROC of refusal log-odds: aligned → ablated / random.",
            priority=3,
        ),
        Column(
            key="probe",
            heading="AUROC of probe",
            description="AUROC of a probe at the primary layer: aligned → ablated / random.",
            priority=4,
        ),
    ),
)
TABLES = (ABLATION,)
CAPTION = (
    "Directional ablation takes the harm direction out of the residual stream (Arditi et al. 2024). No verdict comes "
    "from it."
)


def sections(audit: Audit, frames: Mapping[str, pl.DataFrame]) -> Sequence[Section]:
    """Show the ablation control, within the section of behaviour; nothing unless it was asked for."""
    del frames
    languages = _languages(audit)
    if not languages:
        return ()
    table = ABLATION.fill([_cells(audit, language) for language in languages], caption=CAPTION)
    block = Block(findings=tuple(ablation_findings(audit)), tables=(table,))
    return (Section(key="ablation", title="Without the harm direction", blocks=(block,), within="behaviour"),)


def _cells(audit: Audit, language: Named) -> dict[str, Cell]:
    code = language.code
    random = _random_mean(audit, code, "refusal_margin")
    return {
        "language": language.cell,
        "margin": estimate_cell(_estimate(audit, code, "refusal_margin", "aligned"), digits=2, signed=True),
        "ablated": estimate_cell(_estimate(audit, code, "refusal_margin", "ablated"), digits=2, signed=True),
        "random": Cell() if math.isnan(random) else Cell(text=f"{random:+.2f}", value=random),
        "beyond": estimate_cell(
            _estimate(audit, code, "refusal_margin_beyond_random", "ablated"), digits=2, signed=True
        ),
        "answers": _three_cell(audit, code, "refusal_auroc"),
        "probe": _three_cell(audit, code, "auroc"),
    }


def _three_cell(audit: Audit, code: str, metric: str) -> Cell:
    """Show a number of the aligned and the ablated model, and its mean over random directions."""
    aligned, ablated = (_estimate(audit, code, metric, model) for model in ("aligned", "ablated"))
    change = change_cell(aligned, ablated, digits=2)
    random = _random_mean(audit, code, metric)
    return change if change.text == DASH else replace(change, text=f"{change.text} / {format_value(random, digits=2)}")


def ablation_findings(audit: Audit) -> list[str]:
    """Say whether behaviour depends on the harm direction, and whether harm is still detected without it."""
    languages = _languages(audit)
    before = _estimate(audit, "", "refusal_margin", "aligned")
    changed = _estimate(audit, "", "refusal_margin_change", "ablated")
    beyond = _estimate(audit, "", "refusal_margin_beyond_random", "ablated")
    if not languages or not before or not changed or not beyond or math.isnan(beyond.value):
        return []
    random = before.value + _random_mean(audit, "", "refusal_margin_change")
    over = f"mean of {len(languages)} languages" if len(languages) > 1 else languages[0].name
    finding = (
        f"Without its harm direction the model's refusal margin is {before.value + changed.value:+.2f} nats instead of "
        f"{before.value:+.2f} ({over}). With random directions it is {_signed(random)}. "
        f"{_behaviour_finding(before, beyond)}"
    )
    return [finding, *_detection_findings(audit, languages)]


def _behaviour_finding(before: Estimate, beyond: Estimate) -> str:
    difference = format_with_interval(beyond, digits=2, signed=True)
    if math.isnan(beyond.low):
        return f"Whether behaviour fell more than with random directions is unknown ({difference})."
    if not before.low > 0:
        return f"The margin was not clear of zero, so the control says little of behaviour (difference {difference})."
    if beyond.high < 0:
        return f"Behaviour fell more than with random directions: difference {difference}."
    if beyond.low > 0:
        return f"Behaviour fell less than with random directions: difference {difference}."
    return f"It is not shown that behaviour fell more than with random directions: difference {difference}."


def _detection_findings(audit: Audit, languages: Sequence[Named]) -> list[str]:
    changed = _estimate(audit, "", "auroc_change", "ablated")
    pairs = [
        [_estimate(audit, language.code, "auroc", model) for model in ("aligned", "ablated")] for language in languages
    ]
    known = [(one, two) for one, two in pairs if one and two and not math.isnan(one.value + two.value)]
    if changed is None or not known:
        return ["Detection: no probe could be fitted on so few texts."]
    before, after = (sum(estimate.value for estimate in side) / len(known) for side in zip(*known, strict=True))
    detected = [sum(estimate.low > 1 / 2 for estimate in side) for side in zip(*known, strict=True)]
    word = "fell" if changed.high < 0 else "rose" if changed.low > 0 else "did not clearly change"
    finding = (
        f"Detection {word}: a probe finds harm in {detected[1]} of {len(known)} languages without the direction, "
        f"{detected[0]} with it (interval above .5); mean AUROC {before:.2f} → {after:.2f}."
    )
    return [finding]


def _languages(audit: Audit) -> list[Named]:
    measured = {row.language for row in audit.find(kind=KIND, metric="refusal_margin", model="ablated")}
    return [language for language in view(audit).languages if language.code in measured]


def _estimate(audit: Audit, code: str, metric: str, model: str) -> Estimate | None:
    rows = audit.find(kind=KIND, language=code, metric=metric, model=model)
    return rows[0].estimate if rows else None


def _random_mean(audit: Audit, code: str, metric: str) -> float:
    """Mean over the random directions; NaN where one is not known."""
    rows = audit.find(kind=KIND, language=code, metric=metric)
    values = [row.estimate.value for row in rows if row.model.startswith("random_")]
    return sum(values) / len(values) if values else math.nan


def _signed(value: float) -> str:
    return DASH if math.isnan(value) else f"{value:+.2f}"
