"""The row of ANALYSES."""

from __future__ import annotations

from isogloss.analyses.matched.request import Matched
from isogloss.analyses.matched.rows import check_matched, matched_findings
from isogloss.analyses.matched.tables import TABLES, sections
from isogloss.auditing.analysis import Analysis

ANALYSIS = Analysis(
    request=Matched,
    check=check_matched,
    rows=matched_findings,
    sections=sections,
    tables=TABLES,
    reads_texts=True,
)
