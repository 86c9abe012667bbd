"""Estimate what a recipe needs before it runs: downloads, licences, memory, disk, operations. No network is used."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace

from isogloss.analyses.audit import ANALYSES
from isogloss.auditing.analysis import CostFacts, ForwardPasses
from isogloss.auditing.config import BITS_TEXTS, AuditConfig
from isogloss.hidden_states.execution import CPU_BATCH, GPU_BATCH
from isogloss.hidden_states.spec import ExtractSpec
from isogloss.hidden_states.store import SHARD_TEXTS
from isogloss.models.pairs import ModelPair, ModelRef
from isogloss.recipes.build import config_of, pair_of
from isogloss.recipes.facts import ModelFacts, TextFacts, model_facts, text_facts
from isogloss.recipes.recipe import PlannedAudit, Recipe
from isogloss.recipes.settings import Settings, texts_key

#: Default tokens per text: twice the 34 that Gemma 3's tokenizer makes of a text of multilingual_toxicity (mean over
#: its nine languages, docs/paper.md), because other tokenizers split Hindi and Amharic into more tokens.
TOKENS_PER_TEXT = 64
#: Bytes per number in computation.
DTYPE_BYTES = {"float32": 4, "bfloat16": 2}
#: Bytes per weight of quantised blocks; scales and zero points come on top.
QUANTIZED_BYTES = {"bnb-8bit": 1.0, "bnb-4bit": 0.5, "torchao-int8": 1.0}
#: Hidden states are stored as float32.
STATE_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class ModelNeeds:
    """Memory that loading and running one model takes, in bytes; None if unknown."""

    facts: ModelFacts
    gpu_memory: int | None
    host_memory: int | None


@dataclass(frozen=True, kw_only=True)
class AuditNeeds:
    """What one audit adds: passes over its texts that no earlier audit of the recipe makes; None if unknown.

    `units` is the number of shards, which workers take one at a time.
    """

    model: str
    corpus: str
    passes: int
    units: int | None
    disk: int | None
    flops: float | None


@dataclass(frozen=True, kw_only=True)
class ResourceNeeds:
    """The needs of a recipe: per model, per corpus and per audit."""

    recipe: str
    tokens_per_text: int
    models: tuple[ModelNeeds, ...]
    texts: tuple[TextFacts, ...]
    audits: tuple[AuditNeeds, ...]

    @property
    def unknown(self) -> bool:
        """Whether an estimate is missing, so that sums are lower bounds."""
        unknown_models = any(model.facts.download is None or model.gpu_memory is None for model in self.models)
        return unknown_models or any(audit.flops is None for audit in self.audits)

    @property
    def download(self) -> int:
        """Bytes of weights to download, as far as known."""
        return sum(model.facts.download or 0 for model in self.models)

    @property
    def disk(self) -> int:
        """Bytes that hidden states will take in the store, as far as known."""
        return sum(audit.disk or 0 for audit in self.audits)

    def seconds(self, rate: float, gpus: int = 1) -> float:
        """Estimate the time of all known forward passes, on GPUs that take units from one queue per audit.

        The last units of an audit leave some GPUs idle. Loading and measuring are not counted.

        Args:
            rate: operations per second of one GPU.
            gpus: number of GPUs.
        """

        def share(units: int | None) -> float:
            return math.ceil(units / gpus) / units if units else 1 / gpus

        return sum(audit.flops * share(audit.units) for audit in self.audits if audit.flops) / rate

    @property
    def flops(self) -> float:
        """Floating point operations of all forward passes, as far as known."""
        return sum(audit.flops or 0.0 for audit in self.audits)


def estimate_needs(recipe: Recipe, *, tokens_per_text: int = TOKENS_PER_TEXT) -> ResourceNeeds:
    """Estimate what a recipe needs, without weights, a network or the contents of the store.

    A forward pass counts as 2 operations per token and parameter of the transformer blocks. Likelihoods add those of
    the LM head.

    Args:
        recipe: from `read_recipe`.
        tokens_per_text: assumed for all texts.

    Raises:
        IsoglossError: a setting is wrong, or a corpus on this machine cannot be read.
    """
    for job in recipe.jobs:
        config_of(job.settings)
    counting = _Counting(tokens_per_text=tokens_per_text)
    models: dict[str, ModelNeeds] = {}
    audits = []
    for job in recipe.jobs:
        pair = pair_of(job.settings)
        for ref in _list_models(pair, config_of(job.settings)):
            needs = _estimate_memory(counting.model(ref), job.settings)
            models[str(ref)] = _choose_larger(needs, models.get(str(ref)))
        audits.append(_estimate_audit(job, pair, counting))
    return ResourceNeeds(
        recipe=recipe.name,
        tokens_per_text=tokens_per_text,
        models=tuple(models.values()),
        texts=tuple(counting.texts.values()),
        audits=tuple(audits),
    )


@dataclass(kw_only=True)
class _Counting:
    """The counts so far: each model and corpus is read once, and each pass is counted once."""

    tokens_per_text: int
    models: dict[str, ModelFacts] = field(default_factory=dict)
    texts: dict[tuple[object, ...], TextFacts] = field(default_factory=dict)
    passes: set[tuple[object, ...]] = field(default_factory=set)

    def model(self, ref: ModelRef) -> ModelFacts:
        """Return the facts about a model; an untrained model has the size of its base."""
        plain = ref if ref.random_seed is None else replace(ref, random_seed=None)
        if str(plain) not in self.models:
            self.models[str(plain)] = model_facts(plain)
        return self.models[str(plain)]

    def text(self, job: PlannedAudit) -> tuple[tuple[object, ...], TextFacts]:
        """Return the facts about a corpus, with a key that determines which of its texts are read."""
        settings = job.settings
        key = (
            *texts_key(settings),
            settings.per_class,
            settings.seed,
        )
        if key not in self.texts:
            self.texts[key] = text_facts(job.corpus, settings)
        return key, self.texts[key]

    def new(self, key: tuple[object, ...]) -> bool:
        """Count a pass, and return whether it had not been counted before."""
        before = len(self.passes)
        self.passes.add(key)
        return len(self.passes) > before


def _estimate_audit(job: PlannedAudit, pair: ModelPair, counting: _Counting) -> AuditNeeds:
    config = config_of(job.settings)
    first = pair.reference or pair.aligned
    texts_key, texts = counting.text(job)
    tokens = min(counting.tokens_per_text, job.settings.max_tokens)
    facts = CostFacts(
        pair=pair,
        config=config,
        languages=texts.languages,
        texts=texts.texts,
        tokens=tokens,
        size_of=lambda ref: counting.model(ref).size,
    )
    work = [*_list_audit_work(pair, config), *_list_analysis_work(facts)]
    passes = [
        (counting.model(forward.model), forward.states)
        for forward in work
        if forward.states is not None and counting.new(_make_states_key(forward, texts_key))
    ]
    added = [
        forward
        for forward in work
        if forward.states is None and counting.new((str(forward.model), texts_key, *forward.key))
    ]
    likelihoods = counting.model(first) if "bits_per_character" in config.controls else None
    flops = _estimate_flops(passes, texts, tokens, likelihoods)
    n_passes = len(passes) + sum(forward.passes for forward in added)
    known = flops is not None and all(forward.flops is not None for forward in added)
    return AuditNeeds(
        model=job.model,
        corpus=job.corpus,
        passes=n_passes,
        units=_count_units(n_passes, texts),
        disk=_estimate_disk(passes, texts),
        flops=(flops or 0.0) + sum(forward.flops or 0.0 for forward in added) if known else None,
    )


def _list_audit_work(pair: ModelPair, config: AuditConfig) -> Iterator[ForwardPasses]:
    """List the passes of the audit itself: those of each model of the pair, and of the untrained model."""
    first = pair.reference or pair.aligned
    models = [ref for ref in (pair.reference, pair.aligned) if ref is not None]
    if "untrained" in config.controls:
        models.append(ModelRef(base=first.base, revision=first.revision, random_seed=config.seed))
    in_chat = config.spec.prompt_format == "chat"
    for ref in models:
        yield ForwardPasses(model=ref, key=(), states=config.spec, template_of=pair.aligned if in_chat else None)


def _list_analysis_work(facts: CostFacts) -> Iterator[ForwardPasses]:
    for analysis in ANALYSES:
        request = facts.config.request(analysis.request)
        if request is not None:
            yield from analysis.cost(facts, request)


def _make_states_key(work: ForwardPasses, texts_key: tuple[object, ...]) -> tuple[object, ...]:
    # In the chat template, the states depend on the model that the template comes from.
    template_of = str(work.template_of) if work.template_of else ""
    return str(work.model), texts_key, work.states.sha256, work.states.layers, template_of


def _list_models(pair: ModelPair, config: AuditConfig) -> list[ModelRef]:
    """List the models that an audit loads, without the untrained one."""
    requested = [
        value
        for request in config.analyses
        for column in fields(request)
        if isinstance(value := getattr(request, column.name), ModelRef)
    ]
    return [ref for ref in (pair.reference, pair.aligned, *requested) if ref is not None]


def _count_units(passes: int, texts: TextFacts) -> int | None:
    if texts.texts is None or not texts.languages:
        return None
    return passes * len(texts.languages) * math.ceil(texts.texts / len(texts.languages) / SHARD_TEXTS)


def _estimate_disk(passes: Sequence[tuple[ModelFacts, ExtractSpec]], texts: TextFacts) -> int | None:
    total = 0
    for model, spec in passes:
        if model.size is None or texts.texts is None:
            return None
        total += texts.texts * len(spec.resolve(model.size.depth)) * model.size.width * STATE_BYTES
    return total


def _estimate_flops(
    passes: Sequence[tuple[ModelFacts, ExtractSpec]], texts: TextFacts, tokens: int, likelihoods: ModelFacts | None
) -> float | None:
    if texts.texts is None or any(model.size is None for model, _ in passes):
        return None
    total = sum(2.0 * model.size.block_parameters * texts.texts * tokens for model, _ in passes if model.size)
    if likelihoods is not None and likelihoods.size is not None:
        size = likelihoods.size
        n_tokens = BITS_TEXTS * len(texts.languages) * tokens
        total += 2.0 * (size.block_parameters + size.vocabulary * size.width) * n_tokens
    return total


def _estimate_memory(facts: ModelFacts, settings: Settings) -> ModelNeeds:
    """Sum weights and the largest batch; the host holds the weights during loading, or to run without a GPU."""
    if facts.size is None:
        return ModelNeeds(facts=facts, gpu_memory=None, host_memory=None)
    size, number_bytes = facts.size, DTYPE_BYTES[settings.dtype]
    block_bytes = QUANTIZED_BYTES[settings.quantize] if settings.quantize else number_bytes
    weights = int(size.block_parameters * block_bytes + (size.parameters - size.block_parameters) * number_bytes)
    # Input and output, queries, keys and values of a block; gate, up and their product.
    per_token = (4 * size.width + 3 * size.inner_width) * number_bytes
    return ModelNeeds(
        facts=facts,
        gpu_memory=weights + GPU_BATCH[0] * per_token,
        host_memory=weights + CPU_BATCH[0] * per_token,
    )


def _choose_larger(needs: ModelNeeds, earlier: ModelNeeds | None) -> ModelNeeds:
    """Return the larger needs of a model that runs twice, in two precisions."""
    return needs if earlier is None or (needs.gpu_memory or 0) >= (earlier.gpu_memory or 0) else earlier
