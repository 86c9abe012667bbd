"""The transformers class that reads a checkpoint, and the decoder in it; no model family is named in this file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

from isogloss.errors import ModelError


def read_config(folder: Path) -> Any:  # noqa: ANN401 - transformers is untyped
    """Read a checkpoint's configuration; code that comes with it is not run.

    Raises:
        ModelError: transformers does not know the architecture, and the checkpoint brings its own code for it.
    """
    raw = json.loads((folder / "config.json").read_text("utf-8"))
    if "auto_map" in raw and raw.get("model_type") not in CONFIG_MAPPING:
        raise remote_code(folder)
    return AutoConfig.from_pretrained(folder, trust_remote_code=False)


def remote_code(folder: Path) -> ModelError:
    """Build the error for a model that needs code of its own."""
    return ModelError(
        f"model {folder}",
        found="a model that brings its own code (trust_remote_code)",
        expected="an architecture that transformers itself knows: code from a model is not run",
        do="give a version of it that is saved for transformers, or convert it where you trust the code",
    )


def auto_class(config: Any) -> Any:  # noqa: ANN401
    """Choose the class that reads a checkpoint: a causal language model, or a multimodal wrapper around one.

    A checkpoint that was saved by a wrapper is read by the wrapper, so that the names of its weights, and those of
    adapters trained on it, stay the same.
    """
    saved_by = set(config.architectures or ())
    wrappers = _names(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.get(config.model_type))
    causal = _names(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(config.model_type))
    if not causal or saved_by & wrappers - causal:
        return AutoModelForImageTextToText
    return AutoModelForCausalLM


def _names(classes: str | tuple[str, ...] | None) -> set[str]:
    return {classes} if isinstance(classes, str) else set(classes or ())


def find_decoder(causal: Any, depth: int, name: str) -> tuple[torch.nn.Module, torch.nn.ModuleList]:  # noqa: ANN401
    """Find the body without the LM head, and its transformer blocks.

    A wrapper names its language model, which keeps the vision tower out; the decoder is then what holds the blocks,
    so that its output is that of the final norm.

    Raises:
        ModelError: no module holds `depth` blocks.
    """
    named = causal.get_decoder()
    for parent in named.modules():
        for module in parent.children():
            if isinstance(module, torch.nn.ModuleList) and len(module) == depth:
                return parent, module
    raise ModelError(
        f"model {name}",
        found=f"no list of {depth} blocks in {type(named).__name__}",
        expected="a decoder of the usual shape",
        do="report the model's architecture to isogloss",
    )


def check_complete(missing: set[str], name: str) -> None:
    """Refuse incomplete weights: transformers would draw the rest at random, with a warning at most.

    Raises:
        ModelError: tensors are missing.
    """
    if missing:
        raise ModelError(
            f"model {name}",
            found=f"no weights for {len(missing)} tensors, such as {min(missing)}",
            expected="a whole causal language model",
            do="copy all of its safetensors files, or give the model that the folder was made from",
        )


def embedding_modules(causal: Any) -> dict[str, Any]:  # noqa: ANN401
    """Name -> the input embeddings and, if there is one, the LM head."""
    wanted = {id(module) for module in (causal.get_input_embeddings(), causal.get_output_embeddings())}
    return {name: module for name, module in causal.named_modules() if id(module) in wanted}
