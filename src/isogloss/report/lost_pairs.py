"""The text pairs that lose most by alignment, and their texts where a reader asks for them."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from isogloss.data.corpus import Corpus
from isogloss.data.curate import balance
from isogloss.data.splits import take_split
from isogloss.errors import CorpusError, StoreError
from isogloss.report.cells import number_cell, text_cell
from isogloss.report.table import Cell, Column, Table, TableKind
from isogloss.report.view import view
from isogloss.results import Audit

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
    """Measure how far the texts of each pair lie apart on the probe's score.

    Args:
        points: as in points.parquet: text_id, pair_id, item_id, language, harmful, model, layer, norm, score.

    Returns:
        A line a pair, language, model and layer, with the columns of MARGINS, sorted by layer, norm, language, model
        and pair id. `harmful_id` and `harmless_id` are the ids of its texts; `margin` is null where a text has no
        score; `standardised` is the margin over the standard deviation of the block's margins, null where that is zero
        or unknown. Empty for texts without pairs.
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


def losses(pair_margins: pl.DataFrame, pivot: str) -> pl.DataFrame:
    """Order the pairs of each language by what they lose, the greatest loss first.

    Where languages share items (translations), a loss is the aligned model's standardised margin of an item in the
    pivot minus that in the language: basis "pivot", and the pivot itself has no lines. Else it is the reference model's
    standardised margin of the pair minus the aligned model's: basis "reference"; nothing without a reference.

    Args:
        pair_margins: from `margins`.
        pivot: the language that others are compared with.

    Returns:
        A line a pair, language and layer, with the columns of LOSSES, sorted by layer, norm, language and `rank` (from
        1; equal losses by pair id). `before` and `after` are standardised margins, `loss` is before minus after;
        negative losses are gains. Pairs without a margin on either side are left out.
    """
    aligned = pair_margins.filter(pl.col("model") == "aligned")
    if _shares_items(aligned, pivot):
        basis, keys = "pivot", ["layer", "norm", "item_id"]
        before, after = aligned.filter(pl.col("language") == pivot), aligned.filter(pl.col("language") != pivot)
    else:
        basis, keys = "reference", ["layer", "norm", "language", "pair_id"]
        before, after = pair_margins.filter(pl.col("model") == "reference"), aligned
    earlier = before.select(*keys, pl.col("standardised").alias("before"))
    block = ["layer", "norm", "language"]
    return (
        after.rename({"standardised": "after"})
        .join(earlier, on=keys, how="inner", validate="m:1")
        .with_columns(loss=pl.col("before") - pl.col("after"), basis=pl.lit(basis))
        .drop_nulls("loss")
        .sort(*block, pl.col("loss"), "pair_id", descending=[False, False, False, True, False])
        .with_columns(rank=pl.int_range(1, pl.len() + 1).over(block))
        .select(pl.col(name).cast(dtype) for name, dtype in LOSSES.items())
    )


def _shares_items(aligned: pl.DataFrame, pivot: str) -> bool:
    """True if every language has items, each of them once, and some in common with the pivot."""
    items = aligned.select("language", "layer", "norm", "item_id")
    if not items.height or items["item_id"].null_count() or items.is_duplicated().any():
        return False
    by_language = {code: set(part["item_id"]) for (code,), part in items.partition_by("language", as_dict=True).items()}
    in_pivot = by_language.pop(pivot, set())
    return bool(by_language) and all(not in_pivot.isdisjoint(others) for others in by_language.values())


LOST_PAIRS = TableKind(
    key="lost-pairs",
    title="Pairs that lose most",
    columns=(
        Column(key="language", heading="language", description="Code and name of the language.", align="left"),
        Column(key="pair", heading="pair", description="Id of the item, or of the pair.", align="left"),
        Column(
            key="pivot_margin",
            heading="margin, pivot",
            description="Margin of the same item in the pivot, aligned model.",
        ),
        Column(key="reference_margin", heading="margin, reference", description="Margin in the reference model."),
        Column(key="aligned_margin", heading="margin, aligned", description="Margin in the aligned model."),
        Column(key="loss", heading="loss", description="The margin before it minus the margin of the aligned model."),
        Column(
            key="harmful",
            heading="harmful text",
            description="Id or text of the harmful text of the pair.",
            align="left",
        ),
        Column(
            key="harmless",
            heading="harmless text",
            description="Id or text of the harmless text of the pair.",
            align="left",
        ),
        Column(
            key="harmful_pivot",
            heading="harmful text in the pivot",
            description="The harmful text of the same item in the pivot.",
            align="left",
        ),
    ),
)
MARGIN = (
    "Margin: probe score of the harmful text minus that of the harmless text, in standard deviations of the language's "
    "margins."
)
CAUTION = "These are the extremes of noisy numbers: examples to read, not findings."
NOTHING = "No pairs to show: the corpus has no text pairs, the run holds no probe scores, or no pair loses anything."


def most_lost(audit: Audit, points: pl.DataFrame, most: int) -> pl.DataFrame:
    """Take the pairs of each language that lose most at the layer that verdicts come from; see `losses` for columns.

    Languages stand as in every table; pairs that lose nothing are left out.
    """
    layer, norm = audit.primary_layer
    at_primary = points.filter((pl.col("layer") == layer) & (pl.col("norm") == norm))
    lost = losses(margins(at_primary), audit.pivot).filter((pl.col("rank") <= most) & (pl.col("loss") > 0))
    order = {language.code: number for number, language in enumerate(view(audit).languages)}
    return lost.sort(pl.col("language").replace_strict(order, default=len(order), return_dtype=pl.Int64), "rank")


def lost_pairs_table(audit: Audit, lost: pl.DataFrame, sample: Corpus | None = None) -> Table:
    """Fill a row for each pair; with a `sample` its texts too, and the pivot's where items are shared.

    Args:
        audit: that the pairs are of.
        lost: from `most_lost`.
        sample: the texts of the audit, from `audited_texts`; None shows ids.

    Raises:
        StoreError: the points are of other texts than the sample.
    """
    texts = {text.text_id: text.text for text in sample} if sample else {}
    pivots = {text.item_id: text.text for text in sample or () if text.language == audit.pivot and text.harmful}
    items = set(lost.filter(pl.col("basis") == "pivot")["item_id"])
    if sample and not ({*lost["harmful_id"], *lost["harmless_id"]} <= set(texts) and items <= set(pivots)):
        raise StoreError(
            "points.parquet", found="texts that the audit did not read", expected="its texts", do="run the audit again"
        )
    languages = {language.code: language.cell for language in view(audit).languages}
    rows = []
    for row in lost.iter_rows(named=True):
        cells = {
            "language": languages.get(row["language"], text_cell(row["language"])),
            "pair": text_cell(row["item_id"] or row["pair_id"]),
            f"{row['basis']}_margin": _margin_cell(row["before"]),
            "aligned_margin": _margin_cell(row["after"]),
            "loss": number_cell(row["loss"], digits=2),
            "harmful": text_cell(texts.get(row["harmful_id"], row["harmful_id"])),
            "harmless": text_cell(texts.get(row["harmless_id"], row["harmless_id"])),
        }
        if sample and row["basis"] == "pivot":
            cells["harmful_pivot"] = text_cell(pivots[row["item_id"]])
        rows.append(cells)
    return LOST_PAIRS.fill(rows, caption=f"{MARGIN} {CAUTION}")


def _margin_cell(value: float) -> Cell:
    return Cell(text=f"{value:+.2f}", value=value)


def audited_texts(audit: Audit, corpus: Corpus) -> Corpus:
    """Draw the audit's sample from a corpus again.

    Args:
        audit: read from a run folder.
        corpus: the whole corpus in the audit's languages, as `load_corpus` gives it.

    Raises:
        CorpusError: the texts, labels or ids are not those of the audit.
    """
    corpus = take_split(corpus, str(audit.config.get("split", "all")))
    left_out = audit.corpus.get("left_out", ())
    whole = replace(corpus, frame=corpus.frame.filter(~pl.col("text_id").is_in(list(left_out)))) if left_out else corpus
    sample = balance(whole, per_class=audit.config.get("per_class"), seed=audit.config["seed"])
    if sample.sha256 != audit.corpus["sha256"]:
        raise CorpusError(
            f"corpus {corpus.name}",
            found=f"texts with sha256 {sample.sha256[:12]}",
            expected=f"those of the audit, {str(audit.corpus['sha256'])[:12]}",
            do="give the corpus that was audited (--corpus), with the same --column options",
        )
    return sample


def by_id(sample: Corpus) -> dict[str, str]:
    """Text of each text id."""
    return dict(sample.frame.select("text_id", "text").iter_rows())
