"""Tables -> GitHub Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from isogloss.report.exports.paper import PaperTable
from isogloss.text import sanitize

#: Characters that GitHub Markdown reads as more than themselves inside a line.
SPECIAL = re.compile(r"([\\`*_{}<>|~$&!])")

#: GitHub makes links of addresses that stand by themselves.
LINK = re.compile(r":(?=//)|(?<=www)\.", re.IGNORECASE)


def markdown(tables: Sequence[PaperTable]) -> str:
    """Write tables with their titles and notes."""
    return "\n".join(_table(table) for table in tables)


def escape(text: str) -> str:
    r"""Write text so that it is shown as it is: no markup, no HTML, no links, one line.

    >>> escape("a|b <i> [x](http://y) 0.1 [0.0, 0.2]")
    'a\\|b \\<i\\> [x]\\(http\\://y) 0.1 [0.0, 0.2]'
    """
    return LINK.sub(r"\\\g<0>", SPECIAL.sub(r"\\\1", sanitize(text))).replace("](", "]\\(")


def _table(table: PaperTable) -> str:
    rules = [":---" if number in table.left else "---:" for number in range(len(table.headings))]
    rows = [[escape(cell) for cell in row] for row in (table.headings, *table.rows)]
    lines = [f"| {' | '.join(row)} |" for row in (rows[0], rules, *rows[1:])]
    notes = [escape(note) + "\n" for note in table.notes]
    return "\n".join([f"**{escape(table.title)}**", "", *lines, "", *notes])
