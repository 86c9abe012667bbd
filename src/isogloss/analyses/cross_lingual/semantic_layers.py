"""Semantic layers: the layers in which texts cluster by meaning instead of by language (LASA)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from isogloss.auditing.config import LEVEL
from isogloss.auditing.plan import Plan
from isogloss.auditing.sample import Sample
from isogloss.auditing.score import map_side_by_side
from isogloss.engines.engine import Engine
from isogloss.hidden_states.activations import Activations
from isogloss.hidden_states.spec import Layer
from isogloss.progress import Track
from isogloss.records import NAN, Estimate, Row
from isogloss.stats.silhouette import silhouettes
from isogloss.stats.text_pairs import unit_ids

HALVES_OF_ITEMS = "random halves of the items"
#: With fewer shared items a silhouette by meaning is noise.
FEWEST = 20
DIFFERENCE = "meaning_minus_language"
WINS = "bottleneck"


class LayerWork(NamedTuple):
    """Work for an engine: a layer of a model, rows of the texts that every language has, and halves of their items."""

    activations: Activations
    layer: Layer
    rows: Mapping[str, np.ndarray]
    chosen: np.ndarray


def semantic_layer_rows(plan: Plan, samples: Mapping[str, Sample], track: Track, engine: Engine) -> list[Row]:
    """Write the silhouettes by meaning and by language of every layer and model, over all languages together.

    Rows of "bottleneck" hold the share of halves in which a layer has the largest difference. Where texts are not
    translations of each other there is one row with the reason.
    """
    rows_of, units = _shared(plan, samples)
    if len(samples) < 2 or len(rows_of) < FEWEST:  # noqa: PLR2004 - languages
        shared = f"{len(rows_of)} items in all languages"
        reason = f"{shared}: meaning needs {FEWEST} translated into each" if len(samples) > 1 else "one language only"
        return [_row(plan.primary_layer, "aligned", DIFFERENCE, _estimate(NAN, 0, plan, reason=reason))]
    chosen = draw_halves(units, plan.config.seed)
    blocks = [(role, layer) for role in plan.roles for layer in plan.layers]
    shared_rows = {code: sample.rows[rows_of[:, column]] for column, (code, sample) in enumerate(samples.items())}
    items = [LayerWork(plan.activations[role], layer, shared_rows, chosen) for role, layer in blocks]
    workers = plan.config.workers
    measured = map_side_by_side(map_layer, items, engine, track, "Meaning and language", workers=workers)
    maps = dict(zip(blocks, measured, strict=True))
    rows = []
    for role in plan.roles:
        differences = np.array([maps[role, layer].difference for layer in plan.layers])
        wins = np.bincount(differences[:, 1:].argmax(axis=0), minlength=len(plan.layers)) / (len(chosen) - 1)
        for layer, won in zip(plan.layers, wins, strict=True):
            rows += _layer_rows(plan, role, layer, maps[role, layer], len(rows_of))
            if len(plan.layers) > 1:
                rows.append(_row(layer, role, WINS, _estimate(float(won), len(rows_of), plan)))
    return rows


def map_layer(work: LayerWork) -> LayerMap:
    """Read the states of one layer in every language, and measure how they cluster."""
    hidden = {code: work.activations.block(code, work.layer).hidden[rows] for code, rows in work.rows.items()}
    return layer_map(hidden, work.chosen)


def _shared(plan: Plan, samples: Mapping[str, Sample]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the texts that every language has: int (meanings, languages), and the number of the item of each.

    A meaning is an item and a class. A meaning that occurs twice in a language is left out.
    """
    meanings = []
    for code, sample in samples.items():
        items = plan.corpus.part(code)["item_id"].to_list()
        rows_of: dict[tuple[str, bool], list[int]] = {}
        for row, harmful in enumerate(sample.draws.harmful):
            if (item := items[sample.rows[row]]) is not None:
                rows_of.setdefault((item, bool(harmful)), []).append(row)
        meanings.append({key: rows[0] for key, rows in rows_of.items() if len(rows) == 1})
    keys = sorted(set.intersection(*(set(of_language) for of_language in meanings)))
    names = _few(sorted({item for item, _ in keys}))
    keys = [key for key in keys if key[0] in names]
    rows = np.array([[of_language[key] for of_language in meanings] for key in keys], dtype=np.intp)
    rows = rows.reshape(len(keys), len(meanings))
    return rows, np.array([names[item] for item, _ in keys], dtype=np.intp)


def _few(items: Sequence[str]) -> dict[str, int]:
    """Number items; of too many, those with the smallest ids, which are hashes."""
    kept = [items[i] for i in np.argsort(unit_ids(items), kind="stable")[:ITEMS]] if items else []
    return {item: number for number, item in enumerate(kept)}


def _layer_rows(plan: Plan, role: str, layer: Layer, measured: LayerMap, n: int) -> list[Row]:
    numbers = {
        DIFFERENCE: measured.difference,
        "silhouette_by_meaning": measured.by_meaning,
        "silhouette_by_language": measured.by_language,
    }
    return [
        _row(layer, role, name, _estimate(float(values[0]), n, plan, halves=values[1:]))
        for name, values in numbers.items()
    ]


def _estimate(
    value: float, n: int, plan: Plan, *, halves: np.ndarray | None = None, reason: str | None = None
) -> Estimate:
    """Put the spread of the halves about their mean around the value."""
    low, high = (NAN, NAN) if halves is None else value + np.quantile(halves, [0.025, 0.975]) - halves.mean()
    return Estimate(
        value=value,
        n=n,
        seed=plan.config.seed,
        low=float(low),
        high=float(high),
        level=NAN if halves is None else LEVEL,
        method=HALVES_OF_ITEMS,
        reason=reason,
    )


def _row(layer: Layer, role: str, metric: str, estimate: Estimate) -> Row:
    return Row(
        kind="meaning", language="", model=role, layer=layer.index, norm=layer.norm, basis="states", metric=metric,
        estimate=estimate,
    )  # fmt: skip


#: Random halves.
HALVES = 200
#: Items at most, because distances are taken between all texts of all languages.
ITEMS = 200


@dataclass(frozen=True, kw_only=True)
class LayerMap:
    """The two silhouettes of a layer: of all items (first) and of each half, float64 (1 + HALVES,) each."""

    by_meaning: np.ndarray
    by_language: np.ndarray

    @property
    def difference(self) -> np.ndarray:
        """Difference that LASA maximises over layers: (1 + HALVES,)."""
        return np.asarray(self.by_meaning - self.by_language)


def draw_halves(units: np.ndarray, seed: int) -> np.ndarray:
    """Draw the items of each half: bool (1 + HALVES, items), all of them first, then random halves of the units.

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
    states = np.array([x.astype(np.float64) for x in hidden.values()])
    n_languages, n_items, _ = states.shape
    weights = chosen.astype(np.float64).T  # (items, halves)
    sizes = weights.sum(axis=0)
    by_meaning, by_language = np.zeros(len(chosen)), np.zeros(len(chosen))
    for language in range(n_languages):
        distances = _distances(states[language], states)  # (items, languages, items)
        distances[np.arange(n_items), language, np.arange(n_items)] = 0.0
        to_item = distances.sum(axis=1)  # to all texts of each item
        same = to_item[np.arange(n_items), np.arange(n_items)] / (n_languages - 1)
        other = _nearest_other(to_item / n_languages, chosen)
        by_meaning += (silhouettes(same[:, None], other) * weights).sum(axis=0)
        to_language = distances @ weights  # (items, languages, halves), sums over the items that take part
        inner = to_language[:, language] / (sizes - 1)
        outer = np.delete(to_language, language, axis=1).min(axis=1) / sizes
        by_language += (silhouettes(inner, outer) * weights).sum(axis=0)
    return LayerMap(by_meaning=by_meaning / sizes / n_languages, by_language=by_language / sizes / n_languages)


def _distances(texts: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Distances of the texts of a language to all texts: (items, languages, items)."""
    squares = (texts**2).sum(axis=1)[:, None, None] + (states**2).sum(axis=2)[None, :, :]
    squares -= 2 * np.einsum("id,ljd->ilj", texts, states, optimize=True)
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)))


def _nearest_other(to_item: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Mean distance to the nearest other item among those that take part: (items, 1 + HALVES)."""
    away = to_item.copy()
    np.fill_diagonal(away, np.inf)
    order = away.argsort(axis=1)
    distances = np.empty((len(away), len(chosen)))
    for item, nearest in enumerate(order):
        first = chosen[:, nearest].argmax(axis=1)  # the nearest item of each half
        distances[item] = away[item, nearest[first]]
    return distances
