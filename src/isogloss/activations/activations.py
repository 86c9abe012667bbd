"""Activations: the hidden states of one model on one corpus, handed out one block at a time from the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from isogloss.activations.spec import ExtractSpec, Layer
from isogloss.activations.store import Entry, default_store, entry, manifest, read
from isogloss.corpora.corpus import Corpus
from isogloss.errors import ModelError
from isogloss.files import sha256_text
from isogloss.models.depth import read_depth
from isogloss.models.fetch import Checkpoint, fetch
from isogloss.models.pairs import ModelRef
from isogloss.progress import Track, silent


class Block(NamedTuple):
    """Hidden states of one language and layer, with the labels of their rows."""

    hidden: np.ndarray
    """float32 (texts, width)"""
    harmful: np.ndarray
    """bool (texts,)"""
    pair_ids: tuple[str | None, ...]
    text_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Activations:
    """The hidden states of one model on one corpus; they stay on disk until a block is asked for."""

    checkpoint: Checkpoint
    corpus: Corpus
    spec: ExtractSpec
    layers: tuple[Layer, ...]
    entries: Mapping[str, Entry]

    @property
    def missing(self) -> tuple[str, ...]:
        """Languages whose states are not in the store."""
        return tuple(code for code, place in self.entries.items() if not place.complete)

    def block(self, language: str, layer: Layer) -> Block:
        """Read the states of one language and layer, in the order of `corpus.part(language)`.

        Raises:
            StoreError: they are missing or broken.
        """
        part = self.corpus.part(language)
        return Block(
            hidden=read(self.entries[language], layer.name),
            harmful=part["harmful"].to_numpy(),
            pair_ids=tuple(part["pair_id"]),
            text_ids=tuple(part["text_id"]),
        )

    def token_counts(self, language: str) -> np.ndarray:
        """Tokens of each text, BOS left out; int32 (texts,)."""
        return read(self.entries[language], "token_counts")

    def cut(self, language: str) -> int:
        """Count the texts that lost their end at the token limit."""
        return int(str(manifest(self.entries[language])["cut"]))


def locate(
    models: Mapping[str, ModelRef],
    corpus: Corpus,
    spec: ExtractSpec,
    *,
    store: Path | str | None = None,
    track: Track = silent,
) -> dict[str, Activations]:
    """Find where the states of one model, or of a reference, its aligned descendant and others, are or will be.

    No weights are loaded (but files are downloaded, and a GGUF file is converted the first time).

    Args:
        models: role -> model; with several models the tokens come from "aligned".
        corpus: texts.
        spec: what to read.
        store: root of the store; None is the user's cache.
        track: progress display.

    Raises:
        ModelError: a model cannot be found, or they are not of the same depth.
    """
    checkpoints = {role: fetch(ref) for role, ref in models.items()}
    depths = {role: read_depth(checkpoint, track) for role, checkpoint in checkpoints.items()}
    if len(set(depths.values())) > 1:
        found = ", ".join(f"{depth} blocks in the {role} model" for role, depth in depths.items())
        raise ModelError("model pair", found=found, expected="the same architecture", do="check the pair")
    layers = spec.resolve(next(iter(depths.values())))
    # In chat rendering both models get the aligned model's template, so the states depend on it.
    template = f"+{checkpoints['aligned'].base_sha256}" if spec.rendering == "chat" else ""
    spec_sha256 = sha256_text(spec.sha256(layers) + template)
    return {
        role: Activations(
            checkpoint=checkpoint,
            corpus=corpus,
            spec=spec,
            layers=layers,
            entries={
                code: entry(
                    Path(store) if store else default_store(),
                    model_sha256=checkpoint.sha256,
                    spec_sha256=spec_sha256,
                    language=code,
                    text_ids=corpus.part(code)["text_id"].to_list(),
                )
                for code in corpus.languages
            },
        )
        for role, checkpoint in checkpoints.items()
    }
