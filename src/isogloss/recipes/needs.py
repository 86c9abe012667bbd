"""What a recipe will need before it runs: downloads, licences, memory, disk, operations. Estimates; no network."""

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
from isogloss.recipes.settings import Settings

#: Tokens of a text where nothing says better: twice what Gemma 3's tokenizer makes of multilingual_toxicity (34 on
#: average over its nine languages, docs/paper.md), because others cut Hindi and Amharic finer.
TOKENS_PER_TEXT = 64
#: Bytes of a number in computation.
DTYPE_BYTES = {"float32": 4, "bfloat16": 2}
#: Bytes per weight of quantised blocks; scales and zero points come on top.
QUANTIZED_BYTES = {"bnb-8bit": 1.0, "bnb-4bit": 0.5, "torchao-int8": 1.0}
#: Hidden states are kept as float32.
STATE_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class ModelNeeds:
    """What loading and running one model takes, in bytes; None is unknown."""

    facts: ModelFacts
    gpu_memory: int | None
    host_memory: int | None


@dataclass(frozen=True, kw_only=True)
class AuditNeeds:
    """What one audit adds: passes over its texts that no earlier audit of the recipe has made; None is unknown.

    `units` are the shards that workers take one by one.
    """

    model: str
    corpus: str
    passes: int
    units: int | None
    disk: int | None
    flops: float | None


@dataclass(frozen=True, kw_only=True)
class ResourceNeeds:
    """What a recipe needs: per model, per corpus and per audit."""

    recipe: str
    tokens_per_text: int
    models: tuple[ModelNeeds, ...]
    texts: tuple[TextFacts, ...]
    audits: tuple[AuditNeeds, ...]

    @property
    def unknown(self) -> bool:
        """Whether something could not be estimated, so that sums are lower bounds."""
        unknown_models = any(one.facts.download is None or one.gpu_memory is None for one in self.models)
        return unknown_models or any(one.flops is None for one in self.audits)

    @property
    def download(self) -> int:
        """Bytes of weights to download, as far as known."""
        return sum(one.facts.download or 0 for one in self.models)

    @property
    def disk(self) -> int:
        """Bytes that hidden states will take in the store, as far as known."""
        return sum(one.disk or 0 for one in self.audits)

    def seconds(self, rate: float, gpus: int = 1) -> float:
        """Time of all forward passes, as far as known, on GPUs that take units from one queue in each audit.

        The last units of an audit leave some GPUs without work. Loading and measuring are not counted.

        Args:
            rate: operations a second of one GPU.
            gpus: how many there are.
        """

        def share(units: int | None) -> float:
            return math.ceil(units / gpus) / units if units else 1 / gpus

        return sum(one.flops * share(one.units) for one in self.audits if one.flops) / rate

    @property
    def flops(self) -> float:
        """Floating point operations of all forward passes, as far as known."""
        return sum(one.flops or 0.0 for one in self.audits)


def estimate_needs(recipe: Recipe, *, tokens_per_text: int = TOKENS_PER_TEXT) -> ResourceNeeds:
    """Estimate what a recipe needs, without weights, without a network, and without looking into the store.

    A forward pass is counted as 2 operations per parameter of the transformer blocks and token; for likelihoods those
    of the LM head come on top.

    Args:
        recipe: from `read_recipe`.
        tokens_per_text: an assumption, for all texts.

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
        for ref in _models(pair, config_of(job.settings)):
            found = _memory(counting.model(ref), job.settings)
            models[str(ref)] = _larger(found, models.get(str(ref)))
        audits.append(_audit(job, pair, counting))
    return ResourceNeeds(
        recipe=recipe.name,
        tokens_per_text=tokens_per_text,
        models=tuple(models.values()),
        texts=tuple(counting.texts.values()),
        audits=tuple(audits),
    )


@dataclass(kw_only=True)
class _Counting:
    """What is known so far: each model and corpus is looked at once, each pass counted once."""

    tokens_per_text: int
    models: dict[str, ModelFacts] = field(default_factory=dict)
    texts: dict[tuple[object, ...], TextFacts] = field(default_factory=dict)
    passes: set[tuple[object, ...]] = field(default_factory=set)

    def model(self, ref: ModelRef) -> ModelFacts:
        """Facts of a model; an untrained model have the size of their base."""
        plain = ref if ref.random_seed is None else replace(ref, random_seed=None)
        if str(plain) not in self.models:
            self.models[str(plain)] = model_facts(plain)
        return self.models[str(plain)]

    def text(self, job: PlannedAudit) -> tuple[tuple[object, ...], TextFacts]:
        """Facts of a corpus, with what decides which texts of it are read."""
        asked = job.settings
        key = (asked.corpus, asked.column, asked.languages, asked.conflicts, asked.per_class, asked.seed)
        if key not in self.texts:
            self.texts[key] = text_facts(job.corpus, asked)
        return key, self.texts[key]

    def new(self, key: tuple[object, ...]) -> bool:
        """Whether a pass was not counted yet; it is from now on."""
        before = len(self.passes)
        self.passes.add(key)
        return len(self.passes) > before


def _audit(job: PlannedAudit, pair: ModelPair, counting: _Counting) -> AuditNeeds:
    config = config_of(job.settings)
    first = pair.reference or pair.aligned
    which, texts = counting.text(job)
    tokens = min(counting.tokens_per_text, job.settings.max_tokens)
    facts = CostFacts(
        pair=pair,
        config=config,
        languages=texts.languages,
        texts=texts.texts,
        tokens=tokens,
        size_of=lambda ref: counting.model(ref).size,
    )
    work = [*_own_work(pair, config), *_analysis_work(facts)]
    passes = [
        (counting.model(part.model), part.states)
        for part in work
        if part.states is not None and counting.new(_states_key(part, which))
    ]
    others = [part for part in work if part.states is None and counting.new((str(part.model), which, *part.key))]
    likelihoods = counting.model(first) if "bits_per_character" in config.controls else None
    flops = _flops(passes, texts, tokens, likelihoods)
    n_passes = len(passes) + sum(part.passes for part in others)
    known = flops is not None and all(part.flops is not None for part in others)
    return AuditNeeds(
        model=job.model,
        corpus=job.corpus,
        passes=n_passes,
        units=_units(n_passes, texts),
        disk=_disk(passes, texts),
        flops=(flops or 0.0) + sum(part.flops or 0.0 for part in others) if known else None,
    )


def _own_work(pair: ModelPair, config: AuditConfig) -> Iterator[ForwardPasses]:
    """The passes of the audit itself: each model of the pair, and the untrained model."""
    first = pair.reference or pair.aligned
    models = [ref for ref in (pair.reference, pair.aligned) if ref is not None]
    if "untrained" in config.controls:
        models.append(ModelRef(base=first.base, revision=first.revision, random_seed=config.seed))
    in_chat = config.spec.prompt_format == "chat"
    for ref in models:
        yield ForwardPasses(model=ref, key=(), states=config.spec, template_of=pair.aligned if in_chat else None)


def _analysis_work(facts: CostFacts) -> Iterator[ForwardPasses]:
    for analysis in ANALYSES:
        request = facts.config.request(analysis.request)
        if request is not None:
            yield from analysis.cost(facts, request)


def _states_key(work: ForwardPasses, which: tuple[object, ...]) -> tuple[object, ...]:
    # In the chat template the states depend on whose template it is.
    lent = str(work.template_of) if work.template_of else ""
    return str(work.model), which, work.states.sha256, work.states.layers, lent


def _models(pair: ModelPair, config: AuditConfig) -> list[ModelRef]:
    """The models that an audit loads, without the untrained one."""
    requested = [
        value
        for request in config.analyses
        for column in fields(request)
        if isinstance(value := getattr(request, column.name), ModelRef)
    ]
    return [ref for ref in (pair.reference, pair.aligned, *requested) if ref is not None]


def _units(passes: int, texts: TextFacts) -> int | None:
    if texts.texts is None or not texts.languages:
        return None
    return passes * len(texts.languages) * math.ceil(texts.texts / len(texts.languages) / SHARD_TEXTS)


def _disk(passes: Sequence[tuple[ModelFacts, ExtractSpec]], texts: TextFacts) -> int | None:
    total = 0
    for model, spec in passes:
        if model.size is None or texts.texts is None:
            return None
        total += texts.texts * len(spec.resolve(model.size.depth)) * model.size.width * STATE_BYTES
    return total


def _flops(
    passes: Sequence[tuple[ModelFacts, ExtractSpec]], texts: TextFacts, tokens: int, likelihoods: ModelFacts | None
) -> float | None:
    if texts.texts is None or any(model.size is None for model, _ in passes):
        return None
    total = sum(2.0 * model.size.block_parameters * texts.texts * tokens for model, _ in passes if model.size)
    if likelihoods is not None and likelihoods.size is not None:
        size = likelihoods.size
        few = BITS_TEXTS * len(texts.languages) * tokens
        total += 2.0 * (size.block_parameters + size.vocabulary * size.width) * few
    return total


def _memory(facts: ModelFacts, settings: Settings) -> ModelNeeds:
    """Weights and the largest batch; the host holds the weights while they are loaded, or to run without a GPU."""
    if facts.size is None:
        return ModelNeeds(facts=facts, gpu_memory=None, host_memory=None)
    size, number = facts.size, DTYPE_BYTES[settings.dtype]
    in_blocks = QUANTIZED_BYTES[settings.quantize] if settings.quantize else number
    weights = int(size.block_parameters * in_blocks + (size.parameters - size.block_parameters) * number)
    # A block's input and output, queries, keys and values; gate, up and their product.
    per_token = (4 * size.width + 3 * size.inner_width) * number
    return ModelNeeds(
        facts=facts,
        gpu_memory=weights + GPU_BATCH[0] * per_token,
        host_memory=weights + CPU_BATCH[0] * per_token,
    )


def _larger(one: ModelNeeds, other: ModelNeeds | None) -> ModelNeeds:
    """A model that runs twice, in two precisions, needs the memory of the larger."""
    return one if other is None or (one.gpu_memory or 0) >= (other.gpu_memory or 0) else other
