"""Build the arguments of an audit from settings: a model pair, a corpus, a config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isogloss.analyses.registry import requests
from isogloss.auditing.config import PRIMARY, AuditConfig, parse_primary
from isogloss.data.corpus import Corpus
from isogloss.data.curate import Conflicts
from isogloss.data.load import load_corpus
from isogloss.errors import UsageError
from isogloss.models.pairs import ModelPair, ModelRef, model_pair
from isogloss.models.template_settings import parse_arguments
from isogloss.recipes.settings import (
    Setting,
    Settings,
    option_name,
    read_corpus_options,
    request_rows,
    settings_values,
)
from isogloss.stats.metrics import STANDARD

if TYPE_CHECKING:
    from isogloss.hidden_states.spec import ExtractSpec


EMBEDDED = "embedded"


def pair_of(settings: Settings) -> ModelPair:
    """Look up or build the model pair.

    Raises:
        UsageError: models are named in two ways, or the aligned model is missing.
        ModelError: the pair is unknown, or the name of a model cannot be read.
    """
    reference, aligned = settings.reference, settings.aligned
    if len(aligned) > 1:
        count = f"{len(aligned)} aligned models"
        raise UsageError("models", found=count, expected="one in an audit", do="audit them one by one")
    if settings.pair and (reference or aligned):
        raise UsageError(
            "models", found="--pair and --reference or --aligned", expected="one way to name them", do="drop one"
        )
    if not (reference or aligned):
        return model_pair(settings.pair or EMBEDDED)
    if not aligned:
        raise UsageError("models", found="--reference only", expected="--aligned as well", do="name the aligned model")
    return ModelPair(
        name="own",
        reference=ModelRef.parse(reference) if reference else None,
        aligned=ModelRef.parse(aligned[0]),
        source="command line or recipe",
    )


def corpus_of(settings: Settings) -> Corpus:
    """Load the texts; hub data sets are downloaded.

    Raises:
        UsageError: the value of an option is unknown.
        CorpusError: see `load_corpus`.
    """
    return load_corpus(
        settings.corpus,
        languages=settings.languages,
        **read_corpus_options(settings_values(settings)),
        conflicts=check_conflicts(settings.conflicts),
    )


def check_conflicts(value: str) -> Conflicts:
    """Check the value of --conflicts.

    Raises:
        UsageError: it is unknown.
    """
    if value not in {"drop", "refuse"}:
        raise UsageError("--conflicts", found=repr(value), expected="drop or refuse", do="choose one")
    return "refuse" if value == "refuse" else "drop"


def config_of(settings: Settings, *, workers: int | None = None, cache_states: str = "all") -> AuditConfig:
    """Build the config.

    Raises:
        UsageError: the value of a setting is unknown, or settings contradict each other.
    """
    template = _read_template(settings.chat_template) if settings.chat_template else None
    return AuditConfig(
        spec=spec_of(settings, template),
        split=settings.split,
        quarantine=settings.quarantine,
        trained_texts=settings.trained_texts,
        metrics=STANDARD if settings.metrics is None else settings.metrics,
        scaling=settings.scaling,
        primary=parse_primary(settings.primary) if settings.primary else PRIMARY,
        controls=settings.controls,
        analyses=requests_of(
            settings, {"chat_template": template, "template_args": parse_arguments(settings.template_arg)}
        ),
        per_class=settings.per_class,
        pivot=settings.pivot,
        seed=settings.seed,
        permutations=settings.permutations,
        workers=workers,
        cache_states=cache_states,
    )


def requests_of(settings: Settings, shared: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the requests of the analyses whose switch is set.

    Args:
        settings: settings, with the keys of analyses.
        shared: field name -> value of the core settings that requests have as well.

    Raises:
        UsageError: an option of an analysis is set without its switch, or nothing uses a shared setting.
    """
    chosen_requests = []
    for kind in requests():
        rows = request_rows(kind)
        values = {name: settings.options[name] for name in rows if name in settings.options}
        chosen = {name: value for name, value in values.items() if value != rows[name].default}
        if kind.switch not in chosen:
            for name in chosen:
                switch = option_name(kind.switch)
                raise UsageError(option_name(name), found=f"no {switch}", expected="both", do="add it")
            continue
        names = {column.name for column in fields(kind)}  # type: ignore[arg-type]  # every request is a dataclass
        options = {name: _parse_value(rows[name], value) for name, value in chosen.items() if name in names}
        chosen_requests.append(kind(**options, **{name: value for name, value in shared.items() if name in names}))
    for name, value in shared.items():
        used = settings.prompt_format == "chat" or any(hasattr(request, name) for request in chosen_requests)
        if value and not used:
            raise UsageError(
                option_name(name.removesuffix("s")),
                found="--prompt-format raw",
                expected="--prompt-format chat or --compare-chat",
                do="add it: without a template the last token is that of the text",
            )
    return tuple(chosen_requests)


def _parse_value(row: Setting, value: Any) -> Any:  # noqa: ANN401 - of the type of the field
    return ModelRef.parse(value) if row.kind is ModelRef and isinstance(value, str) else value


#: In the chat template, the last token of a prompt belongs to the template.
POSITIONS = {"last_prompt_token": "last"}


def spec_of(settings: Settings, template: str | None) -> ExtractSpec:
    """Build the spec of an audit.

    Raises:
        UsageError: the value of an option is unknown, or options contradict each other.
    """
    from isogloss.hidden_states.spec import ExtractSpec  # noqa: PLC0415

    position, prompt_format = settings.position, settings.prompt_format
    if position in POSITIONS and prompt_format == "raw":
        raise UsageError(
            f"--position {position}", found="--prompt-format raw", expected="--prompt-format chat", do="add it"
        )
    return ExtractSpec(
        layers=settings.layers,
        position=POSITIONS.get(position, position),  # type: ignore[arg-type]  # the spec checks these
        prompt_format=prompt_format,  # type: ignore[arg-type]
        max_tokens=settings.max_tokens,
        dtype=settings.dtype,
        precision=settings.precision,  # type: ignore[arg-type]
        quantize=settings.quantize,
        chat_template=template if prompt_format == "chat" else None,
        template_args=settings.template_arg if prompt_format == "chat" else (),
    )


def _read_template(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fault = (str(error).splitlines() or [repr(error)])[0]
        raise UsageError(
            f"--chat-template {path}", found=fault, expected="a text file with a Jinja template", do="check the path"
        ) from error
