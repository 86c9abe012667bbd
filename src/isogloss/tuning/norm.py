"""How far an adapter moves the weights: the Frobenius norm of all its changes together, read and set."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from isogloss.errors import UsageError

FIRST, SECOND = ".lora_A.weight", ".lora_B.weight"
#: Settings of PEFT under which the change is not scale * B A for every layer alike.
UNLIKE = ("rank_pattern", "alpha_pattern", "use_dora", "use_rslora")


def folder_norm(folder: Path) -> float:
    """Read the norm of a LoRA adapter's weight change from its folder: the root of the sum of squares over all layers.

    Raises:
        UsageError: it is not plain LoRA.
    """
    settings = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    weights = load_file(folder / "adapter_model.safetensors")
    firsts = {name.removesuffix(FIRST): one for name, one in weights.items() if name.endswith(FIRST)}
    seconds = {name.removesuffix(SECOND): one for name, one in weights.items() if name.endswith(SECOND)}
    plain = settings.get("peft_type") == "LORA" and not any(settings.get(name) for name in UNLIKE)
    if not plain or firsts.keys() != seconds.keys() or len(firsts) + len(seconds) != len(weights):
        raise UsageError(
            "--norm-of", found=f"{folder}, no plain LoRA", expected="plain LoRA", do="choose another adapter"
        )
    scale = float(settings["lora_alpha"]) / float(settings["r"])
    return math.sqrt(sum(_squares(firsts[name], seconds[name], scale) for name in firsts))


def set_norm(model: Any, norm: float) -> float:  # noqa: ANN401 - peft is untyped
    """Scale the adapter `default` of a model so that its weight change has this norm; return by what it was scaled.

    Raises:
        UsageError: the adapter changes nothing, so that no scale helps.
    """
    layers = [one for one in model.modules() if "default" in getattr(one, "lora_B", {})]
    with torch.no_grad():
        squares = sum(
            _squares(one.lora_A["default"].weight, one.lora_B["default"].weight, one.scaling["default"])
            for one in layers
        )
        if not squares > 0:
            raise UsageError("--norm-of", found="an adapter that changes nothing", expected="steps", do="train longer")
        factor = norm / math.sqrt(squares)
        for one in layers:
            one.lora_B["default"].weight.mul_(factor)
    return factor


def _squares(first: torch.Tensor, second: torch.Tensor, scale: float) -> float:
    """Sum of squares of scale * B A, without making the product: A (rank, in), B (out, rank)."""
    a, b = first.double(), second.double()
    return scale**2 * float(((b.T @ b) * (a @ a.T)).sum())
