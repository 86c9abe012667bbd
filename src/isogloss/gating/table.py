"""A judgement -> one table, for a terminal and for Markdown."""

from __future__ import annotations

from isogloss.gating.judgement import Judgement, Policy
from isogloss.gating.words import asked, found, language, notes, sentence
from isogloss.report.exports.markdown import markdown
from isogloss.report.exports.paper import PaperTable

HEADINGS = ("language", "rule", "found", "asked", "verdict")


def gate_table(judgement: Judgement) -> PaperTable:
    """Write a line a finding, the worst first; the sentence and the notes stand below."""
    return PaperTable(
        name="gate",
        title=f"isogloss gate: {judgement.verdict}",
        headings=HEADINGS,
        rows=tuple(
            (language(one), one.rule, found(one), asked(one.rule, one.asked), one.verdict) for one in judgement.findings
        ),
        left=frozenset(range(len(HEADINGS))),
        notes=(sentence(judgement), " ".join(notes(judgement))),
    )


def to_markdown(judgement: Judgement, *, place: str, inconclusive: Policy) -> str:  # noqa: ARG001 - as all formats
    """Write the table as GitHub Markdown, as for a step summary."""
    return markdown([gate_table(judgement)])
