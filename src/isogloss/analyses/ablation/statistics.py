"""The harm direction of a language, random directions, and how behaviour changes without each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from isogloss.analyses.behaviour.link_statistics import halves, mean_slope
from isogloss.analyses.behaviour.statistics import mean_difference
from isogloss.stats.jackknife import Jackknife, with_null
from isogloss.stats.permutations import Draws
from isogloss.stats.text_pairs import unit_ids

#: Random directions for each language, as controls of the harm direction.
N_RANDOM = 3
#: Pairs (or texts per class) that test an edit, at most.
MOST_TRIED = 40


def split(draws: Draws, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split the texts of a language: half of the units give the direction, at most MOST_TRIED of the others test it.

    Languages that share items share the halves. Units are taken in the order of their ids, which are hashes.

    Args:
        draws: of the language.
        seed: of the draw.

    Returns:
        Rows that give the direction and rows that test it, int, in order.
    """
    strata = np.zeros(len(draws.units), dtype=np.intp) if draws.strata is None else draws.strata
    fits, tries = np.zeros((2, len(draws.units)), dtype=bool)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        first = halves(draws.units[members], 1, seed)[0]
        fits[members[first]] = True
        rest = members[~first]
        tries[rest[np.argsort(draws.units[rest])][:MOST_TRIED]] = True
    return np.flatnonzero(fits[draws.unit_of_row]), np.flatnonzero(tries[draws.unit_of_row])


def harm_direction(hidden: np.ndarray, harmful: np.ndarray) -> np.ndarray | None:
    """Return the difference of the class means as a unit vector, float64 (d,); None where the means are the same.

    >>> harm_direction(np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([True, False])).tolist()
    [0.6, 0.8]

    Args:
        hidden: (n, d).
        harmful: bool (n,), both classes.
    """
    hidden = hidden.astype(np.float64)
    shift = hidden[harmful].mean(axis=0) - hidden[~harmful].mean(axis=0)
    length = float(np.linalg.norm(shift))
    return shift / length if length > 0 else None


def random_directions(direction: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw random unit vectors that are orthogonal to a direction: float64 (n, d).

    Args:
        direction: float64 (d,), a unit vector; d is at least 2.
        n: how many.
        rng: of the draw.
    """
    drawn = rng.standard_normal((n, len(direction)))
    drawn -= np.outer(drawn @ direction, direction)
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def change(before: np.ndarray, after: np.ndarray, draws: Draws) -> Jackknife:
    """Estimate how far the difference between the classes moved, text by text.

    Args:
        before: float64 (n,), a number of each text.
        after: float64 (n,), the same under an edit.
        draws: of the texts.
    """
    estimate = mean_difference("refusal_margin", after - before, draws).jackknife
    assert estimate is not None  # noqa: S101 - a mean is always known
    return estimate


def beyond_random(before: np.ndarray, harm: np.ndarray, randoms: np.ndarray, draws: Draws, name: str) -> Jackknife:
    """Estimate the change without the harm direction, minus the mean change without random ones.

    Random directions differ too: the variance of their mean is added to that of the texts (of which it already holds a
    little), and the degrees of freedom are Satterthwaite's.

    Args:
        before: float64 (n,), a number of each text without an edit.
        harm: float64 (n,), with the harm direction taken out.
        randoms: float64 (k, n), with each of k random directions, at least two.
        draws: of the texts.
        name: of the language, which has random directions of its own.
    """
    estimate = change(randoms.mean(axis=0), harm, draws)
    k = len(randoms)
    moved = np.array([change(before, values, draws).value for values in randoms])
    both = with_null(estimate, moved / np.sqrt(k), unit_ids([f"random direction {i} of {name}" for i in range(k)]))
    of_texts, of_directions = estimate.se**2, float(moved.var(ddof=1)) / k
    terms = of_texts**2 / estimate.df + of_directions**2 / (k - 1)
    df = int((of_texts + of_directions) ** 2 / terms) if terms > 0 else estimate.df
    return replace(both, df=max(1, df))


def mean_over(estimates: Sequence[Jackknife]) -> Jackknife:
    """Mean over languages, see `link_statistics.mean_slope`; for a single language its own estimate."""
    return estimates[0] if len(estimates) == 1 else mean_slope(estimates)
