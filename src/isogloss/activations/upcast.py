"""A bfloat16 model computed in float32, one block at a time: what its states would be if nothing were rounded."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from isogloss.models.load import LoadedModel


@contextlib.contextmanager
def in_float32(model: LoadedModel) -> Iterator[None]:
    """Within the block, compute blocks, positions and final norm in float32 from the weights as they are.

    Memory holds the weights of one block twice at a time. The embeddings are looked up, and scaled where a model scales
    them, as they are.
    """
    parts = [*model.blocks, *(part for part in model.decoder.children() if not _holds(part, model))]
    with contextlib.ExitStack() as stack:
        for part in parts:
            stack.enter_context(_upcast(part))
        yield


def _holds(part: torch.nn.Module, model: LoadedModel) -> bool:
    """Whether a part of the decoder is its blocks or its embeddings."""
    return any(inner is model.blocks or isinstance(inner, torch.nn.Embedding) for inner in part.modules())


@contextlib.contextmanager
def _upcast(part: torch.nn.Module) -> Iterator[None]:
    kept: dict[torch.nn.Parameter, torch.Tensor] = {}

    def before(module: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
        # Parameters only: some buffers are kept in float32, and would come back rounded.
        for parameter in module.parameters():
            if parameter.is_floating_point():
                kept[parameter], parameter.data = parameter.data, parameter.data.float()
        return _widened(args), _widened(kwargs)

    def after(module: Any, args: Any, output: Any) -> None:  # noqa: ANN401
        del module, args, output
        for parameter, usual in kept.items():
            parameter.data = usual
        kept.clear()

    handles = [
        part.register_forward_pre_hook(before, with_kwargs=True),
        part.register_forward_hook(after, always_call=True),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _widened(value: Any) -> Any:  # noqa: ANN401 - whatever a module is called with
    if isinstance(value, torch.Tensor):
        return value.float() if value.is_floating_point() else value
    if isinstance(value, dict):
        return {name: _widened(one) for name, one in value.items()}
    if type(value) in {tuple, list}:
        return type(value)(_widened(one) for one in value)
    return value
