"""A judgement -> JUnit XML, as GitLab, Jenkins and GitHub's test reporters read it."""

from __future__ import annotations

from xml.etree import ElementTree as ET  # written only; nothing is parsed

from isogloss.gating.judgement import FAIL, INCONCLUSIVE, PASS, Finding, Judgement, Policy
from isogloss.gating.words import count, language, message, notes, sentence
from isogloss.report.visible import visible


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
    suite = ET.SubElement(root, "testsuite", {"name": f"isogloss gate: {visible(judgement.subject.corpus)}"} | counts)
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
