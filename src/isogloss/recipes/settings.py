"""Settings: the table of all choices of an audit, on the command line and in a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from isogloss.analyses.registry import requests
from isogloss.auditing.request import Request
from isogloss.data.corpus_options import parse_columns, parse_wide
from isogloss.data.languages import known_code
from isogloss.errors import UsageError, unknown
from isogloss.models.pairs import ModelRef


def _setting(default: Any, about: str, least: int | None = None) -> Any:  # noqa: ANN401 - the type of the field
    """Make one row: its default, its help, and the smallest number that it accepts."""
    return field(default=default, metadata={"about": about, "least": least})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The choices of one audit: each field is an option of `isogloss audit` and a key of a recipe.

    An option has hyphens where its key has underscores. A tuple is a list in a recipe and comma-separated on the
    command line; there, `aligned`, `corpus`, `column`, `harmful` and `template_arg` are repeated for each item. None
    means "not set". `options` holds the keys that analyses add (see `make_settings`).
    """

    pair: str | None = _setting(None, "Known model pair: see `isogloss models`. Default: embedded.")
    reference: str | None = _setting(None, "Model before alignment: folder, hub/id, file.gguf or base+adapter.")
    aligned: tuple[str, ...] = _setting((), "Model after alignment, in the same forms; repeat for several descendants.")
    corpus: tuple[str, ...] = _setting(
        ("mini",),
        "Corpus name (see `isogloss corpora`), file, folder, pattern, or org/name:config/split; may be repeated.",
    )
    column: tuple[str, ...] = _setting(
        (),
        "Column of your file, such as text=comment, harmless=is_safe, label=toxicity>=0.5 or language==de (a constant);"
        " may be repeated.",
    )
    harmful: tuple[str, ...] = _setting(
        (), "Label value that means harmful, all others harmless; may be repeated. Default: known words decide."
    )
    label: str | None = _setting(None, "Class of all texts of a one-class corpus: harmful or harmless.")
    wide: tuple[str, ...] | None = _setting(
        None, "Languages that have columns side by side, such as en,de or en=prompt_en,de=prompt_de."
    )
    no_header: bool = _setting(
        False,  # noqa: FBT003
        "The first line of the file is a row: columns are named 1, 2, 3.",
    )
    encoding_errors: str = _setting("refuse", "Rows that are not UTF-8: refuse or drop.")
    incomplete_pairs: str = _setting("drop", "Pairs of which one text is missing: drop or refuse.")
    languages: tuple[str, ...] | None = _setting(None, "Language codes, such as en,hi,am. Default: all in the corpus.")
    per_class: int | None = _setting(
        None, "Texts per language and class. Default: as many as the smallest language has.", 1
    )
    conflicts: str = _setting("drop", "What to do with texts under both labels: drop or refuse.")
    split: str = _setting("all", "Split to audit: all, training or held-out (the split that `isogloss tune` uses).")
    trained_texts: str = _setting(
        "refuse", "Texts that an adapter was trained on: refuse, drop (with partners) or allow."
    )
    quarantine: bool = _setting(
        False,  # noqa: FBT003 - the default of a flag
        "Leave out texts without finite numbers, with their partners and translations, instead of failing.",
    )
    layers: tuple[str, ...] = _setting(
        ("final",), "Layers, such as 0,6,final; final-pre is before the last norm; or all."
    )
    position: str = _setting(
        "last", "Read-out: last (token) or mean; in the chat template also last_instruction_token or last_prompt_token."
    )
    prompt_format: str = _setting(
        "raw", "Prompt format: raw text, or chat (a user turn in the aligned model's chat template)."
    )
    chat_template: Path | None = _setting(  # noqa: RUF009 - a field, as all others
        None, "Jinja file to use instead of the aligned model's chat template."
    )
    template_arg: tuple[str, ...] = _setting(
        (), "Argument of the chat template with a JSON value, such as enable_thinking=false; may be repeated."
    )
    dtype: str = _setting("float32", "Number format of weights and computation: float32 or bfloat16.")
    precision: str = _setting(
        "exact", "exact, or fast (linear layers in bfloat16; the drift is measured and recorded)."
    )
    quantize: str | None = _setting(None, "Quantise the weights: bnb-8bit, bnb-4bit or torchao-int8.")
    max_tokens: int = _setting(512, "Token limit; longer texts are truncated at the end.", 8)
    metrics: tuple[str, ...] | None = _setting(
        None, "Metrics to compute: see `isogloss metrics`. Default: all but published ones."
    )
    scaling: str = _setting(
        "none",
        "Scale hidden dimensions before components are fitted: none, standard, robust, pooled or pooled-robust.",
    )
    primary: str | None = _setting(
        None,
        "Metric that verdicts come from, as metric:components@layer, fixed before the run. "
        "Default: between_class_variance:10 at the last of the layers.",
    )
    controls: tuple[str, ...] = _setting(
        ("untrained", "bits_per_character"),
        "Controls that need additional forward passes: untrained, bits_per_character; or none.",
    )
    pivot: str = _setting("en", "Language that the others are compared with.")
    seed: int = _setting(0, "Random seed for sampling, permutations and folds.", 0)
    permutations: int = _setting(500, "Label permutations for the null.", 100)
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Know languages by their canonical codes, as corpora do."""
        object.__setattr__(self, "pivot", known_code(self.pivot))
        if self.languages is not None:
            object.__setattr__(self, "languages", tuple(dict.fromkeys(map(known_code, self.languages))))


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


def _find_kind(hint: Any) -> type:  # noqa: ANN401 - a type hint
    if isinstance(hint, UnionType):
        hint = next(member for member in get_args(hint) if member is not type(None))
    kind: type = get_origin(hint) or hint
    return kind


def _list_options(kind: type[Any]) -> dict[str, Setting]:
    """Return the options among the fields of a dataclass."""
    hints = get_type_hints(kind)
    return {
        column.name: Setting(
            column.name,
            _find_kind(hints[column.name]),
            column.default,
            column.metadata["about"],
            column.metadata["least"],
        )
        for column in fields(kind)
        if "about" in column.metadata
    }


def request_rows(kind: type[Request]) -> dict[str, Setting]:
    """Return the settings that a request adds: its options, and its switch if that is not one of them."""
    rows = _list_options(kind)
    if kind.switch in rows:
        return rows
    return {kind.switch: Setting(kind.switch, bool, False, kind.about, None), **rows}  # noqa: FBT003


CORE = _list_options(Settings)
#: All settings: those of the core and of each analysis.
SETTINGS: dict[str, Setting] = CORE | {name: row for kind in requests() for name, row in request_rows(kind).items()}
#: Settings that name models and texts; a recipe may list several of each.
MODELS = ("pair", "reference", "aligned")
TEXTS = ("corpus", "column")
#: Settings that say how a corpus is to be understood.
READING = ("column", "harmful", "label", "wide", "no_header", "encoding_errors", "incomplete_pairs")
READING_OPTIONS = {name: SETTINGS[name] for name in READING}

#: Lists that may be empty.
EMPTY = ("controls",)

#: Kind -> how messages name a value of it.
KINDS = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    Path: "a path",
    tuple: "a list of texts",
    ModelRef: "a text",
}


def read_value(name: str, value: object, where: str) -> Any:  # noqa: ANN401 - of the type of that setting
    """Check a TOML value and return it as `Settings` takes it; a list of one text may be written as that text.

    Args:
        name: name of the setting.
        value: value read from TOML.
        where: file and table, for messages.

    Raises:
        UsageError: the setting is unknown, or the value has another type or is too small.

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
    if row.name not in EMPTY and (value == [] or (isinstance(value, str | list) and "" in [value, *value])):
        raise UsageError(f"{where}: {name}", found=repr(value), expected=KINDS[row.kind], do="fill it, or drop the key")
    if row.least is not None and isinstance(value, int) and value < row.least:
        raise UsageError(f"{where}: {name}", found=str(value), expected=f"at least {row.least}", do="correct it")
    return value if row.kind is ModelRef else row.kind(value)


def make_settings(values: Mapping[str, Any]) -> Settings:
    """Make settings from keys of SETTINGS, including those of analyses."""
    core = {name: value for name, value in values.items() if name in CORE}
    return Settings(**core, options={name: value for name, value in values.items() if name not in CORE})


def settings_values(settings: Settings) -> dict[str, Any]:
    """Return all keys of settings with their values, as `make_settings` takes them."""
    return {name: getattr(settings, name) for name in CORE} | dict(settings.options)


def read_corpus_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a corpus among settings, as `load_corpus` takes them.

    Raises:
        UsageError: an option cannot be read.

    >>> read_corpus_options({"column": ("text=comment",), "no_header": True})
    {'columns': {'text': 'comment'}, 'header': False}
    """
    options = {name: value for name, value in values.items() if name in READING}
    if "column" in options:
        options["columns"] = parse_columns(options.pop("column"))
    if "wide" in options:
        options["wide"] = parse_wide(options["wide"] or ())
    if "no_header" in options:
        options["header"] = not options.pop("no_header")
    return options


def texts_key(settings: Settings) -> tuple[object, ...]:
    """Return the settings that determine which texts are loaded."""
    return tuple(getattr(settings, name) for name in ("corpus", "languages", "conflicts", *READING))
