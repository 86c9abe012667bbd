"""Command-line options made from the tables of settings, so that command line and recipe cannot differ."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from isogloss.cli.options import split
from isogloss.engines.config import EngineConfig
from isogloss.errors import UsageError
from isogloss.models.pairs import ModelRef
from isogloss.recipes.settings import SETTINGS, Setting

#: Lists whose option is repeated for each item, because file names may hold commas.
REPEATED = ("aligned", "corpus", "column", "harmful", "template_arg")
#: An empty list on the command line.
NONE = "none"


def with_settings(function: Callable[..., None]) -> Callable[..., None]:
    """Add an option for every setting to a command; typed ones become its first argument, `given`.

    A command with an argument `engine` gets the options of `EngineConfig` as well.
    """
    return with_options(SETTINGS)(function)


def with_options(rows: Mapping[str, Setting]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add an option for every row of a table to a command: see `with_settings`."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        parameters = inspect.signature(function, eval_str=True).parameters
        added = [parameter for parameter in parameters.values() if parameter.name not in {"given", "engine"}]
        engine_fields = fields(EngineConfig) if "engine" in parameters else ()

        def command(context: typer.Context, **values: Any) -> None:  # noqa: ANN401 - what typer hands over
            given = {name: _parse_value(row, values[name]) for name, row in rows.items() if _is_typed(context, name)}
            chosen = {name: value for name, value in given.items() if value is not None}
            if engine_fields:
                values["engine"] = EngineConfig(**{field.name: values.pop(field.name) for field in engine_fields})
            function(chosen, **{name: values[name] for name in parameters if name != "given"})

        first = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        keywords = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in added]
        options = [*map(_make_option, rows.values()), *map(_make_engine_option, engine_fields)]
        signature = inspect.Signature([first, *options, *keywords])
        command.__signature__ = signature  # type: ignore[attr-defined]  # inspect, and so typer, reads it
        command.__name__, command.__doc__ = function.__name__, function.__doc__
        return command

    return decorate


def _is_typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _make_option(row: Setting) -> inspect.Parameter:
    kind: Any = row.kind
    default = row.default
    if row.kind is ModelRef:
        kind = str
    if row.kind is tuple:
        kind = list[str] if row.name in REPEATED else str
        default = (list(default) if row.name in REPEATED else ",".join(default)) if default else None
    hint = kind if default is not None else kind | None
    info = typer.Option(row.option, help=row.about, min=row.least)
    return inspect.Parameter(
        row.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[hint, info]
    )


def _make_engine_option(row: Field[Any]) -> inspect.Parameter:
    info = typer.Option(f"--{row.name.replace('_', '-')}", help=row.metadata["about"])
    hint: Any = get_type_hints(EngineConfig)[row.name]
    return inspect.Parameter(
        row.name, inspect.Parameter.KEYWORD_ONLY, default=row.default, annotation=Annotated[hint, info]
    )


def _parse_value(row: Setting, value: Any) -> Any:  # noqa: ANN401 - of the kind of the setting
    """Turn a value that typer read into one that `Settings` takes; None if it was not given.

    Raises:
        UsageError: it is empty.
    """
    texts = value if isinstance(value, list) else [value]
    if any(isinstance(text, str | Path) and not str(text).strip() for text in texts):
        raise UsageError(row.option, found="an empty text", expected="a value", do="give one, or drop the option")
    if row.kind is not tuple:
        return value
    if row.name in REPEATED:
        return tuple(value)
    return () if value == NONE else split(value, row.option)
