"""What was run, as the page lists it: models, corpus, settings, versions, machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isogloss.report.recorded_settings import analysis_settings, analysis_value, in_words, setting
from isogloss.report.sentences import verdicts_from
from isogloss.report.view import MODELS
from isogloss.results import Audit
from isogloss.text import sanitize

NOT_STATED = "not stated"


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A term and what is known of it, a line each; `hash` is set in small print."""

    term: str
    lines: tuple[str, ...]
    hash: str = ""


def provenance(audit: Audit, run: Mapping[str, Any]) -> list[Fact]:
    """List what a reader needs to repeat the audit or to tell it from another.

    Args:
        audit: the audit.
        run: content of run.json, or nothing.
    """
    changed = ", changed from the default before the run" if audit.config.get("primary_changed") else ""
    length = f"at most {setting(audit, 'max_tokens')} tokens"
    read_out = ", ".join(
        (
            f"{setting(audit, 'position')} token",
            f"{setting(audit, 'prompt_format')} text",
            f"layers {setting(audit, 'layers')}",
            setting(audit, "dtype"),
            length,
        )
    )
    end = (audit.models.get("aligned") or {}).get("prompt_end")
    others = [role for role in audit.models if role not in MODELS and audit.models[role]]
    facts = [_model(audit, role) for role in (*MODELS, *others)]
    facts += [
        _corpus(audit.corpus),
        Fact(term="Read-out", lines=(read_out,)),
        *_chat_prompts(audit, end),
        Fact(term="Verdicts from", lines=(verdicts_from(audit) + changed,)),
        Fact(term="Seed and permutations", lines=(f"{setting(audit, 'seed')}, {setting(audit, 'permutations')}",)),
        Fact(term="Analyses", lines=_analyses(audit)),
        Fact(term="Versions", lines=(_joined(audit.versions),)),
    ]
    if run:
        facts.append(Fact(term="Finished", lines=(str(run.get("finished") or NOT_STATED),)))
        host = run.get("host")
        facts.append(Fact(term="Machine", lines=(_joined(host) if isinstance(host, Mapping) else NOT_STATED,)))
    return facts


def _chat_prompts(audit: Audit, end: object) -> list[Fact]:
    """Describe the prompts in a chat template: the last tokens, arguments and date; nothing for raw text alone."""
    if not isinstance(end, list):
        return []
    arguments = analysis_value(audit.config, "template_args") or audit.config.get("template_args") or []
    template_settings = analysis_value(audit.config, "template_settings") or audit.config.get("template_settings") or {}
    lines = [f"the prompt ends in {' '.join(sanitize(repr(str(token))) for token in end)}"]
    if arguments:
        lines.append(f"template arguments {in_words(arguments)}")
    if isinstance(template_settings, Mapping) and template_settings.get("date"):
        lines.append(f"date given to the template {sanitize(str(template_settings['date']))}")
    return [Fact(term="Chat template", lines=tuple(lines))]


def _analyses(audit: Audit) -> tuple[str, ...]:
    settings = analysis_settings(audit)
    return tuple(f"{name}: {words}" for name, words in settings.items()) or ("none",)


def _model(audit: Audit, role: str) -> Fact:
    model = audit.models.get(role)
    if not model:
        return Fact(term=f"{sanitize(role).capitalize()} model", lines=("not published",))
    lines = (_of(model, "name"), f"revision {_of(model, 'revision')}")
    return Fact(term=f"{sanitize(role).capitalize()} model", lines=lines, hash=f"sha256 {_of(model, 'sha256')}")


def _corpus(corpus: Mapping[str, Any]) -> Fact:
    lines = (_of(corpus, "name"), f"licence {_of(corpus, 'licence')}, revision {_of(corpus, 'revision')}")
    return Fact(term="Corpus", lines=lines, hash=f"sha256 {_of(corpus, 'sha256')}")


def _of(record: Mapping[str, Any], key: str) -> str:
    return str(record.get(key) or NOT_STATED)


def _joined(record: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in record.items())
