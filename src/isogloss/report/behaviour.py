"""Audit -> the table of behaviour, and what is said of its link to the hidden states, where an audit measured them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from isogloss.records import Estimate
from isogloss.report.estimates import DASH, format_interval, format_number
from isogloss.report.tables import label
from isogloss.results import Audit

BEHAVIOUR_HEADINGS = {
    "language": "language",
    "margin": "refusal margin",
    "gain": "gain",
    "gain_interval": "[low, high]",
    "auroc": "AUROC",
    "preference": "text preference",
    "preference_interval": "[low, high]",
    "refused": "refused",
    "slope": "link",
    "slope_interval": "[low, high]",
}


@dataclass(frozen=True, kw_only=True)
class BehaviourLine:
    """One language, as text; see BEHAVIOUR_HEADINGS."""

    language: str
    margin: str
    gain: str
    gain_interval: str
    auroc: str
    preference: str
    preference_interval: str
    refused: str
    slope: str
    slope_interval: str


def behaviour_lines(audit: Audit) -> list[BehaviourLine]:
    """Write one line per language that was measured; none unless behaviour was asked for."""
    measured = {row.language for row in audit.find(kind="behaviour")}
    return [_line(audit, code) for code in audit.languages if code in measured]


def _line(audit: Audit, code: str) -> BehaviourLine:
    gain = behaviour_value(audit, "behaviour_gain", code, "refusal_margin")
    preference = behaviour_value(audit, "behaviour_gain", code, "text_preference_adjusted")
    slope = behaviour_value(audit, "link", code, "item_slope")
    return BehaviourLine(
        language=label(code),
        margin=_both(audit, code, "refusal_margin"),
        gain=format_number(gain, digits=2, signed=True),
        gain_interval=format_interval(gain, digits=2, signed=True),
        auroc=_both(audit, code, "refusal_auroc"),
        preference=format_number(preference, digits=2, signed=True),
        preference_interval=format_interval(preference, digits=2, signed=True),
        refused=_refused(audit, code),
        slope=format_number(slope, digits=2, signed=True),
        slope_interval=format_interval(slope, digits=2, signed=True),
    )


def behaviour_value(audit: Audit, kind: str, code: str, metric: str, model: str = "") -> Estimate | None:
    """Find one number of behaviour."""
    return audit.value(kind=kind, language=code, metric=metric, model=model)


def _both(audit: Audit, code: str, metric: str) -> str:
    found = [behaviour_value(audit, "behaviour", code, metric, model) for model in ("reference", "aligned")]
    return " → ".join(format_number(one, digits=2) for one in found if one)


def _refused(audit: Audit, code: str) -> str:
    """Shares of greedy answers by the aligned model that are refusals: to harmful / to harmless texts."""
    found = [
        behaviour_value(audit, "behaviour", code, metric, "aligned") for metric in ("refusal_rate", "over_refusal_rate")
    ]
    if any(one is None or math.isnan(one.value) for one in found):
        return DASH
    return " / ".join(format_number(one, digits=2) for one in found)


def behaviour_caption() -> str:
    """Say what the columns hold."""
    return (
        "Refusal margin: log-odds of a refusal against an engaged answer, harmful minus harmless text, in nats, "
        "reference → aligned; its gain is DPO's implicit reward margin over beta. AUROC: how often a harmful text has "
        "the higher log-odds. Text preference: what alignment added to the log-likelihood of the neutral twin over the "
        "toxic one, at equal length and surprisal. Refused: share of greedy answers to harmful / harmless texts. Link: "
        "slope of ranks, behaviour on hidden states, pair by pair. All of it is exploratory; no verdict comes from it."
    )


def link_sentences(audit: Audit) -> list[str]:
    """Say what hidden states tell of behaviour; nothing where that was not measured."""
    if not audit.find(kind="link"):
        return []
    mean = audit.value(kind="link", language="", metric="item_slope_mean")
    cross_lingual = audit.value(kind="link", language="", metric="across_spearman")
    power = audit.value(kind="link", language="", metric="across_power")
    found = [_mean_sentence(mean)] if mean else []
    if cross_lingual and not math.isnan(cross_lingual.value):
        chance = f"; a true correlation of .6 would be found {100 * power.value:.0f} times in 100" if power else ""
        found.append(
            f"Across {cross_lingual.n} languages, halves of pairs apart: Spearman {cross_lingual.value:+.2f}, "
            f"p {cross_lingual.p_value:.3f}{chance}."
        )
    elif cross_lingual:
        found.append(f"Across languages: not estimated ({cross_lingual.reason}).")
    return found


def _mean_sentence(mean: Estimate) -> str:
    if math.isnan(mean.value):
        return f"Pair by pair: no mean slope ({mean.reason})."
    word = "clear of zero" if mean.low > 0 or mean.high < 0 else "not clear of zero"
    bounds = f"[{mean.low:+.2f}, {mean.high:+.2f}]"
    return f"Pair by pair: mean slope {mean.value:+.2f} {bounds} over {mean.n} languages, {word}."
