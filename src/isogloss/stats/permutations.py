"""The random part of a score, drawn once: permuted labels (the null), jackknife groups, and folds of the probe.

Every number is drawn for a unit from the seed and the id of the unit. So both models and all layers share it, languages
with the same items share it, and adding a language changes nothing for the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from isogloss.errors import MetricError
from isogloss.stats.probe import N_FOLDS
from isogloss.stats.text_pairs import deal, unit_codes, unit_ids

JACKKNIFE_GROUPS = 25


@dataclass(frozen=True, kw_only=True)
class Draws:
    """The random part of a language's scores.

    Attributes:
        harmful: bool (n,), the true labels.
        partners: int (n,) or None, the row of each text's partner.
        unit_of_row: int (n,), 0, 1, ...
        units: uint64 (units,), id of each unit.
        packed: uint8 (B, n / 8), labelings without a class difference, eight texts a byte; see `permutations`.
        groups: int (n,), jackknife groups.
        folds: int (n,), folds of the probe.
    """

    harmful: np.ndarray
    partners: np.ndarray | None
    unit_of_row: np.ndarray
    units: np.ndarray
    packed: np.ndarray
    groups: np.ndarray
    folds: np.ndarray

    @property
    def permutations(self) -> np.ndarray:
        """Labelings without a class difference: bool (B, n)."""
        return np.unpackbits(self.packed, axis=1, count=len(self.harmful)).view(bool)

    @property
    def per_class(self) -> int:
        """Texts in the smaller class."""
        return int(min(self.harmful.sum(), (~self.harmful).sum()))

    @property
    def strata(self) -> np.ndarray | None:
        """Class of each unit where units are single texts: int (units,); None for pairs."""
        return self.harmful.astype(np.intp) if self.partners is None else None

    @property
    def n_groups(self) -> int:
        """Number of jackknife groups."""
        return int(self.groups.max()) + 1

    @cached_property
    def permutation_ids(self) -> np.ndarray:
        """Ids of the permutations: uint64 (B,), equal in two languages only if all their units are the same."""
        everything = hashlib.sha256(np.sort(self.units).tobytes()).hexdigest()
        return unit_ids([f"{everything}:{number}" for number in range(len(self.packed))])

    @cached_property
    def group_ids(self) -> np.ndarray:
        """Ids of the jackknife groups: uint64 (groups,), equal in two languages if the groups hold the same units."""
        names = []
        for group in range(self.n_groups):
            rows = np.flatnonzero(self.groups == group)
            names.append(",".join(map(str, np.unique(self.units[self.unit_of_row[rows]]))))
        return unit_ids(names)

    def without(self, group: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Leave a jackknife group out: rows that stay, bool (n,), their labels (1, kept) and their partners."""
        kept = self.groups != group
        partners = None if self.partners is None else (np.cumsum(kept) - 1)[self.partners[kept]]
        return kept, self.harmful[None, kept], partners


def draw(
    harmful: np.ndarray,
    partners: np.ndarray | None,
    *,
    keys: Sequence[str] | None = None,
    n_permutations: int,
    seed: int,
) -> Draws:
    """Draw permutations, jackknife groups and folds.

    A permutation swaps the two labels of a pair or not, with even odds. Without pairs it permutes all labels.

    Args:
        harmful: bool (n,), both classes.
        partners: int (n,) or None.
        keys: (n,), names the unit of each row (the texts of a pair share a key); None numbers the units.
        n_permutations: number of permuted labelings.
        seed: of everything.

    Raises:
        MetricError: two units have the same key.
    """
    unit_of_row = unit_codes(len(harmful), partners)
    first = np.unique(unit_of_row, return_index=True)[1]
    units = unit_ids([str(keys[row]) if keys else str(row) for row in first])
    if len(np.unique(units)) < len(units):
        raise MetricError("units", found="two with the same key", expected="a key for each", do="name units apart")
    numbers = np.empty((len(units), n_permutations + 2))
    for row, unit in enumerate(units):
        numbers[row] = np.random.default_rng([seed, int(unit)]).random(n_permutations + 2)
    of_row = numbers[unit_of_row]
    return Draws(
        harmful=harmful,
        partners=partners,
        unit_of_row=unit_of_row,
        units=units,
        packed=np.packbits(_permutations(harmful, partners, of_row[:, 2:].T), axis=1),
        groups=deal(of_row[:, 0], harmful, partners, min(JACKKNIFE_GROUPS, len(units))),
        folds=deal(of_row[:, 1], harmful, partners, N_FOLDS),
    )


def _permutations(harmful: np.ndarray, partners: np.ndarray | None, numbers: np.ndarray) -> np.ndarray:
    if partners is not None:
        return np.asarray(harmful ^ (numbers < 0.5))  # noqa: PLR2004 - even odds
    labels = np.zeros(numbers.shape, dtype=bool)
    chosen = np.argpartition(numbers, int(harmful.sum()) - 1, axis=1)[:, : int(harmful.sum())]
    np.put_along_axis(labels, chosen, values=True, axis=1)
    return labels
