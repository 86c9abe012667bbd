"""Settings -> what an audit takes: a model pair, a corpus, a config."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from isogloss.auditing.config import PRIMARY, AuditConfig, parse_primary
from isogloss.data.corpus import Corpus
from isogloss.data.load import load_corpus
from isogloss.errors import UsageError
from isogloss.models.pairs import ModelPair, ModelRef, model_pair
from isogloss.recipes.settings import Settings, columns
from isogloss.stats.metrics import STANDARD

if TYPE_CHECKING:
    from isogloss.hidden_states.spec import ExtractSpec


EMBEDDED = "embedded"


def pair_of(settings: Settings) -> ModelPair:
    """Look up or put together the models.

    Raises:
        UsageError: they are named in two ways, or the aligned model is missing.
        ModelError: there is no such pair, or a reference cannot be read.
    """
    reference, aligned = settings.reference, settings.aligned
    if len(aligned) > 1:
        found = f"{len(aligned)} aligned models"
        raise UsageError("models", found=found, expected="one in an audit", do="audit them one by one")
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
        UsageError: an option has no such value.
        CorpusError: see `load_corpus`.
    """
    if settings.conflicts not in {"drop", "refuse"}:
        raise UsageError("--conflicts", found=repr(settings.conflicts), expected="drop or refuse", do="choose one")
    return load_corpus(
        settings.corpus,
        languages=settings.languages,
        columns=columns(settings.column),
        conflicts="refuse" if settings.conflicts == "refuse" else "drop",
    )


def config_of(settings: Settings, *, workers: int | None = None, cache_states: str = "all") -> AuditConfig:
    """Put the config together.

    Raises:
        UsageError: a setting has no such value, or settings do not go together.
    """
    spec, chat = specs(
        settings.prompt_format,
        settings.position,
        settings.chat_template,
        max_tokens=settings.max_tokens,
        dtype=settings.dtype,
        precision=settings.precision,
        quantize=settings.quantize,
    )
    return AuditConfig(
        spec=replace(spec, layers=settings.layers),
        chat=chat,
        split=settings.split,
        quarantine=settings.quarantine,
        trained_texts=settings.trained_texts,
        metrics=STANDARD if settings.metrics is None else settings.metrics,
        primary=parse_primary(settings.primary) if settings.primary else PRIMARY,
        match=settings.match,
        controls=settings.controls,
        behaviour=settings.behaviour,
        generate=settings.generate,
        placebo=ModelRef.parse(settings.placebo) if settings.placebo else None,
        cross_lingual=settings.cross_lingual,
        per_class=settings.per_class,
        pivot=settings.pivot,
        seed=settings.seed,
        permutations=settings.permutations,
        workers=workers,
        cache_states=cache_states,
    )


PROMPT_FORMATS = ("raw", "chat", "both")
#: The last token in chat prompt format is that of the template.
POSITIONS = {"last_prompt_token": "last"}


def specs(
    prompt_format: str,
    position: str,
    chat_template: Path | None,
    *,
    max_tokens: int,
    dtype: str,
    precision: str,
    quantize: str | None = None,
) -> tuple[ExtractSpec, ExtractSpec | None]:
    """Build the spec of an audit, and a second one where both prompt formats are asked for.

    Raises:
        UsageError: an option has no such value, or options do not go together.
    """
    from isogloss.hidden_states.spec import ExtractSpec  # noqa: PLC0415

    if prompt_format not in PROMPT_FORMATS:
        raise UsageError(
            "--prompt-format", found=repr(prompt_format), expected=" or ".join(PROMPT_FORMATS), do="choose one"
        )
    if position in POSITIONS and prompt_format == "raw":
        raise UsageError(
            f"--position {position}", found="--prompt-format raw", expected="--prompt-format chat", do="add it"
        )
    template = _read(chat_template) if chat_template else None
    plain = ExtractSpec(max_tokens=max_tokens, dtype=dtype, precision=precision, quantize=quantize)  # type: ignore[arg-type]
    if prompt_format == "raw":
        return replace(plain, position=position, chat_template=template), None  # type: ignore[arg-type]
    chat = replace(
        plain,
        prompt_format="chat",
        position=POSITIONS.get(position, position),  # type: ignore[arg-type]
        chat_template=template,
    )
    if prompt_format == "chat":
        return chat, None
    # On raw text the last token of the text is the last token.
    return replace(plain, position="mean" if position == "mean" else "last"), chat


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        found = (str(error).splitlines() or [repr(error)])[0]
        raise UsageError(
            f"--chat-template {path}", found=found, expected="a text file with a Jinja template", do="check the path"
        ) from error
