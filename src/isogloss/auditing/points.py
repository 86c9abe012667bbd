"""points.parquet: a row for each text and model, with components and probe score. Figures are drawn from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from isogloss.auditing.plan import Plan
from isogloss.auditing.score import ScoredBlock
from isogloss.io.files import saving

#: Columns of points.parquet, each with its meaning.
POINT_COLUMNS = {
    "text_id": "Id of the text.",
    "pair_id": "Id of the pair that the text belongs to; null for a text without a partner.",
    "item_id": "Id of the item, shared by translations; null where the corpus has none.",
    "language": "Language code.",
    "harmful": "Whether the text is harmful.",
    "model": "reference or aligned.",
    "layer": "Layer, 0 for embeddings, k for the output of block k.",
    "norm": "pre or post the final norm, for the last layer; empty for all others.",
    "fold": "Fold of cross-fitting: texts of a fold are scored by one probe, fitted on all other folds.",
    "pc1": "First principal component of the hidden state; null where the texts vary in no direction.",
    "pc2": "Second principal component; null where the texts vary in fewer than two directions.",
    "score": "Cross-fitted probe score, about -1 to 1, higher for more harmful; comparable within a fold only.",
}


def write_points(plan: Plan, scored: ScoredBlock, folder: Path) -> None:
    """Write the points of a language and layer, one file for each model, into a folder; see `join_points`."""
    for role in scored.scores:
        path = folder / f"{sum(1 for _ in folder.iterdir()):09}.parquet"
        with saving(path, "folder for passing files (TMPDIR)"):
            _make_points(plan, scored, role).write_parquet(path)


def join_points(folder: Path, path: Path) -> None:
    """Join all files that `write_points` wrote into a folder, holding one of them in memory at a time.

    `pc1` and `pc2` are the first two components of the text's hidden state, null where the texts vary in fewer
    directions. `score` is the text's cross-fitted probe score in the full space, about -1 to 1 and higher for more
    harmful; `auroc` and `pair_accuracy` are computed from these scores. They are comparable within a `fold` only: one
    probe, fitted on all other folds, scored the texts of a fold. The reason for a null score is in the auroc row of its
    model, language and layer.

    Columns are text_id, pair_id, item_id, language, harmful, model, layer, norm, fold (int), pc1, pc2, score (float64);
    rows are in the order of the plan's languages and layers, then by model (reference first) and text id.
    """
    from pyarrow.parquet import ParquetWriter, read_schema, read_table  # noqa: PLC0415 - slow, and needed only here

    files = sorted(folder.iterdir())
    with ParquetWriter(path, read_schema(files[0]), compression="zstd") as writer:
        for file in files:
            writer.write_table(read_table(file))


def _make_points(plan: Plan, scored: ScoredBlock, role: str) -> pl.DataFrame:
    block = scored.scores[role]
    components = block.projection.scores
    texts = plan.corpus.part(scored.sample.language)
    missing = np.full(len(texts), np.nan)
    numbers = {
        "pc1": components[:, 0] if components.shape[1] > 0 else missing,
        "pc2": components[:, 1] if components.shape[1] > 1 else missing,
        "score": missing if block.text_scores is None else block.text_scores,
    }
    return texts.select("text_id", "pair_id", "item_id", "language", "harmful").with_columns(
        model=pl.lit(role),
        layer=pl.lit(scored.layer.index, dtype=pl.Int64),
        norm=pl.lit(scored.layer.norm),
        fold=pl.Series(scored.sample.draws.folds, dtype=pl.Int64),
        **{name: pl.Series(column, dtype=pl.Float64).fill_nan(None) for name, column in numbers.items()},
    )
