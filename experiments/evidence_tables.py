"""The results of the audits as Markdown tables. Nothing is computed here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from isogloss.analyses.audit import audit_sections
from isogloss.analyses.cross_lingual.tables import semantic_bottleneck
from isogloss.report.audit_tables import language_table
from isogloss.report.estimates import DASH, format_number, format_with_interval
from isogloss.report.render_markdown import render_markdown
from isogloss.report.view import view
from isogloss.results import Audit

MODELS = ("reference", "aligned")


def page(audits_by_corpus: Mapping[str, Mapping[str, Audit]]) -> str:
    """Write all tables, for each corpus and each aligned model."""
    sections = []
    for corpus, audits in audits_by_corpus.items():
        first = next(iter(audits.values()))
        n = max(row.estimate.n for row in first.rows if row.kind == "score")
        sections.append(f"## {corpus}: {len(first.languages)} languages, {n} texts per class each")
        for name, audit in audits.items():
            sections += [f"### {corpus}, {name}", *_sections(audit)]
        sections += ["### Layer by layer", layers(audits)]
    return "\n\n".join(sections)


def _sections(audit: Audit) -> list[str]:
    sections = [render_markdown([language_table(view(audit))])]
    for section in audit_sections(audit):
        sections.append(f"**{section.title}**")
        for block in section.blocks:
            sections += [" ".join(block.findings)] if block.findings else []
            sections += [render_markdown(block.tables)] if block.tables else []
    for model in MODELS:
        title = f"**AUROC of a probe fitted in the row's language and applied in the column's, {model}.**"
        sections += [title, matrix(audit, "transfer", model)]
    for model in MODELS:
        sections += [f"**Cosines of harm directions, {model}.**", matrix(audit, "cosine", model)]
    if sentences := [sentence for model in MODELS if (sentence := by_meaning(audit, model))]:
        sections.append("**Layer at which texts cluster by meaning rather than by language.** " + " ".join(sentences))
    return sections


def table(headings: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table whose first column is aligned to the left."""
    headings = list(headings)
    head = [f"| {' | '.join(headings)} |", f"|---|{'---:|' * (len(headings) - 1)}"]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows)])


def matrix(audit: Audit, kind: str, model: str) -> str:
    """Write the matrix of a quantity of two languages."""
    codes = audit.languages
    known = {(row.language, row.other): row.estimate for row in audit.find(kind=kind, model=model)}
    rows = [(code, *(format_number(known.get((code, other)), digits=2) for other in codes)) for code in codes]
    return table(["", *codes], rows)


def by_meaning(audit: Audit, model: str) -> str:
    """Name the semantic layer (LASA), and how stable it is."""
    layer = semantic_bottleneck(audit, model)
    if layer is None:
        return ""
    best, stability = layer
    share = f", the best in {100 * stability.value:.0f} % of random halves of the items" if stability else ""
    difference = format_with_interval(best.estimate, digits=3, signed=True)
    return f"{model.capitalize()}: layer {best.layer}, silhouette by meaning minus by language {difference}{share}."


def layers(audits: Mapping[str, Audit]) -> str:
    """Write the gain of the primary metric at every layer: the pivot's, and the mean and range of the others."""
    first = next(iter(audits.values()))
    metric, components = first.primary.metric, first.primary.components
    rows = []
    layer_norms = sorted({(row.layer, row.norm) for row in first.find(kind="gain", metric=metric, sample="all")})
    for index, norm in layer_norms:
        cells = [f"{index}{f' ({norm})' if norm else ''}{' *' if (index, norm) == first.primary_layer else ''}"]
        for audit in audits.values():
            gains = {
                row.language: row.estimate
                for row in audit.find(kind="gain", metric=metric, components=components, sample="all", layer=index)
                if row.norm == norm
            }
            others = [gains[code].value for code in audit.languages if code != audit.pivot]
            known = not any(math.isnan(value) for value in others)
            spread = f"{sum(others) / len(others):+.2f} ({min(others):+.2f} to {max(others):+.2f})" if known else DASH
            cells += [format_with_interval(gains[audit.pivot], digits=2, signed=True), spread]
        rows.append(cells)
    names = [f"{name}, {which}" for name in audits for which in (first.pivot, "others: mean (range)")]
    return table(["layer", *names], rows)
