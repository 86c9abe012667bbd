"""Settings: the table of all that can be chosen for an audit, on the command line and in a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from isogloss.analyses.registry import requests
from isogloss.auditing.request import Request
from isogloss.errors import UsageError, unknown
from isogloss.models.pairs import ModelRef


def _setting(default: Any, about: str, least: int | None = None) -> Any:  # noqa: ANN401 - the type of the field
    """One row: its default, its help, and the smallest number that it takes."""
    return field(default=default, metadata={"about": about, "least": least})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is chosen for one audit: each field is an option of `isogloss audit` and a key of a recipe.

    The name of an option has hyphens where the key has underscores. A tuple is a list in a recipe and separated by
    commas on the command line, where `aligned`, `corpus` and `column` are given once for each item. None is "not set".
    `options` holds the keys that analyses add (see `make_settings`).
    """

    pair: str | None = _setting(None, "A known pair: see `isogloss models`. Default: embedded.")
    reference: str | None = _setting(None, "Model before alignment: folder, hub/id, file.gguf, base+adapter.")
    aligned: tuple[str, ...] = _setting(
        (), "Model after alignment, in the same forms; give several descendants one by one."
    )
    corpus: tuple[str, ...] = _setting(("mini",), "Name (see `isogloss corpora`) or file; may be given twice.")
    column: tuple[str, ...] = _setting((), "Name a column of your file, such as text=comment.")
    languages: tuple[str, ...] | None = _setting(None, "Codes, such as en,hi,am. Default: all in the corpus.")
    per_class: int | None = _setting(None, "Texts per language and class. Default: the most that all have.", 1)
    conflicts: str = _setting("drop", "Texts under both labels: drop or refuse.")
    split: str = _setting("all", "Split to audit: all, training or held-out (the split that `isogloss tune` uses).")
    trained_texts: str = _setting(
        "refuse", "Texts that an adapter was trained on: refuse, drop (with partners), allow."
    )
    quarantine: bool = _setting(
        False,  # noqa: FBT003 - the default of a flag
        "Leave out texts that give no finite numbers, with their partners and translations, in place of an error.",
    )
    layers: tuple[str, ...] = _setting(("final",), "Such as 0,6,final; final-pre is before the last norm; all.")
    position: str = _setting(
        "last", "Read-out: last (token) or mean; in the chat template also last_instruction_token, last_prompt_token."
    )
    prompt_format: str = _setting("raw", "raw text, or chat: a user turn in the aligned model's chat template.")
    chat_template: Path | None = _setting(  # noqa: RUF009 - a field, as all others
        None, "Jinja file in place of the aligned model's chat template."
    )
    dtype: str = _setting("float32", "float32 or bfloat16.")
    precision: str = _setting("exact", "exact, or fast: linear layers in bfloat16; the drift is measured and recorded.")
    quantize: str | None = _setting(None, "Weights in bnb-8bit, bnb-4bit or torchao-int8.")
    max_tokens: int = _setting(512, "Longer texts lose their end.", 2)
    metrics: tuple[str, ...] | None = _setting(None, "See `isogloss metrics`. Default: all but published ones.")
    primary: str | None = _setting(
        None,
        "Where verdicts come from: metric:components@layer, fixed before the run. "
        "Default: between_class_variance:10 at the last of the layers.",
    )
    controls: tuple[str, ...] = _setting(
        ("untrained", "bits_per_character"),
        "Controls with forward passes of their own: untrained, bits_per_character; none.",
    )
    pivot: str = _setting("en", "Language that the others are compared with.")
    seed: int = _setting(0, "Random seed for sampling, permutations and folds.", 0)
    permutations: int = _setting(500, "Label permutations for the null.", 100)
    options: Mapping[str, Any] = field(default_factory=dict)


class Setting(NamedTuple):
    """One row of SETTINGS; `kind` is str, int, bool, Path, tuple (of texts) or ModelRef (written as a text)."""

    name: str
    kind: type
    default: Any
    about: str
    least: int | None

    @property
    def option(self) -> str:
        """Its name on the command line."""
        return option_name(self.name)


def option_name(key: str) -> str:
    """Return the option of the command line for a key.

    >>> option_name("per_class")
    '--per-class'
    """
    return f"--{key.replace('_', '-')}"


def _kind(hint: Any) -> type:  # noqa: ANN401 - a type hint
    if isinstance(hint, UnionType):
        hint = next(part for part in get_args(hint) if part is not type(None))
    kind: type = get_origin(hint) or hint
    return kind


def _rows(kind: type[Any]) -> dict[str, Setting]:
    """Return the options among the fields of a dataclass."""
    hints = get_type_hints(kind)
    return {
        column.name: Setting(
            column.name, _kind(hints[column.name]), column.default, column.metadata["about"], column.metadata["least"]
        )
        for column in fields(kind)
        if "about" in column.metadata
    }


def request_rows(kind: type[Request]) -> dict[str, Setting]:
    """Return the settings that a request adds: its switch, unless that is one of its fields, and its options."""
    rows = _rows(kind)
    if kind.switch in rows:
        return rows
    return {kind.switch: Setting(kind.switch, bool, False, kind.about, None), **rows}  # noqa: FBT003


CORE = _rows(Settings)
#: All settings: those of the core, and those of each analysis.
SETTINGS: dict[str, Setting] = CORE | {name: row for kind in requests() for name, row in request_rows(kind).items()}
#: Settings that say which models, and which texts; a recipe may list several of either.
MODELS = ("pair", "reference", "aligned")
TEXTS = ("corpus", "column")

#: How a value of each kind is named in messages.
KINDS = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    Path: "a path",
    tuple: "a list of texts",
    ModelRef: "a text",
}


def read_value(name: str, value: object, where: str) -> Any:  # noqa: ANN401 - of the type of that setting
    """Check a value as TOML has it, and return it as `Settings` takes it; a list of one text may be that text.

    Args:
        name: of the setting.
        value: what TOML holds.
        where: file and table, for messages.

    Raises:
        UsageError: there is no such setting, or the value is of another type, or too small.

    >>> read_value("languages", ["en", "hi"], "recipe")
    ('en', 'hi')
    """
    if name not in SETTINGS:
        raise unknown(UsageError, "key", name, SETTINGS, where)
    row = SETTINGS[name]
    if row.kind is tuple and isinstance(value, str):
        value = [value]
    fits = {
        str: isinstance(value, str),
        Path: isinstance(value, str),
        bool: isinstance(value, bool),
        int: isinstance(value, int) and not isinstance(value, bool),
        tuple: isinstance(value, list) and all(isinstance(item, str) for item in value),
        ModelRef: isinstance(value, str),
    }
    if not fits[row.kind]:
        raise UsageError(f"{where}: {name}", found=repr(value), expected=KINDS[row.kind], do="correct it")
    if row.least is not None and isinstance(value, int) and value < row.least:
        raise UsageError(f"{where}: {name}", found=str(value), expected=f"at least {row.least}", do="correct it")
    return value if row.kind is ModelRef else row.kind(value)


def make_settings(values: Mapping[str, Any]) -> Settings:
    """Put settings together from keys of SETTINGS, those of analyses too."""
    core = {name: value for name, value in values.items() if name in CORE}
    return Settings(**core, options={name: value for name, value in values.items() if name not in CORE})


def settings_values(settings: Settings) -> dict[str, Any]:
    """Return all keys of settings with their values: what `make_settings` takes."""
    return {name: getattr(settings, name) for name in CORE} | dict(settings.options)


def columns(options: Sequence[str]) -> dict[str, str]:
    """Read settings such as text=comment.

    >>> columns(["text=comment"])
    {'text': 'comment'}
    """
    renamed = {}
    for option in options:
        ours, equals, theirs = option.partition("=")
        if not (ours and equals and theirs):
            raise UsageError(
                "--column", found=repr(option), expected="ours=theirs, such as text=comment", do="correct it"
            )
        renamed[ours] = theirs
    return renamed
