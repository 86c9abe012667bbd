"""Requests of analyses: frozen dataclasses of what may be chosen, light enough for the command line to import.

The fields of a request, made by `option`, are options of the command line and keys of a recipe.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar, Protocol


class Request(Protocol):
    """What asks for an analysis; an instance stands in `AuditConfig.analyses`.

    Attributes:
        name: of the analysis, its folder, and its entry in audit.json.
        about: one sentence, the help of its switch.
        switch: the key that asks for it: a boolean of its own, or the field that is not empty then.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    switch: ClassVar[str]


def option(default: Any, about: str, *, least: int | None = None) -> Any:  # noqa: ANN401 - the type of the field
    """Make a field that is an option: its default, its help, and the smallest number that it takes."""
    return field(default=default, metadata={"about": about, "least": least})
