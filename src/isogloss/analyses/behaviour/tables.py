"""What the models are likely to answer: the table of behaviour, its link to hidden states, and their figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from isogloss.records import Estimate
from isogloss.report.audit_tables import LANGUAGE
from isogloss.report.cells import change_cell, estimate_cell, pair_cell
from isogloss.report.table import Block, Cell, Column, Figure, Section, TableKind
from isogloss.report.view import MODELS, Named, View, view
from isogloss.results import Audit

if TYPE_CHECKING:
    import polars as pl

FRAME = "behaviour.parquet"

BEHAVIOUR = TableKind(
    key="behaviour",
    title="Refusal before and after alignment",
    columns=(
        LANGUAGE,
        Column(
            key="margin",
            heading="refusal margin",
            description="Log-odds of a refusal against an engaged answer, harmful minus harmless text, in nats, "
            "reference → aligned.",
            priority=2,
        ),
        Column(
            key="gain",
            heading="margin gain",
            description="Aligned minus reference refusal margin, in nats: DPO's implicit reward margin over beta.",
        ),
        Column(
            key="auroc",
            heading="AUROC",
            description="How often a harmful text has the higher log-odds of a refusal, reference → aligned.",
            priority=3,
        ),
        Column(
            key="preference",
            heading="text preference",
            description="What alignment added to the log-likelihood of the harmless text over the harmful text of a "
            "pair, at equal length and surprisal.",
            priority=4,
        ),
        Column(
            key="refused",
            heading="refusal rate",
            description="Share of the aligned model's greedy answers that are refusals, to harmful / harmless texts.",
            priority=5,
        ),
        Column(
            key="link",
            heading="link",
            description="Slope of ranks, behaviour on hidden states, pair by pair, adjusted for length, edits and "
            "surprisal.",
            priority=1,
        ),
    ),
)
TABLES = (BEHAVIOUR,)
CAPTION = "Behaviour is exploratory: no verdict comes from it."


def sections(audit: Audit, frames: Mapping[str, pl.DataFrame]) -> Sequence[Section]:
    """Show behaviour and its link to hidden states; nothing where behaviour was not measured.

    Args:
        audit: what was measured.
        frames: the pairs of each language (behaviour.parquet), if there are any.
    """
    shown = view(audit)
    measured = {row.language for row in audit.find(kind="behaviour")}
    languages = [language for language in shown.languages if language.code in measured]
    if not languages:
        return ()
    from isogloss.analyses.behaviour.figures import language_figure, pair_figures  # noqa: PLC0415 - altair is slow

    table = BEHAVIOUR.fill([_cells(shown, language) for language in languages], caption=CAPTION)
    figures, specs = language_figure(shown)
    blocks = [Block(findings=tuple(link_findings(audit)), figures=figures, tables=(table,))]
    if frames.get(FRAME) is not None:
        pairs, pair_specs = pair_figures(shown, frames[FRAME])
        specs |= pair_specs
        blocks += [_pair_block(pairs)] if pairs else []
    return (Section(key="behaviour", title="Does the model act on it?", blocks=tuple(blocks), specs=specs),)


def _pair_block(figures: tuple[Figure, ...]) -> Block:
    text = (
        "Each mark is a pair. Across: how far alignment moved its margin in hidden states. Up: how far it moved the "
        "refusal log-odds after the first token of the answer, in nats. Both are harmful minus harmless text. The "
        "slopes in the table are of ranks, adjusted for length, edits and surprisal."
    )
    return Block(heading="Pair by pair", text=text, figures=figures)


def _cells(shown: View, language: Named) -> dict[str, Cell]:
    def number(kind: str, metric: str, model: str = "") -> Estimate | None:
        return behaviour_estimate(shown.audit, kind, language.code, metric, model=model)

    cells = {
        "language": language.cell,
        "margin": change_cell(*(number("behaviour", "refusal_margin", model) for model in MODELS), digits=2),
        "gain": estimate_cell(number("behaviour_gain", "refusal_margin"), digits=2, signed=True),
        "auroc": change_cell(*(number("behaviour", "refusal_auroc", model) for model in MODELS), digits=2),
        "preference": estimate_cell(number("behaviour_gain", "text_preference_adjusted"), digits=2, signed=True),
        "link": estimate_cell(number("link", "item_slope"), digits=2, signed=True),
    }
    rates = [number("behaviour", metric, "aligned") for metric in ("refusal_rate", "over_refusal_rate")]
    if any(rates):
        missing = any(rate is None or math.isnan(rate.value) for rate in rates)
        cells["refused"] = Cell() if missing else pair_cell(*rates)
    return cells


def behaviour_estimate(audit: Audit, kind: str, code: str, metric: str, *, model: str = "") -> Estimate | None:
    """Find one number of behaviour; the first where a result holds several."""
    rows = audit.find(kind=kind, language=code, metric=metric, model=model)
    return rows[0].estimate if rows else None


def link_findings(audit: Audit) -> list[str]:
    """Say what hidden states tell of behaviour; nothing where that was not measured."""
    if not audit.find(kind="link"):
        return []
    mean = behaviour_estimate(audit, "link", "", "item_slope_mean")
    correlation = behaviour_estimate(audit, "link", "", "across_spearman")
    power = behaviour_estimate(audit, "link", "", "across_power")
    findings = [_mean_finding(mean)] if mean else []
    if correlation and not math.isnan(correlation.value):
        chance = f"; power for a true correlation of .6: {100 * power.value:.0f} %" if power else ""
        findings.append(
            f"Over {correlation.n} languages: Spearman {correlation.value:+.2f}, p {correlation.p_value:.3f}, each "
            f"measure from its own half of the pairs{chance}."
        )
    elif correlation:
        findings.append(f"Over languages: no correlation ({correlation.reason}).")
    return findings


def _mean_finding(mean: Estimate) -> str:
    if math.isnan(mean.value):
        return f"Pair by pair: no mean slope ({mean.reason})."
    word = "clear of zero" if mean.low > 0 or mean.high < 0 else "not clear of zero"
    bounds = f"[{mean.low:+.2f}, {mean.high:+.2f}]"
    return f"Pair by pair: mean slope {mean.value:+.2f} {bounds} over {mean.n} languages, {word}."
