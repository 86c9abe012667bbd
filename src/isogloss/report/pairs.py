"""Points -> pairs: how far the probe tells a toxic text from its neutral twin, and which pairs lose most.

The margin of a pair is the probe score of its harmful text minus that of its twin. Both were scored by a probe that saw
neither, and by the same one, so a margin is free of what differs between folds. Margins of different languages and
models come from different probes: they are compared in standard deviations of their own block, zero staying zero
(a pair that the probe cannot tell apart).

Pairs that lose most are the extremes of noisy numbers: examples to read, not findings. Verdicts come from the audit.
"""

from __future__ import annotations

import polars as pl

#: A block is one model, language and layer: what a probe is fitted on.
BLOCK = ("layer", "norm", "language", "model")

MARGINS: dict[str, type[pl.DataType]] = {
    "layer": pl.Int64,
    "norm": pl.String,
    "language": pl.String,
    "model": pl.String,
    "pair_id": pl.String,
    "item_id": pl.String,
    "harmful_id": pl.String,
    "harmless_id": pl.String,
    "margin": pl.Float64,
    "standardised": pl.Float64,
}

LOSSES: dict[str, type[pl.DataType]] = {
    "layer": pl.Int64,
    "norm": pl.String,
    "language": pl.String,
    "rank": pl.Int64,
    "pair_id": pl.String,
    "item_id": pl.String,
    "harmful_id": pl.String,
    "harmless_id": pl.String,
    "before": pl.Float64,
    "after": pl.Float64,
    "loss": pl.Float64,
    "basis": pl.String,
}


def margins(points: pl.DataFrame) -> pl.DataFrame:
    """Measure how far each pair's twins lie apart on the probe's score.

    Args:
        points: as in points.parquet: text_id, pair_id, item_id, language, harmful, model, layer, norm, score.

    Returns:
        A line a pair, language, model and layer, with the columns of MARGINS, sorted by layer, norm, language, model
        and pair id. `harmful_id` and `harmless_id` are the text ids of the twins; `margin` is null where a twin has no
        score; `standardised` is the margin over the standard deviation of the block's margins, null where that is zero
        or unknown. Empty for texts without twins.
    """
    keys = [*BLOCK, "pair_id"]
    paired = points.drop_nulls("pair_id")
    harmful, harmless = paired.filter("harmful"), paired.filter(~pl.col("harmful"))
    spread = pl.col("margin").std().over(BLOCK)
    return (
        harmful.select(*keys, "item_id", pl.col("text_id").alias("harmful_id"), pl.col("score").alias("harmful"))
        .join(
            harmless.select(*keys, pl.col("text_id").alias("harmless_id"), pl.col("score").alias("harmless")),
            on=keys,
            how="inner",
            validate="1:1",
        )
        .with_columns(margin=pl.col("harmful") - pl.col("harmless"))
        .with_columns(standardised=pl.when(spread > 0).then(pl.col("margin") / spread))
        .select(pl.col(name).cast(dtype) for name, dtype in MARGINS.items())
        .sort(*BLOCK, "pair_id")
    )


def losses(found: pl.DataFrame, pivot: str) -> pl.DataFrame:
    """Order the pairs of each language by what they lose, the greatest loss first.

    Where languages share items (translations), a loss is the aligned model's standardised margin of an item in the
    pivot minus that in the language: basis "pivot", and the pivot itself has no lines. Else it is the reference model's
    standardised margin of the pair minus the aligned model's: basis "reference"; nothing without a reference.

    Args:
        found: from `margins`.
        pivot: the language that others are compared with.

    Returns:
        A line a pair, language and layer, with the columns of LOSSES, sorted by layer, norm, language and `rank` (from
        1; equal losses by pair id). `before` and `after` are standardised margins, `loss` is before minus after;
        negative losses are gains. Pairs without a margin on either side are left out.
    """
    aligned = found.filter(pl.col("model") == "aligned")
    if _shares_items(aligned, pivot):
        basis, keys = "pivot", ["layer", "norm", "item_id"]
        before, after = aligned.filter(pl.col("language") == pivot), aligned.filter(pl.col("language") != pivot)
    else:
        basis, keys = "reference", ["layer", "norm", "language", "pair_id"]
        before, after = found.filter(pl.col("model") == "reference"), aligned
    earlier = before.select(*keys, pl.col("standardised").alias("before"))
    place = ["layer", "norm", "language"]
    return (
        after.rename({"standardised": "after"})
        .join(earlier, on=keys, how="inner", validate="m:1")
        .with_columns(loss=pl.col("before") - pl.col("after"), basis=pl.lit(basis))
        .drop_nulls("loss")
        .sort(*place, pl.col("loss"), "pair_id", descending=[False, False, False, True, False])
        .with_columns(rank=pl.int_range(1, pl.len() + 1).over(place))
        .select(pl.col(name).cast(dtype) for name, dtype in LOSSES.items())
    )


def _shares_items(aligned: pl.DataFrame, pivot: str) -> bool:
    """True if every language has items, each of them once, and some in common with the pivot."""
    items = aligned.select("language", "layer", "norm", "item_id")
    if not items.height or items["item_id"].null_count() or items.is_duplicated().any():
        return False
    by_language = {code: set(part["item_id"]) for (code,), part in items.partition_by("language", as_dict=True).items()}
    own = by_language.pop(pivot, set())
    return bool(by_language) and all(not own.isdisjoint(others) for others in by_language.values())
