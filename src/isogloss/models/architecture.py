"""The transformers class that reads a checkpoint, and the decoder in it; no model family is named in this file."""

from __future__ import annotations

import inspect
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

    A wrapper names its language model, which keeps the vision tower out; the decoder is then the innermost module that
    takes token ids and holds the blocks, so that its output is that of the final norm.

    Raises:
        ModelError: no module holds `depth` blocks.
    """
    named = causal.get_decoder()
    for root in (named, causal):  # some models name another module: their LM head
        for parent in root.modules():
            for module in parent.children():
                if isinstance(module, torch.nn.ModuleList) and len(module) == depth:
                    return _innermost_body(causal, module) or parent, module
    raise ModelError(
        f"model {name}",
        found=f"no list of {depth} blocks in {type(named).__name__}",
        expected="a decoder of the usual shape",
        do="report the model's architecture to isogloss",
    )


def _innermost_body(causal: torch.nn.Module, blocks: torch.nn.ModuleList) -> torch.nn.Module | None:
    """Find the innermost module, but not the whole model, that takes token ids and holds the blocks."""
    bodies = [
        module
        for module in causal.modules()
        if module is not causal
        and any(inner is blocks for inner in module.modules())
        and "input_ids" in inspect.signature(module.forward).parameters
    ]
    return bodies[-1] if bodies else None


def residual_stream(model: Any, hidden: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 - a loaded model
    """Take the residual stream that is active from what blocks pass on: (rows, tokens, width).

    With AltUp, blocks pass on several streams, (streams, rows, tokens, width), and compute on one of them.

    Raises:
        ModelError: it has more dimensions, and the configuration does not say which stream is active.
    """
    if hidden.ndim == 3:  # noqa: PLR2004 - rows, tokens, width
        return hidden
    active = getattr(model.causal.config.get_text_config(), "altup_active_idx", None)
    if hidden.ndim == 4 and isinstance(active, int):  # noqa: PLR2004 - and streams
        return hidden[active]
    raise ModelError(
        f"hidden states of {type(model.causal).__name__}",
        found=f"blocks that pass on {hidden.ndim} dimensions",
        expected="one vector for each token",
        do="report the model's architecture to isogloss",
    )


def attends_ahead(model: Any) -> bool:  # noqa: ANN401 - a loaded model
    """Whether the configuration of a model lets tokens attend to later ones; the self-check sees what it leaves out."""
    config = model.causal.config.get_text_config()
    bidirectional = getattr(config, "use_bidirectional_attention", None)
    return not getattr(config, "is_causal", True) or bidirectional is True or bidirectional == "all"


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
