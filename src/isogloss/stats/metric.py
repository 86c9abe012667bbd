"""What a metric is: one row of the METRICS table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

Many = Callable[[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One row of METRICS.

    Attributes:
        basis: "pca" metrics read principal components, "probe" metrics read cross-fitted scores in the full space,
            "means" metrics read the states themselves, along the difference of the class means; "answers" are those of
            BEHAVIOURS (`separation.behaviours`).
        family: class variance share (is harm a dominant direction?), linear separability (how well does a probe find it?), or comparison:
            what others print, as they print it, neither debiased nor a source of verdicts.
        chance: value without any class difference.
        per_component: texts needed per class and component, else the value is not reported.
        many: (x or scores, labels (B, n), partners or None, folds) -> (B,).
        falls: whether classes that lie farther apart give a smaller value.
    """

    name: str
    basis: Literal["pca", "probe", "means", "answers"]
    family: Literal["component", "probe", "published"]
    low: float
    high: float
    chance: float
    about: str
    source: str
    many: Many
    per_component: int = 0
    needs_pairs: bool = False
    falls: bool = False

    @property
    def scale(self) -> Literal["plain", "logit"]:
        """Scale on which differences are taken: shares that saturate are compared as log odds."""
        return "logit" if self.family == "probe" else "plain"
