"""A judgement -> JSON, for whatever reads it next."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from isogloss.files import canonical_json
from isogloss.gating.judgement import Finding, Judgement, Policy, Subject
from isogloss.gating.words import sentence
from isogloss.report.visible import visible

VERSION = 1


def to_json(judgement: Judgement, *, place: str, inconclusive: Policy) -> str:  # noqa: ARG001 - as all formats
    """Write verdict, exit code, findings and all that is said of them; a number that does not exist is null."""
    content = {
        "version": VERSION,
        "verdict": judgement.verdict,
        "exit_code": judgement.exit_code(inconclusive),
        "sentence": sentence(judgement),
        "findings": [_finding(one) for one in judgement.findings],
        "wrong_fail_at_most": judgement.wrong,
        "run": _subject(judgement.subject),
        "baseline": _subject(judgement.baseline) if judgement.baseline else None,
        "remarks": judgement.remarks,
    }
    return canonical_json(content, indent=1) + "\n"


def _finding(finding: Finding) -> dict[str, Any]:
    return asdict(finding) | {
        "language": None if finding.language is None else visible(finding.language),
        "words": [visible(word) for word in finding.words],
        "reason": None if finding.reason is None else visible(finding.reason),
    }


def _subject(subject: Subject) -> dict[str, Any]:
    return {
        name: visible(value) if isinstance(value, str) else [visible(one) for one in value]
        for name, value in asdict(subject).items()
    }
