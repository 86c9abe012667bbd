"""Audit -> what the ablation control says: a line a language, and whether behaviour and detection fell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from isogloss.records import Estimate
from isogloss.report.estimates import DASH, format_interval, format_number, format_value, format_with_interval
from isogloss.report.tables import label
from isogloss.results import Audit

KIND = "behaviour_control"
ABLATION_HEADINGS = {
    "language": "language",
    "margin": "refusal margin",
    "ablated": "ablated",
    "random": "random",
    "beyond": "beyond random",
    "beyond_interval": "[low, high]",
    "ranks": "AUROC of answers",
    "probe": "AUROC of probe",
}


@dataclass(frozen=True, kw_only=True)
class AblationLine:
    """One language, as text; see ABLATION_HEADINGS. AUROCs are those of the aligned, ablated and random models."""

    language: str
    margin: str
    ablated: str
    random: str
    beyond: str
    beyond_interval: str
    ranks: str
    probe: str


def ablation_lines(audit: Audit) -> list[AblationLine]:
    """Write one line per language; none unless the control was asked for."""
    return [_line(audit, code) for code in _languages(audit)]


def _line(audit: Audit, code: str) -> AblationLine:
    beyond = _found(audit, code, "refusal_margin_beyond_random", "ablated")
    return AblationLine(
        language=label(code),
        margin=format_number(_found(audit, code, "refusal_margin", "aligned"), digits=2, signed=True),
        ablated=format_number(_found(audit, code, "refusal_margin", "ablated"), digits=2, signed=True),
        random=_signed(_random(audit, code, "refusal_margin")),
        beyond=format_number(beyond, digits=2, signed=True),
        beyond_interval=format_interval(beyond, digits=2, signed=True),
        ranks=_three(audit, code, "refusal_auroc"),
        probe=_three(audit, code, "auroc"),
    )


def _three(audit: Audit, code: str, metric: str) -> str:
    own = [format_number(_found(audit, code, metric, model), digits=2) for model in ("aligned", "ablated")]
    return f"{' → '.join(own)} / {format_value(_random(audit, code, metric), digits=2)}"


def ablation_caption() -> str:
    """Say what the columns hold."""
    return (
        "The aligned model as it is; with the harm direction, which half of a language's texts give, taken out of its "
        "residual stream (ablated); and with as much of every token taken out along random directions (random, their "
        "mean); all on other texts. Refusal margin: nats, harmful minus harmless text. Beyond random: its change under "
        "the one less that under the others. AUROC of refusal log-odds, and of a probe at the primary layer: aligned → "
        "ablated / random. No verdict comes from it."
    )


def ablation_sentences(audit: Audit) -> list[str]:
    """Say whether behaviour hangs on the harm direction and whether harm is still seen without it."""
    codes = _languages(audit)
    before = _found(audit, "", "refusal_margin", "aligned")
    changed = _found(audit, "", "refusal_margin_change", "ablated")
    beyond = _found(audit, "", "refusal_margin_beyond_random", "ablated")
    if not codes or not before or not changed or not beyond or math.isnan(beyond.value):
        return []
    randoms = before.value + _random(audit, "", "refusal_margin_change")
    over = f"mean of {len(codes)} languages" if len(codes) > 1 else label(codes[0])
    found = (
        f"Without its harm direction the model's refusal margin is {before.value + changed.value:+.2f} nats in place "
        f"of {before.value:+.2f} ({over}); with as much taken out along random directions it is {_signed(randoms)}. "
        f"{_behaviour(before, beyond)}"
    )
    return [found, *_detection(audit, codes)]


def _behaviour(before: Estimate, beyond: Estimate) -> str:
    said = format_with_interval(beyond, digits=2, signed=True)
    if math.isnan(beyond.low):
        return f"Whether behaviour fell more than with random directions cannot be said ({said})."
    if not before.low > 0:
        return f"There was no clear margin to lose, so the control says little of behaviour (difference {said})."
    if beyond.high < 0:
        return f"Behaviour fell more than with random directions: difference {said}."
    if beyond.low > 0:
        return f"Behaviour fell less than with random directions: difference {said}."
    return f"It is not shown that behaviour fell more than with random directions: difference {said}."


def _detection(audit: Audit, codes: Sequence[str]) -> list[str]:
    changed = _found(audit, "", "auroc_change", "ablated")
    pairs = [[_found(audit, code, "auroc", model) for model in ("aligned", "ablated")] for code in codes]
    known = [(one, other) for one, other in pairs if one and other and not math.isnan(one.value + other.value)]
    if changed is None or not known:
        return ["Detection: no probe could be fitted on so few texts."]
    before, after = (sum(one.value for one in side) / len(known) for side in zip(*known, strict=True))
    seen = [sum(one.low > 1 / 2 for one in side) for side in zip(*known, strict=True)]
    word = "fell" if changed.high < 0 else "rose" if changed.low > 0 else "did not clearly change"
    stays = f"a probe finds harm in {seen[1]} of {len(known)} languages without the direction, {seen[0]} with it"
    return [f"Detection {word}: {stays} (interval above .5); mean AUROC {before:.2f} → {after:.2f}."]


def _languages(audit: Audit) -> list[str]:
    measured = {row.language for row in audit.find(kind=KIND, metric="refusal_margin", model="ablated")}
    return [code for code in audit.languages if code in measured]


def _found(audit: Audit, code: str, metric: str, model: str) -> Estimate | None:
    return audit.value(kind=KIND, language=code, metric=metric, model=model)


def _random(audit: Audit, code: str, metric: str) -> float:
    """Mean over the random directions; NaN where one is not known."""
    rows = audit.find(kind=KIND, language=code, metric=metric)
    values = [row.estimate.value for row in rows if row.model.startswith("random_")]
    return sum(values) / len(values) if values else math.nan


def _signed(value: float) -> str:
    return DASH if math.isnan(value) else f"{value:+.2f}"
