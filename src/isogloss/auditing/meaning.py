"""Where in the model texts lie by meaning and where by language: rows of every layer, and the bottleneck among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from isogloss.activations.activations import Activations
from isogloss.activations.spec import Layer
from isogloss.auditing.config import LEVEL
from isogloss.auditing.plan import Plan
from isogloss.auditing.sample import Sample
from isogloss.auditing.score_language import side_by_side
from isogloss.engines.engine import Engine
from isogloss.progress import Track
from isogloss.results import NAN, Estimate, Row
from isogloss.separation.bottleneck import ITEMS, LayerMap, draw_halves, layer_map
from isogloss.separation.pairs import unit_ids

HALVES_OF_ITEMS = "random halves of the items"
#: Fewer shared items say nothing of a silhouette by meaning.
FEWEST = 20
DIFFERENCE = "meaning_minus_language"
WINS = "bottleneck"


class AtLayer(NamedTuple):
    """Work for anybody: a layer of a model, rows of the texts that every language has, and halves of their items."""

    activations: Activations
    layer: Layer
    rows: Mapping[str, np.ndarray]
    chosen: np.ndarray


def meaning_rows(plan: Plan, samples: Mapping[str, Sample], track: Track, engine: Engine) -> list[Row]:
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
    places = [(role, layer) for role in plan.roles for layer in plan.layers]
    rows = {code: sample.rows[rows_of[:, column]] for column, (code, sample) in enumerate(samples.items())}
    items = [AtLayer(plan.activations[role], layer, rows, chosen) for role, layer in places]
    workers = plan.config.workers
    measured = side_by_side(map_layer, items, engine, track, "Meaning and language", workers=workers)
    maps = dict(zip(places, measured, strict=True))
    found = []
    for role in plan.roles:
        differences = np.array([maps[role, layer].difference for layer in plan.layers])
        wins = np.bincount(differences[:, 1:].argmax(axis=0), minlength=len(plan.layers)) / (len(chosen) - 1)
        for layer, won in zip(plan.layers, wins, strict=True):
            found += _layer_rows(plan, role, layer, maps[role, layer], len(rows_of))
            if len(plan.layers) > 1:
                found.append(_row(layer, role, WINS, _estimate(float(won), len(rows_of), plan)))
    return found


def map_layer(one: AtLayer) -> LayerMap:
    """Read the states of one layer in every language, and say how they lie."""
    hidden = {code: one.activations.block(code, one.layer).hidden[rows] for code, rows in one.rows.items()}
    return layer_map(hidden, one.chosen)


def _shared(plan: Plan, samples: Mapping[str, Sample]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the texts that stand in every language: int (meanings, languages), and the number of each one's item.

    A meaning is an item and a class. One that stands twice in a language is none.
    """
    places = []
    for code, sample in samples.items():
        items = plan.corpus.part(code)["item_id"].to_list()
        own: dict[tuple[str, bool], list[int]] = {}
        for row, harmful in enumerate(sample.draws.harmful):
            if (item := items[sample.rows[row]]) is not None:
                own.setdefault((item, bool(harmful)), []).append(row)
        places.append({key: rows[0] for key, rows in own.items() if len(rows) == 1})
    keys = sorted(set.intersection(*(set(one) for one in places)))
    names = _few(sorted({item for item, _ in keys}))
    keys = [key for key in keys if key[0] in names]
    rows = np.array([[one[key] for one in places] for key in keys], dtype=np.intp).reshape(len(keys), len(places))
    return rows, np.array([names[item] for item, _ in keys], dtype=np.intp)


def _few(items: Sequence[str]) -> dict[str, int]:
    """Number items; of too many those whose ids, which are hashes, are the smallest."""
    kept = [items[i] for i in np.argsort(unit_ids(items), kind="stable")[:ITEMS]] if items else []
    return {item: number for number, item in enumerate(kept)}


def _layer_rows(plan: Plan, role: str, layer: Layer, found: LayerMap, n: int) -> list[Row]:
    numbers = {
        DIFFERENCE: found.difference,
        "silhouette_by_meaning": found.by_meaning,
        "silhouette_by_language": found.by_language,
    }
    return [_row(layer, role, name, _estimate(float(one[0]), n, plan, halves=one[1:])) for name, one in numbers.items()]


def _estimate(
    value: float, n: int, plan: Plan, *, halves: np.ndarray | None = None, reason: str | None = None
) -> Estimate:
    """The spread of halves about their own mean is put about the value."""
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
