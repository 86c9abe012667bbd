"""The texts of an audit, which a run folder does not hold: taken from a corpus that is proved to be the audited one."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from isogloss.corpora.corpus import Corpus
from isogloss.corpora.curate import balance
from isogloss.corpora.split import part_of
from isogloss.errors import CorpusError
from isogloss.results import Audit


def audited_texts(audit: Audit, corpus: Corpus) -> Corpus:
    """Draw the audit's sample from a corpus again.

    Args:
        audit: read from a run folder.
        corpus: the whole corpus in the audit's languages, as `load_corpus` gives it.

    Raises:
        CorpusError: the texts, labels or ids are not those of the audit.
    """
    corpus = part_of(corpus, str(audit.config.get("part", "all")))
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
