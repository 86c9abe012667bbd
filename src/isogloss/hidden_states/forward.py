"""The forward pass of one batch, and the read-out: hidden states of all tokens -> one vector for each text.

A batch runs no further than it is read: no LM head, and no block after the last wanted layer.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import Cache

from isogloss.engines.worker import out_of_memory
from isogloss.hidden_states.spec import Layer, Position
from isogloss.models.architecture import residual_stream
from isogloss.models.load import LoadedModel

Keep = Callable[[Layer, torch.Tensor], None]
#: What a model raises that does not support a shortcut.
UNSUPPORTED = (RuntimeError, ValueError, TypeError, AttributeError, LookupError, AssertionError)


class _Enough(Exception):  # noqa: N818 - not an error: the way out of a forward pass
    """Raised in a hook after the last wanted layer."""


def shared_cache(model: LoadedModel, prefix: Sequence[int]) -> Cache | None:
    """Run the beginning that all rows share once; its keys and values serve every batch.

    Returns:
        The cache; None if the model has none that holds a row for each text, as recurrent states often do not.
    """
    ids = torch.tensor([list(prefix)], device=model.device)
    with torch.inference_mode():
        try:
            cache = getattr(model.decoder(input_ids=ids, use_cache=True), "past_key_values", None)
        except UNSUPPORTED as error:
            if out_of_memory(error):
                raise
            return None
        return cache if isinstance(cache, Cache) and _can_repeat(cache) else None


def _can_repeat(cache: Cache) -> bool:
    """Whether every state of a cache of one row can be repeated, one for each row of a batch."""
    try:
        repeated = repeat_cache(cache, 2)
    except UNSUPPORTED as error:
        if out_of_memory(error):
            raise
        return False
    tensors = list(_tensors([vars(repeated), *map(vars, repeated.layers)]))
    return bool(tensors) and all(len(tensor) == 2 for tensor in tensors)  # noqa: PLR2004 - two rows


def repeat_cache(cache: Cache, rows: int) -> Any:  # noqa: ANN401 - transformers is untyped
    """Copy a cache of one row for a batch; a copy, because the model appends to it."""
    repeated: Any = copy.deepcopy(cache)
    repeated.batch_repeat_interleave(rows)
    return repeated


def _tensors(value: Any) -> Iterator[torch.Tensor]:  # noqa: ANN401
    """Yield the states that an object of a cache holds, but no numbers."""
    if isinstance(value, torch.Tensor):
        if value.ndim > 1 and value.numel():
            yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def forward(
    model: LoadedModel,
    batch: Batch,
    layers: Sequence[Layer],
    keep: Keep,
    *,
    shortcuts: bool = False,
    indices: torch.Tensor | None = None,
    cache: Cache | None = None,
) -> None:
    """Run a batch and hand the hidden states of every wanted layer, (rows, tokens, width), to `keep`.

    Args:
        model: with the wanted adapter active.
        batch: rows padded on the right, without the shared beginning if there is a `cache`.
        layers: resolved for this model.
        keep: called once for each layer; it must copy what it keeps.
        shortcuts: leave out the attention mask: right padding cannot reach real tokens of a causal model.
        indices: int64 (rows, m), the only tokens that are read: the MLP of the last block gets no others, so states of
            that block at other tokens are wrong. None: all are read.
        cache: from `shared_cache`; with shortcuts only, because the attention mask lacks the shared beginning.

    Raises:
        ValueError: there is a cache, and no shortcuts.
    """
    if cache is not None and not shortcuts:
        raise ValueError("a shared beginning needs shortcuts: plan the rows with the execution that runs them")
    deepest = max(layer.index for layer in layers)
    post = [layer for layer in layers if layer.norm == "post"]
    inputs: dict[str, Any] = {"input_ids": batch.ids, "use_cache": False}
    if not shortcuts:
        inputs["attention_mask"] = batch.real.long()
    if cache is not None:
        inputs |= {"past_key_values": repeat_cache(cache, len(batch.ids)), "use_cache": True}
    with torch.inference_mode(), contextlib.ExitStack() as stack:
        if indices is not None and deepest > 0:
            stack.enter_context(_short_mlp(model.blocks[deepest - 1], batch, indices))
        stack.enter_context(_hooks(model, layers, keep, stop=None if post else deepest))
        try:
            hidden = model.decoder(**inputs).last_hidden_state
        except _Enough:
            return
        for layer in post:
            keep(layer, hidden)


@contextlib.contextmanager
def _short_mlp(block: Any, batch: Batch, indices: torch.Tensor) -> Iterator[None]:  # noqa: ANN401
    """Give the MLP of a block only the tokens that are read: it works on each token alone.

    Its inputs may be given by position or by name. An MLP that is given no tensor of (rows, tokens, ...) is left alone.
    """
    mlp = getattr(block, "mlp", None)
    if not isinstance(mlp, torch.nn.Module):
        yield
        return

    shortened = False

    def shorten(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        nonlocal shortened
        del module
        # BLOOM's MLP is given the residual beside its input; both have a row for each text and a token for each id.
        shortened = any(_has_tokens(value, batch) for value in (*args, *kwargs.values()))
        return tuple(map(shorter, args)), {name: shorter(value) for name, value in kwargs.items()}

    def shorter(value: Any) -> Any:  # noqa: ANN401
        return take(value, indices) if _has_tokens(value, batch) else value

    def lengthen(module: Any, args: Any, output: Any) -> Any:  # noqa: ANN401
        del module, args
        if not shortened:
            return output
        tokens = batch.ids.shape[1]
        if isinstance(output, tuple):  # a mixture of experts hands its router's choices over as well
            return (put(output[0], indices, tokens), *output[1:])
        return put(output, indices, tokens)

    handles = [mlp.register_forward_pre_hook(shorten, with_kwargs=True), mlp.register_forward_hook(lengthen)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _has_tokens(arg: Any, batch: Batch) -> bool:  # noqa: ANN401
    return isinstance(arg, torch.Tensor) and arg.shape[:2] == batch.ids.shape


@contextlib.contextmanager
def _hooks(model: LoadedModel, layers: Sequence[Layer], keep: Keep, *, stop: int | None) -> Iterator[None]:
    """Keep the state after a block where the next block reads it: some models scale it in between."""
    handles = []

    def before(layer: Layer) -> Callable[[Any, Any, Any], None]:
        def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ANN401
            del module
            keep(layer, residual_stream(model, args[0] if args else kwargs["hidden_states"]))
            if layer.index == stop:
                raise _Enough

        return hook

    def after_last(module: Any, args: Any, output: Any) -> None:  # noqa: ANN401
        del module, args
        keep(
            Layer(model.depth, "pre"), residual_stream(model, output[0] if isinstance(output, tuple | list) else output)
        )
        if stop == model.depth:
            raise _Enough

    try:
        for layer in layers:
            if layer.norm == "pre":
                handles.append(model.blocks[-1].register_forward_hook(after_last))
            elif layer.norm != "post":
                handles.append(model.blocks[layer.index].register_forward_pre_hook(before(layer), with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows of token ids, padded at their ends, without the beginning that they may share.

    In a causal model, padding on the right cannot reach the tokens that are read, since these come before it.
    """

    ids: torch.Tensor
    """int64 (rows, tokens)"""
    real: torch.Tensor
    """bool (rows, tokens): not padding"""
    last: torch.Tensor
    """int64 (rows,): index of the last real token"""
    text_last: torch.Tensor
    """int64 (rows,): index of the last token of the text; a chat template may add others after it"""

    def token_indices(self, positions: Collection[Position]) -> torch.Tensor | None:
        """Indices of the tokens that are read, int64 (rows, positions); None if all are."""
        indices = [
            self.text_last if position == "last_instruction_token" else self.last
            for position in positions
            if position != "mean"
        ]
        return None if "mean" in positions else torch.stack(indices, dim=1)


def pad_right(
    rows: Sequence[tuple[int, ...]], device: torch.device, *, text_ends: Sequence[int] | None = None
) -> Batch:
    """Stack rows of token ids, at least one id each; texts end with their rows unless `text_ends` is given.

    Rows are padded with their last token: the embedding of a padding token may be undefined, and 0 x NaN is NaN.
    """
    width = max(len(row) for row in rows)
    ids = torch.tensor([[*row, *[row[-1]] * (width - len(row))] for row in rows], dtype=torch.long)
    lengths = torch.tensor([len(row) for row in rows])
    real = torch.arange(ids.shape[1])[None, :] < lengths[:, None]
    ends = lengths if text_ends is None else torch.tensor(text_ends)
    return Batch(
        ids=ids.to(device), real=real.to(device), last=(lengths - 1).to(device), text_last=(ends - 1).to(device)
    )


def read_out(hidden: torch.Tensor, batch: Batch, position: Position, *, bos: bool) -> torch.Tensor:
    """Keep one vector for each text: (rows, tokens, width) -> (rows, width), a copy, so that the batch can be freed.

    "last" gathers the last real token, "last_instruction_token" the last token of the text. "mean" averages the real
    tokens, BOS left out, summed in float32.
    """
    indices = batch.token_indices([position])
    if indices is not None:
        return take(hidden, indices)[:, 0]
    real = batch.real.to(hidden.device).clone()
    if bos:
        real[:, 0] = False
    # Filled with zeros, not multiplied: the state of a padding token may be infinite.
    total = hidden.float().masked_fill(~real[..., None], 0.0).sum(dim=1)
    return total / real.sum(dim=1)[:, None]


def take(hidden: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """Gather some tokens of each row: (rows, tokens, width), (rows, m) -> (rows, m, width)."""
    indices = indices.to(hidden.device)
    return hidden[torch.arange(len(indices), device=hidden.device)[:, None], indices]


def put(short: torch.Tensor, indices: torch.Tensor, tokens: int) -> torch.Tensor:
    """Undo `take`: (rows, m, width), (rows, m) -> (rows, tokens, width), zeros at all other tokens."""
    indices = indices.to(short.device)
    whole = short.new_zeros(len(short), tokens, short.shape[-1])
    whole[torch.arange(len(short), device=short.device)[:, None], indices] = short
    return whole
