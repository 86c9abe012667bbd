"""Tables -> LaTeX with booktabs; nothing in a cell or title is a command."""

from __future__ import annotations

import re
from collections.abc import Sequence

from isogloss.report.table import Table
from isogloss.text import sanitize

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    # What our own cells hold.
    "–": "--",
    "≈": r"$\approx$",
    "→": r"$\to$",
    "⟨": r"$\langle$",
    "⟩": r"$\rangle$",
}
#: A minus sign: a hyphen before a digit that no letter or digit precedes.
MINUS = re.compile(r"(?<![\w.-])-(?=\d)")
PREAMBLE = (
    "% Needs \\usepackage{booktabs}, \\usepackage{textcomp} and \\usepackage[T1]{fontenc};\n"
    "% names in other than Latin letters need xelatex or lualatex and a font that has them.\n"
    "% With intervals the tables are wide: table* in two columns, or resizebox of graphicx.\n"
)


def render_latex(tables: Sequence[Table]) -> str:
    """Write each table as a floating table of its own; descriptions, notes and reasons stand below."""
    return PREAMBLE + "\n".join(_render_table(table) for table in tables)


def escape(text: str) -> str:
    r"""Write text so that LaTeX prints it as it is.

    >>> escape("50 % of a_b, ≈[-0.01, 0.02]")
    '50 \\% of a\\_b, $\\approx$[$-$0.01, 0.02]'
    """
    marked = MINUS.sub("−", sanitize(text))
    return "".join(SPECIAL.get(letter, letter) for letter in marked).replace("−", "$-$")


def _cell(text: str) -> str:
    """Escape a cell; after the end of a row, LaTeX takes a bracket or star for an argument."""
    written = escape(text)
    return f"{{{written[0]}}}{written[1:]}" if written[:1] in {"[", "*"} else written


def _row(cells: Sequence[str]) -> str:
    return " & ".join(_cell(cell) for cell in cells) + r" \\"


def _render_table(table: Table) -> str:
    columns = "".join("l" if column.align == "left" else "r" for column in table.columns)
    below = [text for text in (*table.notes, table.description, *table.reasons) if text]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering\small",
            rf"\caption{{{escape(table.title)}}}",
            rf"\label{{tab:isogloss-{re.sub('[^a-zA-Z0-9-]', '', table.key)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            _row([column.heading for column in table.columns]),
            r"\midrule",
            *(_row([cell.line for cell in row]) for row in table.rows),
            r"\bottomrule",
            r"\end{tabular}",
            *(rf"\par\footnotesize {escape(text)}" for text in below),
            r"\end{table}",
            "",
        ]
    )
