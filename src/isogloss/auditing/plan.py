"""The plan of an audit, settled before any computation: sample, metrics, primary estimand, and paths of states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import polars as pl

from isogloss.auditing.analysis import Analysis, Lookup, Needs
from isogloss.auditing.config import (
    BITS_TEXTS,
    COMPONENTS,
    LEVEL,
    PRIMARY,
    AuditConfig,
    check_components,
    check_config,
    metric_rows,
)
from isogloss.auditing.draw_sample import draw_sample
from isogloss.auditing.record_settings import record_template, request_options
from isogloss.data.corpus import Corpus
from isogloss.errors import UsageError
from isogloss.hidden_states.activations import Activations, check_pair, locate
from isogloss.hidden_states.spec import Layer
from isogloss.io.paths import AnyPath
from isogloss.likelihoods.cached import Answers, Likelihoods, locate_bits
from isogloss.models.checkpoints import Checkpoint
from isogloss.models.depth import read_depth
from isogloss.models.pairs import ModelPair
from isogloss.progress import Track
from isogloss.records import Primary
from isogloss.results import Identity
from isogloss.stats.metric import Metric


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A planned audit.

    Attributes:
        config: the choices of the audit.
        corpus: the sample to score.
        metrics: rows of METRICS to compute.
        activations: hidden states by role: reference (if there is one), aligned, and untrained (if that control is
            requested).
        likelihoods: those of a few harmless texts under the model before alignment; None unless requested.
        primary_layer: the layer that verdicts come from.
        analyses: the requested analyses, in order.
        needs: what each analysis reads, by name.
        left_out: ids of texts that were left out because an adapter was trained on them.
        quarantined: ids of texts that were left out because a model gives no finite numbers for them, for their
            partners or for their translations.
        requested_sha256: hash of the corpus before texts were quarantined; empty if none were.
        given: settings of the extraction where the caller gave hidden states, whose texts are not known; else None.
    """

    config: AuditConfig
    corpus: Corpus
    metrics: tuple[Metric, ...]
    activations: dict[str, Activations]
    likelihoods: Likelihoods | None
    primary_layer: Layer
    analyses: tuple[Analysis, ...] = ()
    needs: Mapping[str, Needs] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    quarantined: tuple[str, ...] = ()
    requested_sha256: str = ""
    given: Mapping[str, Any] | None = None

    @property
    def corpus_sha256(self) -> str:
        """Hash of the texts to score, including those in quarantine; runs are named by it."""
        return self.requested_sha256 or self.corpus.sha256

    def of_language(self, language: str) -> Plan:
        """Return the plan of one language, small enough to send to a worker."""
        corpus = replace(self.corpus, frame=self.corpus.part(language), warnings=())
        likelihoods = self.likelihoods
        return replace(
            self,
            corpus=corpus,
            activations={role: states.of(language, corpus) for role, states in self.activations.items()},
            likelihoods=likelihoods.on([language]) if likelihoods else None,
            analyses=(),
            needs={},
            left_out=(),
            quarantined=(),
        )

    @property
    def requests(self) -> Iterator[tuple[Analysis, Any]]:
        """The analyses with their requests."""
        for analysis in self.analyses:
            yield analysis, self.config.request(analysis.request)

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages, the pivot first."""
        return (self.config.pivot, *(code for code in self.corpus.languages if code != self.config.pivot))

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles of the compared models: reference (if there is one) and aligned."""
        return tuple(role for role in ("reference", "aligned") if role in self.activations)

    @property
    def checkpoints(self) -> dict[str, Checkpoint]:
        """Checkpoints of the compared models and of those that analyses add."""
        compared = {role: self.activations[role].checkpoint for role in self.roles}
        for needs in self.needs.values():
            compared |= needs.checkpoints
        return compared

    @property
    def state_groups(self) -> list[Mapping[str, Activations]]:
        """Groups of hidden states by role; those of analyses come last."""
        return [self.activations, *(group for needs in self.needs.values() for group in needs.states.values() if group)]

    @property
    def states(self) -> tuple[Activations, ...]:
        """The hidden states of all groups in one sequence."""
        return tuple(states for group in self.state_groups for states in group.values())

    @property
    def head_reads(self) -> list[Likelihoods | Answers]:
        """Everything that is read with an LM head."""
        bits = [self.likelihoods] if self.likelihoods else []
        return [*bits, *(read for needs in self.needs.values() for read in needs.likelihoods)]

    @property
    def missing(self) -> bool:
        """Whether the cache lacks anything that the plan reads."""
        return any(reads.missing for reads in (*self.states, *self.head_reads))

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
        """Settings as audit.json holds them."""
        config = self.config
        return {
            **(config.spec.settings if self.given is None else self.given),
            **record_template(self.activations["aligned"]),
            "layers": [layer.name for layer in self.layers],
            "metrics": [row.name for row in self.metrics],
            "components": list(self.components),
            **({"scaling": config.scaling} if config.scaling != "none" else {}),
            "primary_changed": config.primary != PRIMARY,
            **({"quarantine": True} if config.quarantine else {}),
            **({"split": config.split} if config.split != "all" else {}),
            **({"trained_texts": config.trained_texts} if config.trained_texts != "refuse" else {}),
            "per_class": config.per_class,
            "controls": list(config.controls),
            "permutations": config.permutations,
            "seed": config.seed,
            "level": LEVEL,
            "pivot": config.pivot,
            "primary": asdict(self.primary),
            "analyses": {
                analysis.name: {"options": request_options(request), **self.needs[analysis.name].settings}
                for analysis, request in self.requests
            },
        }

    @property
    def components(self) -> tuple[int, ...]:
        """Numbers of principal components: 2, 10 and that of the primary estimand."""
        return tuple(sorted({*COMPONENTS, self.config.primary.components}))

    @property
    def identity(self) -> Identity:
        """Everything that determines the result."""
        return Identity(
            corpus_name=self.corpus.name,
            corpus=self.corpus_sha256,
            models={role: checkpoint.sha256 for role, checkpoint in self.checkpoints.items()},
            config=self.settings,
        )


def make_plan(
    pair: ModelPair,
    corpus: Corpus,
    config: AuditConfig,
    store: AnyPath | str | None,
    track: Track,
    *,
    analyses: Sequence[Analysis] = (),
) -> Plan:
    """Plan an audit: look up names, draw the sample, find checkpoints and their states. No weights are loaded.

    Args:
        pair: models.
        corpus: texts.
        config: the choices of the audit.
        store: cache of hidden states; None is the user's cache.
        track: progress display.
        analyses: all known analyses; those that `config` requests are planned.

    Raises:
        IsoglossError: see `check_config`, `draw_sample`, `locate`, and the needs of each analysis.
    """
    requested = tuple(analysis for analysis in analyses if config.request(analysis.request) is not None)
    rows = metric_rows(config, requested, analyses)
    check_config(config, corpus, analyses)
    sample, left_out = draw_sample(
        pair,
        corpus,
        split=config.split,
        choice=config.trained_texts,
        per_class=config.per_class,
        seed=config.seed,
    )
    check_components(config.primary, sample)
    models = {"reference": pair.reference, "aligned": pair.aligned}
    if "untrained" in config.controls:
        base = pair.reference or pair.aligned
        models["untrained"] = replace(base, adapter=None, random_seed=config.seed)
    activations = locate(
        {role: ref for role, ref in models.items() if ref}, sample, config.spec, store=store, track=track
    )
    check_pair(activations)
    plan = Plan(
        config=config,
        corpus=sample,
        metrics=tuple(row for row in rows if sample.paired or not row.needs_pairs),
        activations=activations,
        likelihoods=likelihoods_of(config, sample, activations, store),
        primary_layer=_choose_primary_layer(config, activations["aligned"], track),
        analyses=requested,
        left_out=left_out,
    )
    return with_needs(plan, Lookup(pair=pair, cache=store, track=track))


def with_needs(plan: Plan, source: Lookup) -> Plan:
    """Look up what each analysis needs, in order; an analysis may read the needs of earlier ones."""
    plan = replace(plan, needs={})
    for analysis, request in plan.requests:
        plan = replace(plan, needs={**plan.needs, analysis.name: analysis.needs(plan, request, source)})
    return plan


def with_follow_ups(plan: Plan) -> Plan:
    """Add what analyses need once everything else is cached; return the same plan if nothing follows yet."""
    if plan.missing:
        return plan
    following = {
        analysis.name: needs
        for analysis, request in plan.requests
        if (needs := analysis.follow(plan, request, plan.needs[analysis.name])) is not None
    }
    return replace(plan, needs={**plan.needs, **following}) if following else plan


def likelihoods_of(
    config: AuditConfig, sample: Corpus, activations: dict[str, Activations], store: AnyPath | str | None
) -> Likelihoods | None:
    """Locate the likelihoods of a few harmless texts under the model before alignment, if requested."""
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


def _choose_primary_layer(config: AuditConfig, aligned: Activations, track: Track) -> Layer:
    if not config.primary.layer:
        return aligned.layers[-1]
    named = replace(config.spec, layers=(config.primary.layer,))
    layer = named.resolve(read_depth(aligned.checkpoint, track))[-1]
    if layer not in aligned.layers:
        raise UsageError(
            "--primary",
            found=f"layer {config.primary.layer!r}",
            expected=f"one of the layers that are read: {', '.join(layer.name for layer in aligned.layers)}",
            do="add it to --layers, or choose another",
        )
    return layer
