"""Hidden states of all tokens -> the one vector per text that is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from isogloss.activations.spec import Position


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows of token ids, padded at their ends, without the beginning that they may share.

    Right padding and a causal model: what is padded stands after every token that is read, and cannot reach it.
    """

    ids: torch.Tensor
    """int64 (rows, tokens)"""
    real: torch.Tensor
    """bool (rows, tokens): not padding"""
    last: torch.Tensor
    """int64 (rows,): place of the last real token"""


def pad_right(rows: Sequence[tuple[int, ...]], device: torch.device) -> Batch:
    """Stack rows of token ids, at least one each."""
    ids = torch.zeros(len(rows), max(len(row) for row in rows), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
    lengths = torch.tensor([len(row) for row in rows])
    real = torch.arange(ids.shape[1])[None, :] < lengths[:, None]
    return Batch(ids=ids.to(device), real=real.to(device), last=(lengths - 1).to(device))


def read_out(hidden: torch.Tensor, batch: Batch, position: Position, *, bos: bool) -> torch.Tensor:
    """Keep one vector a text: (rows, tokens, width) -> (rows, width), a copy, so that the batch can be freed.

    "last" gathers the last real token; "mean" averages the real ones, BOS left out, summed in float32.
    """
    if position == "last":
        return take_last(hidden, batch)[:, 0]
    real = batch.real.to(hidden.device).clone()
    if bos:
        real[:, 0] = False
    # Filled with zeros, not multiplied: what stands at a padded place may be infinite.
    total = hidden.float().masked_fill(~real[..., None], 0.0).sum(dim=1)
    return total / real.sum(dim=1)[:, None]


def take_last(hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Gather the last real token: (rows, tokens, width) -> (rows, 1, width)."""
    last = batch.last.to(hidden.device)
    return hidden[torch.arange(len(last), device=hidden.device), last][:, None]


def put_last(short: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Undo `take_last`: (rows, 1, width) -> (rows, tokens, width), zeros at all other places."""
    rows, tokens = batch.ids.shape
    last = batch.last.to(short.device)
    whole = short.new_zeros(rows, tokens, short.shape[-1])
    whole[torch.arange(rows, device=short.device), last] = short[:, 0]
    return whole
