"""Audit -> a section for a Hugging Face model card, with its `model-index`."""

from __future__ import annotations

import math
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from isogloss.data.named_corpora import CORPORA
from isogloss.records import Estimate
from isogloss.report.exports.markdown import escape, markdown
from isogloss.report.exports.paper import paper_tables
from isogloss.report.tables import label, metric_words, order, primary
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
    table = markdown(paper_tables(audit)[:1])
    parts = ["---", data.to_yaml(), "---", "", f"## {TASK.capitalize()}", "", table, escape(LIMITS), ""]
    return "\n".join(parts)


def _results(audit: Audit) -> list[EvalResult]:
    verdicts = {one.language: one.verdict for one in audit.verdicts}
    kinds = {"separation": ("score", "aligned"), "gain": ("gain", ""), "retention": ("retention", "")}
    found = []
    for code in sorted(audit.languages, key=lambda code: order(audit, code)):
        for name, (kind, model) in kinds.items():
            estimate = primary(audit, code, kind, model)
            if estimate is not None and not math.isnan(estimate.value):
                found.append(_result(audit, code, name, estimate, verdicts.get(code)))
    return found


def _result(audit: Audit, code: str, name: str, estimate: Estimate, verdict: str | None) -> EvalResult:
    corpus = sanitize(str(audit.corpus["name"]))
    revision = audit.corpus.get("revision")
    quantity = f"{metric_words(audit.primary.metric)}, {audit.primary.components} principal components"
    return EvalResult(
        task_type=TASK_TYPE,
        task_name=TASK,
        dataset_type=_dataset(corpus),
        dataset_name=f"{corpus} ({label(code)})",
        dataset_config=sanitize(code),
        dataset_revision=sanitize(str(revision)) if revision else None,
        dataset_args={"sha256": sanitize(str(audit.corpus["sha256"])), "texts_per_class": estimate.n},
        metric_type=f"{sanitize(audit.primary.metric)}_{name}",
        metric_name=f"{name} ({quantity})",
        metric_value=estimate.value,
        metric_args=_details(audit, estimate, verdict),
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
