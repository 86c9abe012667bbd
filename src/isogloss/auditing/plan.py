"""What an audit has settled before it computes anything: sample, metrics, primary estimand, where the states are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import polars as pl

from isogloss.analyses.ablation.edited_reading import Ablation
from isogloss.analyses.behaviour.needs import BehaviourConfig, BehaviourPlan, plan_behaviour
from isogloss.auditing.config import ABLATE, BITS_TEXTS, COMPONENTS, LEVEL, PRIMARY, AuditConfig, check_choices
from isogloss.auditing.draw_sample import draw_sample
from isogloss.data.corpus import Corpus
from isogloss.errors import ModelError, UsageError
from isogloss.hidden_states.activations import Activations, locate
from isogloss.hidden_states.spec import Layer
from isogloss.io.paths import AnyPath
from isogloss.likelihoods.cached import Answers, Likelihoods, locate_bits
from isogloss.models.checkpoints import Checkpoint, read_depth
from isogloss.models.pairs import ModelPair, ModelRef
from isogloss.progress import Track
from isogloss.results import Identity, Primary
from isogloss.stats.metric import Metric
from isogloss.stats.metrics import metric


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A settled audit.

    `activations` is keyed by role: reference (if there is one), aligned, and random (if that control is asked for);
    `chat` holds the compared roles in chat prompt format, if both prompt formats are asked for;
    `behaviour` is what is asked of behaviour, if anything is; `ablation` what is asked of edited models, once the
    states that say how are in the store;
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
    behaviour: BehaviourPlan | None = None
    quarantined: tuple[str, ...] = ()
    asked_sha256: str = ""
    ablation: Ablation | None = None

    @property
    def asked(self) -> str:
        """Hash of the texts that were to be scored, those in quarantine too: what a run is named by."""
        return self.asked_sha256 or self.corpus.sha256

    def of(self, language: str) -> Plan:
        """Take the part of one language, which is small enough to be sent."""
        corpus = replace(self.corpus, frame=self.corpus.part(language), warnings=())
        likelihoods = self.likelihoods
        return replace(
            self,
            corpus=corpus,
            activations={role: one.of(language, corpus) for role, one in self.activations.items()},
            chat={role: one.of(language, corpus) for role, one in self.chat.items()},
            likelihoods=likelihoods.on([language]) if likelihoods else None,
            behaviour=None,
            ablation=None,
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
    def compared(self) -> dict[str, Checkpoint]:
        """Their checkpoints, and that of the placebo, if there is one."""
        found = {role: self.activations[role].checkpoint for role in self.roles}
        told = self.behaviour.answers if self.behaviour else {}
        return found | {role: one.checkpoint for role, one in told.items() if role == "placebo"}

    @property
    def asked_states(self) -> list[Mapping[str, Activations]]:
        """All hidden states that are read: of the audit, in chat prompt format, at the link's layer, of edited models."""
        linked = self.behaviour.states if self.behaviour else {}
        harm = {"aligned": self.behaviour.harm} if self.behaviour and self.behaviour.harm and not linked else {}
        edited = self.ablation.states.values() if self.ablation else ()
        return [self.activations, *(one for one in (self.chat, linked, harm, *edited) if one)]

    @property
    def states(self) -> tuple[Activations, ...]:
        """The same, one after another."""
        return tuple(one for found in self.asked_states for one in found.values())

    @property
    def asked_likelihoods(self) -> list[Likelihoods | Answers]:
        """All that is read with an LM head."""
        bits = [self.likelihoods] if self.likelihoods else []
        edited = [one for found in self.ablation.answers.values() for one in found.values()] if self.ablation else []
        return [*bits, *(self.behaviour.wanted if self.behaviour else []), *edited]

    @property
    def missing(self) -> bool:
        """Whether the store lacks anything."""
        return any(one.missing for one in (*self.states, *self.asked_likelihoods))

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
            **({"split": config.split} if config.split != "all" else {}),
            **({"trained_texts": config.trained_texts} if config.trained_texts != "refuse" else {}),
            "per_class": config.per_class,
            "match": list(config.match),
            "controls": list(config.controls),
            **({"cross_lingual": True} if config.cross_lingual else {}),
            "permutations": config.permutations,
            "seed": config.seed,
            "level": LEVEL,
            "pivot": config.pivot,
            "primary": asdict(self.primary),
            **(self.behaviour.settings if self.behaviour else {}),
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
            models={role: one.sha256 for role, one in self.compared.items()},
            config=self.settings,
        )


def make_plan(pair: ModelPair, corpus: Corpus, config: AuditConfig, store: AnyPath | str | None, track: Track) -> Plan:
    """Settle an audit: look names up, draw the sample, find the checkpoints and their states; no weights are loaded."""
    rows = [metric(name) for name in dict.fromkeys((config.primary.metric, "auroc", *config.metrics))]
    check_choices(config, corpus)
    sample, left_out = draw_sample(
        pair,
        corpus,
        split=config.split,
        choice=config.trained_texts,
        per_class=config.per_class,
        seed=config.seed,
    )
    models = {"reference": pair.reference, "aligned": pair.aligned}
    if "untrained" in config.controls:
        base = pair.reference or pair.aligned
        models["untrained"] = ModelRef(base=base.base, revision=base.revision, random_seed=config.seed)
    activations = locate(
        {role: ref for role, ref in models.items() if ref}, sample, config.spec, store=store, track=track
    )
    _check_pair(activations)
    chat: dict[str, Activations] = {}
    if config.chat:
        layer = _primary_layer(config, activations["aligned"], track)
        in_chat = replace(config.chat, layers=("final" if layer.norm == "post" else str(layer.index),))
        compared = {role: ref for role, ref in models.items() if ref and role != "untrained"}
        chat = locate(compared, sample, in_chat, store=store, track=track)
    primary_layer = _primary_layer(config, activations["aligned"], track)
    return Plan(
        config=config,
        corpus=sample,
        metrics=tuple(row for row in rows if sample.paired or not row.needs_pairs),
        activations=activations,
        likelihoods=likelihoods_of(config, sample, activations, store),
        primary_layer=primary_layer,
        chat=chat,
        left_out=left_out,
        behaviour=behaviour_of(config, pair, sample, primary_layer, store=store, track=track),
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


def behaviour_of(
    config: AuditConfig, pair: ModelPair, sample: Corpus, primary: Layer, *, store: AnyPath | str | None, track: Track
) -> BehaviourPlan | None:
    """Find what is needed to say what the models would do, if that is asked for."""
    if not config.behaviour:
        return None
    asked = BehaviourConfig(
        spec=config.spec,
        pivot=config.pivot,
        generate=config.generate,
        placebo=config.placebo,
        ablate=ABLATE in config.controls,
    )
    return plan_behaviour(pair, sample, asked, primary, store=store, track=track)


def likelihoods_of(
    config: AuditConfig, sample: Corpus, activations: dict[str, Activations], store: AnyPath | str | None
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
