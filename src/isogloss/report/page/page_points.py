"""The points that the page embeds, and what it says of pairs."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from isogloss.report.lost_pairs import losses, margins
from isogloss.report.view import MODELS, layer_name
from isogloss.results import Audit
from isogloss.text import sanitize

#: Texts shown per language and layer, both classes together.
MOST = 200
#: Texts times layers in one page; with many layers fewer texts are shown.
BUDGET = 60_000
FEWEST = 40
BINS = 24
LOSING = 5


def shown_per_layer(languages: int, layers: int) -> int:
    """How many texts per language and layer the page embeds.

    >>> shown_per_layer(12, 1), shown_per_layer(12, 60)
    (200, 82)
    """
    return max(FEWEST, min(MOST, BUDGET // max(1, languages * layers) // 2 * 2))


def choose(points: pl.DataFrame, most: int) -> pl.DataFrame:
    """Choose texts of each language: whole pairs where there are pairs, else as many of either class.

    Chosen by a hash of the unit's name, so that the file's order plays no part; the same for all models and layers.

    Returns:
        A line a text: language, text_id, pair_id, item_id, harmful.
    """
    texts = points.select("language", "text_id", "pair_id", "item_id", "harmful").unique(maintain_order=True)
    unit = pl.coalesce("pair_id", "text_id")
    texts = texts.with_columns(unit=unit).with_columns(
        key=pl.format("{}:{}", "language", "unit").map_elements(_digest, return_dtype=pl.String)
    )
    ranked = texts.sort("key", "text_id").with_columns(
        rank=pl.int_range(pl.len()).over("language", "harmful", order_by=["key", "text_id"])
    )
    return ranked.filter(pl.col("rank") < most // 2).sort("language", "key", "harmful").drop("unit", "key", "rank")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def pack_points(points: pl.DataFrame, codes: Sequence[str], layers: Sequence[tuple[int, str]]) -> list[dict[str, Any]]:
    """Pack the chosen points: an entry a language, columns of texts, and per layer and model columns of numbers.

    Numbers have four digits: the picture needs no more, and they are in no table.
    """
    chosen = choose(points, shown_per_layer(len(codes), len(layers)))
    packed = []
    for code in codes:
        texts = chosen.filter(pl.col("language") == code)
        of_language = points.filter(pl.col("language") == code)
        entry: dict[str, Any] = {
            "text": [sanitize(text) for text in texts["text_id"]],
            "pair": [None if pair is None else sanitize(pair) for pair in texts["pair_id"]],
            "harmful": [int(harmful) for harmful in texts["harmful"]],
            "layers": [
                {
                    model: _numbers(texts, at_layer.filter(pl.col("model") == model))
                    for model in MODELS
                    if (at_layer["model"] == model).any()
                }
                for at_layer in (
                    of_language.filter((pl.col("layer") == i) & (pl.col("norm") == norm)) for i, norm in layers
                )
            ],
        }
        packed.append(entry)
    return packed


def _numbers(texts: pl.DataFrame, points: pl.DataFrame) -> dict[str, list[float | None]]:
    rows = texts.select("text_id").join(points, on="text_id", how="left", maintain_order="left")
    return {
        short: [_short(value) for value in rows[name]] for short, name in (("x", "pc1"), ("y", "pc2"), ("s", "score"))
    }


def _short(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(f"{value:.4g}")


def at_primary(audit: Audit, points: pl.DataFrame) -> pl.DataFrame:
    """Points of the layer that verdicts come from."""
    layer, norm = audit.primary_layer
    return points.filter((pl.col("layer") == layer) & (pl.col("norm") == norm))


def histograms(pair_margins: pl.DataFrame, codes: Sequence[str]) -> dict[str, Any]:
    """Count margins in common bins.

    Args:
        pair_margins: from `margins`, of one layer.
        codes: languages, in the order of the result.

    Returns:
        `edges` (bins + 1,), and per language and model the share of pairs in each bin, how many pairs there are, and
        the share whose harmful text scores higher. Empty where there are no margins.
    """
    values = pair_margins.drop_nulls("margin")
    if values.is_empty():
        return {}
    margin = values["margin"].to_numpy()
    step = float(margin.max() - margin.min()) / BINS or 1.0
    # Zero is an edge, so that no bar holds margins of both signs.
    edges = np.arange(math.floor(margin.min() / step), math.floor(margin.max() / step) + 2) * step
    languages = []
    for code in codes:
        by_model: dict[str, Any] = {}
        for model in MODELS:
            block = margin[((values["language"] == code) & (values["model"] == model)).to_numpy()]
            if block.size:
                shares = np.histogram(block, edges)[0] / block.size
                by_model[model] = {"shares": shares.tolist(), "pairs": block.size, "above": float((block > 0).mean())}
        languages.append(by_model)
    return {"edges": edges.tolist(), "languages": languages}


def pair_figures(audit: Audit, points: pl.DataFrame, codes: Sequence[str]) -> tuple[dict[str, Any], pl.DataFrame]:
    """Histograms of margins at the primary layer, and the pairs that lose most in each language."""
    pair_margins = margins(at_primary(audit, points))
    lost = losses(pair_margins, audit.pivot)
    return histograms(pair_margins, codes), lost.filter((pl.col("rank") <= LOSING) & (pl.col("loss") > 0))


def layers_of(audit: Audit, points: pl.DataFrame) -> list[tuple[int, str]]:
    """Layers of scores and points, in order of depth."""
    seen = {(row.layer, row.norm) for row in audit.find(kind="score") if row.layer is not None}
    seen |= set(points.select("layer", "norm").unique().iter_rows())
    return sorted(seen, key=lambda layer: (layer[0], layer[1] == "post"))


def layer_names(layers: Sequence[tuple[int, str]]) -> list[str]:
    """Names of layers, with nothing hidden in them."""
    return [sanitize(layer_name(index, norm)) for index, norm in layers]
