"""An edit of a model in memory, as a value: what is taken out of its residual stream. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isogloss.files import sha256_text

#: Most that the length of a direction may differ from 1.
ROUNDING = 1e-4


@dataclass(frozen=True, kw_only=True)
class Edit:
    """How much the residual stream holds along one direction is taken out of it along another.

    With both the same, that direction is projected out (Arditi et al. 2024). With any other, orthogonal to the first,
    as much is taken out of every token, but nothing of the first direction.

    Attributes:
        measured: the first, a unit vector: float32 (width,), as its bytes, so that equal edits are equal values.
        along: the second, likewise.
    """

    measured: bytes
    along: bytes

    def __post_init__(self) -> None:
        """Refuse what is no pair of unit vectors."""
        measured, along = self.directions
        if measured.shape != along.shape:
            raise ValueError(f"directions of {len(measured)} and {len(along)} numbers")
        lengths = [float(np.linalg.norm(one)) for one in (measured, along)]
        if not all(abs(length - 1) < ROUNDING for length in lengths):
            raise ValueError(f"directions of lengths {lengths}")

    @property
    def directions(self) -> tuple[np.ndarray, np.ndarray]:
        """Both as float32 (width,)."""
        return np.frombuffer(self.measured, dtype=np.float32), np.frombuffer(self.along, dtype=np.float32)

    def sha256(self, model_sha256: str) -> str:
        """Hash of the edited model, from that of the model."""
        return sha256_text(f"{model_sha256}-{self.measured.hex()}-{self.along.hex()}")


def edit_of(measured: np.ndarray, along: np.ndarray) -> Edit:
    """Make an edit of two unit vectors, (width,).

    >>> edit_of(np.array([1.0, 0.0]), np.array([0.0, 1.0])).directions[1].tolist()
    [0.0, 1.0]
    """
    return Edit(measured=measured.astype(np.float32).tobytes(), along=along.astype(np.float32).tobytes())
