"""A text is read once for both of its answers while trl trains by DPO, not once for each.

trl's batch is all texts with their chosen answers, then the same texts with the rejected ones. Here both answers stand
behind one text in a row, the mask keeps them apart, and their states go back to where trl looks for them. A batch has
fewer tokens so, and the losses are the same.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch

from isogloss.models.load import LoadedModel
from isogloss.models.masks import layer_masks

#: Most that a state may differ from that of a plain row, as a share of the largest: more would be another model.
EXACT, ROUNDED = 1e-4, 0.05
#: All that a call of the decoder may ask for if its rows are to be read together.
KNOWN = {"input_ids", "attention_mask", "use_cache", "return_dict"}


class Packed(NamedTuple):
    """Rows of a text and two answers.

    `ids` and `positions` are int (texts, tokens), `seen` is bool (texts, tokens, tokens): whether the first may see
    the second. `back` says where in its row each token of the plain batch stands: int (2 x texts, tokens there).
    """

    ids: torch.Tensor
    positions: torch.Tensor
    seen: torch.Tensor
    back: torch.Tensor


@contextlib.contextmanager
def shared_prompts(model: LoadedModel) -> Iterator[None]:
    """Run the block with a decoder that reads a text once for two answers, if it gives them the same states so.

    Batches that are no twins, or would not become shorter, are read as they are. The first batch of twins is read both
    ways: a decoder that takes no such masks or positions is left as it is.
    """
    decoder: Any = model.decoder
    causal: Any = model.causal
    plain, config = decoder.forward, causal.config.get_text_config()
    same: list[bool] = []

    @functools.wraps(plain)
    def forward(*args: Any, **given: Any) -> Any:  # noqa: ANN401 - transformers' own signature
        if args or same == [False] or (packed := _packed(given)) is None:
            return plain(*args, **given)
        if not same:
            same.append(_same(plain, config, packed, given))
            return forward(**given)
        return _read(plain, config, packed)

    decoder.forward = forward
    try:
        yield
    finally:
        decoder.forward = plain


def pack(ids: torch.Tensor, mask: torch.Tensor) -> Packed | None:
    """Put row i and row i + texts behind what they have in common; None if they are no twins or it saves nothing.

    Args:
        ids: int (2 x texts, tokens).
        mask: int, likewise: 1 for a token, 0 for the padding behind it.
    """
    n, width = ids.shape
    lengths = mask.sum(dim=1)
    if n % 2 or not torch.equal(mask, (torch.arange(width, device=ids.device) < lengths[:, None]).to(mask.dtype)):
        return None
    first, second = ids.chunk(2)
    alike = (first == second) & mask.chunk(2)[0].bool() & mask.chunk(2)[1].bool()
    common = alike.long().cumprod(dim=1).sum(dim=1)
    tails = [one - common for one in lengths.chunk(2)]
    sizes = [int(common.max()), *(int(one.max()) for one in tails)]
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
    # Padding sees itself, for a row that sees nothing has no softmax; nobody reads it.
    seen = (earlier & near)[None] & held[:, None, :] | torch.eye(len(group), dtype=torch.bool, device=ids.device)
    places = torch.arange(width, device=ids.device)[None, :] * mask
    starts = torch.tensor([sizes[0], sizes[0] + sizes[1]], device=ids.device).repeat_interleave(n // 2)[:, None]
    ends = common.repeat(2)[:, None]
    back = torch.where(places < ends, places, starts + places - ends)
    return Packed(ids=tokens, positions=positions, seen=seen, back=back)


def _packed(given: Mapping[str, Any]) -> Packed | None:
    ids, mask = given.get("input_ids"), given.get("attention_mask")
    more = [name for name, value in given.items() if name not in KNOWN and value is not None and value is not False]
    return None if ids is None or mask is None or more else pack(ids, mask)


def _same(plain: Any, config: Any, packed: Packed, given: Mapping[str, Any]) -> bool:  # noqa: ANN401
    """Read a batch both ways; what is drawn at random meanwhile is drawn again."""
    real = given["attention_mask"].bool()
    with torch.random.fork_rng(), torch.no_grad():
        wanted = plain(**given).last_hidden_state[real]
        try:
            found = _read(plain, config, packed).last_hidden_state[real]
        except (TypeError, ValueError, RuntimeError):
            return False  # it takes no such mask, or no positions
    share = EXACT if wanted.dtype == torch.float32 else ROUNDED
    return bool((found - wanted).abs().max() <= share * wanted.abs().max())


def _read(plain: Any, config: Any, packed: Packed) -> Any:  # noqa: ANN401 - a decoder's output
    weights = next(plain.__self__.parameters())
    masks = layer_masks(config, packed.seen, packed.positions, weights.dtype)
    output = plain(input_ids=packed.ids, attention_mask=masks, position_ids=packed.positions, use_cache=False)
    rows = torch.arange(len(packed.ids), device=packed.ids.device).repeat(2)[:, None]
    output.last_hidden_state = output.last_hidden_state[rows, packed.back]
    return output
