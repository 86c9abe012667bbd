"""The FORMATS table: a judgement as JSON, JUnit, SARIF, Markdown or GitHub annotations."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, NamedTuple, Protocol
from xml.etree import ElementTree as ET  # written only; nothing is parsed

from isogloss.errors import UsageError
from isogloss.gating.judgement import (
    FAIL,
    INCONCLUSIVE,
    PASS,
    Finding,
    Judgement,
    Policy,
    Subject,
    asked,
    count,
    found,
    language,
    message,
    notes,
    sentence,
)
from isogloss.gating.rules import RULES
from isogloss.io.files import canonical_json, sha256_text
from isogloss.report.cells import text_cell
from isogloss.report.render_markdown import render_markdown
from isogloss.report.table import Column, Table, TableKind
from isogloss.text import sanitize

FINDINGS = TableKind(
    key="gate",
    title="Findings of the gate",
    columns=tuple(
        Column(key=key, heading=key, description="", align="left")
        for key in ("language", "rule", "found", "asked", "verdict")
    ),
)


def gate_table(judgement: Judgement) -> Table:
    """Write a line a finding, the worst first; the sentence and the notes stand below."""
    return FINDINGS.fill(
        [
            {
                "language": text_cell(language(one)),
                "rule": text_cell(one.rule),
                "found": text_cell(found(one)),
                "asked": text_cell(asked(one.rule, one.asked)),
                "verdict": text_cell(one.verdict, tag=one.verdict),
            }
            for one in judgement.findings
        ],
        title=f"isogloss gate: {judgement.verdict}",
        notes=(sentence(judgement), " ".join(notes(judgement))),
    )


def to_markdown(judgement: Judgement, *, place: str, inconclusive: Policy) -> str:  # noqa: ARG001 - as all formats
    """Write the table as GitHub Markdown, as for a step summary."""
    return render_markdown([gate_table(judgement)])


def to_github(judgement: Judgement, *, place: str, inconclusive: Policy) -> str:  # noqa: ARG001 - as all formats
    """Write one annotation a rule that fails or is inconclusive (a step may have ten), then the sentence."""
    levels = {FAIL: "error", INCONCLUSIVE: {"fail": "error", "pass": "warning"}.get(inconclusive, "warning")}
    lines = []
    for verdict, level in levels.items():
        mine = [one for one in judgement.findings if one.verdict == verdict]
        lines += [
            _annotation(level, f"isogloss gate: {rule} {verdict}", [one for one in mine if one.rule == rule])
            for rule in dict.fromkeys(one.rule for one in mine)
        ]
    return "\n".join([*lines, sentence(judgement), *notes(judgement)]) + "\n"


def _annotation(level: str, title: str, findings: list[Finding]) -> str:
    text = "\n".join(message(one) for one in findings)
    return f"::{level} title={_escape(title, ':,')}::{_escape(text)}"


def _escape(text: str, also: str = "") -> str:
    r"""Write text so that the runner reads it back as it was.

    >>> _escape("50 %\na: b", ":,")
    '50 %25%0Aa%3A b'
    """
    for letter in f"%\r\n{also}":
        text = text.replace(letter, f"%{ord(letter):02X}")
    return text


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
        "language": None if finding.language is None else sanitize(finding.language),
        "words": [sanitize(word) for word in finding.words],
        "reason": None if finding.reason is None else sanitize(finding.reason),
    }


def _subject(subject: Subject) -> dict[str, Any]:
    return {
        name: sanitize(value) if isinstance(value, str) else [sanitize(one) for one in value]
        for name, value in asdict(subject).items()
    }


def to_junit(judgement: Judgement, *, place: str, inconclusive: Policy) -> str:  # noqa: ARG001 - as all formats
    """Write a test case a finding.

    A finding that fails is a <failure>. An inconclusive one is an <error>, which JUnit has for tests that could not
    tell, and which readers count as not passed; where inconclusive counts as pass it is <skipped>.
    """
    skips = count(judgement, INCONCLUSIVE) if inconclusive == "pass" else 0
    counts = {
        "tests": str(len(judgement.findings)),
        "failures": str(count(judgement, FAIL)),
        "errors": str(count(judgement, INCONCLUSIVE) - skips),
        "skipped": str(skips),
    }
    root = ET.Element("testsuites", {"name": "isogloss gate"} | {k: v for k, v in counts.items() if k != "skipped"})
    suite = ET.SubElement(root, "testsuite", {"name": f"isogloss gate: {sanitize(judgement.subject.corpus)}"} | counts)
    for finding in judgement.findings:
        _case(suite, finding, "skipped" if inconclusive == "pass" else "error")
    ET.SubElement(suite, "system-out").text = "\n".join([sentence(judgement), *notes(judgement)])
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ET.Element, finding: Finding, if_inconclusive: str) -> None:
    # GitLab calls the suite by classname, so the rule stands there.
    case = ET.SubElement(suite, "testcase", classname=f"isogloss.gate.{finding.rule}", name=language(finding), time="0")
    if finding.verdict == PASS:
        return
    text = message(finding)
    kind = "failure" if finding.verdict == FAIL else if_inconclusive
    # Twice, because some readers show the attribute and others the text.
    told = ET.SubElement(case, kind, message=text)
    if kind != "skipped":
        told.set("type", finding.verdict)
    told.text = text


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


class Write(Protocol):
    """Writes a judgement as text.

    `place` is the URI of the file that findings are shown at, `inconclusive` what such a verdict counts as.
    """

    def __call__(self, judgement: Judgement, *, place: str, inconclusive: Policy) -> str:
        """Write it."""


class Format(NamedTuple):
    """One row of FORMATS; `ending` is empty where it is for the log of a step only."""

    write: Write
    ending: str


FORMATS: dict[str, Format] = {
    "json": Format(to_json, ".json"),
    "junit": Format(to_junit, ".xml"),
    "sarif": Format(to_sarif, ".sarif"),
    "markdown": Format(to_markdown, ".md"),
    "github": Format(to_github, ""),
}


def format_of(name: str) -> Format:
    """Choose the format of a file by how its name ends.

    Raises:
        UsageError: no format has files that end so.
    """
    for one in FORMATS.values():
        if one.ending and name.lower().endswith(one.ending):
            return one
    endings = ", ".join(f"{one.ending} ({kind})" for kind, one in FORMATS.items() if one.ending)
    raise UsageError("--out", found=repr(name), expected=f"a name that ends in {endings}", do="name it so")
