"""Tables -> GitHub Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from isogloss.report.table import Table
from isogloss.text import sanitize

#: Characters that GitHub Markdown reads as more than themselves inside a line.
SPECIAL = re.compile(r"([\\`*_{}<>|~$&!])")

#: GitHub makes links of addresses that stand by themselves.
LINK = re.compile(r":(?=//)|(?<=www)\.", re.IGNORECASE)


def render_markdown(tables: Sequence[Table]) -> str:
    """Write tables with their titles; descriptions, notes and reasons for missing numbers stand below."""
    return "\n".join(_render_table(table) for table in tables)


def escape(text: str) -> str:
    r"""Write text so that it is shown as it is: no markup, no HTML, no links, one line.

    >>> escape("a|b <i> [x](http://y) 0.1 [0.0, 0.2]")
    'a\\|b \\<i\\> [x]\\(http\\://y) 0.1 [0.0, 0.2]'
    """
    return LINK.sub(r"\\\g<0>", SPECIAL.sub(r"\\\1", sanitize(text))).replace("](", "]\\(")


def _render_table(table: Table) -> str:
    rules = [":---" if column.align == "left" else "---:" for column in table.columns]
    headings = [escape(column.heading) for column in table.columns]
    rows = [[escape(cell.line) for cell in row] for row in table.rows]
    lines = [f"| {' | '.join(row)} |" for row in (headings, rules, *rows)]
    below = [escape(text) + "\n" for text in (*table.notes, table.description, *table.reasons) if text]
    return "\n".join([f"**{escape(table.title)}**", "", *lines, "", *below])
