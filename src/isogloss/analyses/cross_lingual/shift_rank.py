"""The effective rank of the shift from alignment (aligned minus reference): in how many directions states moved."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from isogloss.stats.components import ROUNDING
from isogloss.stats.jackknife import Jackknife, delete_one
from isogloss.stats.permutations import Draws

#: Draws of the null; its spread is so small that more would change no digit.
DRAWS = 20


@dataclass(frozen=True, kw_only=True)
class ShiftRank:
    """The effective rank of a shift about its mean, with its null.

    Attributes:
        rank: the rank and how each jackknife group moves it; not debiased, so it grows with the number of texts.
        null: float64 (DRAWS,), the rank when every feature is permuted over the texts by itself: the same features and
            number of texts, but nothing in common.
        mean_share: share of the mean squared shift that lies in the mean shift: 1 if all texts move alike.
    """

    rank: Jackknife
    null: np.ndarray
    mean_share: Jackknife


def effective_rank(rows: np.ndarray) -> float:
    """Exponential of the entropy of the normalised singular values (Roy and Vetterli, 2007).

    From 1 to the number of rows or columns, and r for r equal singular values. The rows are not centred. NaN if all are
    zero.

    >>> round(effective_rank(np.diag([3.0, 3.0, 3.0, 0.0])), 6)
    3.0
    """
    values = np.linalg.svd(rows, compute_uv=False)
    total = values.sum()
    if not total > 0:
        return float("nan")
    shares = values[values > 0] / total
    return float(np.exp(-(shares * np.log(shares)).sum()))


def shift_rank(reference: np.ndarray, aligned: np.ndarray, draws: Draws, seed: int) -> ShiftRank | None:
    """Measure the shift of a language's states.

    Args:
        reference: float (n, d), states of the model before alignment.
        aligned: float (n, d), of the same texts after it.
        draws: of this language.
        seed: of the null.

    Returns:
        None where no text moved differently from another.
    """
    shift = aligned.astype(np.float64) - reference.astype(np.float64)
    if (_centred(shift) ** 2).sum() <= ROUNDING * (reference.astype(np.float64) ** 2).sum():
        return None
    left = [shift[draws.groups != group] for group in range(draws.n_groups)]
    centred = _centred(shift)
    whole = effective_rank(centred)
    rng = np.random.default_rng([seed, 5])
    null = [effective_rank(_centred(rng.permuted(centred, axis=0))) for _ in range(DRAWS)]
    return ShiftRank(
        rank=_around(whole, [effective_rank(_centred(rows)) for rows in left], draws.group_ids),
        null=np.array(null),
        mean_share=_around(_mean_share(shift), [_mean_share(rows) for rows in left], draws.group_ids),
    )


def _around(whole: float, left: list[float], ids: np.ndarray) -> Jackknife:
    """Jackknife about the plug-in value."""
    return replace(delete_one(whole, np.array(left), ids), value=whole)


def _mean_share(shift: np.ndarray) -> float:
    return float((shift.mean(axis=0) ** 2).sum() / (shift**2).sum(axis=1).mean())


def _centred(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows - rows.mean(axis=0))
