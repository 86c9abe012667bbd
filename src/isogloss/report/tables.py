"""Audit -> the lines that a person reads: a headline, one line per language, and its controls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from isogloss.corpora.languages import LANGUAGES
from isogloss.notices import NOTICES, Notice
from isogloss.results import Audit, Estimate, LanguageVerdict, Row

DASH = "–"
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


#: Of an aligned model alone: its score with its own interval, and how high the score gets with shuffled labels.
HEADINGS_ALONE = {
    "language": "language",
    "aligned": "aligned",
    "interval": "[low, high]",
    "null": "shuffled up to",
    "probe": "probe AUROC",
    "codes": "warnings",
}


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
    random_weights: str
    shuffled: str
    edit_share: str
    tokens: str
    bits: str


CONTROL_HEADINGS = {
    "language": "language",
    "probe": "probe, aligned",
    "length": "length",
    "ngram": "n-grams",
    "random_weights": "random weights",
    "shuffled": "shuffled up to",
    "edit_share": "edited",
    "tokens": "tokens/char",
    "bits": "bits/char",
}


def lines(audit: Audit) -> list[Line]:
    """Write one line per language at the primary estimand."""
    verdicts = {one.language: one for one in audit.verdicts}
    found = [_line(audit, code, verdicts.get(code)) for code in audit.languages]
    return sorted(found, key=lambda line: _order(audit, line.language.split()[0]))


def control_lines(audit: Audit) -> list[ControlLine]:
    """Write one line of controls per language, in the order of `lines`."""
    return [_control_line(audit, code) for code in sorted(audit.languages, key=lambda code: _order(audit, code))]


def _order(audit: Audit, code: str) -> tuple[bool, float]:
    found = _primary(audit, code, "gain") or _primary(audit, code, "score", "aligned")
    value = found.value if found else math.nan
    return code != audit.pivot, math.inf if math.isnan(value) else -value


def primary_layer(audit: Audit) -> tuple[int, str]:
    """Return the layer that verdicts come from."""
    name, _, norm = audit.primary.layer.partition("-")
    return int(name), norm


def _primary(audit: Audit, code: str, kind: str, model: str = "") -> Estimate | None:
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
    gain, kept = _primary(audit, code, "gain"), _primary(audit, code, "retention")
    row = _primary_row(audit, code, "gain")
    word = verdict.verdict if verdict else DASH
    own = _primary(audit, code, "score", "aligned")
    return Line(
        language=f"{code} {LANGUAGES[code].name}",
        reference=_number(_primary(audit, code, "score", "reference")),
        aligned=_number(own),
        gain=_number(gain, signed=True),
        interval=_interval(gain, signed=True) if audit.has_reference else _interval(own),
        retention=_number(kept, digits=2),
        kept=_interval(kept, digits=2),
        verdict=f"{word}, metrics disagree" if verdict and verdict.disagree else word,
        detectable=_plain(row.detectable_gap) if row else DASH,
        pivot_z=_plain(row.pivot_z, digits=1) if row else DASH,
        probe=" → ".join(_number(probe, digits=2) for probe in probes if probe) or DASH,
        codes=" ".join(dict.fromkeys(notice.code for notice in audit.notices if notice.language == code)),
        null=_plain(own.null_high) if own else DASH,
    )


def _control_line(audit: Audit, code: str) -> ControlLine:
    def control(name: str) -> Estimate | None:
        return audit.value(kind="control", language=code, metric=name)

    def both(name: str) -> str:
        found = [control(f"{name}_{metric}") for metric in ("auroc", "twin_accuracy")]
        return " / ".join(_number(one, digits=2) for one in found if one) or DASH

    probes = [_probe(audit, code, "aligned", metric) for metric in ("auroc", "twin_accuracy")]
    shuffled = control("shuffled_labels_auroc")
    return ControlLine(
        language=f"{code} {LANGUAGES[code].name}",
        probe=" / ".join(_number(one, digits=2) for one in probes if one) or DASH,
        length=both("length"),
        ngram=both("ngram"),
        random_weights=both("random_weights"),
        shuffled=_plain(shuffled.high, digits=2) if shuffled else DASH,
        edit_share=_number(control("edit_share"), digits=2),
        tokens=_number(control("tokens_per_character"), digits=2),
        bits=_number(control("bits_per_character"), digits=2),
    )


def _number(estimate: Estimate | None, *, digits: int = 3, signed: bool = False) -> str:
    if estimate is None or math.isnan(estimate.value):
        return DASH
    return f"{estimate.value:{'+' if signed else ''}.{digits}f}"


def _plain(value: float, *, digits: int = 3) -> str:
    return DASH if math.isnan(value) else f"{value:.{digits}f}"


def _interval(estimate: Estimate | None, *, digits: int = 3, signed: bool = False) -> str:
    """Bounds in brackets; about-signs for bounds that are only approximate."""
    if estimate is None or math.isnan(estimate.low):
        return DASH
    form = f"{'+' if signed else ''}.{digits}f"
    about = "≈" if estimate.approximate else ""
    return f"{about}[{estimate.low:{form}}, {estimate.high:{form}}]"


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
        return f"Only {LANGUAGES[audit.pivot].name}: nothing to compare it with."
    groups = {word: [one.language for one in others if one.verdict == word] for word in SAID}
    if len(groups["not measured"]) == len(others):
        return f"No language was compared with {audit.pivot}: {others[0].reason}."
    if any(one.verdict == "inconclusive" and one.reason for one in others):  # the pivot's gain is not clear of zero
        found = _number(_primary(audit, audit.pivot, "gain"), signed=True)
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
    """Say in plain words what a salience metric is."""
    named = {
        "between_class_variance": "share of variance between the classes",
        "bhattacharyya": "Bhattacharyya distance of the classes",
        "silhouette": "silhouette of the classes",
    }
    return named.get(name, name)


def caption(audit: Audit) -> str:
    """Say what the columns hold."""
    layer, norm = primary_layer(audit)
    place = f"layer {layer}" + (f" ({norm}-norm)" if norm else "")
    sample = next(row.estimate.n for row in audit.rows if row.kind == "score")
    what = (
        f"{metric_words(audit.primary.metric)} in {audit.primary.components} principal components, debiased; {place}, "
        f"{audit.config['position']} token, {sample} texts per class."
    )
    if not audit.has_reference:
        return (
            f"Separation of the aligned model: {what} Brackets: {audit.config['level']:.0%} intervals of each language "
            "by itself (≈: approximate). Shuffled: 97.5 % of scores with shuffled labels."
        )
    return (
        f"Separation (reference, aligned): {what} Gain: aligned minus reference. Retention: gain over the gain of "
        f"{audit.pivot}. Brackets: {audit.config['level']:.0%} intervals that hold for all languages together "
        f"(≈: approximate). Min gap: the smallest gap to {audit.pivot} that would be seen 9 times in 10. Pivot z: gain "
        f"of {audit.pivot} over its standard error."
    )


def control_caption() -> str:
    """Say what the columns of the controls hold."""
    return (
        "Pairs of numbers: AUROC / twin accuracy, of the probe and of what could explain it: text length, character "
        "n-grams, the same architecture with random weights. Shuffled: 97.5 % of AUROCs with shuffled labels. Edited: "
        "median share of words edited in a pair. Bits/char: of the model before alignment on harmless texts."
    )


def notice_lines(notices: Sequence[Notice]) -> list[str]:
    """Write warnings by code: those of one or two languages with their details, those of more with the languages."""
    found = []
    for code in sorted({notice.code for notice in notices}):
        mine = [notice for notice in notices if notice.code == code]
        languages = list(dict.fromkeys(notice.language for notice in mine if notice.language))
        if len(languages) > FEW_LANGUAGES:
            found.append(f"{code} {', '.join(languages)}: {NOTICES[code]}")
        else:
            found += [f"{code} {notice.text}" for notice in mine]
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
