"""The row of ANALYSES."""

from __future__ import annotations

from isogloss.analyses.behaviour.needs import behaviour_cost, behaviour_needs, check_behaviour
from isogloss.analyses.behaviour.request import Behaviour
from isogloss.analyses.behaviour.rows import PAIRS_FILE, behaviour_findings
from isogloss.analyses.behaviour.tables import TABLES, sections
from isogloss.auditing.analysis import Analysis

ANALYSIS = Analysis(
    request=Behaviour,
    check=check_behaviour,
    needs=behaviour_needs,
    rows=behaviour_findings,
    cost=behaviour_cost,
    sections=sections,
    tables=TABLES,
    frames=(PAIRS_FILE,),
)
