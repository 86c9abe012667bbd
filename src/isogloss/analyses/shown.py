"""What all analyses show of an audit, from results alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from isogloss.analyses.ablation import tables as ablation
from isogloss.analyses.behaviour import tables as behaviour
from isogloss.analyses.chat_template import tables as chat_template
from isogloss.analyses.cross_lingual import tables as cross_lingual
from isogloss.analyses.matched import tables as matched
from isogloss.report.table import Section, TableKind
from isogloss.results import Audit

if TYPE_CHECKING:
    import polars as pl

#: Analyses in the order in which reports show them.
SHOWN = (chat_template, behaviour, ablation, cross_lingual, matched)
#: Files that they write into a run folder.
FRAMES = (behaviour.FRAME,)


def audit_sections(audit: Audit, frames: Mapping[str, pl.DataFrame] | None = None) -> list[Section]:
    """Return the sections of all analyses that an audit holds."""
    return [section for analysis in SHOWN for section in analysis.sections(audit, frames or {})]


def table_kinds() -> list[TableKind]:
    """Return the tables of all analyses, for the column dictionary."""
    return [kind for analysis in SHOWN for kind in analysis.TABLES]
