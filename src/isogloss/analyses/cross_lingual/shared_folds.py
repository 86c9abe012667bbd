"""Folds that the texts of several languages share, so that linked texts are never on both sides of a fit.

A probe that is fitted on one language and scored on another must not have seen a text that is linked with a scored
text: a translation of it, its partner, or the same words. Linked texts share a fold and a group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from isogloss.stats.permutations import JACKKNIFE_GROUPS, Draws
from isogloss.stats.probe import N_FOLDS
from isogloss.stats.text_pairs import unit_ids


@dataclass(frozen=True, kw_only=True)
class LinkedTexts:
    """The texts of one language, with the folds and groups that they share with other languages.

    Attributes:
        draws: of this language.
        items: int (n,), number of the item of each text; texts with equal numbers are linked, also between languages.
        folds: int (n,), 0 to 4, of the probe.
        groups: int (n,), 0 to 24, of the jackknife; a group is left out of all languages together.
    """

    draws: Draws
    items: np.ndarray
    folds: np.ndarray
    groups: np.ndarray

    @property
    def harmful(self) -> np.ndarray:
        """Labels, bool (n,)."""
        return self.draws.harmful

    @property
    def labels(self) -> np.ndarray:
        """The true labels and then the permuted ones, bool (1 + B, n)."""
        return np.vstack([self.draws.harmful[None, :], self.draws.permutations])


def linked(keys: Sequence[Sequence[str]]) -> np.ndarray:
    """Number rows so that rows which share a key, directly or through other rows, have the same number.

    >>> linked([["a"], ["b", "x"], ["x"], ["a"]]).tolist()
    [0, 1, 1, 0]

    Args:
        keys: of each row, at least one.

    Returns:
        int (rows,), in order of first appearance.
    """
    names = {name: number for number, name in enumerate(dict.fromkeys(name for row in keys for name in row))}
    rows = np.repeat(np.arange(len(keys)), [len(row) for row in keys])
    columns = np.array([names[name] for row in keys for name in row]) + len(keys)
    size = len(keys) + len(names)
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(size, size))
    components = connected_components(graph, directed=False)[1][: len(keys)]
    order = {int(component): number for number, component in enumerate(dict.fromkeys(components.tolist()))}
    return np.array([order[int(component)] for component in components])


def share_folds(
    draws: Mapping[str, Draws], keys: Mapping[str, Sequence[Sequence[str]]], seed: int
) -> dict[str, LinkedTexts]:
    """Give the texts of all languages folds and jackknife groups that do not separate linked texts.

    The folds and groups of each single language are kept where they separate no linked texts. Then a probe that is
    scored on its own language is the probe of every other table. Otherwise all folds are dealt anew.

    Args:
        draws: language -> its draws.
        keys: language -> keys that link each of its texts: names of pair, item and words.
        seed: of dealing anew.
    """
    starts = np.cumsum([0, *(len(keys[code]) for code in draws)])
    items = linked([row for code in draws for row in keys[code]])
    slices = {code: slice(start, stop) for code, start, stop in zip(draws, starts[:-1], starts[1:], strict=True)}
    names = [min(row) for code in draws for row in keys[code]]
    folds = _whole(np.concatenate([drawn.folds for drawn in draws.values()]), items, N_FOLDS, [seed, 3], names)
    groups = _whole(
        np.concatenate([drawn.groups for drawn in draws.values()]), items, JACKKNIFE_GROUPS, [seed, 4], names
    )
    return {
        code: LinkedTexts(draws=drawn, items=items[rows], folds=folds[rows], groups=groups[rows])
        for (code, drawn), rows in zip(draws.items(), slices.values(), strict=True)
    }


def _whole(parts: np.ndarray, items: np.ndarray, n_parts: int, seed: list[int], names: Sequence[str]) -> np.ndarray:
    """Return the parts if no item is in two of them, else deal items anew, by a random number from their names."""
    first = np.unique(items, return_index=True)[1]
    if np.array_equal(parts, parts[first][items]):
        return parts
    ids = unit_ids([names[row] for row in first])
    numbers = np.array([np.random.default_rng([*seed, int(unit)]).random() for unit in ids])
    dealt = np.empty(len(first), dtype=np.intp)
    dealt[np.argsort(numbers, kind="stable")] = np.arange(len(first)) % min(n_parts, len(first))
    return np.asarray(dealt[items])


def group_names(parts: Sequence[LinkedTexts]) -> np.ndarray:
    """Name the jackknife groups by their units: uint64 (groups,), equal for equal texts."""
    units = [
        np.unique(
            [str(unit) for texts in parts for unit in texts.draws.units[texts.draws.unit_of_row[texts.groups == group]]]
        )
        for group in range(n_groups(parts))
    ]
    return unit_ids([",".join(names) for names in units])


def n_groups(parts: Sequence[LinkedTexts]) -> int:
    """Count the jackknife groups."""
    return max(int(texts.groups.max()) for texts in parts) + 1
