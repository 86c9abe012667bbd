"""The size of a model, counted from its configuration on torch's meta device, which holds no weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import CONFIG_MAPPING

from isogloss.models.architecture import auto_class, find_decoder, read_config
from isogloss.models.quiet import quiet_transformers
from isogloss.models.weight_files import weight_files


@dataclass(frozen=True, kw_only=True)
class Size:
    """Numbers of a model: parameters in all, those of its transformer blocks, and the shape of its decoder."""

    parameters: int
    block_parameters: int
    depth: int
    width: int
    inner_width: int
    vocabulary: int


def size_of_folder(folder: Path) -> Size:
    """Count the parameters of the model that a folder's config.json describes; weights are not opened.

    Raises:
        ModelError: see `read_config` and `find_decoder`.
        OSError, ValueError, KeyError: the configuration is broken.
    """
    return _count(read_config(folder), str(folder))


def size_of_numbers(numbers: Mapping[str, Any], name: str) -> Size:
    """Count the parameters of a model from the numbers of its configuration, `model_type` among them."""
    settings = {key: value for key, value in numbers.items() if key != "model_type"}
    return _count(CONFIG_MAPPING[numbers["model_type"]](**settings), name)


def _count(config: Any, name: str) -> Size:  # noqa: ANN401 - transformers is untyped
    with quiet_transformers(), torch.device("meta"):
        causal = auto_class(config).from_config(config, trust_remote_code=False)
    text = config.get_text_config()
    _, blocks = find_decoder(causal, text.num_hidden_layers, name)
    return Size(
        parameters=sum(tensor.numel() for tensor in causal.parameters()),
        block_parameters=sum(tensor.numel() for tensor in blocks.parameters()),
        depth=text.num_hidden_layers,
        width=text.hidden_size,
        inner_width=getattr(text, "intermediate_size", None) or 4 * text.hidden_size,
        vocabulary=text.vocab_size,
    )


def saved_size(folder: Path) -> int | None:
    """Bytes of the weights in a folder, None if some are missing; other copies of them do not count.

    Raises:
        ModelError: see `weight_files`.
    """
    files = [folder / name for name in weight_files(folder)]
    if not files or not all(path.is_file() for path in files):
        return None
    return sum((path.stat().st_size for path in files), start=0)
