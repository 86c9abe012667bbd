"""Settings -> what an audit takes: a model pair, a corpus, a config."""

from __future__ import annotations

from dataclasses import replace

from isogloss.auditing.config import PRIMARY, AuditConfig, parse_primary
from isogloss.corpora.corpus import Corpus
from isogloss.corpora.load import load_corpus
from isogloss.errors import UsageError
from isogloss.models.pairs import ModelPair, ModelRef, model_pair
from isogloss.recipes.rendering import specs
from isogloss.recipes.settings import Settings, columns
from isogloss.separation.metrics import STANDARD

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


def config_of(settings: Settings, *, workers: int | None = None, keep: str = "all") -> AuditConfig:
    """Put the config together.

    Raises:
        UsageError: a setting has no such value, or settings do not go together.
    """
    spec, chat = specs(
        settings.rendering,
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
        part=settings.part,
        quarantine=settings.quarantine,
        trained_texts=settings.trained_texts,
        metrics=STANDARD if settings.metrics is None else settings.metrics,
        primary=parse_primary(settings.primary) if settings.primary else PRIMARY,
        match=settings.match,
        controls=settings.controls,
        behaviour=settings.behaviour,
        generate=settings.generate,
        placebo=ModelRef.parse(settings.placebo) if settings.placebo else None,
        across=settings.across,
        per_class=settings.per_class,
        pivot=settings.pivot,
        seed=settings.seed,
        shuffles=settings.shuffles,
        workers=workers,
        keep=keep,
    )
