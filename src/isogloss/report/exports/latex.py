"""Tables -> LaTeX with booktabs; nothing in a cell or title is a command."""

from __future__ import annotations

import re
from collections.abc import Sequence

from isogloss.report.exports.paper import PaperTable
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


def latex(tables: Sequence[PaperTable]) -> str:
    """Write each table as a floating table of its own."""
    return PREAMBLE + "\n".join(_table(table) for table in tables)


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


def _table(table: PaperTable) -> str:
    columns = "".join("l" if number in table.left else "r" for number in range(len(table.headings)))
    notes = [rf"\par\footnotesize {escape(note)}" for note in table.notes]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering\small",
            rf"\caption{{{escape(table.title)}}}",
            rf"\label{{tab:isogloss-{re.sub('[^a-zA-Z0-9-]', '', table.name)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            _row(table.headings),
            r"\midrule",
            *(_row(row) for row in table.rows),
            r"\bottomrule",
            r"\end{tabular}",
            *notes,
            r"\end{table}",
            "",
        ]
    )
