"""The row of ANALYSES."""

from __future__ import annotations

from isogloss.analyses.ablation.needs import ablation_cost, ablation_follow, ablation_needs, check_ablation
from isogloss.analyses.ablation.request import Ablation
from isogloss.analyses.ablation.rows import ablation_findings
from isogloss.analyses.ablation.tables import TABLES, sections
from isogloss.auditing.analysis import Analysis

ANALYSIS = Analysis(
    request=Ablation,
    check=check_ablation,
    needs=ablation_needs,
    follow=ablation_follow,
    rows=ablation_findings,
    cost=ablation_cost,
    sections=sections,
    tables=TABLES,
)
