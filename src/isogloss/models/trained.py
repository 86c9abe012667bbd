"""Which texts of a corpus an adapter was trained on, recognised by what they say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import polars as pl

from isogloss.corpora.corpus import SCHEMA, Corpus, content_key
from isogloss.errors import CorpusError
from isogloss.models.fetch import adapter_folder
from isogloss.models.pairs import ModelRef
from isogloss.models.tune_record import TrainedTexts, trained_texts


def trained_by(refs: Iterable[ModelRef]) -> TrainedTexts:
    """Put together what the adapters of some models were trained on; adapters on the hub are downloaded.

    Raises:
        ModelError: an adapter cannot be found, or its record is not what it should be.
    """
    found = TrainedTexts()
    for adapter in sorted({ref.adapter for ref in refs if ref.adapter}):
        found |= trained_texts(adapter_folder(adapter)[0])
    return found


def mark_trained(corpus: Corpus, trained: TrainedTexts) -> pl.Series:
    """Say for each row of a corpus whether its text was trained on: Boolean (texts,)."""
    keys = zip(corpus.frame["text_id"], corpus.frame["text"], strict=True)
    marks = [text_id in trained.text_ids or content_key(text) in trained.content for text_id, text in keys]
    return pl.Series("trained", marks, dtype=pl.Boolean)


def leave_out_trained(corpus: Corpus, trained: TrainedTexts) -> tuple[Corpus, tuple[str, ...]]:
    """Leave out texts that were trained on, each with its twin, and with its translations where items join them.

    Returns:
        The rest, and the ids of the texts that are left out, in order.

    Raises:
        CorpusError: nothing is left.
    """
    frame = corpus.frame.with_columns(mark_trained(corpus, trained))
    item, pair = pl.col("item_id"), pl.col("pair_id")
    out = (
        pl.when(item.is_not_null())
        .then(pl.col("trained").any().over("item_id"))
        .when(pair.is_not_null())
        .then(pl.col("trained").any().over("language", "pair_id"))
        .otherwise(pl.col("trained"))
    )
    frame = frame.with_columns(out=out)
    left_out = tuple(sorted(frame.filter(pl.col("out"))["text_id"]))
    if len(left_out) == frame.height:
        raise CorpusError(
            f"corpus {corpus.name}",
            found="no text that the adapter was not trained on, or is not the twin of one",
            expected="held-out texts",
            do="use another corpus, or tune with --holdout",
        )
    return replace(corpus, frame=frame.filter(~pl.col("out")).select(list(SCHEMA))), left_out
