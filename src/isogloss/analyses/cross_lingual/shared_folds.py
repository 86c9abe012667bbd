"""Texts of several languages, parted so that nothing of one side of a fit is on the other.

A probe that is fitted on one language and scored on another must not have seen the other language's text in its own:
a translation of it, its twin, or the same words. Whatever is linked in one of these ways shares a fold and a group.
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
class Part:
    """The texts of one language among those of others.

    Attributes:
        draws: of this language.
        items: int (n,), what each text is linked to; equal numbers in two languages are linked texts.
        folds: int (n,), 0 to 4, of the probe.
        groups: int (n,), 0 to 24, of the jackknife; languages lose a group together.
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
        """The true labels and then the shuffled ones, bool (1 + B, n)."""
        return np.vstack([self.draws.harmful[None, :], self.draws.permutations])


def linked(keys: Sequence[Sequence[str]]) -> np.ndarray:
    """Number rows so that those which share a key, directly or through others, have one number.

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
    found = connected_components(graph, directed=False)[1][: len(keys)]
    first = {int(number): place for place, number in enumerate(dict.fromkeys(found.tolist()))}
    return np.array([first[int(number)] for number in found])


def part_together(
    draws: Mapping[str, Draws], keys: Mapping[str, Sequence[Sequence[str]]], seed: int
) -> dict[str, Part]:
    """Give the texts of all languages folds and jackknife groups that part nothing linked.

    The folds and groups that each language has for itself are kept where they part nothing, so that a probe scored on
    its own language is the probe of every other table; else all are dealt anew.

    Args:
        draws: language -> its draws.
        keys: language -> what each of its texts is linked by: names of pair, item and words.
        seed: of dealing anew.
    """
    starts = np.cumsum([0, *(len(keys[code]) for code in draws)])
    items = linked([row for code in draws for row in keys[code]])
    place = {code: slice(start, stop) for code, start, stop in zip(draws, starts[:-1], starts[1:], strict=True)}
    names = [min(row) for code in draws for row in keys[code]]
    folds = _whole(np.concatenate([one.folds for one in draws.values()]), items, N_FOLDS, [seed, 3], names)
    groups = _whole(np.concatenate([one.groups for one in draws.values()]), items, JACKKNIFE_GROUPS, [seed, 4], names)
    return {
        code: Part(draws=one, items=items[place[code]], folds=folds[place[code]], groups=groups[place[code]])
        for code, one in draws.items()
    }


def _whole(parts: np.ndarray, items: np.ndarray, n_parts: int, seed: list[int], names: Sequence[str]) -> np.ndarray:
    """Return the parts if no item lies in two of them, else deal items anew, by a random number of their names."""
    first = np.unique(items, return_index=True)[1]
    if np.array_equal(parts, parts[first][items]):
        return parts
    ids = unit_ids([names[row] for row in first])
    numbers = np.array([np.random.default_rng([*seed, int(one)]).random() for one in ids])
    dealt = np.empty(len(first), dtype=np.intp)
    dealt[np.argsort(numbers, kind="stable")] = np.arange(len(first)) % min(n_parts, len(first))
    return np.asarray(dealt[items])


def group_names(parts: Sequence[Part]) -> np.ndarray:
    """Name the jackknife groups by all that is in them: uint64 (groups,), equal for equal texts."""
    units = [
        np.unique([f"{unit}" for one in parts for unit in one.draws.units[one.draws.unit_of_row[one.groups == group]]])
        for group in range(n_groups(parts))
    ]
    return unit_ids([",".join(one) for one in units])


def n_groups(parts: Sequence[Part]) -> int:
    """Count the jackknife groups."""
    return max(int(one.groups.max()) for one in parts) + 1
