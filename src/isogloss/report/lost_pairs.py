"""The pairs that lose most, as lines of a terminal: ids only, and the texts where they are asked for."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from isogloss.corpora.corpus import Corpus
from isogloss.errors import StoreError
from isogloss.report.pairs import losses, margins
from isogloss.report.tables import label, order, primary_layer
from isogloss.report.visible import visible
from isogloss.results import Audit

ABOUT = {
    "pivot": (
        "Margin: probe score of the harmful text minus that of its twin, aligned model, in standard deviations of the "
        "language. Loss: margin in {pivot} minus margin in the language."
    ),
    "reference": (
        "Margin: probe score of the harmful text minus that of its twin, in standard deviations of its model. Loss: "
        "margin in the reference model minus margin in the aligned model."
    ),
}
CAUTION = "These are the extremes of noisy numbers: examples to read, not findings."


def most_lost(audit: Audit, points: pl.DataFrame, most: int) -> pl.DataFrame:
    """Take the pairs of each language that lose most at the layer that verdicts come from; see `losses` for columns.

    Languages stand as in every table; pairs that lose nothing are left out.
    """
    layer, norm = primary_layer(audit)
    here = points.filter((pl.col("layer") == layer) & (pl.col("norm") == norm))
    found = losses(margins(here), audit.pivot).filter((pl.col("rank") <= most) & (pl.col("loss") > 0))
    places = {code: i for i, code in enumerate(sorted(audit.languages, key=lambda code: order(audit, code)))}
    return found.sort(pl.col("language").replace_strict(places, default=len(places), return_dtype=pl.Int64), "rank")


def pair_rows(audit: Audit, lost: pl.DataFrame, sample: Corpus | None = None) -> list[dict[str, str]]:
    """Write a line a pair; with a `sample` its texts too, and the pivot's where items are shared. Nothing is hidden.

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
    rows = []
    for row in lost.iter_rows(named=True):
        before, after = ("pivot", "language") if row["basis"] == "pivot" else ("reference", "aligned")
        line = {
            "language": label(row["language"]),
            "item": visible(row["item_id"] or row["pair_id"]),
            f"margin, {before}": f"{row['before']:+.2f}",
            f"margin, {after}": f"{row['after']:+.2f}",
            "loss": f"{row['loss']:.2f}",
        }
        if sample:
            line |= _shown(row, texts, pivots, audit.pivot)
        else:
            line |= {"harmful text": visible(row["harmful_id"]), "twin": visible(row["harmless_id"])}
        rows.append(line)
    return rows


def _shown(
    row: Mapping[str, str], texts: Mapping[str, str], pivots: Mapping[str | None, str], pivot: str
) -> dict[str, str]:
    found = {"harmful text": visible(texts[row["harmful_id"]]), "twin": visible(texts[row["harmless_id"]])}
    if row["basis"] == "pivot":
        found[f"harmful text in {visible(pivot)}"] = visible(pivots[row["item_id"]])
    return found


def about(audit: Audit, lost: pl.DataFrame) -> str:
    """Say what the numbers are, or why there are none."""
    if lost.is_empty():
        return "No pairs to show: the corpus has no twins, the run holds no probe scores, or no pair loses anything."
    return f"{ABOUT[lost['basis'][0]].format(pivot=visible(audit.pivot))} {CAUTION}"
