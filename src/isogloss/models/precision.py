"""Quantised weights, and weights on several devices: the settings that transformers loads them with."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from isogloss.errors import missing_extra
from isogloss.models.weight_files import weight_files

#: Share of a GPU's free memory that weights may take; activations and the allocator need the rest.
ROOM = 0.85


def _bits_and_bytes(dtype: torch.dtype, bits: int) -> Any:  # noqa: ANN401 - transformers is untyped
    from transformers import BitsAndBytesConfig  # noqa: PLC0415 - only where it is asked for

    if bits == 8:  # noqa: PLR2004
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)


def _torchao(dtype: torch.dtype) -> Any:  # noqa: ANN401
    from torchao.quantization import Int8WeightOnlyConfig  # noqa: PLC0415
    from transformers import TorchAoConfig  # noqa: PLC0415

    del dtype
    return TorchAoConfig(Int8WeightOnlyConfig())


#: name -> (the package it needs, how its configuration is made).
QUANTIZERS: dict[str, tuple[str, Callable[[torch.dtype], Any]]] = {
    "bnb-8bit": ("bitsandbytes", lambda dtype: _bits_and_bytes(dtype, 8)),
    "bnb-4bit": ("bitsandbytes", lambda dtype: _bits_and_bytes(dtype, 4)),
    "torchao-int8": ("torchao", _torchao),
}


def quantization_config(name: str, dtype: torch.dtype) -> Any:  # noqa: ANN401
    """Build the configuration by which transformers quantises weights while it loads them.

    Raises:
        UsageError: the package that does it is not installed.
    """
    package, build = QUANTIZERS[name]
    if find_spec(package) is None:
        raise missing_extra(package, "quantized")
    return build(dtype)


def device_map(folder: Path, where: torch.device, *, quantized: bool) -> str | dict[str, str] | None:
    """Choose where weights go while they are loaded; None loads them in host memory first, as small models may.

    Weights that do not fit the GPU are spread by accelerate over all GPUs and host memory. Quantised ones are made on
    the device that they stay on.
    """
    if where.type == "cuda" and where.index is None:
        free = torch.cuda.mem_get_info(where)[0]
        size = sum((folder / name).stat().st_size for name in weight_files(folder) if (folder / name).is_file())
        if size > ROOM * free and not quantized:
            return "auto"
    return {"": str(where)} if quantized else None
