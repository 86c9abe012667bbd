"""Likelihoods: how many bits a model needs for each text of a corpus, kept in the store. No torch here.

Bits per character say whether a model reads a language at all. They can be compared between models and within a
language; a character of Chinese carries more than one of English, so between languages they cannot.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from isogloss.activations.shard import text_key
from isogloss.activations.store import Entry, Gap, default_store, gaps, read
from isogloss.corpora.corpus import Corpus
from isogloss.files import canonical_json, sha256_text
from isogloss.models.fetch import Checkpoint
from isogloss.places import Place, parse_place


@dataclass(frozen=True, kw_only=True)
class Likelihoods:
    """What one model makes of the raw texts of one corpus; the numbers stay on disk until they are asked for."""

    checkpoint: Checkpoint
    corpus: Corpus
    max_tokens: int
    dtype: str
    quantize: str | None
    entries: Mapping[str, Entry]

    @property
    def missing(self) -> tuple[str, ...]:
        """Languages of which some likelihoods are not in the store."""
        return tuple(code for code in self.entries if self.gaps(code))

    def gaps(self, language: str) -> list[Gap]:
        """List the texts that have no likelihood yet."""
        return gaps(self.entries[language], ("bits", "characters"))

    def on(self, languages: Collection[str]) -> Likelihoods:
        """Take those of some of the languages."""
        frame = self.corpus.frame.filter(pl.col("language").is_in(list(languages)))
        entries = {code: entry for code, entry in self.entries.items() if code in languages}
        return replace(self, corpus=replace(self.corpus, frame=frame), entries=entries)

    def bits(self, language: str) -> np.ndarray:
        """Read the bits of each text, in the order of `corpus.part(language)`: float64 (texts,).

        Raises:
            StoreError: they are missing or broken.
        """
        return read(self.entries[language], "bits")

    def characters(self, language: str) -> np.ndarray:
        """Read how many characters (code points) of each text those bits stand for: int32 (texts,).

        All of them, but for texts that lost their end at the token limit, and but for the first token where a model
        has no BOS: there it is the length of what the scored tokens decode to.

        Raises:
            StoreError: they are missing or broken.
        """
        return read(self.entries[language], "characters")

    def bits_per_character(self, language: str) -> float:
        """Divide all bits of a language by all its characters; NaN if no character was scored."""
        characters = int(self.characters(language).sum())
        return float(self.bits(language).sum()) / characters if characters else float("nan")


def locate_bits(
    checkpoints: Mapping[str, Checkpoint],
    corpus: Corpus,
    *,
    max_tokens: int = 512,
    dtype: str = "float32",
    quantize: str | None = None,
    store: Place | str | None = None,
) -> dict[str, Likelihoods]:
    """Find where the likelihoods of some models are or will be; nothing is loaded.

    Args:
        checkpoints: role -> model.
        corpus: the texts to score, and no others; a stored set that holds them all will do.
        max_tokens: longer texts lose their end.
        dtype: of weights and computation.
        quantize: as in `ExtractSpec`.
        store: root of the store; None is the user's cache.
    """
    settings = {"what": "likelihood", "rendering": "raw", "max_tokens": max_tokens, "dtype": dtype}
    settings |= {"quantize": quantize} if quantize else {}
    texts = {code: tuple(map(text_key, corpus.part(code)["text"])) for code in corpus.languages}
    return {
        role: Likelihoods(
            checkpoint=checkpoint,
            corpus=corpus,
            max_tokens=max_tokens,
            dtype=dtype,
            quantize=quantize,
            entries={
                code: Entry(
                    root=parse_place(store) if store else default_store(),
                    model_sha256=checkpoint.sha256,
                    settings_sha256=sha256_text(canonical_json(settings)),
                    language=code,
                    texts=texts[code],
                    about={"model": str(checkpoint.ref), "settings": settings},
                )
                for code in corpus.languages
            },
        )
        for role, checkpoint in checkpoints.items()
    }
