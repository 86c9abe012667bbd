"""The page with the results of the simulations."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from cells import BAND_DRAWS, FEW_PERMUTATIONS, PERMUTATIONS, TEST_PERMUTATIONS, Cell
from judge import Band, Judged

_HEADER = """# Validation

Written by `{command}`; do not edit.

Simulations with a known truth: do the claims of isogloss hold as often as it says? Every line runs the package on
samples from a population (`validation/populations.py`) and counts. {grid} grid: {total:,} runs, seeds 0, 1, 2, ... in
every cell. isogloss {isogloss}, Python {python}, numpy {numpy}, scipy {scipy}.

- The estimate is given with its 99 % Monte Carlo interval (Clopper-Pearson for shares, t for means). A line FAILS only
  when that interval excludes the target; of a hundred lines that just meet their target about one fails by chance.
- The texts of a pair are correlated .8, the two models of a language .7, parallel languages .5. n is the number of
  pairs, or of texts a class. "heavy" is an elliptical t with 5 degrees of freedom; "unequal" gives the classes
  different covariances.
- Coverage is that of 95 % intervals. Where the true value is zero the statistics are degenerate, and Bhattacharyya and
  the probe's scores are conservative by design: there the target has no upper end.
- Permutations: {permutations} inside an interval ({few} at n = 2,500), {test} in a permutation test. The cells on
  wrong verdicts take {draws:,} draws for a critical value, the package 40,000.
- The full grid was meant to have 2,000 runs a cell, 500 at n = 2,500 and 4,000 for permutation tests. So that it takes
  an hour and a half of one core, slow cells have fewer: 1,000 or less at n = 200, 150 at n = 2,500, 300 with fitted
  components; the column "runs" says how many.

{verdict}
"""

_COLUMNS = "| simulation | number | n | runs | target | result [99 %] | |\n|---|---|---|---|---|---|---|\n"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One number of one cell."""

    cell: Cell
    key: str
    band: Band
    result: Judged


def page(rows: Sequence[Line], *, full: bool) -> str:
    """Write the Markdown page.

    Args:
        rows: in the order of the cells.
        full: whether the grid is the full one.
    """
    failed = [row for row in rows if row.result.verdict == "FAIL"]
    judged = sum(row.result.verdict != "-" for row in rows)
    text = _HEADER.format(
        command="make validate-full" if full else "make validate",
        grid="Full" if full else "Reduced",
        total=sum({row.cell.name: row.result.runs for row in rows}.values()),
        isogloss=version("isogloss"),
        python=platform.python_version(),
        numpy=version("numpy"),
        scipy=version("scipy"),
        permutations=PERMUTATIONS,
        few=FEW_PERMUTATIONS,
        test=TEST_PERMUTATIONS,
        draws=BAND_DRAWS,
        verdict=f"**{judged - len(failed)} of {judged} lines that are judged are ok, {len(failed)} fail.**",
    )
    groups: dict[str, list[Line]] = {}
    for row in rows:
        groups.setdefault(row.cell.group, []).append(row)
    for group, members in groups.items():
        text += f"\n## {group}\n\n{_COLUMNS}"
        text += "".join(map(_line, members))
    return text


def _line(row: Line) -> str:
    result = row.result
    places = 1 if row.band.kind == "share" or abs(result.value) >= 1 else 5
    estimate = f"{result.value:.{places}f} [{result.low:.{places}f}, {result.high:.{places}f}]"
    cells = (row.cell.about, row.key, f"{row.cell.n:,}", f"{result.runs:,}", str(row.band), estimate, result.verdict)
    return f"| {' | '.join(cells)} |\n"
