"""The state of a loaded model before an adapter is attached, and the way back to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from isogloss.models.architecture import embedding_modules


class BaseState:
    """Modules, hooks and tensors of a model, which `restore` puts back whatever an adapter did to them.

    Call `note_changes` when the adapter is attached. A parameter that was given another tensor until then gets the
    first one back, and one of `overwritten` that was changed gets its copy. All others keep what they hold: layers may
    have been packed and unpacked, or merged and unmerged, since.
    """

    def __init__(self, causal: Any, overwritten: Iterable[torch.Tensor]) -> None:  # noqa: ANN401
        """Remember a model.

        Args:
            causal: without an adapter.
            overwritten: parameters that the adapter may overwrite in place.
        """
        self._attributes = [(module, _copy_attributes(module)) for module in causal.modules()]
        tensors = {id(tensor): tensor for tensor in (*causal.parameters(), *causal.buffers())}
        self._tensors = [(tensor, tensor.data) for tensor in tensors.values()]
        self._copies = [(tensor, tensor.data, tensor.data.clone()) for tensor in overwritten]
        configs = (causal.config, causal.config.get_text_config())
        self._vocabularies = [(config, config.vocab_size) for config in configs if hasattr(config, "vocab_size")]

    def note_changes(self) -> None:
        """Keep only the tensors that were replaced or overwritten while the adapter was attached."""
        self._copies = [copied for copied in self._copies if not torch.equal(copied[1], copied[2])]
        self._tensors = [
            (tensor, data)
            for tensor, data in self._tensors
            if tensor.data_ptr() != data.data_ptr() or tensor.shape != data.shape
        ]

    def restore(self) -> None:
        """Put everything back."""
        for module, attributes in self._attributes:
            _put_attributes_back(module, attributes)
        for tensor, data in self._tensors:
            tensor.data = data
        for tensor, _, copied in self._copies:
            tensor.data = copied
        for config, size in self._vocabularies:
            config.vocab_size = size


def shared_parameters(causal: torch.nn.Module) -> set[int]:
    """Return the ids of the parameters that several modules hold, such as a tied embedding and LM head."""
    holders: dict[int, int] = {}
    for module in causal.modules():
        for parameter in module.parameters(recurse=False):
            holders[id(parameter)] = holders.get(id(parameter), 0) + 1
    return {key for key, count in holders.items() if count > 1}


def resize_vocabulary(causal: Any, rows: int) -> None:  # noqa: ANN401
    """Give the embeddings and LM head as many rows as an adapter brings; the new rows are overwritten by it."""
    embeddings = embedding_modules(causal)
    if embeddings and rows != next(iter(embeddings.values())).weight.shape[0]:
        causal.resize_token_embeddings(rows, mean_resizing=False)


def _copy_attributes(module: torch.nn.Module) -> dict[str, tuple[Any, Any]]:
    """Name -> (value, its content): containers keep their identity, because handles of hooks refer to them."""
    return {name: (value, _content(value)) for name, value in vars(module).items()}


def _content(value: Any) -> Any:  # noqa: ANN401
    return value.copy() if isinstance(value, dict | set) else None


def _put_attributes_back(module: torch.nn.Module, attributes: dict[str, tuple[Any, Any]]) -> None:
    for value, content in attributes.values():
        if content is not None:
            value.clear()
            value.update(content)
    vars(module).clear()
    vars(module).update({name: value for name, (value, _) in attributes.items()})
