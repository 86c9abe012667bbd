"""The request for a comparison on matched texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from isogloss.auditing.request import option


@dataclass(frozen=True, kw_only=True)
class Matched:
    """Repeat the comparison on pairs (or texts) that match those of the pivot.

    Attributes:
        match: features to match on, any of length and edit.
    """

    name: ClassVar[str] = "matched"
    about: ClassVar[str] = "Repeat the comparison on texts matched with those of the pivot."
    switch: ClassVar[str] = "match"

    match: tuple[str, ...] = option(
        (), "Repeat the comparison on texts matched with the pivot's: length, edit or both."
    )
