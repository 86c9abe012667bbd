"""A judgement -> SARIF 2.1.0, as GitHub code scanning and other viewers of findings read it."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

from isogloss.files import sha256_text
from isogloss.gating.judgement import FAIL, PASS, Finding, Judgement, Policy
from isogloss.gating.rules import RULES
from isogloss.gating.words import message, sentence

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def to_sarif(judgement: Judgement, *, place: str, inconclusive: Policy) -> str:  # noqa: ARG001 - as all formats
    """Write a result a finding that does not pass.

    An inconclusive finding is of kind "open", the standard's word for too little information to decide, and so of level
    "none". What passes is left out: viewers would list it as an alert.

    Args:
        judgement: what to write.
        place: URI of the file that results are shown at, which GitHub wants relative to the repository.
        inconclusive: plays no part.
    """
    rules = list(dict.fromkeys(one.rule for one in judgement.findings))
    driver = {
        "name": "isogloss",
        "version": version("isogloss"),
        "rules": [{"id": name, "shortDescription": {"text": RULES[name].about}} for name in rules],
    }
    run = {
        "tool": {"driver": driver},
        "results": [_result(one, rules.index(one.rule), place) for one in judgement.findings if one.verdict != PASS],
        "properties": {"verdict": judgement.verdict, "sentence": sentence(judgement)},
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, ensure_ascii=False, indent=1) + "\n"


def _result(finding: Finding, rule: int, place: str) -> dict[str, Any]:
    failed = finding.verdict == FAIL
    return {
        "ruleId": finding.rule,
        "ruleIndex": rule,
        "kind": "fail" if failed else "open",
        "level": "error" if failed else "none",
        "message": {"text": message(finding)},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": place}, "region": {"startLine": 1}}}],
        # The same rule and language is the same alert in the next run, whatever its numbers.
        "partialFingerprints": {"isogloss/v1": sha256_text(f"{finding.rule}\n{finding.language}")},
    }
