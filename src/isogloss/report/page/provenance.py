"""What was run, as the page lists it: models, corpus, settings, versions, machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isogloss.report.page.text import spoken
from isogloss.results import Audit

NOT_STATED = "not stated"


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A term and what is known of it, a line each; `hash` is set in small print."""

    term: str
    lines: tuple[str, ...]
    hash: str = ""


def provenance(audit: Audit, run: Mapping[str, Any], verdicts_from: str) -> list[Fact]:
    """List what a reader needs to repeat the audit or to tell it from another.

    Args:
        audit: the audit.
        run: content of run.json, or nothing.
        verdicts_from: the metric and layer that verdicts come from, in words.
    """
    changed = ", changed from the default before the run" if audit.config.get("primary_changed") else ""
    length = f"at most {spoken(audit, 'max_tokens')} tokens"
    read_out = ", ".join(
        (
            f"{spoken(audit, 'position')} token",
            f"{spoken(audit, 'prompt_format')} text",
            f"layers {spoken(audit, 'layers')}",
            spoken(audit, "dtype"),
            length,
        )
    )
    placebo = ["placebo"] if audit.models.get("placebo") else []
    found = [_model(audit, role) for role in ("reference", "aligned", *placebo)]
    found += [
        _corpus(audit.corpus),
        Fact(term="Read-out", lines=(read_out,)),
        Fact(term="Verdicts from", lines=(verdicts_from + changed,)),
        Fact(term="Seed and permutations", lines=(f"{spoken(audit, 'seed')}, {spoken(audit, 'permutations')}",)),
        Fact(term="Matching", lines=(spoken(audit, "match", "none"),)),
        Fact(term="Versions", lines=(_joined(audit.versions),)),
    ]
    if run:
        found.append(Fact(term="Finished", lines=(str(run.get("finished") or NOT_STATED),)))
        host = run.get("host")
        found.append(Fact(term="Machine", lines=(_joined(host) if isinstance(host, Mapping) else NOT_STATED,)))
    return found


def _model(audit: Audit, role: str) -> Fact:
    model = audit.models.get(role)
    if not model:
        return Fact(term=f"{role.capitalize()} model", lines=("not published",))
    lines = (_of(model, "name"), f"revision {_of(model, 'revision')}")
    return Fact(term=f"{role.capitalize()} model", lines=lines, hash=f"sha256 {_of(model, 'sha256')}")


def _corpus(corpus: Mapping[str, Any]) -> Fact:
    lines = (_of(corpus, "name"), f"licence {_of(corpus, 'licence')}, revision {_of(corpus, 'revision')}")
    return Fact(term="Corpus", lines=lines, hash=f"sha256 {_of(corpus, 'sha256')}")


def _of(record: Mapping[str, Any], key: str) -> str:
    return str(record.get(key) or NOT_STATED)


def _joined(record: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in record.items())
