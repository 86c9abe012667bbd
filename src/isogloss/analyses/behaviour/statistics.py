"""Scores of behaviour: how log-odds and log-likelihoods of harmful texts differ from those of harmless texts.

Means have the delete-one jackknife in closed form, which is their usual standard error. Shares have that of
`probe_scores.fixed_scores`. The adjusted preference is an intercept, whose values without each pair follow from the
leverages of one regression.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from isogloss.analyses.behaviour.metrics import BEHAVIOURS
from isogloss.stats.jackknife import Jackknife, delete_one
from isogloss.stats.metric import Score, missing
from isogloss.stats.permutations import Draws
from isogloss.stats.probe_scores import fixed_scores

#: A pair with more leverage than this decides a coefficient alone: the regression without it is not determined.
DECIDES = 1 - 1e-9


def mean_difference(name: str, values: np.ndarray, draws: Draws) -> Score:
    """Score the mean over harmful texts minus that over harmless ones.

    Args:
        name: a row of BEHAVIOURS.
        values: float64 (n,), one a text.
        draws: of this language.
    """
    row = BEHAVIOURS[name]
    plug_in, *null = row.many(
        values, np.vstack([draws.harmful[None, :], draws.permutations]), draws.partners, np.zeros(len(values))
    )
    estimate = replace(
        delete_one(float(plug_in), _left_out(values, draws), draws.units, draws.strata), value=float(plug_in)
    )
    return Score(
        row=row,
        components=None,
        plug_in=float(plug_in),
        jackknife=estimate,
        plug_in_null=np.array(null),
        null=np.array(null),
    )


def _left_out(values: np.ndarray, draws: Draws) -> np.ndarray:
    """The difference of means without each unit: (units,)."""
    sides = []
    for side in (draws.harmful, ~draws.harmful):
        gone = np.bincount(draws.unit_of_row[side], minlength=len(draws.units))
        sums = np.bincount(draws.unit_of_row[side], weights=values[side], minlength=len(draws.units))
        sides.append((values[side].sum() - sums) / (side.sum() - gone))
    return np.asarray(sides[0] - sides[1])


def ranked(name: str, values: np.ndarray, draws: Draws) -> Score:
    """Score how often a harmful text has the higher number; it is not compared with its partner.

    Args:
        name: a row of BEHAVIOURS on the logit scale.
        values: float64 (n,), one a text; nothing is fitted for them.
        draws: of this language.
    """
    return fixed_scores(values, draws, [BEHAVIOURS[name]])[0]


def pair_differences(values: np.ndarray, draws: Draws) -> np.ndarray:
    """Harmful minus harmless text of each pair: float64 (units,), in the order of `draws.units`.

    Raises:
        ValueError: the texts have no partners.
    """
    if draws.partners is None:
        raise ValueError("differences within pairs need pairs")
    first = np.flatnonzero(draws.harmful)
    differences = np.empty(len(first))
    differences[draws.unit_of_row[first]] = values[first] - values[draws.partners[first]]
    return differences


def adjusted_mean(name: str, shifts: np.ndarray, covariates: np.ndarray, draws: Draws) -> Score:
    """Score the mean over pairs at covariates of zero: the intercept of a linear regression.

    Args:
        name: a row of BEHAVIOURS.
        shifts: float64 (units,), in the order of `draws.units`.
        covariates: float64 (units, k), zero where the texts of a pair are alike.
        draws: of this language.
    """
    row = BEHAVIOURS[name]
    design = np.column_stack([np.ones(len(shifts)), covariates])
    if len(shifts) < design.shape[1] + 2:
        return missing(row, None, f"fewer than {design.shape[1] + 2} pairs")
    values, without = left_out_coefficients(design, shifts)
    if np.isnan(without).any():
        return missing(row, None, "a single pair decides the adjustment")
    estimate = replace(
        delete_one(float(values[0]), without[:, 0], draws.units),
        value=float(values[0]),
        df=len(shifts) - design.shape[1],
    )
    none = np.empty(0)
    return Score(row=row, components=None, plug_in=float(values[0]), jackknife=estimate, plug_in_null=none, null=none)


def left_out_coefficients(design: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares, and the same without each row in turn, from the leverages.

    Args:
        design: float64 (n, k); columns that others determine share their weight (the smallest solution).
        target: float64 (n,).

    Returns:
        Coefficients (k,), and (n, k) without each row; NaN in a row that decides a coefficient alone.
    """
    inverse = np.linalg.pinv(design)
    values = inverse @ target
    leverage = (design * inverse.T).sum(axis=1)
    rest = (target - design @ values) / np.where(leverage < DECIDES, 1 - leverage, np.nan)
    return values, values - inverse.T * rest[:, None]


def zero_score(name: str, like: Score) -> Score:
    """Return the score of a model against itself: zero, and nothing moves it."""
    if like.jackknife is None:
        return missing(BEHAVIOURS[name], None, str(like.reason))
    still = replace(like.jackknife, value=0.0, influence=np.zeros_like(like.jackknife.influence))
    return replace(like, plug_in=0.0, jackknife=still)


def planted_gain(values: np.ndarray, draws: Draws, size: float, seed: int) -> Jackknife:
    """Plant a gain of known size in likelihoods and estimate it.

    The gain of each pair (or text) about the mean of its class is drawn again, with replacement, and `size` nats are
    added where the text is harmful. The noise is that of the real gains, the effect is known.

    Args:
        values: float64 (n,), aligned minus reference of each text.
        draws: of this language.
        size: of the planted gain; nats.
        seed: of the draw.
    """
    rng = np.random.default_rng([seed, 3])
    centred, drawn = values.astype(np.float64), np.arange(len(values))
    for side in (draws.harmful, ~draws.harmful):
        rows = np.flatnonzero(side)
        centred[rows] -= centred[rows].mean()
        if draws.partners is None:
            drawn[rows] = rng.choice(rows, size=len(rows))
    if draws.partners is not None:
        first = np.flatnonzero(draws.harmful)
        drawn[first] = rng.choice(first, size=len(first))
        drawn[draws.partners[first]] = draws.partners[drawn[first]]
    estimate = mean_difference("refusal_margin", centred[drawn] + size * draws.harmful, draws).jackknife
    assert estimate is not None  # noqa: S101 - a mean is always known
    return estimate
