"""Audit -> the lines that a person reads: a headline, one line per language, and its controls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from isogloss.data.languages import LANGUAGES
from isogloss.records import Estimate, LanguageVerdict, Row
from isogloss.report.estimates import DASH, format_interval, format_number, format_percent, format_value
from isogloss.results import Audit
from isogloss.text import sanitize
from isogloss.warnings import WARNINGS, CodedWarning

#: Warnings of more languages are one line.
FEW_LANGUAGES = 2


@dataclass(frozen=True, kw_only=True)
class Line:
    """One language at the primary estimand, as text; the pivot comes first, then languages by gain."""

    language: str
    reference: str
    aligned: str
    gain: str
    interval: str
    retention: str
    kept: str
    verdict: str
    detectable: str
    pivot_z: str
    probe: str
    codes: str
    null: str = DASH


HEADINGS = {
    "language": "language",
    "reference": "reference",
    "aligned": "aligned",
    "gain": "gain",
    "interval": "[low, high]",
    "retention": "retention",
    "kept": "[low, high]",
    "verdict": "verdict",
    "detectable": "min gap",
    "pivot_z": "pivot z",
    "probe": "probe AUROC",
    "codes": "warnings",
}


#: Of an aligned model alone: its score with its own interval, and how high the score gets with permuted labels.
_ALONE = ("language", "aligned", "interval", "null", "probe", "codes")
HEADINGS_ALONE = {name: HEADINGS.get(name, "null 97.5%") for name in _ALONE}


def headings(audit: Audit) -> dict[str, str]:
    """Return the columns that have something to say."""
    return HEADINGS if audit.has_reference else HEADINGS_ALONE


@dataclass(frozen=True, kw_only=True)
class ControlLine:
    """The controls of one language, as text, beside the aligned model's probe: AUROC / twin accuracy."""

    language: str
    probe: str
    length: str
    ngram: str
    untrained: str
    permuted: str
    edit_rate: str
    tokens: str
    bits: str


CONTROL_HEADINGS = {
    "language": "language",
    "probe": "probe, aligned",
    "length": "length",
    "ngram": "n-grams",
    "untrained": "an untrained model",
    "shuffled": "null 97.5%",
    "edit_rate": "edited",
    "tokens": "tokens/char",
    "bits": "bits/char",
}


def lines(audit: Audit) -> list[Line]:
    """Write one line per language at the primary estimand."""
    verdicts = {one.language: one for one in audit.verdicts}
    found = [_line(audit, code, verdicts.get(code)) for code in audit.languages]
    return sorted(found, key=lambda line: order(audit, line.language.split()[0]))


def control_lines(audit: Audit) -> list[ControlLine]:
    """Write one line of controls per language, in the order of `lines`."""
    return [_control_line(audit, code) for code in sorted(audit.languages, key=lambda code: order(audit, code))]


def label(code: str) -> str:
    """Name a language by code and name; by its code alone where isogloss does not know it.

    >>> label("sw"), label("xx")
    ('sw Swahili', 'xx')
    """
    return f"{code} {LANGUAGES[code].name}" if code in LANGUAGES else sanitize(code)


def order(audit: Audit, code: str) -> tuple[bool, float]:
    """Where a language stands in every table: the pivot first, then by gain, or by separation without a reference."""
    found = primary(audit, code, "gain") or primary(audit, code, "score", "aligned")
    value = found.value if found else math.nan
    return code != audit.pivot, math.inf if math.isnan(value) else -value


def primary_layer(audit: Audit) -> tuple[int, str]:
    """Return the layer that verdicts come from."""
    name, _, norm = audit.primary.layer.partition("-")
    return int(name), norm


def primary(audit: Audit, code: str, kind: str, model: str = "") -> Estimate | None:
    """Find the estimate of the primary estimand: a score of a model, a gain, gap or retention."""
    row = _primary_row(audit, code, kind, model)
    return row.estimate if row else None


def _primary_row(audit: Audit, code: str, kind: str, model: str = "") -> Row | None:
    layer, norm = primary_layer(audit)
    found = audit.find(
        kind=kind,
        language=code,
        model=model,
        layer=layer,
        norm=norm,
        metric=audit.primary.metric,
        components=audit.primary.components,
        sample="all",
    )
    return found[0] if found else None


def _probe(audit: Audit, code: str, model: str, metric: str = "auroc") -> Estimate | None:
    layer, norm = primary_layer(audit)
    return audit.value(kind="score", language=code, model=model, layer=layer, norm=norm, metric=metric, sample="all")


def _line(audit: Audit, code: str, verdict: LanguageVerdict | None) -> Line:
    probes = [_probe(audit, code, model) for model in ("reference", "aligned")]
    gain, kept = primary(audit, code, "gain"), primary(audit, code, "retention")
    row = _primary_row(audit, code, "gain")
    own = primary(audit, code, "score", "aligned")
    return Line(
        language=label(code),
        reference=format_number(primary(audit, code, "score", "reference")),
        aligned=format_number(own),
        gain=format_number(gain, signed=True),
        interval=format_interval(gain, signed=True) if audit.has_reference else format_interval(own),
        retention=format_number(kept, digits=2),
        kept=format_interval(kept, digits=2),
        verdict=verdict_words(verdict) if verdict else DASH,
        detectable=format_value(row.mde) if row else DASH,
        pivot_z=format_value(row.pivot_z, digits=1) if row else DASH,
        probe=" → ".join(format_number(probe, digits=2) for probe in probes if probe) or DASH,
        codes=" ".join(dict.fromkeys(warning.code for warning in audit.warnings if warning.language == code)),
        null=format_value(own.null_high) if own else DASH,
    )


def verdict_words(one: LanguageVerdict) -> str:
    """Write a verdict, and beside it that metrics disagree where they do."""
    return f"{one.verdict}, metrics disagree" if one.disagree else one.verdict


def _control_line(audit: Audit, code: str) -> ControlLine:
    def control(name: str) -> Estimate | None:
        return audit.value(kind="control", language=code, metric=name)

    def both(name: str) -> str:
        found = [control(f"{name}_{metric}") for metric in ("auroc", "pair_accuracy")]
        return " / ".join(format_number(one, digits=2) for one in found if one) or DASH

    probes = [_probe(audit, code, "aligned", metric) for metric in ("auroc", "pair_accuracy")]
    permuted = control("permuted_labels_auroc")
    return ControlLine(
        language=label(code),
        probe=" / ".join(format_number(one, digits=2) for one in probes if one) or DASH,
        length=both("length"),
        ngram=both("ngram"),
        untrained=both("untrained"),
        permuted=format_value(permuted.high, digits=2) if permuted else DASH,
        edit_rate=format_number(control("edit_rate"), digits=2),
        tokens=format_number(control("tokens_per_character"), digits=2),
        bits=format_number(control("bits_per_character"), digits=2),
    )


#: Verdicts in the order in which the headline names them, with how it says them.
SAID = {
    "reached": "reached {}",
    "weakened": "weakened in {}",
    "lagging": "lags in {}",
    "not reached": "did not reach {}",
    "reversed": "is reversed in {}",
    "confounded": "is confounded in {}",
    "inconclusive": "cannot be judged from these texts in {}",
    "not measured": "was not measured in {}",
}


def headline(audit: Audit) -> str:
    """Say in which languages alignment holds, from the verdicts."""
    if not audit.has_reference:
        return "No reference model: separation of the aligned model only, no gain and no verdict."
    others = [one for one in audit.verdicts if one.language != audit.pivot]
    if not others:
        return f"Only {label(audit.pivot).split(' ', 1)[-1]}: nothing to compare it with."
    groups = {word: [one.language for one in others if one.verdict == word] for word in SAID}
    if len(groups["not measured"]) == len(others):
        return f"No language was compared with {audit.pivot}: {others[0].reason}."
    if any(one.verdict == "inconclusive" and one.reason for one in others):  # the pivot's gain is not clear of zero
        found = format_number(primary(audit, audit.pivot, "gain"), signed=True)
        return (
            f"Alignment did not clearly raise the separation in {audit.pivot} itself (gain {found}), so no language "
            "can be compared with it."
        )
    reached = groups.pop("reached")
    named = f": {', '.join(reached)}" if reached else ""
    kept = f"{len(reached)} of {len(others)} other languages kept 80 % or more{named}"
    start = f"Of what alignment did in {audit.pivot}, {kept}."
    rest = [said.format(", ".join(groups[word])) for word, said in SAID.items() if groups.get(word)]
    return start + (f" It {'; it '.join(rest)}." if rest else "")


def metric_words(name: str) -> str:
    """Say in plain words what a metric is."""
    named = {
        "between_class_variance": "share of variance between the classes",
        "bhattacharyya": "Bhattacharyya distance of the classes",
        "silhouette": "silhouette of the classes",
        "auroc": "AUROC of a cross-fitted linear probe",
        "pair_accuracy": "share of pairs that a cross-fitted linear probe puts in order",
    }
    return named.get(name, name)


def caption(audit: Audit) -> str:
    """Say what the columns hold."""
    if not audit.has_reference:
        return f"{measured(audit)} Shuffled: 97.5 % of scores with permuted labels."
    return (
        f"{measured(audit)} Min gap: the smallest gap to {audit.pivot} that would be seen 9 times in 10. Pivot z: gain "
        f"of {audit.pivot} over its standard error."
    )


def measured(audit: Audit) -> str:
    """Say what separation, gain, retention and their brackets are."""
    layer, norm = primary_layer(audit)
    place = f"layer {layer}" + (f" ({norm}-norm)" if norm else "")
    sample = next(row.estimate.n for row in audit.rows if row.kind == "score")
    what = (
        f"{metric_words(audit.primary.metric)} in {audit.primary.components} principal components, debiased; {place}, "
        f"{audit.config['position']} token, {sample} texts per class."
    )
    if not audit.has_reference:
        return (
            f"Separation of the aligned model: {what} Brackets: {format_percent(audit.config['level'])} intervals of each "
            "language by itself (≈: approximate)."
        )
    return (
        f"Separation (reference, aligned): {what} Gain: aligned minus reference. Retention: gain over the gain of "
        f"{audit.pivot}. Brackets: {format_percent(audit.config['level'])} intervals that hold for all languages together "
        "(≈: approximate)."
    )


def control_caption() -> str:
    """Say what the columns of the controls hold."""
    return (
        "Pairs of numbers: AUROC / twin accuracy, of the probe and of what could explain it: text length, character "
        "n-grams, the same architecture with an untrained model. Shuffled: 97.5 % of AUROCs with permuted labels. Edited: "
        "median share of words edited in a pair. Bits/char: of the model before alignment on harmless texts."
    )


def warning_lines(warnings: Sequence[CodedWarning]) -> list[str]:
    """Write warnings by code: those of one or two languages with their details, those of more with the languages."""
    found = []
    for code in sorted({warning.code for warning in warnings}):
        mine = [warning for warning in warnings if warning.code == code]
        languages = list(dict.fromkeys(warning.language for warning in mine if warning.language))
        if len(languages) > FEW_LANGUAGES:
            found.append(f"{code} {', '.join(languages)}: {WARNINGS[code].meaning}")
        else:
            found += [f"{code} {warning.text}" for warning in mine]
    return found


def markdown(audit: Audit) -> str:
    """Write the lines as a Markdown table."""
    columns = headings(audit)
    rows = [" | ".join(columns.values()), " | ".join("---" for _ in columns)]
    rows += [" | ".join(getattr(line, name) for name in columns) for line in lines(audit)]
    return "\n".join(f"| {row} |" for row in rows) + "\n"


def control_markdown(audit: Audit) -> str:
    """Write the controls as a Markdown table."""
    rows = [" | ".join(CONTROL_HEADINGS.values()), " | ".join("---" for _ in CONTROL_HEADINGS)]
    rows += [" | ".join(getattr(line, name) for name in CONTROL_HEADINGS) for line in control_lines(audit)]
    return "\n".join(f"| {row} |" for row in rows) + "\n"
