"""Audit -> the lines that a person reads: a headline and one line per language, for terminal and Markdown."""

from __future__ import annotations

import math
from dataclasses import dataclass

from isogloss.corpora.languages import LANGUAGES
from isogloss.results import Audit, Estimate

DASH = "–"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One language at the primary layer, as text; the pivot comes first, then languages by gain."""

    language: str
    reference: str
    aligned: str
    gain: str
    interval: str
    retention: str
    probe: str
    length: str
    ngrams: str
    reading: str
    codes: str


HEADINGS = {
    "language": "language",
    "reference": "reference",
    "aligned": "aligned",
    "gain": "gain",
    "interval": "[low, high]",
    "retention": "retention",
    "probe": "probe AUROC",
    "length": "length",
    "ngrams": "n-grams",
    "reading": "separation",
    "codes": "warnings",
}


def lines(audit: Audit) -> list[Line]:
    """Write one line per language at the primary layer and metric."""
    return sorted((_line(audit, code) for code in audit.languages), key=lambda line: _order(audit, line))


def _order(audit: Audit, line: Line) -> tuple[bool, float]:
    code = line.language.split()[0]
    found = _primary(audit, code, "gain") or _primary(audit, code, "score", "aligned")
    value = found.value if found else math.nan
    return code != audit.pivot, math.inf if math.isnan(value) else -value


def primary_layer(audit: Audit) -> tuple[int, str]:
    """Return the layer that readings come from: the last one asked for."""
    name, _, norm = str(audit.config["layers"][-1]).partition("-")
    return int(name), norm


def _primary(audit: Audit, code: str, kind: str, model: str = "") -> Estimate | None:
    layer, norm = primary_layer(audit)
    return audit.value(
        kind=kind,
        language=code,
        model=model,
        layer=layer,
        norm=norm,
        metric=audit.primary.metric,
        components=audit.primary.components,
    )


def _line(audit: Audit, code: str) -> Line:
    layer, norm = primary_layer(audit)
    probes = [
        audit.value(kind="score", language=code, model=model, layer=layer, norm=norm, metric="auroc")
        for model in ("reference", "aligned")
    ]
    gain = _primary(audit, code, "gain")
    readings = {reading.language: reading.reading for reading in audit.readings}
    return Line(
        language=f"{code} {LANGUAGES[code].name}",
        reference=_number(_primary(audit, code, "score", "reference")),
        aligned=_number(_primary(audit, code, "score", "aligned")),
        gain=_number(gain, signed=True),
        interval=f"[{gain.low:+.3f}, {gain.high:+.3f}]" if gain and not math.isnan(gain.low) else DASH,
        retention="pivot" if code == audit.pivot else _number(_primary(audit, code, "retention"), digits=2),
        probe=" → ".join(_number(probe, digits=2) for probe in probes if probe) or DASH,
        length=_number(audit.value(kind="control", language=code, metric="length_auroc"), digits=2),
        ngrams=_number(audit.value(kind="control", language=code, metric="ngram_auroc"), digits=2),
        reading=readings.get(code, DASH),
        codes=" ".join(dict.fromkeys(notice.code for notice in audit.notices if notice.language == code)),
    )


def _number(estimate: Estimate | None, *, digits: int = 3, signed: bool = False) -> str:
    if estimate is None or math.isnan(estimate.value):
        return DASH
    return f"{estimate.value:{'+' if signed else ''}.{digits}f}"


def headline(audit: Audit) -> str:
    """Say in which languages alignment raised the separation and in which it did not."""
    if not audit.has_reference:
        return "No reference model: separation of the aligned model only, no gain."
    groups: dict[str, list[str]] = {}
    for reading in audit.readings:
        groups.setdefault(reading.reading, []).append(reading.language)
    rose = groups.get("rose", [])
    found = f"in {len(rose)} of {len(audit.readings)} languages" + (f": {_shares(audit, rose)}." if rose else ".")
    parts = [f"Alignment raised the separation of harmful from harmless text {found}"]
    for word, start in (("fell", "It lowered it in"), ("no clear change", "No clear change in")):
        if word in groups:
            parts.append(f"{start} {', '.join(groups[word])}.")
    if "not measured" in groups:
        parts.append(f"Not measured in {', '.join(groups['not measured'])}.")
    return " ".join(parts)


def _shares(audit: Audit, codes: list[str]) -> str:
    """Name languages, the largest retention first, each with the share of the pivot's gain that it kept."""
    kept = {code: _primary(audit, code, "retention") for code in codes}
    known = {code: found.value for code, found in kept.items() if found and not math.isnan(found.value)}
    ordered = sorted(codes, key=lambda code: (code != audit.pivot, -known.get(code, 0.0)))
    shares = [f"{code} ({known[code]:.0%} of the {audit.pivot} gain)" if code in known else code for code in ordered]
    return ", ".join(shares)


def caption(audit: Audit) -> str:
    """Say what the columns hold."""
    layer, norm = primary_layer(audit)
    place = f"layer {layer}" + (f" ({norm}-norm)" if norm else "")
    sample = next(iter(row.estimate.n for row in audit.rows))
    return (
        f"Separation: share of variance between the classes in {audit.primary.components} principal components, "
        f"{place}, {audit.config['position']} token, {sample} texts per class. Gain: aligned minus reference, with a "
        f"{audit.config['level']:.0%} interval (for all languages but {audit.pivot} together). Retention: gain over "
        f"the gain of {audit.pivot}. Probe, length, n-grams: AUROC of a cross-fitted probe on hidden states, of text "
        "length, of character n-grams."
    )


def markdown(audit: Audit) -> str:
    """Write the lines as a Markdown table."""
    rows = [" | ".join(HEADINGS.values()), " | ".join("---" for _ in HEADINGS)]
    rows += [" | ".join(getattr(line, name) for name in HEADINGS) for line in lines(audit)]
    return "\n".join(f"| {row} |" for row in rows) + "\n"
