"""Requests of analyses: frozen dataclasses of options, light enough for the command line to import.

The fields of a request, made by `option`, are options of the command line and keys of a recipe.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar, Protocol


class Request(Protocol):
    """The request of an analysis; `AuditConfig.analyses` holds an instance.

    Attributes:
        name: name of the analysis, its folder, and its entry in audit.json.
        about: one sentence, the help of its switch.
        switch: key that requests it: a boolean option, or a field that is not empty if it is requested.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    switch: ClassVar[str]


def option(default: Any, about: str, *, least: int | None = None) -> Any:  # noqa: ANN401 - the type of the field
    """Make a field that is an option, with its default, its help and the smallest number that it accepts."""
    return field(default=default, metadata={"about": about, "least": least})
