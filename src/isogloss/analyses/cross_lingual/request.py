"""The request for what languages share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class CrossLingual:
    """Measure what languages have in common: transfer of probes, harm directions, semantic layers."""

    name: ClassVar[str] = "cross_lingual"
    about: ClassVar[str] = "Also measure what languages share: transfer of probes, harm directions, semantic layers."
    switch: ClassVar[str] = "cross_lingual"
