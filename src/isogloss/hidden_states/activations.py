"""Activations: the hidden states of one model on one corpus, handed out one block at a time from the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from isogloss.data.corpus import Corpus
from isogloss.engines.work_units import ModelEdit
from isogloss.errors import ModelError
from isogloss.hidden_states.shard import text_key
from isogloss.hidden_states.spec import ExtractSpec, Layer
from isogloss.hidden_states.store import Entry, Gap, default_store, gaps, read, read_about
from isogloss.io.files import canonical_json, sha256_text
from isogloss.io.paths import AnyPath, parse_path
from isogloss.models.checkpoints import Checkpoint, fetch
from isogloss.models.depth import read_depth
from isogloss.models.pairs import ModelRef
from isogloss.models.template_settings import TemplateSettings, find_template_settings
from isogloss.progress import Track, silent

#: What is kept beside the states of each text: its number of tokens (BOS left out), and whether it lost its end.
COUNTS = ("token_counts", "cut")


class LayerStates(NamedTuple):
    """Hidden states of one language and layer, with the labels of their rows."""

    hidden: np.ndarray
    """float32 (texts, width)"""
    harmful: np.ndarray
    """bool (texts,)"""
    pair_ids: tuple[str | None, ...]
    text_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Activations:
    """The hidden states of one model on one corpus; they stay on disk until a block is asked for.

    With an `edit` they are those of the edited model.
    """

    checkpoint: Checkpoint
    corpus: Corpus
    spec: ExtractSpec
    layers: tuple[Layer, ...]
    entries: Mapping[str, Entry]
    edit: ModelEdit | None = None
    template_settings: TemplateSettings | None = None
    """The chat template with its arguments and date; None for raw text."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Languages of which some states are not in the store.

        Raises:
            StoreError: a file of the store is missing or broken.
        """
        return tuple(code for code in self.entries if self.gaps(code))

    def gaps(self, language: str) -> list[Gap]:
        """List the texts that lack arrays, with what they lack: names of layers, "token_counts", "cut".

        Raises:
            StoreError: a file of the store is missing or broken.
        """
        return gaps(self.entries[language], [*(layer.name for layer in self.layers), *COUNTS])

    def block(self, language: str, layer: Layer) -> LayerStates:
        """Read the states of one language and layer, in the order of `corpus.part(language)`.

        Raises:
            StoreError: they are missing or broken.
        """
        texts = self.corpus.part(language)
        return LayerStates(
            hidden=read(self.entries[language], layer.name),
            harmful=texts["harmful"].to_numpy(),
            pair_ids=tuple(texts["pair_id"]),
            text_ids=tuple(texts["text_id"]),
        )

    def token_counts(self, language: str) -> np.ndarray:
        """Tokens of each text, BOS left out; int32 (texts,)."""
        return read(self.entries[language], "token_counts")

    @property
    def tokenizers(self) -> set[str]:
        """Fingerprints of the tokenizers that the states were computed with; stores of earlier versions name none.

        Raises:
            StoreError: a file of the store is missing or broken.
        """
        names = [layer.name for layer in self.layers]
        return {
            about["tokenizer"]
            for entry in self.entries.values()
            for about in read_about(entry, names)
            if "tokenizer" in about
        }

    def prompt_end(self) -> tuple[tuple[str, ...], str | None]:
        """Return the last tokens of the prompts, and what opens a thought that they are inside of; empty for raw text.

        Raises:
            StoreError: a file of the store is missing or broken.
        """
        names = [layer.name for layer in self.layers]
        for entry in self.entries.values():
            for about in read_about(entry, names):
                if "prompt_end" in about:
                    return tuple(about["prompt_end"]), about["open_thought"]
        return (), None

    def control_texts(self, language: str) -> int:
        """Count the texts that spell a control token, which was read as plain text.

        Raises:
            StoreError: a file of the store is missing or broken.
        """
        entry = self.entries[language]
        names = [layer.name for layer in self.layers]
        spelt = {key for about in read_about(entry, names) for key in about.get("control_tokens", ())}
        return sum(key in spelt for key in entry.texts)

    def computed_how(self) -> list[dict[str, Any]]:
        """List how the states were computed, as their manifests say, each way once, with the largest drift of each.

        Raises:
            StoreError: a file of the store is missing or broken.
        """
        names = [layer.name for layer in self.layers]
        ways: dict[str, dict[str, Any]] = {}
        for entry in self.entries.values():
            for about in read_about(entry, names):
                how = {"execution": about["execution"], "versions": about["versions"]}
                kept = ways.setdefault(canonical_json(how), how | {"drift": about["drift"]})
                kept["drift"] = max(kept["drift"], about["drift"], key=_largest)
        return [ways[key] for key in sorted(ways)]

    def drift(self) -> dict[str, float]:
        """Return the largest drift (`self_check.Drift`) with which any of the states was read.

        Raises:
            StoreError: a file of the store is missing or broken.
        """
        return max((how["drift"] for how in self.computed_how()), key=_largest)

    def of(self, language: str, corpus: Corpus) -> Activations:
        """Take those of one language; `corpus` holds all of its texts."""
        return replace(self, corpus=corpus, entries={language: self.entries[language]})

    def on(self, corpus: Corpus) -> Activations:
        """Take those of some of the texts."""
        entries = {code: self.entries[code].of(corpus.part(code)["text"]) for code in corpus.languages}
        return replace(self, corpus=corpus, entries=entries)

    def under(self, edit: ModelEdit, layer: Layer) -> Activations:
        """Locate the states of one layer under an edit of the model."""
        hashed = edit.sha256(self.checkpoint.sha256)
        entries = {code: entry.edited(hashed) for code, entry in self.entries.items()}
        return replace(self, layers=(layer,), entries=entries, edit=edit)

    def cut(self, language: str) -> int:
        """Count the texts that lost their end at the token limit."""
        return int(read(self.entries[language], "cut").sum())


def _largest(drift: Mapping[str, Any]) -> float:
    """Sort a drift that could not be measured, which is null, above all others."""
    return float("inf") if drift["max"] is None else float(drift["max"])


def template_settings_of(checkpoints: Mapping[str, Checkpoint], spec: ExtractSpec) -> TemplateSettings | None:
    """Find the chat template that all models are given, that of "aligned" unless the spec has one; None for raw text.

    Raises:
        ModelError, UsageError: see `find_template_settings`.
    """
    if spec.prompt_format == "raw":
        return None
    return find_template_settings(checkpoints["aligned"], spec.chat_template, spec.arguments)


def prompts_key(
    checkpoint: Checkpoint, checkpoints: Mapping[str, Checkpoint], template_settings: TemplateSettings | None
) -> str:
    """Name what decides the prompts of a model, beside the settings; empty for raw text in the base's own tokens."""
    if template_settings is not None:
        return f"+{checkpoints['aligned'].tokenizer_sha256}+{template_settings.sha256}"
    changed = checkpoint.tokenizer_sha256 != checkpoint.base_sha256
    return f"+{checkpoint.tokenizer_sha256}" if changed else ""


def locate(
    models: Mapping[str, ModelRef],
    corpus: Corpus,
    spec: ExtractSpec,
    *,
    store: AnyPath | str | None = None,
    track: Track = silent,
) -> dict[str, Activations]:
    """Locate the states of one model, or of a reference, its aligned descendant and others; they may not exist yet.

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
    template_settings = template_settings_of(checkpoints, spec)
    texts = {code: tuple(map(text_key, corpus.part(code)["text"])) for code in corpus.languages}
    return {
        role: Activations(
            checkpoint=checkpoint,
            corpus=corpus,
            spec=spec,
            layers=layers,
            template_settings=template_settings,
            entries={
                code: Entry(
                    root=parse_path(store) if store else default_store(),
                    model_sha256=checkpoint.sha256,
                    settings_sha256=sha256_text(spec.sha256 + prompts_key(checkpoint, checkpoints, template_settings)),
                    language=code,
                    texts=texts[code],
                    about={"model": str(checkpoint.ref), "settings": spec.settings},
                )
                for code in corpus.languages
            },
        )
        for role, checkpoint in checkpoints.items()
    }


def check_pair(activations: Mapping[str, Activations]) -> None:
    """Refuse a pair of the same weights.

    Raises:
        ModelError: see above.
    """
    before, after = activations.get("reference"), activations["aligned"]
    if before is not None and before.checkpoint.sha256 == after.checkpoint.sha256:
        raise ModelError(
            "model pair",
            found=f"the same weights as reference ({before.checkpoint.ref}) and aligned ({after.checkpoint.ref})",
            expected="a model and its descendant",
            do="correct --reference or --aligned, or leave --reference out",
        )
