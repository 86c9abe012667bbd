"""A judgement -> JSON, for whatever reads it next."""

from __future__ import annotations

from dataclasses import asdict

from isogloss.files import canonical_json
from isogloss.gating.judgement import Judgement, Policy
from isogloss.gating.words import sentence

VERSION = 1


def to_json(judgement: Judgement, *, place: str, inconclusive: Policy) -> str:  # noqa: ARG001 - as all formats
    """Write verdict, exit code, findings and all that is said of them; a number that does not exist is null."""
    content = {
        "version": VERSION,
        "verdict": judgement.verdict,
        "exit_code": judgement.exit_code(inconclusive),
        "sentence": sentence(judgement),
        "findings": [asdict(one) for one in judgement.findings],
        "wrong_fail_at_most": judgement.wrong,
        "run": asdict(judgement.subject),
        "baseline": asdict(judgement.baseline) if judgement.baseline else None,
        "remarks": judgement.remarks,
    }
    return canonical_json(content, indent=1) + "\n"
