"""Audit -> a section for a Hugging Face model card, with its `model-index`."""

from __future__ import annotations

import math
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from isogloss.data.named_corpora import CORPORA
from isogloss.records import Estimate
from isogloss.report.exports import export_tables
from isogloss.report.render_markdown import escape, render_markdown
from isogloss.report.sentences import headline, metric_title
from isogloss.report.view import Named, language_label, view
from isogloss.results import Audit
from isogloss.text import sanitize

#: The hub names a task by one of its own words; the task itself is in its name.
TASK_TYPE, TASK = "other", "reach of safety alignment across languages"
LIMITS = (
    "Measured with isogloss (after arXiv 2504.02708). Separation is not behaviour: a model can tell harmful text apart "
    "and still answer it. Gains are comparable between languages, levels are not. Intervals hold for all languages "
    "together (≈: approximate)."
)


def model_card(audit: Audit) -> str:
    """Write YAML front matter with a `model-index`, and a section of prose and table below it.

    The index has, for each language, the aligned model's separation, the gain and the retention at the primary
    estimand, with interval and verdict in `args`. A number that does not exist is left out there, and the section says
    why.
    """
    name = sanitize(str(audit.models["aligned"]["name"]))
    data = ModelCardData(model_name=name, eval_results=_results(audit))
    shown = view(audit)
    table = render_markdown(export_tables(shown)[:1])
    answer = escape(headline(shown).text)
    parts = ["---", data.to_yaml(), "---", "", f"## {TASK.capitalize()}", "", answer, "", table, escape(LIMITS), ""]
    return "\n".join(parts)


def _results(audit: Audit) -> list[EvalResult]:
    shown = view(audit)
    kinds = {"separation": ("score", "aligned"), "gain": ("gain", ""), "retention": ("retention", "")}
    results = []
    for language in shown.languages:
        for name, (kind, model) in kinds.items():
            estimate = shown.primary(kind, language, model=model)
            if estimate is not None and not math.isnan(estimate.value):
                results.append(_result(audit, language, name, estimate))
    return results


def _result(audit: Audit, language: Named, name: str, estimate: Estimate) -> EvalResult:
    corpus = sanitize(str(audit.corpus["name"]))
    revision = audit.corpus.get("revision")
    quantity = metric_title(audit.primary.metric, audit.primary.components, unit="principal components")
    return EvalResult(
        task_type=TASK_TYPE,
        task_name=TASK,
        dataset_type=_dataset(corpus),
        dataset_name=f"{corpus} ({language_label(language.code)})",
        dataset_config=sanitize(language.code),
        dataset_revision=sanitize(str(revision)) if revision else None,
        dataset_args={"sha256": sanitize(str(audit.corpus["sha256"])), "texts_per_class": estimate.n},
        metric_type=f"{sanitize(audit.primary.metric)}_{name}",
        metric_name=f"{name} ({quantity})",
        metric_value=estimate.value,
        metric_args=_details(audit, estimate, language.verdict.verdict if language.verdict else None),
    )


def _details(audit: Audit, estimate: Estimate, verdict: str | None) -> dict[str, Any]:
    known = {"low": estimate.low, "high": estimate.high, "level": estimate.level}
    details: dict[str, Any] = {key: value for key, value in known.items() if not math.isnan(value)}
    if estimate.approximate:
        details["approximate"] = sanitize(estimate.approximate)
    if verdict:
        details["verdict"] = sanitize(verdict)
    reference = audit.models.get("reference")
    details["layer"] = sanitize(audit.primary.layer)
    if reference:
        details["reference"] = sanitize(str(reference["name"]))
    return details


def _dataset(corpus: str) -> str:
    """Name of the data set on the hub where it has one, else the name of the corpus."""
    row = CORPORA.get(corpus)
    hub = {file.hub for file in row.files if file.hub} if row else set()
    return hub.pop() if len(hub) == 1 else corpus
