"""DPO with shared prompts: the model reads a text once for both of its answers.

A batch of trl holds all texts with their chosen answers, then the same texts with the rejected ones. This module packs
both answers behind one text in a row. The mask keeps the answers apart, and their states are copied to the positions
that trl reads. The batch has fewer tokens, and the losses are the same.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch

from isogloss.engines.worker import out_of_memory
from isogloss.hidden_states.forward import UNSUPPORTED
from isogloss.models.load import LoadedModel
from isogloss.models.masks import layer_masks

#: Largest difference from the states of plain rows, as a share of the largest state: in float32, and in half precision.
EXACT, ROUNDED = 1e-4, 0.05
#: Arguments of the decoder that packing supports; a call with any other is not packed.
SUPPORTED = {"input_ids", "attention_mask", "use_cache", "return_dict"}


class PackedPairs(NamedTuple):
    """Rows of a text and two answers.

    Attributes:
        ids: token ids, int (texts, tokens).
        positions: positions of the tokens, int (texts, tokens).
        seen: whether the first token attends to the second, bool (texts, tokens, tokens).
        columns: column in the packed row of each token of the plain batch, int (2 x texts, tokens of the plain batch).
    """

    ids: torch.Tensor
    positions: torch.Tensor
    seen: torch.Tensor
    columns: torch.Tensor


@contextlib.contextmanager
def shared_prompts(model: LoadedModel) -> Iterator[None]:
    """Run the block with a decoder that reads a text once for two answers, if the states stay the same.

    Batches without pairs of rows, and batches that would not become shorter, are read unchanged. The first batch of
    pairs is read both ways; a decoder that does not support the masks or positions is left unchanged.
    """
    decoder: Any = model.decoder
    causal: Any = model.causal
    plain, config = decoder.forward, causal.config.get_text_config()
    checked: list[bool] = []

    @functools.wraps(plain)
    def forward(*args: Any, **given: Any) -> Any:  # noqa: ANN401 - transformers' own signature
        if args or checked == [False] or (packed := _pack_call(given)) is None:
            return plain(*args, **given)
        if not checked:
            checked.append(_gives_same_states(plain, config, packed, given))
            return forward(**given)
        return _read(plain, config, packed)

    decoder.forward = forward
    try:
        yield
    finally:
        decoder.forward = plain


def pack(ids: torch.Tensor, mask: torch.Tensor) -> PackedPairs | None:
    """Pack row i and row i + texts behind their common prefix; None if they share none or packing saves nothing.

    Args:
        ids: token ids, int (2 x texts, tokens).
        mask: int (2 x texts, tokens): 1 for a token, 0 for the padding behind it.
    """
    n, width = ids.shape
    lengths = mask.sum(dim=1)
    if n % 2 or not torch.equal(mask, (torch.arange(width, device=ids.device) < lengths[:, None]).to(mask.dtype)):
        return None
    first, second = ids.chunk(2)
    equal = (first == second) & mask.chunk(2)[0].bool() & mask.chunk(2)[1].bool()
    common = equal.long().cumprod(dim=1).sum(dim=1)
    tails = [length - common for length in lengths.chunk(2)]
    sizes = [int(common.max()), *(int(tail.max()) for tail in tails)]
    if int(common.min()) == 0 or sum(sizes) >= 2 * width:
        return None
    # Columns: the text, padded; the first answer, padded; the second.
    group = torch.repeat_interleave(torch.arange(3), torch.tensor(sizes)).to(ids.device)
    offset = torch.cat([torch.arange(size) for size in sizes]).to(ids.device)
    held = torch.stack([common, *tails], dim=1)[:, group] > offset
    positions = torch.where(group == 0, offset, common[:, None] + offset) * held
    tokens = torch.where(group == 2, second.gather(1, positions), first.gather(1, positions))  # noqa: PLR2004 - the second
    earlier = (
        torch.arange(len(group), device=ids.device)[None, :] <= torch.arange(len(group), device=ids.device)[:, None]
    )
    near = (group[None, :] == 0) | (group[None, :] == group[:, None])
    # Padding attends to itself, because the softmax of an empty row is undefined; its states are not read.
    seen = (earlier & near)[None] & held[:, None, :] | torch.eye(len(group), dtype=torch.bool, device=ids.device)
    plain_columns = torch.arange(width, device=ids.device)[None, :] * mask
    starts = torch.tensor([sizes[0], sizes[0] + sizes[1]], device=ids.device).repeat_interleave(n // 2)[:, None]
    ends = common.repeat(2)[:, None]
    columns = torch.where(plain_columns < ends, plain_columns, starts + plain_columns - ends)
    return PackedPairs(ids=tokens, positions=positions, seen=seen, columns=columns)


def _pack_call(given: Mapping[str, Any]) -> PackedPairs | None:
    ids, mask = given.get("input_ids"), given.get("attention_mask")
    unsupported = [
        name for name, value in given.items() if name not in SUPPORTED and value is not None and value is not False
    ]
    return None if ids is None or mask is None or unsupported else pack(ids, mask)


def _gives_same_states(plain: Any, config: Any, packed: PackedPairs, given: Mapping[str, Any]) -> bool:  # noqa: ANN401
    """Read a batch both ways and compare the states. The random state is restored afterwards."""
    real = given["attention_mask"].bool()
    with torch.random.fork_rng(), torch.no_grad():
        expected = plain(**given).last_hidden_state[real]
        try:
            states = _read(plain, config, packed).last_hidden_state[real]
        except UNSUPPORTED as error:
            if out_of_memory(error):
                raise
            return False  # the decoder does not support the mask or the positions
    share = EXACT if expected.dtype == torch.float32 else ROUNDED
    return bool((states - expected).abs().max() <= share * expected.abs().max())


def _read(plain: Any, config: Any, packed: PackedPairs) -> Any:  # noqa: ANN401 - a decoder's output
    weights = next(plain.__self__.parameters())
    masks = layer_masks(config, packed.seen, packed.positions, weights.dtype)
    output = plain(input_ids=packed.ids, attention_mask=masks, position_ids=packed.positions, use_cache=False)
    rows = torch.arange(len(packed.ids), device=packed.ids.device).repeat(2)[:, None]
    output.last_hidden_state = output.last_hidden_state[rows, packed.columns]
    return output
