"""Attention masks from a table of which token sees which, one for each kind of layer that a model has."""

from __future__ import annotations

from typing import Any

import torch


def layer_masks(config: Any, seen: torch.Tensor, positions: torch.Tensor, dtype: torch.dtype) -> Any:  # noqa: ANN401 - transformers' own
    """Write what is added to attention scores: one mask, or one for each kind of layer that the model has.

    Args:
        config: of the model, or of its text part.
        seen: bool (rows, tokens, tokens): whether the first may see the second.
        positions: int (rows, tokens), of the tokens in their texts: windows of attention count by them.
        dtype: of the weights.

    Returns:
        (rows, 1, tokens, tokens) on the device of `seen`, or a dictionary of them by kind of layer.

    Raises:
        ValueError: there is a kind of layer for which no mask is known.
    """

    def added(allowed: torch.Tensor) -> torch.Tensor:
        return torch.zeros(allowed.shape, dtype=dtype, device=seen.device).masked_fill(
            ~allowed, torch.finfo(dtype).min
        )[:, None]

    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ())
    near = seen & (positions[:, :, None] - positions[:, None, :] < window) if window else seen
    masks = {"full_attention": seen, "sliding_attention": near}
    if unknown := kinds - masks.keys():
        raise ValueError(f"no mask for {min(unknown)}")
    if len(kinds) > 1:
        return {kind: added(masks[kind]) for kind in kinds}
    # A window without kinds of layers is that of all of them, as in Mistral.
    return added(masks[next(iter(kinds))] if kinds else near)
