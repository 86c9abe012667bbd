"""What a result records of requests and of the chat template."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from isogloss.hidden_states.activations import Activations
from isogloss.models.pairs import ModelRef


def record_template(aligned: Activations) -> dict[str, Any]:
    """Return the settings of the chat template as audit.json holds them; none on raw text."""
    return dict(aligned.template_settings.record) if aligned.template_settings else {}


def request_options(request: Any) -> dict[str, Any]:  # noqa: ANN401 - any request
    """Write a request as options: key -> true, a number, a text, a list of texts, or the role of a model.

    Defaults are left out. `isogloss report` writes the command that repeats an audit from these options.
    """
    options: dict[str, Any] = {}
    names = [column.name for column in fields(request)]
    if request.switch not in names:
        options[request.switch] = True
    for column in fields(request):
        value = getattr(request, column.name)
        if value != column.default and "about" in column.metadata:
            options[column.name] = {"model": column.name} if isinstance(value, ModelRef) else value
    return {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
