"""A model that the caller has loaded already, as a reference holds it; no torch here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ModelInMemory:
    """A loaded causal language model with its tokenizer, and what names its content.

    Attributes:
        model: returns the model while its owner holds it, else None.
        tokenizer: of the model.
        sha256: hash of weights, configuration and tokenizer.
        dtype: float32 or bfloat16.
        device: where its first weights are.
        depth: number of transformer blocks.
        quantized: whether its weights have fewer bits.
    """

    model: Callable[[], Any]
    tokenizer: Any
    sha256: str
    dtype: str
    device: str
    depth: int
    quantized: bool
