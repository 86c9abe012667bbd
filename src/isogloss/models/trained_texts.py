"""Which texts of a corpus an adapter was trained on, recognised by their content."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from isogloss.data.corpus import Corpus, content_keys
from isogloss.data.curate import leave_out
from isogloss.errors import CorpusError
from isogloss.models.checkpoints import adapter_folder
from isogloss.models.pairs import ModelRef
from isogloss.models.tuning_record import TrainedTexts, trained_texts


def trained_by(refs: Iterable[ModelRef]) -> TrainedTexts:
    """Collect the texts that the adapters of some models were trained on; adapters on the hub are downloaded.

    Raises:
        ModelError: an adapter cannot be found, or its record is not what it should be.
    """
    trained = TrainedTexts()
    for adapter in sorted({ref.adapter for ref in refs if ref.adapter}):
        trained |= trained_texts(adapter_folder(adapter)[0])
    return trained


def mark_trained(corpus: Corpus, trained: TrainedTexts) -> pl.Series:
    """Mark the rows of a corpus whose text was trained on: Boolean (texts,)."""
    keys = zip(corpus.frame["text_id"], content_keys(corpus.frame["text"]), strict=True)
    marks = [text_id in trained.text_ids or content in trained.content for text_id, content in keys]
    return pl.Series("trained", marks, dtype=pl.Boolean)


def leave_out_trained(corpus: Corpus, trained: TrainedTexts) -> tuple[Corpus, tuple[str, ...]]:
    """Leave out texts that were trained on, with the other text of the pair and with translations of the same item.

    Returns:
        The rest, and the ids of the texts that are left out, in order.

    Raises:
        CorpusError: nothing is left.
    """
    rest, left_out = leave_out(corpus, mark_trained(corpus, trained))
    if rest is None:
        raise CorpusError(
            f"corpus {corpus.name}",
            found="only texts that the adapter was trained on, or that are paired with one of these",
            expected="held-out texts",
            do="use another corpus, or tune with --holdout",
        )
    return rest, left_out
