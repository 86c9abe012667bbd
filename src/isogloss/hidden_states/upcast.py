"""A bfloat16 model computed in float32, one block at a time: what its states would be without rounding."""

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
    others = (child for child in _called(model.decoder) if not _holds_blocks_or_embeddings(child, model))
    with contextlib.ExitStack() as stack:
        for module in (*model.blocks, *others):
            stack.enter_context(_upcast(module))
        yield


def _called(module: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """Yield the children of a module that are called; a list of modules is not, but its items are."""
    for child in module.children():
        if isinstance(child, torch.nn.ModuleList | torch.nn.ModuleDict):
            yield from _called(child)
        else:
            yield child


def _holds_blocks_or_embeddings(module: torch.nn.Module, model: LoadedModel) -> bool:
    return any(inner in model.blocks or isinstance(inner, torch.nn.Embedding) for inner in module.modules())


@contextlib.contextmanager
def _upcast(module: torch.nn.Module) -> Iterator[None]:
    usual: dict[torch.nn.Parameter, torch.Tensor] = {}

    def before(module: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
        # Parameters only: some buffers are kept in float32, and would come back rounded.
        for parameter in module.parameters():
            if parameter.is_floating_point():
                usual[parameter], parameter.data = parameter.data, parameter.data.float()
        return _widened(args), _widened(kwargs)

    def after(module: Any, args: Any, output: Any) -> None:  # noqa: ANN401
        del module, args, output
        for parameter, data in usual.items():
            parameter.data = data
        usual.clear()

    handles = [
        module.register_forward_pre_hook(before, with_kwargs=True),
        module.register_forward_hook(after, always_call=True),
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
        return {name: _widened(item) for name, item in value.items()}
    if type(value) in {tuple, list}:
        return type(value)(_widened(item) for item in value)
    return value
