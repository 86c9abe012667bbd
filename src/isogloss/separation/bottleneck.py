"""Where in the model texts lie by what they mean, and where by their language (LASA, arXiv 2604.12710).

At a layer, all texts of all languages are clustered twice: by meaning (an item and its class: a text and its
translations) and by language. LASA's bottleneck is the layer with the largest silhouette by meaning minus silhouette by
language, in the full space, Euclidean. How sure that layer is, is read from random halves of the items: the spread of a
mean over halves drawn without replacement is that of the mean over all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from isogloss.separation.silhouette import silhouettes

#: Halves that are drawn.
HALVES = 200
#: Items that are taken at most: distances are between all texts of all languages.
ITEMS = 200


@dataclass(frozen=True, kw_only=True)
class LayerMap:
    """The two silhouettes of a layer: of all items (first) and of each half, float64 (1 + HALVES,) each."""

    by_meaning: np.ndarray
    by_language: np.ndarray

    @property
    def difference(self) -> np.ndarray:
        """What LASA maximises over layers: (1 + HALVES,)."""
        return np.asarray(self.by_meaning - self.by_language)


def draw_halves(units: np.ndarray, seed: int) -> np.ndarray:
    """Draw which items take part: bool (1 + HALVES, items), all of them first, then random halves of the units.

    Args:
        units: int (items,), 0, 1, ...: the pair of each item, or the item itself.
        seed: of the halves.
    """
    n_units = int(units.max()) + 1
    order = np.random.default_rng([seed, 6]).random((HALVES, n_units)).argsort(axis=1)
    halves = order < max(2, n_units // 2)
    return np.asarray(np.vstack([np.ones((1, len(units)), dtype=bool), halves[:, units]]))


def layer_map(hidden: Mapping[str, np.ndarray], chosen: np.ndarray) -> LayerMap:
    """Measure one layer of one model.

    Args:
        hidden: language -> float (items, d), row i of every language being item i: all translations of each other.
        chosen: from `draw_halves`, bool (1 + HALVES, items). The two texts of a pair are two items here.
    """
    states = np.array([one.astype(np.float64) for one in hidden.values()])
    n_languages, n_items, _ = states.shape
    weights = chosen.astype(np.float64).T  # (items, halves)
    sizes = weights.sum(axis=0)
    by_meaning, by_language = np.zeros(len(chosen)), np.zeros(len(chosen))
    for language in range(n_languages):
        distances = _distances(states[language], states)  # (items, languages, items)
        distances[np.arange(n_items), language, np.arange(n_items)] = 0.0
        to_item = distances.sum(axis=1)  # to all texts of each item
        own = to_item[np.arange(n_items), np.arange(n_items)] / (n_languages - 1)
        other = _nearest_other(to_item / n_languages, chosen)
        by_meaning += (silhouettes(own[:, None], other) * weights).sum(axis=0)
        to_language = distances @ weights  # (items, languages, halves), sums over the items that take part
        inner = to_language[:, language] / (sizes - 1)
        outer = np.delete(to_language, language, axis=1).min(axis=1) / sizes
        by_language += (silhouettes(inner, outer) * weights).sum(axis=0)
    return LayerMap(by_meaning=by_meaning / sizes / n_languages, by_language=by_language / sizes / n_languages)


def _distances(own: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Distances of the texts of a language to all texts: (items, languages, items)."""
    squares = (own**2).sum(axis=1)[:, None, None] + (states**2).sum(axis=2)[None, :, :]
    squares -= 2 * np.einsum("id,ljd->ilj", own, states, optimize=True)
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)))


def _nearest_other(to_item: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Mean distance to the nearest other item among those that take part: (items, 1 + HALVES)."""
    away = to_item.copy()
    np.fill_diagonal(away, np.inf)
    order = away.argsort(axis=1)
    found = np.empty((len(away), len(chosen)))
    for item, nearest in enumerate(order):
        first = chosen[:, nearest].argmax(axis=1)  # the first of the nearest that takes part
        found[item] = away[item, nearest[first]]
    return found
