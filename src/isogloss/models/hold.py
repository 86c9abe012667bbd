"""Models that the caller has loaded: named by their weights, run as they are, and given back as they came."""

from __future__ import annotations

import contextlib
import hashlib
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from isogloss.errors import ModelError
from isogloss.io.files import canonical_json
from isogloss.models.architecture import find_decoder
from isogloss.models.in_memory import ModelInMemory
from isogloss.models.pairs import ModelRef
from isogloss.models.prompts import fingerprint

DTYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
#: Bytes of a tensor that are hashed at once.
PIECE = 2**26


def hold_model(model: Any, tokenizer: Any, role: str) -> ModelRef:  # noqa: ANN401 - checked below
    """Make a reference to a model that is loaded already.

    The reference does not keep the model alive. Reading the weights for their hash takes a second a gigabyte.

    Args:
        model: a transformers model with an LM head, with or without PEFT adapters around it.
        tokenizer: of the model.
        role: reference or aligned, for messages.

    Raises:
        ModelError: it is no such model or tokenizer, its weights are not all loaded, or they are in another precision
            than float32 and bfloat16.
    """
    _check_kinds(model, tokenizer, role)
    causal = model.get_base_model() if isinstance(model, PeftModel) else model
    embeddings = causal.get_input_embeddings().weight
    elsewhere = next((name for name, weight in model.named_parameters() if weight.device.type == "meta"), None)
    if elsewhere is not None:
        raise ModelError(
            f"{role} model",
            found=f"weights that are not in memory, such as {elsewhere}",
            expected="a model whose weights are all loaded",
            do="load it without offloading, or give its folder or hub id",
        )
    if embeddings.dtype not in DTYPES:
        raise ModelError(
            f"{role} model",
            found=f"weights in {str(embeddings.dtype).removeprefix('torch.')}",
            expected="float32 or bfloat16: hidden states of several models exceed the range of float16",
            do="load it with dtype=torch.bfloat16 or torch.float32",
        )
    depth = int(causal.config.get_text_config().num_hidden_layers)
    find_decoder(causal, depth, type(causal).__name__)
    return ModelRef(
        base=_name(causal),
        loaded=ModelInMemory(
            model=weakref.ref(model),
            tokenizer=tokenizer,
            sha256=_hash_model(model, causal, tokenizer),
            dtype=DTYPES[embeddings.dtype],
            device=str(embeddings.device),
            depth=depth,
            quantized=bool(getattr(causal, "is_quantized", False)),
        ),
    )


def _check_kinds(model: Any, tokenizer: Any, role: str) -> None:  # noqa: ANN401
    if not isinstance(model, PreTrainedModel | PeftModel) or model.get_output_embeddings() is None:
        raise ModelError(
            f"{role} model",
            found=f"a {type(model).__name__}",
            expected="a transformers causal language model, with or without PEFT adapters",
            do="load it with AutoModelForCausalLM, or give its folder or hub id",
        )
    if isinstance(model, PeftModel) and any(config.is_prompt_learning for config in model.peft_config.values()):
        raise ModelError(
            f"{role} model",
            found="a prompt-learning adapter, which does not change weights",
            expected="an adapter of weights, such as LoRA",
            do="audit it with another tool, or without the adapter",
        )
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise ModelError(
            f"{role} model",
            found=f"a {type(tokenizer).__name__} as tokenizer",
            expected="the tokenizer of the model",
            do="give a tuple (model, tokenizer) with what AutoTokenizer.from_pretrained returns",
        )


def _name(causal: Any) -> str:  # noqa: ANN401
    """Name a loaded model as its configuration does; a local path is not a name."""
    name = str(getattr(causal.config, "_name_or_path", "") or type(causal).__name__)
    return Path(name).name if Path(name).exists() else name


def _hash_model(model: Any, causal: Any, tokenizer: PreTrainedTokenizerBase) -> str:  # noqa: ANN401
    digest = hashlib.sha256(b"in memory\0")
    config = {key: value for key, value in causal.config.to_dict().items() if not key.startswith("_")}
    settings = {
        "class": type(causal).__name__,
        "config": {key: str(value) for key, value in config.items()},
        "adapters": [_adapter_state(module) for module in model.modules() if hasattr(module, "active_adapters")],
        "tokenizer": fingerprint(tokenizer),
        "chat_template": str(tokenizer.chat_template),
    }
    digest.update(canonical_json(settings).encode())
    for name, value in sorted(model.state_dict().items()):
        if isinstance(value, torch.Tensor):
            digest.update(f"\0{name}\0{value.dtype}\0{tuple(value.shape)}\0".encode())
            content = _bytes(value)
            for start in range(0, len(content), PIECE):
                digest.update(content[start : start + PIECE].cpu().numpy().data)
    return digest.hexdigest()


def _bytes(value: torch.Tensor) -> torch.Tensor:
    plain = value.detach().contiguous()
    return plain.reshape(-1).view(torch.uint8) if plain.numel() else torch.empty(0, dtype=torch.uint8)


def _adapter_state(module: Any) -> str:  # noqa: ANN401
    """Write what decides an adapter's effect beside its weights: which are active, merged or off, and their scale."""
    names = ("active_adapters", "disable_adapters", "merged_adapters", "scaling")
    return str({name: str(getattr(module, name, None)) for name in names if not callable(getattr(module, name, None))})


@contextlib.contextmanager
def given_back(references: Iterable[ModelRef | None]) -> Iterator[None]:
    """Put loaded models into evaluation mode within the block; afterwards each module is in its mode again.

    The padding and truncation of their tokenizers are put back as well.
    """
    held = [reference.loaded for reference in references if reference is not None and reference.loaded is not None]
    models = [model for loaded in held if (model := loaded.model()) is not None]
    modes = [(module, module.training) for model in models for module in model.modules()]
    settings = [
        (loaded.tokenizer, name, getattr(loaded.tokenizer, name))
        for loaded in held
        for name in ("padding_side", "truncation_side")
    ]
    try:
        for model in models:
            model.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training
        for tokenizer, name, value in settings:
            setattr(tokenizer, name, value)
