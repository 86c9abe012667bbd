"""A judgement -> annotations of GitHub Actions: lines that its runner reads from the output of a step."""

from __future__ import annotations

from isogloss.gating.judgement import FAIL, INCONCLUSIVE, Finding, Judgement, Policy
from isogloss.gating.words import message, notes, sentence


def to_github(judgement: Judgement, *, place: str, inconclusive: Policy) -> str:  # noqa: ARG001 - as all formats
    """Write one annotation a rule that fails or is inconclusive (a step may have ten), then the sentence."""
    levels = {FAIL: "error", INCONCLUSIVE: {"fail": "error", "pass": "notice"}.get(inconclusive, "warning")}
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
