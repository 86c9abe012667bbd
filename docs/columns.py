"""Write docs/columns.md, the dictionary of all columns, from the descriptions in the code.

python docs/columns.py
"""

from pathlib import Path

from isogloss.analyses.audit import ANALYSES
from isogloss.auditing.points import POINT_COLUMNS
from isogloss.report.column_dictionary import REPORT_TABLES, render_dictionary

FILE = Path(__file__).parent / "columns.md"


def columns() -> str:
    """Return what docs/columns.md holds."""
    of_analyses = (kind for analysis in ANALYSES for kind in analysis.tables)
    return render_dictionary(POINT_COLUMNS, [*REPORT_TABLES, *of_analyses])


if __name__ == "__main__":
    FILE.write_text(columns(), encoding="utf-8")
