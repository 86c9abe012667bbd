"""The row of ANALYSES."""

from __future__ import annotations

from isogloss.analyses.cross_lingual.request import CrossLingual
from isogloss.analyses.cross_lingual.rows import cross_lingual_findings
from isogloss.analyses.cross_lingual.tables import TABLES, sections
from isogloss.auditing.analysis import Analysis

ANALYSIS = Analysis(
    request=CrossLingual,
    rows=cross_lingual_findings,
    sections=sections,
    tables=TABLES,
)
