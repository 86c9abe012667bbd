"""A loaded model while it is edited: hooks on what its blocks write to the residual stream."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from isogloss.models.edit import Edit
from isogloss.models.load import LoadedModel


@contextlib.contextmanager
def edited(model: LoadedModel, edit: Edit | None) -> Iterator[None]:
    """Run the block with an edit; the model is as it was afterwards.

    With directions v (measured) and r (along), whatever w the embeddings or a block add to a token becomes
    w - (w.v) r. The stream of a token is then displaced by (u.v) r, u being all that was added: by as much for any r
    that is v or orthogonal to it. With r = v nothing is left along v between blocks. Inside a block the MLP still reads
    what the attention before it wrote.

    Args:
        model: with the wanted adapter active.
        edit: None changes nothing.
    """
    if edit is None:
        yield
        return
    measured, along = (torch.tensor(one) for one in edit.directions)

    def without(hidden: torch.Tensor, written: torch.Tensor) -> torch.Tensor:
        amount = written @ measured.to(hidden.device)
        return (hidden.float() - amount[..., None] * along.to(hidden.device)).to(hidden.dtype)

    def before_first(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        del module
        hidden = _entering(args, kwargs)
        new = without(hidden, hidden.float())
        return ((new, *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": new})

    def after(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:  # noqa: ANN401
        del module
        hidden = output[0] if isinstance(output, tuple) else output
        new = without(hidden, hidden.float() - _entering(args, kwargs).float())
        return (new, *output[1:]) if isinstance(output, tuple) else new

    handles = [model.blocks[0].register_forward_pre_hook(before_first, with_kwargs=True)]
    try:
        handles += [block.register_forward_hook(after, with_kwargs=True) for block in model.blocks]
        yield
    finally:
        for handle in handles:
            handle.remove()


def _entering(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    hidden: torch.Tensor = args[0] if args else kwargs["hidden_states"]
    return hidden
