"""What an audit has settled before it computes anything: sample, metrics, primary estimand, where the states are."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from isogloss.activations.activations import Activations, locate
from isogloss.activations.spec import ExtractSpec, Layer
from isogloss.auditing.trained import draw_sample
from isogloss.behaviour.reading import Likelihoods, locate_bits
from isogloss.corpora.corpus import Corpus
from isogloss.errors import CorpusError, MetricError, ModelError, UsageError
from isogloss.models.depth import read_depth
from isogloss.models.pairs import ModelPair, ModelRef
from isogloss.progress import Track
from isogloss.results import Identity, Primary
from isogloss.separation.metrics import METRICS, Metric, metric

COMPONENTS = (2, 10)
LEVEL = 0.95
PRIMARY = Primary(metric="between_class_variance", components=10, layer="")
#: Fewer shuffles say nothing of a null.
MIN_SHUFFLES = 20
#: Controls that need forward passes of their own.
MODEL_CONTROLS = ("random_weights", "bits_per_character")
#: Harmless texts per language whose bits are counted; the LM head costs more than the rest of a small model.
BITS_TEXTS = 16
#: Features on which pairs (or texts) can be matched between languages.
FEATURES = ("length", "edit")


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """What may be chosen, besides models and corpus.

    Attributes:
        spec: layers, read-out position, rendering, token limit, dtype.
        chat: read the primary estimand in chat rendering as well, with this spec, and show both; its layers and
            precision are those of `spec`.
        metrics: names from METRICS; the primary metric and auroc are always among them.
        primary: the number that verdicts come from; its layer "" is the last one asked for.
        part: all of the corpus, or one of the halves of `isogloss tune`: training or held-out.
        quarantine: leave out texts for which a model gives no finite numbers, with their twins and translations, in
            place of an error.
        trained_texts: what to do about texts that an adapter of the pair was trained on: refuse, drop or allow.
        per_class: texts per language and class; None takes what the smallest language has.
        pivot: the language that retention compares with.
        match: repeat the comparison on pairs matched with the pivot's: any of length, edit.
        controls: of MODEL_CONTROLS, those to compute; they need forward passes of their own.
        shuffles: number of shuffled labelings for the null.
        seed: of sample, shuffles, folds and groups.
        workers: languages measured at the same time; changes no number. None takes one per processor core.
    """

    spec: ExtractSpec = field(default_factory=ExtractSpec)
    chat: ExtractSpec | None = None
    metrics: tuple[str, ...] = tuple(METRICS)
    primary: Primary = PRIMARY
    part: str = "all"
    quarantine: bool = False
    trained_texts: str = "refuse"
    per_class: int | None = None
    pivot: str = "en"
    match: tuple[str, ...] = ()
    controls: tuple[str, ...] = MODEL_CONTROLS
    shuffles: int = 500
    seed: int = 0
    workers: int | None = None


def parse_primary(text: str) -> Primary:
    """Read `metric`, `metric:components`, either with `@layer`.

    >>> parse_primary("silhouette:2@12")
    Primary(metric='silhouette', components=2, layer='12')
    """
    rest, _, layer = text.partition("@")
    name, _, components = rest.partition(":")
    if components and not components.isdecimal():
        raise UsageError(
            "--primary", found=repr(text), expected="metric, metric:components or metric:components@layer", do="correct"
        )
    return Primary(metric=name, components=int(components) if components else PRIMARY.components, layer=layer)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A settled audit.

    `activations` is keyed by role: reference (if there is one), aligned, and random (if that control is asked for);
    `chat` holds the compared roles in chat rendering, if both renderings are asked for;
    `likelihoods` are those of the model before alignment on a few harmless texts, if asked for; `left_out` names the
    texts that were left out because an adapter was trained on them, `quarantined` those that were because a model gives
    no finite numbers for them, their twins or translations; `asked_sha256` is the hash of the corpus before that.
    """

    config: AuditConfig
    corpus: Corpus
    metrics: tuple[Metric, ...]
    activations: dict[str, Activations]
    likelihoods: Likelihoods | None
    primary_layer: Layer
    chat: dict[str, Activations] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    quarantined: tuple[str, ...] = ()
    asked_sha256: str = ""

    @property
    def asked(self) -> str:
        """Hash of the texts that were to be scored, those in quarantine too: what a run is named by."""
        return self.asked_sha256 or self.corpus.sha256

    def of(self, language: str) -> Plan:
        """Take the part of one language, which is small enough to be sent."""
        corpus = replace(self.corpus, frame=self.corpus.part(language), notices=())
        likelihoods = self.likelihoods
        return replace(
            self,
            corpus=corpus,
            activations={role: one.on(corpus) for role, one in self.activations.items()},
            chat={role: one.on(corpus) for role, one in self.chat.items()},
            likelihoods=likelihoods.on([language]) if likelihoods else None,
            left_out=(),
            quarantined=(),
        )

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages, the pivot first."""
        return (self.config.pivot, *(code for code in self.corpus.languages if code != self.config.pivot))

    @property
    def roles(self) -> tuple[str, ...]:
        """Models that are compared: reference (if there is one) and aligned."""
        return tuple(role for role in ("reference", "aligned") if role in self.activations)

    @property
    def missing(self) -> bool:
        """Whether the store lacks anything."""
        states = any(one.missing for one in (*self.activations.values(), *self.chat.values()))
        return states or (self.likelihoods is not None and bool(self.likelihoods.missing))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Layers in order."""
        return self.activations["aligned"].layers

    @property
    def primary(self) -> Primary:
        """The primary estimand with the name of its layer."""
        return replace(self.config.primary, layer=self.primary_layer.name)

    @property
    def settings(self) -> dict[str, Any]:
        """Settings as they stand in audit.json."""
        config = self.config
        return {
            **config.spec.settings,
            "layers": [layer.name for layer in self.layers],
            **({"chat": config.chat.settings} if config.chat else {}),
            "metrics": [row.name for row in self.metrics],
            "components": list(self.components),
            "primary_changed": config.primary != PRIMARY,
            **({"quarantine": True} if config.quarantine else {}),
            **({"part": config.part} if config.part != "all" else {}),
            **({"trained_texts": config.trained_texts} if config.trained_texts != "refuse" else {}),
            "per_class": config.per_class,
            "match": list(config.match),
            "controls": list(config.controls),
            "shuffles": config.shuffles,
            "seed": config.seed,
            "level": LEVEL,
            "pivot": config.pivot,
            "primary": asdict(self.primary),
        }

    @property
    def components(self) -> tuple[int, ...]:
        """Numbers of principal components: 2 and 10, and those of the primary estimand."""
        return tuple(sorted({*COMPONENTS, self.config.primary.components}))

    @property
    def identity(self) -> Identity:
        """Everything that decides the result."""
        return Identity(
            corpus_name=self.corpus.name,
            corpus=self.asked,
            models={role: self.activations[role].checkpoint.sha256 for role in self.roles},
            config=self.settings,
        )


def make_plan(pair: ModelPair, corpus: Corpus, config: AuditConfig, store: Path | str | None, track: Track) -> Plan:
    """Settle an audit: look names up, draw the sample, find the checkpoints and their states; no weights are loaded."""
    rows = [metric(name) for name in dict.fromkeys((config.primary.metric, "auroc", *config.metrics))]
    _check_choices(config, corpus)
    sample, left_out = draw_sample(
        pair,
        corpus,
        part=config.part,
        choice=config.trained_texts,
        per_class=config.per_class,
        seed=config.seed,
    )
    models = {"reference": pair.reference, "aligned": pair.aligned}
    if "random_weights" in config.controls:
        base = pair.reference or pair.aligned
        models["random"] = ModelRef(base=base.base, revision=base.revision, random_seed=config.seed)
    activations = locate(
        {role: ref for role, ref in models.items() if ref}, sample, config.spec, store=store, track=track
    )
    _check_pair(activations)
    chat: dict[str, Activations] = {}
    if config.chat:
        layer = _primary_layer(config, activations["aligned"], track)
        in_chat = replace(config.chat, layers=("final" if layer.norm == "post" else str(layer.index),))
        compared = {role: ref for role, ref in models.items() if ref and role != "random"}
        chat = locate(compared, sample, in_chat, store=store, track=track)
    return Plan(
        config=config,
        corpus=sample,
        metrics=tuple(row for row in rows if sample.twins or not row.needs_twins),
        activations=activations,
        likelihoods=likelihoods_of(config, sample, activations, store),
        primary_layer=_primary_layer(config, activations["aligned"], track),
        chat=chat,
        left_out=left_out,
    )


def _check_pair(activations: dict[str, Activations]) -> None:
    before, after = activations.get("reference"), activations["aligned"]
    if before is not None and before.checkpoint.sha256 == after.checkpoint.sha256:
        raise ModelError(
            "model pair",
            found=f"the same weights as reference ({before.checkpoint.ref}) and aligned ({after.checkpoint.ref})",
            expected="a model and its descendant",
            do="correct --reference or --aligned, or leave --reference out",
        )


def likelihoods_of(
    config: AuditConfig, sample: Corpus, activations: dict[str, Activations], store: Path | str | None
) -> Likelihoods | None:
    """Find the likelihoods of a few harmless texts under the model before alignment, if they are asked for."""
    if "bits_per_character" not in config.controls:
        return None
    # Text ids are hashes, so the first texts are a random sample.
    few = sample.frame.filter(~pl.col("harmful")).group_by("language", maintain_order=True).head(BITS_TEXTS)
    texts = Corpus(name=sample.name, frame=few.with_columns(pair_id=pl.lit(None, dtype=pl.String)))
    before = activations.get("reference", activations["aligned"])
    return locate_bits(
        {"before": before.checkpoint},
        texts,
        max_tokens=config.spec.max_tokens,
        dtype=config.spec.dtype,
        quantize=config.spec.quantize,
        store=store,
    )["before"]


def _primary_layer(config: AuditConfig, aligned: Activations, track: Track) -> Layer:
    if not config.primary.layer:
        return aligned.layers[-1]
    named = replace(config.spec, layers=(config.primary.layer,))
    found = named.resolve(read_depth(aligned.checkpoint, track))[-1]
    if found not in aligned.layers:
        raise UsageError(
            "--primary",
            found=f"layer {config.primary.layer!r}",
            expected=f"one of the layers that are read: {', '.join(layer.name for layer in aligned.layers)}",
            do="add it to --layers, or choose another",
        )
    return found


def _check_choices(config: AuditConfig, corpus: Corpus) -> None:
    if config.pivot not in corpus.languages:
        raise CorpusError(
            "--pivot",
            found=f"{config.pivot!r}",
            expected=f"a language of the corpus: {', '.join(corpus.languages)}",
            do="choose one, or add the language to --languages",
        )
    if config.chat and (config.spec.rendering, config.chat.rendering) != ("raw", "chat"):
        raise UsageError(
            "--rendering both",
            found=f"{config.spec.rendering} and {config.chat.rendering}",
            expected="raw text first, then the chat template",
            do="correct the specs",
        )
    if METRICS[config.primary.metric].family != "salience":
        raise MetricError(
            "--primary",
            found=config.primary.metric,
            expected="a salience metric: detectability stands beside it",
            do="choose between_class_variance, bhattacharyya or silhouette",
        )
    if config.primary.components < 1:
        raise UsageError(
            "--primary", found=f"{config.primary.components}", expected="at least 1 component", do="ask for more"
        )
    if config.shuffles < MIN_SHUFFLES:
        raise UsageError(
            "--shuffles", found=str(config.shuffles), expected=f"at least {MIN_SHUFFLES}", do="ask for more"
        )
    for option, chosen, known in (("--match", config.match, FEATURES), ("--controls", config.controls, MODEL_CONTROLS)):
        if strangers := set(chosen) - set(known):
            raise UsageError(option, found=min(strangers), expected=f"any of {', '.join(known)}", do="correct it")
    if "edit" in config.match and not corpus.twins:
        raise UsageError("--match", found="edit for texts without twins", expected="pairs", do="use --match length")
