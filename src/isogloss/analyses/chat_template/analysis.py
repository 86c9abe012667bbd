"""The row of ANALYSES."""

from __future__ import annotations

from isogloss.analyses.chat_template.request import ChatTemplate
from isogloss.analyses.chat_template.rows import (
    chat_template_cost,
    chat_template_findings,
    chat_template_needs,
    check_chat_template,
)
from isogloss.analyses.chat_template.tables import TABLES, sections
from isogloss.auditing.analysis import Analysis

ANALYSIS = Analysis(
    request=ChatTemplate,
    check=check_chat_template,
    needs=chat_template_needs,
    rows=chat_template_findings,
    cost=chat_template_cost,
    sections=sections,
    tables=TABLES,
)
