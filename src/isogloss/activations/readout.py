"""Hidden states of all tokens -> the one vector per text that is kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence
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
    text_last: torch.Tensor
    """int64 (rows,): place of the last token of the text, after which a chat template may go on"""

    def places(self, positions: Collection[Position]) -> torch.Tensor | None:
        """Places of the tokens that are read, int64 (rows, positions); None if all are."""
        found = [self.text_last if position == "t_inst" else self.last for position in positions if position != "mean"]
        return None if "mean" in positions else torch.stack(found, dim=1)


def pad_right(
    rows: Sequence[tuple[int, ...]], device: torch.device, *, text_ends: Sequence[int] | None = None
) -> Batch:
    """Stack rows of token ids, at least one each; texts end where the rows do unless `text_ends` says otherwise."""
    ids = torch.zeros(len(rows), max(len(row) for row in rows), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
    lengths = torch.tensor([len(row) for row in rows])
    real = torch.arange(ids.shape[1])[None, :] < lengths[:, None]
    ends = lengths if text_ends is None else torch.tensor(text_ends)
    return Batch(
        ids=ids.to(device), real=real.to(device), last=(lengths - 1).to(device), text_last=(ends - 1).to(device)
    )


def read_out(hidden: torch.Tensor, batch: Batch, position: Position, *, bos: bool) -> torch.Tensor:
    """Keep one vector a text: (rows, tokens, width) -> (rows, width), a copy, so that the batch can be freed.

    "last" gathers the last real token, "t_inst" the last of the text; "mean" averages the real ones, BOS left out,
    summed in float32.
    """
    places = batch.places([position])
    if places is not None:
        return take(hidden, places)[:, 0]
    real = batch.real.to(hidden.device).clone()
    if bos:
        real[:, 0] = False
    # Filled with zeros, not multiplied: what stands at a padded place may be infinite.
    total = hidden.float().masked_fill(~real[..., None], 0.0).sum(dim=1)
    return total / real.sum(dim=1)[:, None]


def take(hidden: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Gather some tokens of each row: (rows, tokens, width), (rows, m) -> (rows, m, width)."""
    places = places.to(hidden.device)
    return hidden[torch.arange(len(places), device=hidden.device)[:, None], places]


def put(short: torch.Tensor, places: torch.Tensor, tokens: int) -> torch.Tensor:
    """Undo `take`: (rows, m, width), (rows, m) -> (rows, tokens, width), zeros at all other places."""
    places = places.to(short.device)
    whole = short.new_zeros(len(short), tokens, short.shape[-1])
    whole[torch.arange(len(short), device=short.device)[:, None], places] = short
    return whole
