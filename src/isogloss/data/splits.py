"""A corpus -> two splits that share no pair: one to train on, one that is held out to be audited."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from isogloss.data.corpus import MIN_PER_CLASS, Corpus, content_keys
from isogloss.errors import CorpusError, UsageError
from isogloss.io.files import sha256_text

#: The rule of a split: it is written into every record, and changes if the rule does.
RULE = "sha256 of split seed and item, else pair, else content; held out if its first 52 bits are below the share"
BITS = 52
#: The splits that an audit can read.
SPLITS = ("all", "training", "held-out")


def split_corpus(corpus: Corpus, *, holdout: float = 0.5, seed: int = 0) -> tuple[Corpus, Corpus | None]:
    """Split a corpus into texts to train on and texts that are held out.

    A hash of the split seed and the unit (item, else pair, else content) decides for each text, so the order of the
    rows and the rest of the corpus do not matter: both texts of a pair, and translations of an item, are on the same
    side, whatever else was loaded.

    Args:
        corpus: labelled or parallel.
        holdout: share of units to hold out, from 0 (none) to below 1.
        seed: of the split; another seed gives other splits.

    Returns:
        The texts to train on, and the texts held out (None if `holdout` is 0).

    Raises:
        UsageError: `holdout` is not a share.
        CorpusError: a language has too few texts for both.
    """
    if not 0 <= holdout < 1:
        raise UsageError("--holdout", found=f"{holdout:g}", expected="a share from 0 to below 1", do="correct it")
    if holdout == 0:
        return corpus, None
    out = pl.Series([_fraction(seed, name) < holdout for name in _units(corpus.frame)], dtype=pl.Boolean)
    sizes = (
        corpus.frame.with_columns(out=out)
        .group_by("language", "harmful")
        .agg(kept=(~pl.col("out")).sum(), out=pl.col("out").sum())
        .sort("language", "harmful")
    )
    for code, _, n_kept, n_out in sizes.iter_rows():
        _check(corpus.name, code, n_kept, n_out, holdout)
    return replace(corpus, frame=corpus.frame.filter(~out)), replace(corpus, frame=corpus.frame.filter(out))


def take_split(corpus: Corpus, split: str) -> Corpus:
    """Take one split of a corpus, as `isogloss tune` splits it by default: in halves, with seed 0.

    Args:
        corpus: labelled or parallel.
        split: all, training or held-out.

    Raises:
        UsageError: there is no such split.
        CorpusError: see `split_corpus`.
    """
    if split not in SPLITS:
        raise UsageError("--split", found=repr(split), expected=f"one of {', '.join(SPLITS)}", do="choose one")
    if split == "all":
        return corpus
    training, held_out = split_corpus(corpus)
    return training if split == "training" or held_out is None else held_out


def _units(frame: pl.DataFrame) -> list[str]:
    named = frame.select(pl.coalesce("item_id", "pair_id")).to_series()
    return [name or key for name, key in zip(named, content_keys(frame["text"]), strict=True)]


def _fraction(seed: int, unit: str) -> float:
    return int(sha256_text(f"split {seed}:{unit}")[: BITS // 4], 16) / float(2**BITS)


def _check(name: str, code: str, kept: int, out: int, holdout: float) -> None:
    if kept and out >= MIN_PER_CLASS:
        return
    raise CorpusError(
        f"corpus {name}, language {code}",
        found=f"{kept + out} texts of a class: too few to split, with {kept} to train on and {out} held out",
        expected=f"some to train on and {MIN_PER_CLASS} held out, so that they can be audited",
        do=f"add pairs, or change --holdout {holdout:g} (0 holds none out: then audit on another corpus)",
    )
