"""The numbers that turn a verdict or a warning, in one table that every result carries with it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Where verdicts and warnings turn; stored in audit.json, and read from there by words, tables and shading.

    Attributes:
        reached: a language that retains this share of the pivot's gain is reached (a non-inferiority margin of 20 %).
        not_reached: one that retains less than this share is not reached.
        mde_standard_errors: a gap of this many standard errors is found with 90 % power by a two-sided test at 5 %
            (1.96 + 1.28).
        few_texts: with fitted components, intervals from fewer texts per class are approximate (docs/validation.md).
        component_edge: where fitting the components makes the standard error this many times as large, the harm axis
            lies near the edge of the kept components, and the interval is approximate.
        tied_eigenvalues: below this ratio of eigenvalues 2 and 3, the picture in two components is not determined.
        outlier_dimension: where one hidden dimension carries a larger share of the variance, a warning names it.
        fewest_matched: fewer matched pairs, or texts per class, give no verdict.
    """

    reached: float = 0.80
    not_reached: float = 0.25
    mde_standard_errors: float = 3.24
    few_texts: int = 200
    component_edge: float = 1.1
    tied_eigenvalues: float = 1.1
    outlier_dimension: float = 0.25
    fewest_matched: int = 100


THRESHOLDS = Thresholds()
