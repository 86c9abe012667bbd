"""Options made from tables of settings, so that command line and recipe cannot differ."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from typing import Annotated, Any, get_type_hints

import typer

from isogloss.cli.options import split
from isogloss.engines.config import EngineConfig
from isogloss.models.pairs import ModelRef
from isogloss.recipes.settings import SETTINGS, Setting

#: Lists whose option is given once for each item: file names may have commas.
REPEATED = ("aligned", "corpus", "column")
#: What stands for an empty list on the command line.
NONE = "none"


def with_settings(door: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for every setting; those that were typed are its first argument, `given`.

    One that has an argument `engine` gets the options of `EngineConfig` as well.
    """
    return with_options(SETTINGS)(door)


def with_options(rows: Mapping[str, Setting]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for every row of a table: see `with_settings`."""

    def decorate(door: Callable[..., None]) -> Callable[..., None]:
        asked = inspect.signature(door, eval_str=True).parameters
        own = [one for one in asked.values() if one.name not in {"given", "engine"}]
        of_engine = fields(EngineConfig) if "engine" in asked else ()

        def command(context: typer.Context, **values: Any) -> None:  # noqa: ANN401 - what typer hands over
            given = {name: _read(row, values[name]) for name, row in rows.items() if _typed(context, name)}
            chosen = {name: value for name, value in given.items() if value is not None}
            if of_engine:
                values["engine"] = EngineConfig(**{one.name: values.pop(one.name) for one in of_engine})
            door(chosen, **{name: values[name] for name in asked if name != "given"})

        first = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        keyword = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
        options = [*map(_option, rows.values()), *map(_engine_option, of_engine)]
        signature = inspect.Signature([first, *options, *keyword])
        command.__signature__ = signature  # type: ignore[attr-defined]  # inspect, and so typer, reads it
        command.__name__, command.__doc__ = door.__name__, door.__doc__
        return command

    return decorate


def _typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _option(row: Setting) -> inspect.Parameter:
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


def _engine_option(row: Field[Any]) -> inspect.Parameter:
    info = typer.Option(f"--{row.name.replace('_', '-')}", help=row.metadata["about"])
    hint: Any = get_type_hints(EngineConfig)[row.name]
    return inspect.Parameter(
        row.name, inspect.Parameter.KEYWORD_ONLY, default=row.default, annotation=Annotated[hint, info]
    )


def _read(row: Setting, value: Any) -> Any:  # noqa: ANN401 - of the kind of the setting
    """Turn what typer read into what `Settings` takes; None if nothing was said."""
    if row.kind is not tuple:
        return value
    if row.name in REPEATED:
        return tuple(value)
    return () if value == NONE else split(value)
