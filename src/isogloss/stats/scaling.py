"""Scaling of hidden dimensions, so that no outlier dimension decides a score. No scale sees a label.

In some languages one hidden dimension carries half of all variance or more ("outlier dimensions", "massive
activations"). A share of variance then says mostly how large that dimension is. Scaled dimensions weigh the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

#: The interquartile range of a normal distribution with standard deviation 1.
NORMAL_RANGE = 1.3489795003921634
#: States are single precision: a dimension whose spread is a smaller share of its size does not vary.
ROUNDING = 1e-6

#: (rows (n, d)) -> spread of each dimension (d,).
Spread = Callable[[np.ndarray], np.ndarray]


class Scaling(NamedTuple):
    """One row of SCALINGS.

    Attributes:
        about: what it does, in one sentence.
        spread: spread of each dimension that states are divided by; None leaves them as they are.
        pooled: whether both models share a scale, the root mean square of their spreads.
    """

    about: str
    spread: Spread | None = None
    pooled: bool = False


def standard_spread(x: np.ndarray) -> np.ndarray:
    """Return the standard deviation of each dimension: float64 (d,).

    Args:
        x: float (n, d).
    """
    return np.asarray(x.std(axis=0, dtype=np.float64))


def robust_spread(x: np.ndarray) -> np.ndarray:
    """Return the interquartile range of each dimension as a normal standard deviation: float64 (d,).

    Where half of the texts have the same value the range is zero, and the standard deviation takes its place.

    Args:
        x: float (n, d).
    """
    low, high = np.quantile(x.astype(np.float64), [0.25, 0.75], axis=0)
    spread = (high - low) / NORMAL_RANGE
    return np.where(spread > 0, spread, standard_spread(x))


SCALINGS: dict[str, Scaling] = {
    "none": Scaling("States as they are, as in arXiv 2504.02708."),
    "standard": Scaling("Each dimension over its standard deviation, per model, language and layer.", standard_spread),
    "robust": Scaling("Each dimension over its interquartile range, per model, language and layer.", robust_spread),
    "pooled": Scaling("As standard, with one scale for both models.", standard_spread, pooled=True),
    "pooled-robust": Scaling("As robust, with one scale for both models.", robust_spread, pooled=True),
}


def scales(scaling: Scaling, states: Mapping[str, np.ndarray]) -> dict[str, np.ndarray | None]:
    """Return what the states of each model are divided by.

    Models of different width cannot share a scale: each is scaled by its own.

    Args:
        scaling: row of SCALINGS.
        states: role -> states of all texts of a language at a layer, float (n, d).

    Returns:
        Role -> float64 (d,), positive; None where states stay as they are.
    """
    if scaling.spread is None:
        return dict.fromkeys(states)
    spreads = {role: scaling.spread(x) for role, x in states.items()}
    if scaling.pooled and len({spread.shape for spread in spreads.values()}) == 1:
        together = np.sqrt(np.mean([spread**2 for spread in spreads.values()], axis=0))
        return {role: _usable(together, x) for role, x in states.items()}
    return {role: _usable(spreads[role], x) for role, x in states.items()}


def _usable(spread: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Leave dimensions alone that do not vary but for rounding: scaling would make noise of it."""
    size = np.abs(x).max(axis=0).astype(np.float64)
    return np.where(spread > ROUNDING * size, spread, 1.0)


def largest_dimension(x: np.ndarray) -> tuple[int, float]:
    """Find the dimension that carries most of the variance, and its share from 0 to 1.

    >>> largest_dimension(np.array([[0.0, 0.0], [2.0, 1.0], [4.0, 2.0]]))
    (0, 0.8)

    Args:
        x: float (n, d).

    Returns:
        Its index and its share; NaN where nothing varies.
    """
    variances = x.var(axis=0, dtype=np.float64)
    total = variances.sum()
    index = int(variances.argmax())
    return index, float(variances[index] / total) if total > 0 else float("nan")
