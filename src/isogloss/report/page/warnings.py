"""Coded warnings in plain words, each in the section whose numbers it qualifies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from isogloss.warnings import WARNINGS, CodedWarning, SectionKey


@dataclass(frozen=True, kw_only=True)
class Warned:
    """One code: its meaning, what it means here, and where it was seen."""

    code: str
    meaning: str
    words: str
    seen: tuple[tuple[str, str], ...]


def warned(warnings: Sequence[CodedWarning], section: SectionKey, names: dict[str, str]) -> list[Warned]:
    """Gather the warnings of one section by code; `names` are those of languages."""
    found = []
    for code in sorted({warning.code for warning in warnings if WARNINGS[warning.code].section == section}):
        seen = tuple(
            (names.get(warning.language, warning.language) if warning.language else "", warning.detail)
            for warning in warnings
            if warning.code == code
        )
        found.append(Warned(code=code, meaning=WARNINGS[code].meaning, words=WARNINGS[code].advice, seen=seen))
    return found
