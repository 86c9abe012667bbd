"""What `isogloss.audit` is called with -> a model pair, a corpus, and settings that suit models in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from isogloss.auditing.config import AuditConfig
from isogloss.data.corpus import Corpus
from isogloss.data.load import load_corpus
from isogloss.engines.config import EngineConfig
from isogloss.errors import ModelError, UsageError
from isogloss.models.pairs import ModelPair, ModelRef

#: A model: "org/name", a folder, "base+adapter", a reference, or a loaded model with its tokenizer.
Model = str | Path | ModelRef | tuple[Any, Any]


class Frame(Protocol):
    """A frame of pandas or Polars."""

    @property
    def columns(self) -> Any:  # noqa: ANN401 - an index in pandas, a list in Polars
        """Names of the columns."""
        ...


#: What `load_corpus` reads (a name, a path, several of them, a frame, or dictionaries), or a corpus.
Texts = Corpus | Frame | str | Path | Sequence[str | Path | Mapping[str, Any]]


def make_pair(reference: object, aligned: object) -> ModelPair:
    """Make a pair of what names the models or holds them.

    Raises:
        ModelError: a string names no model, or what is in memory is none (see `hold_model`).
        UsageError: something else was given.
    """
    return ModelPair(
        name="given",
        reference=None if reference is None else _make_reference(reference, "reference"),
        aligned=_make_reference(aligned, "aligned"),
        source="the call of isogloss.audit",
    )


def _make_reference(model: object, role: str) -> ModelRef:
    if isinstance(model, ModelRef):
        return model
    if isinstance(model, str | Path):
        return ModelRef.parse(str(model))
    if isinstance(model, tuple) and len(model) == 2:  # noqa: PLR2004 - model and tokenizer
        from isogloss.models.hold import hold_model  # noqa: PLC0415 - imports torch

        return hold_model(*model, role)
    raise UsageError(
        f"{role} model",
        found=f"a {type(model).__name__}",
        expected="a hub id, a folder, base+adapter, or a tuple (model, tokenizer) of a loaded model",
        do="give one of these",
    )


def read_texts(corpus: Any) -> Corpus:  # noqa: ANN401 - `load_corpus` refuses what it cannot read
    """Return a corpus as it is, or load it.

    Raises:
        CorpusError: see `load_corpus`.
    """
    return corpus if isinstance(corpus, Corpus) else load_corpus(corpus)


def suit_loaded(pair: ModelPair, config: AuditConfig, engine: EngineConfig | None, device: str | None) -> AuditConfig:
    """Return the settings for a pair: models in memory are read in their own precision, where they are.

    Raises:
        ModelError: two models in memory differ in precision or device.
        UsageError: a setting would change a model in memory, or needs it on another machine.
    """
    held = {role: ref.loaded for role, ref in (("reference", pair.reference), ("aligned", pair.aligned)) if ref}
    loaded = {role: model for role, model in held.items() if model is not None}
    if not loaded:
        return config
    for what, values in (
        ("precision", {role: model.dtype for role, model in loaded.items()}),
        ("device", {role: model.device for role, model in loaded.items()}),
    ):
        if len(set(values.values())) > 1:
            found = ", ".join(f"{value} in the {role} model" for role, value in values.items())
            raise ModelError("model pair", found=found, expected=f"one {what}", do="load both models alike")
    first = next(iter(loaded.values()))
    refused: Mapping[str, tuple[object, object]] = {
        "quantize": (config.spec.quantize, None),
        "precision": (config.spec.precision, "exact"),
        "engine": ((engine or EngineConfig()).engine, "local"),
        "device": (device or first.device, first.device),
    }
    for name, (value, possible) in refused.items():
        if value != possible:
            raise UsageError(
                name, found=f"{value} with a loaded model", expected=str(possible), do="drop it, or give a folder"
            )
    return replace(config, spec=replace(config.spec, dtype=first.dtype))


def given_back(pair: ModelPair) -> AbstractContextManager[None]:
    """Return a block after which models in memory are as they were before it."""
    references = (pair.reference, pair.aligned)
    if all(reference is None or reference.loaded is None for reference in references):
        return nullcontext()
    from isogloss.models import hold  # noqa: PLC0415 - imports torch

    return hold.given_back(references)
