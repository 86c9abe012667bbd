"""What a result records of its corpus, models and libraries."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from isogloss.auditing.audit_warnings import count_added_tokens
from isogloss.auditing.plan import Plan
from isogloss.models.checkpoints import Checkpoint

LIBRARIES = ("isogloss", "numpy", "scikit-learn", "scipy", "torch", "transformers", "peft")


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that a result may depend on."""
    return {name: version(name) for name in LIBRARIES}


def record_corpus(plan: Plan) -> dict[str, object]:
    """Return what identifies the audited texts, as audit.json holds it."""
    corpus = plan.corpus
    lists = {"left_out": plan.left_out, "quarantined": plan.quarantined}
    return {
        "name": corpus.name,
        "sha256": plan.corpus_sha256,
        "revision": corpus.revision,
        "licence": corpus.licence,
        "paired": corpus.paired,
        "parallel": corpus.parallel,
        "texts": len(corpus),
    } | {name: list(ids) for name, ids in lists.items() if ids}


def record_models(plan: Plan) -> dict[str, object]:
    """Return what identifies the models by role, as audit.json holds it."""
    record: dict[str, object] = {"reference": None}
    for role, checkpoint in plan.checkpoints.items():
        # A local path is not a name: the hash identifies the model.
        base = checkpoint.ref.base
        name = Path(base).name if Path(base).exists() else base
        record[role] = {
            "name": name + _name_adapter(checkpoint),
            "given": _pin_reference(checkpoint) if plan.given is None else None,
            "revision": checkpoint.revision,
            **({"adapter_revision": checkpoint.adapter_revision} if checkpoint.adapter_revision else {}),
            "sha256": checkpoint.sha256,
            **_record_prompts(plan, role, checkpoint),
        } | ({"drift": plan.activations[role].drift()} if plan.config.spec.rounded and role in plan.roles else {})
    return record


def _record_prompts(plan: Plan, role: str, checkpoint: Checkpoint) -> dict[str, object]:
    """Record what differs from the base's raw text: the adapter's tokenizer, and the end of prompts in a template."""
    record: dict[str, object] = {}
    if checkpoint.tokenizer_folder is not None:
        record["tokenizer"] = {"from": "adapter", "added_tokens": count_added_tokens(checkpoint)}
    ends = [states.prompt_end()[0] for states in plan.states if states.template_settings]
    return record | ({"prompt_end": list(ends[0])} if role == "aligned" and ends else {})


def _name_adapter(checkpoint: Checkpoint) -> str:
    if checkpoint.ref.adapter is None:
        return ""
    name = Path(checkpoint.ref.adapter).name
    return "+" + (name.partition("@")[0] if checkpoint.adapter_revision else name)


def _pin_reference(checkpoint: Checkpoint) -> str | None:
    """Write a model as a command line takes it, pinned to the revision that was read; None for a local path."""
    ref = checkpoint.ref
    if ref.loaded is not None or any(Path(name).exists() for name in (ref.base, ref.adapter) if name):
        return None
    adapter = ref.adapter
    if adapter and checkpoint.adapter_revision:
        adapter = f"{adapter.partition('@')[0]}@{checkpoint.adapter_revision}"
    return str(replace(ref, revision=checkpoint.revision or ref.revision, adapter=adapter))
