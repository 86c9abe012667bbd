"""The FORMATS table: writes a judgement as JSON, JUnit XML, SARIF, Markdown or GitHub annotations."""

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
    GatedRun,
    Judgement,
    Policy,
    count_findings,
    counts_as_pass,
    format_finding,
    format_found,
    format_language,
    format_required,
    notes,
    summary_sentence,
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
    columns=(
        Column(
            key="language", heading="language", description="Language of the finding, or the whole run.", align="left"
        ),
        Column(key="rule", heading="rule", description="Rule of the gate.", align="left"),
        Column(key="found", heading="found", description="Number or words that the rule reads.", align="left"),
        Column(key="required", heading="required", description="What the rule requires.", align="left"),
        Column(key="verdict", heading="verdict", description="Pass, fail or inconclusive.", align="left"),
    ),
)


def gate_table(judgement: Judgement) -> Table:
    """Write one row per finding, the worst first, with the summary and the notes below."""
    return FINDINGS.fill(
        [
            {
                "language": text_cell(format_language(finding)),
                "rule": text_cell(finding.rule),
                "found": text_cell(format_found(finding)),
                "required": text_cell(format_required(finding.rule, finding.required)),
                "verdict": text_cell(finding.verdict, tag=finding.verdict),
            }
            for finding in judgement.findings
        ],
        title=f"isogloss gate: {judgement.verdict}",
        notes=(summary_sentence(judgement), " ".join(notes(judgement))),
    )


def to_markdown(judgement: Judgement, *, location: str, inconclusive: Policy) -> str:  # noqa: ARG001 - as all formats
    """Write the table as GitHub Markdown, for a step summary."""
    return render_markdown([gate_table(judgement)])


def to_github(judgement: Judgement, *, location: str, inconclusive: Policy) -> str:  # noqa: ARG001 - as all formats
    """Write one annotation per rule that fails or is inconclusive (a step may have ten), then the summary."""
    levels = {FAIL: "error", INCONCLUSIVE: {"fail": "error", "pass": "notice"}.get(inconclusive, "warning")}
    lines = []
    for verdict, level in levels.items():
        findings = [finding for finding in judgement.findings if finding.verdict == verdict]
        for rule in dict.fromkeys(finding.rule for finding in findings):
            of_rule = [finding for finding in findings if finding.rule == rule]
            lines.append(_annotation(level, f"isogloss gate: {rule} {verdict}", of_rule))
    return "\n".join([*lines, summary_sentence(judgement), *notes(judgement)]) + "\n"


def _annotation(level: str, title: str, findings: list[Finding]) -> str:
    text = "\n".join(format_finding(finding) for finding in findings)
    return f"::{level} title={_escape(title, ':,')}::{_escape(text)}"


def _escape(text: str, also: str = "") -> str:
    r"""Escape the characters that a runner would read as the syntax of a command.

    >>> _escape("50 %\na: b", ":,")
    '50 %25%0Aa%3A b'
    """
    for letter in f"%\r\n{also}":
        text = text.replace(letter, f"%{ord(letter):02X}")
    return text


VERSION = 1


def to_json(judgement: Judgement, *, location: str, inconclusive: Policy) -> str:  # noqa: ARG001 - as all formats
    """Write verdict, exit code, findings and notes; a missing number is null."""
    content = {
        "version": VERSION,
        "verdict": judgement.verdict,
        "exit_code": judgement.exit_code(inconclusive),
        "sentence": summary_sentence(judgement),
        "findings": [_finding(finding) for finding in judgement.findings],
        "max_false_fail_rate": judgement.max_false_fail_rate,
        "run": _gated_run(judgement.run),
        "baseline": _gated_run(judgement.baseline) if judgement.baseline else None,
        "remarks": judgement.remarks,
    }
    return canonical_json(content, indent=1) + "\n"


def _finding(finding: Finding) -> dict[str, Any]:
    return asdict(finding) | {
        "language": None if finding.language is None else sanitize(finding.language),
        "observed": [sanitize(name) for name in finding.observed],
        "reason": None if finding.reason is None else sanitize(finding.reason),
    }


def _gated_run(run: GatedRun) -> dict[str, Any]:
    return {
        name: sanitize(value) if isinstance(value, str) else [sanitize(item) for item in value]
        for name, value in asdict(run).items()
    }


def to_junit(judgement: Judgement, *, location: str, inconclusive: Policy) -> str:  # noqa: ARG001 - as all formats
    """Write one test case per finding.

    A fail is a <failure>. An inconclusive finding is an <error>: JUnit's element for a test without an outcome, which
    readers count as not passed. Where inconclusive counts as pass, it is <skipped>.
    """
    skipped = [
        finding
        for finding in judgement.findings
        if inconclusive == "pass" and finding.verdict == INCONCLUSIVE and counts_as_pass(finding)
    ]
    counts = {
        "tests": str(len(judgement.findings)),
        "failures": str(count_findings(judgement, FAIL)),
        "errors": str(count_findings(judgement, INCONCLUSIVE) - len(skipped)),
        "skipped": str(len(skipped)),
    }
    root = ET.Element("testsuites", {"name": "isogloss gate"} | {k: v for k, v in counts.items() if k != "skipped"})
    suite = ET.SubElement(root, "testsuite", {"name": f"isogloss gate: {sanitize(judgement.run.corpus)}"} | counts)
    for finding in judgement.findings:
        _case(suite, finding, "skipped" if finding in skipped else "error")
    ET.SubElement(suite, "system-out").text = "\n".join([summary_sentence(judgement), *notes(judgement)])
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ET.Element, finding: Finding, if_inconclusive: str) -> None:
    # GitLab calls the suite by classname, so the rule stands there.
    case = ET.SubElement(
        suite, "testcase", classname=f"isogloss.gate.{finding.rule}", name=format_language(finding), time="0"
    )
    if finding.verdict == PASS:
        return
    text = format_finding(finding)
    kind = "failure" if finding.verdict == FAIL else if_inconclusive
    # Twice, because some readers show the attribute and others the text.
    outcome = ET.SubElement(case, kind, message=text)
    if kind != "skipped":
        outcome.set("type", finding.verdict)
    outcome.text = text


SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def to_sarif(judgement: Judgement, *, location: str, inconclusive: Policy) -> str:  # noqa: ARG001 - as all formats
    """Write one result per finding that does not pass.

    An inconclusive finding has kind "open", the standard's word for too little information to decide, and therefore
    level "none". Findings that pass are left out, because viewers would list them as alerts.

    Args:
        judgement: what to write.
        location: URI of the file that results are shown at; GitHub wants it relative to the repository.
        inconclusive: not used.
    """
    rules = list(dict.fromkeys(finding.rule for finding in judgement.findings))
    driver = {
        "name": "isogloss",
        "version": version("isogloss"),
        "rules": [{"id": name, "shortDescription": {"text": RULES[name].about}} for name in rules],
    }
    run = {
        "tool": {"driver": driver},
        "results": [
            _result(finding, rules.index(finding.rule), location)
            for finding in judgement.findings
            if finding.verdict != PASS
        ],
        "properties": {"verdict": judgement.verdict, "sentence": summary_sentence(judgement)},
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, ensure_ascii=False, indent=1) + "\n"


def _result(finding: Finding, rule: int, location: str) -> dict[str, Any]:
    failed = finding.verdict == FAIL
    return {
        "ruleId": finding.rule,
        "ruleIndex": rule,
        "kind": "fail" if failed else "open",
        "level": "error" if failed else "none",
        "message": {"text": format_finding(finding)},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": location}, "region": {"startLine": 1}}}],
        # The same rule and language are the same alert in the next run, whatever the numbers.
        "partialFingerprints": {"isogloss/v1": sha256_text(f"{finding.rule}\n{finding.language}")},
    }


class WriteJudgement(Protocol):
    """Writes a judgement as text.

    `location` is the URI of the file that findings are shown at; `inconclusive` is what that verdict counts as.
    """

    def __call__(self, judgement: Judgement, *, location: str, inconclusive: Policy) -> str:
        """Write it."""


class Format(NamedTuple):
    """One row of FORMATS; `ending` is empty for a format that is only printed."""

    write: WriteJudgement
    ending: str


FORMATS: dict[str, Format] = {
    "json": Format(to_json, ".json"),
    "junit": Format(to_junit, ".xml"),
    "sarif": Format(to_sarif, ".sarif"),
    "markdown": Format(to_markdown, ".md"),
    "github": Format(to_github, ""),
}


def format_of(name: str) -> Format:
    """Choose the format of a file by the ending of its name.

    Raises:
        UsageError: no format has this ending.
    """
    for row in FORMATS.values():
        if row.ending and name.lower().endswith(row.ending):
            return row
    endings = ", ".join(f"{row.ending} ({kind})" for kind, row in FORMATS.items() if row.ending)
    raise UsageError("--out", found=repr(name), expected=f"a name that ends in {endings}", do="rename the file")
