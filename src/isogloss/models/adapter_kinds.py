"""Which kinds of PEFT adapters can be read, from the adapter's configuration alone. No torch here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isogloss.errors import ModelError

#: Kinds that put tokens, keys or values before those of the text. What they do depends on PEFT's own forward pass.
PROMPT_LEARNING = frozenset(
    {
        "PROMPT_TUNING",
        "MULTITASK_PROMPT_TUNING",
        "P_TUNING",
        "PREFIX_TUNING",
        "CPT",
        "CARTRIDGE",
        "ADAPTION_PROMPT",
    }
)
#: Kinds whose effect on a text depends on more than the text -> what that is.
DEPENDENT = {
    "POLY": "the number of the task",
    "XLORA": "other adapters, which it mixes",
    "SHADOW": "a second small model that runs beside the first",
    "LILY": "the other texts of a batch, over which it averages",
}
#: Tasks of a causal language model; adapters of other tasks have a head of their own.
CAUSAL_TASKS = frozenset({"", "CAUSAL_LM"})


def read_adapter_config(folder: Path, name: str) -> dict[str, Any]:
    """Read adapter_config.json, and refuse an adapter that cannot be read as a change of the model's layers.

    Args:
        folder: of the adapter.
        name: as the user named the adapter, for messages.

    Raises:
        ModelError: the file is broken, or the adapter is of a kind that is not read.
    """
    path = folder / "adapter_config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _refuse(
            name, f"a broken adapter_config.json ({type(error).__name__})", "JSON", "copy it again"
        ) from error
    kind = config.get("peft_type") if isinstance(config, dict) else None
    if not isinstance(config, dict) or not isinstance(kind, str):
        raise _refuse(name, "no peft_type in adapter_config.json", "a PEFT adapter", "save it again with peft")
    _check_kind(config, kind.upper(), name)
    return config


def _check_kind(config: Mapping[str, Any], kind: str, name: str) -> None:
    if kind in PROMPT_LEARNING:
        raise _refuse(
            name,
            f"{kind}: prompt-learning adapters do not change weights and are not read",
            "an adapter that changes weights or layers, such as LoRA",
            "audit a model that was tuned in another way",
        )
    if kind in DEPENDENT:
        raise _refuse(
            name,
            f"{kind}, which depends on {DEPENDENT[kind]}",
            "an adapter whose effect depends on the text alone, such as LoRA",
            "merge it where you trained it, and give the merged model",
        )
    task = config.get("task_type") or ""
    if task not in CAUSAL_TASKS:
        raise _refuse(name, f"an adapter for the task {task}", "one for CAUSAL_LM", "give another adapter")
    if config.get("alora_invocation_tokens"):
        raise _refuse(
            name,
            "an activated LoRA, which acts only after its invocation tokens",
            "an adapter that acts on every token",
            "give another adapter",
        )
    if config.get("layer_replication"):
        raise _refuse(
            name,
            "layer_replication, which changes the number of blocks",
            "an adapter that leaves the blocks of its base",
            "merge it where you trained it, and give the merged model",
        )
    if str(config.get("init_lora_weights", "")).startswith("pissa_niter"):
        raise _refuse(
            name,
            "weights relative to a base that peft draws anew at each load (init_lora_weights pissa_niter)",
            "an adapter whose base is that of its files",
            "save it with path_initial_model_for_weight_conversion, or merge it where you trained it",
        )


def _refuse(name: str, found: str, expected: str, do: str) -> ModelError:
    return ModelError(f"adapter {name}", found=found, expected=expected, do=do)
