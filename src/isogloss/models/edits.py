"""Edits of a loaded model: a direction that is taken out of its residual stream while the edit is active.

An edit is a value that can be compared and sent to a worker. Hooks on what the blocks write apply it to a model; torch
is imported only then.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from isogloss.io.files import sha256_text

if TYPE_CHECKING:
    import torch

    from isogloss.models.load import LoadedModel

#: Most that the length of a direction may differ from 1.
ROUNDING = 1e-4


@dataclass(frozen=True, kw_only=True)
class Edit:
    """Measures the residual stream along one direction, and takes that amount out along another.

    If both are the same, that direction is projected out (directional ablation, Arditi et al. 2024). If the second is
    orthogonal to the first, every token loses as much, but nothing along the first direction.

    Calling an edit with a loaded model gives the block within which the model is edited.

    Attributes:
        measured: the first direction, a unit vector: float32 (width,), as its bytes, so that equal edits are equal
            values.
        along: the second, likewise.

    Raises:
        ValueError: the directions are not unit vectors of one width.
    """

    measured: bytes
    along: bytes

    def __post_init__(self) -> None:
        """Refuse what is no pair of unit vectors."""
        measured, along = self.directions
        if measured.shape != along.shape:
            raise ValueError(f"directions of {len(measured)} and {len(along)} numbers")
        lengths = [float(np.linalg.norm(direction)) for direction in (measured, along)]
        if not all(abs(length - 1) < ROUNDING for length in lengths):
            raise ValueError(f"directions of lengths {lengths}")

    @property
    def directions(self) -> tuple[np.ndarray, np.ndarray]:
        """Both as float32 (width,)."""
        return np.frombuffer(self.measured, dtype=np.float32), np.frombuffer(self.along, dtype=np.float32)

    def sha256(self, model_sha256: str) -> str:
        """Hash of the edited model, from that of the model."""
        return sha256_text(f"{model_sha256}-{self.measured.hex()}-{self.along.hex()}")

    @contextlib.contextmanager
    def __call__(self, model: LoadedModel) -> Iterator[None]:
        """Run the block with a model edited; the model is as it was afterwards.

        With directions v (measured) and r (along), whatever w the embeddings or a block add to a token becomes
        w - (w.v) r. The stream of a token is then displaced by (u.v) r, u being all that was added: by as much for any
        r that is v or orthogonal to it. With r = v nothing is left along v between blocks. Inside a block the MLP still
        reads what the attention before it wrote.

        Args:
            model: with the wanted adapter active.
        """
        import torch  # noqa: PLC0415 - plans hold edits, and need no torch

        measured, along = (torch.tensor(direction) for direction in self.directions)

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


def edit_of(measured: np.ndarray, along: np.ndarray) -> Edit:
    """Make an edit of two unit vectors, (width,).

    >>> edit_of(np.array([1.0, 0.0]), np.array([0.0, 1.0])).directions[1].tolist()
    [0.0, 1.0]
    """
    return Edit(measured=measured.astype(np.float32).tobytes(), along=along.astype(np.float32).tobytes())


def _entering(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    hidden: torch.Tensor = args[0] if args else kwargs["hidden_states"]
    return hidden
