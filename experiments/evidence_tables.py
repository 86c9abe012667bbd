"""What the audits found, as tables in Markdown; nothing is computed here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from isogloss.report.ablation import ABLATION_HEADINGS, ablation_lines, ablation_sentences
from isogloss.report.behaviour import BEHAVIOUR_HEADINGS, behaviour_lines, link_sentences
from isogloss.report.cross_lingual import bottleneck
from isogloss.report.estimates import DASH, format_number, format_with_interval
from isogloss.report.tables import HEADINGS, lines, primary_layer
from isogloss.results import Audit

MODELS = ("reference", "aligned")


def page(found: Mapping[str, Mapping[str, Audit]]) -> str:
    """Write all tables: for each corpus, for each aligned model."""
    parts = []
    for corpus, audits in found.items():
        some = next(iter(audits.values()))
        n = max(row.estimate.n for row in some.rows if row.kind == "score")
        parts.append(f"## {corpus}: {len(some.languages)} languages, {n} texts per class each")
        for name, audit in audits.items():
            parts += [f"### {corpus}, {name}", *_sections(audit)]
        parts += ["### Layer by layer", layers(audits)]
    return "\n\n".join(parts)


def _sections(audit: Audit) -> list[str]:
    found = [
        "**Hidden states.**",
        records(HEADINGS, lines(audit)),
        "**What the model would say.**",
        records(BEHAVIOUR_HEADINGS, behaviour_lines(audit)),
    ]
    if said := link_sentences(audit):
        found += ["**The link.** " + " ".join(said)]
    for model in MODELS:
        found += [f"**Probe of a row's language on a column's, AUROC, {model}.**", matrix(audit, "transfer", model)]
    for model in MODELS:
        found += [f"**Cosines of harm directions, {model}.**", matrix(audit, "cosine", model)]
    if said := [sentence for model in MODELS if (sentence := by_meaning(audit, model))]:
        found.append("**Where texts lie by meaning rather than by language.** " + " ".join(said))
    if rows := ablation_lines(audit):
        found += [
            "**Without the harm direction.** " + " ".join(ablation_sentences(audit)),
            records(ABLATION_HEADINGS, rows),
        ]
    return found


def records(headings: Mapping[str, str], rows: Iterable[object]) -> str:
    """Write the fields that have a heading."""
    return table(headings.values(), ([getattr(row, name) for name in headings] for row in rows))


def table(headings: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table, the first column to the left."""
    headings = list(headings)
    head = [f"| {' | '.join(headings)} |", f"|---|{'---:|' * (len(headings) - 1)}"]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows)])


def matrix(audit: Audit, kind: str, model: str) -> str:
    """Write a quantity of two languages."""
    codes = audit.languages
    known = {(row.language, row.other): row.estimate for row in audit.find(kind=kind, model=model)}
    rows = [(code, *(format_number(known.get((code, other)), digits=2) for other in codes)) for code in codes]
    return table(["", *codes], rows)


def by_meaning(audit: Audit, model: str) -> str:
    """Name the layer of LASA, and how sure it is."""
    found = bottleneck(audit, model)
    if found is None:
        return ""
    best, won = found
    share = f", first in {100 * won.value:.0f} % of random halves of the items" if won else ""
    difference = format_with_interval(best.estimate, digits=3, signed=True)
    return f"{model.capitalize()}: layer {best.layer}, silhouette by meaning less by language {difference}{share}."


def layers(audits: Mapping[str, Audit]) -> str:
    """Write the gain of the primary metric at every layer: the pivot's, and the mean, least and most of the others."""
    some = next(iter(audits.values()))
    metric, components = some.primary.metric, some.primary.components
    rows = []
    places = sorted({(row.layer, row.norm) for row in some.find(kind="gain", metric=metric, sample="all")})
    for index, norm in places:
        cells = [f"{index}{f' ({norm})' if norm else ''}{' *' if (index, norm) == primary_layer(some) else ''}"]
        for audit in audits.values():
            at = {
                row.language: row.estimate
                for row in audit.find(kind="gain", metric=metric, components=components, sample="all", layer=index)
                if row.norm == norm
            }
            others = [at[code].value for code in audit.languages if code != audit.pivot]
            known = not any(math.isnan(value) for value in others)
            spread = f"{sum(others) / len(others):+.2f} ({min(others):+.2f} to {max(others):+.2f})" if known else DASH
            cells += [format_with_interval(at[audit.pivot], digits=2, signed=True), spread]
        rows.append(cells)
    names = [f"{name}, {which}" for name in audits for which in (some.pivot, "others: mean (range)")]
    return table(["layer", *names], rows)
