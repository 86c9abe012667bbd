"""The request for directional ablation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """Read the aligned model without its harm direction; this needs the behaviour analysis as well."""

    name: ClassVar[str] = "ablation"
    about: ClassVar[str] = "With --behaviour: read the aligned model without its harm direction (directional ablation)."
    switch: ClassVar[str] = "ablation"
