"""What an audit has settled about behaviour: which likelihoods, at which layer the link is read, where all of it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from isogloss.data.corpus import Corpus
from isogloss.errors import CorpusError, UsageError
from isogloss.hidden_states.activations import Activations, locate
from isogloss.hidden_states.spec import ExtractSpec, Layer
from isogloss.io.paths import AnyPath
from isogloss.likelihoods.answers import answered_languages
from isogloss.likelihoods.cached import Answers, Likelihoods, locate_answers, locate_bits, locate_greedy
from isogloss.likelihoods.refusal_detector import detected_languages
from isogloss.models.checkpoints import Checkpoint, fetch, read_depth
from isogloss.models.pairs import ModelPair, ModelRef
from isogloss.progress import Track

#: The link is read at this share of the depth at most: the last states and the first tokens of an answer are tied by
#: the head, whatever the model has learnt.
DEEPEST = 0.8


@dataclass(frozen=True, kw_only=True)
class BehaviourConfig:
    """What may be chosen: prompt format, limits and dtype, pivot, greedy answers per language and class, and a placebo.

    `ablate` asks for the states that harm directions are taken from.
    """

    spec: ExtractSpec
    pivot: str = "en"
    generate: int = 0
    placebo: ModelRef | None = None
    ablate: bool = False


@dataclass(frozen=True, kw_only=True)
class BehaviourPlan:
    """What is asked of behaviour; all by role: reference (if there is one), aligned, and placebo (if one is named).

    Attributes:
        languages: those that have answers.
        answers: likelihoods of answers.
        texts: likelihoods of the texts; empty where texts have no twins, for there is nothing to prefer.
        spoken: greedy answers to some texts; empty unless asked for.
        states: hidden states at the layer of the link, reference and aligned; empty where there is no link.
        layer: of the link; None where there is none.
        generate: greedy answers per language and class.
        harm: hidden states of the aligned model that harm directions are taken from, at the layer that a link is or
            would be read at; None unless asked for.
    """

    languages: tuple[str, ...]
    answers: Mapping[str, Answers]
    texts: Mapping[str, Likelihoods] = field(default_factory=dict)
    spoken: Mapping[str, Answers] = field(default_factory=dict)
    states: Mapping[str, Activations] = field(default_factory=dict)
    layer: Layer | None = None
    generate: int = 0
    harm: Activations | None = None

    def of(self, part: Corpus) -> BehaviourPlan:
        """Take what measures the texts of one language, which is small enough to be sent."""
        return replace(
            self,
            languages=tuple(part.languages),
            answers={role: one.on(part) for role, one in self.answers.items()},
            texts={role: one.on(part.languages) for role, one in self.texts.items()},
            spoken={},
            states={role: one.on(part) for role, one in self.states.items()},
            harm=None,
        )

    @property
    def settings(self) -> dict[str, object]:
        """What stands of it in audit.json."""
        found = {"behaviour": True, "link_layer": self.layer.name if self.layer else None}
        return found | ({"generate": self.generate} if self.generate else {})

    @property
    def wanted(self) -> list[Likelihoods | Answers]:
        """All that is read with an LM head."""
        return [*self.answers.values(), *self.texts.values(), *self.spoken.values()]


def link_layer(primary: Layer, depth: int) -> Layer:
    """Choose the layer of the link: the primary one if it is not too deep, else the deepest that is allowed.

    >>> link_layer(Layer(18, "post"), 18), link_layer(Layer(9, ""), 18)
    (Layer(index=14, norm=''), Layer(index=9, norm=''))
    """
    deepest = int(DEEPEST * depth)
    return primary if primary.index <= deepest else Layer(deepest, "")


def plan_behaviour(
    pair: ModelPair,
    sample: Corpus,
    config: BehaviourConfig,
    primary: Layer,
    *,
    store: AnyPath | str | None,
    track: Track,
) -> BehaviourPlan:
    """Find what is needed; no weights are loaded.

    Raises:
        CorpusError: there are no answers in the pivot language.
        ModelError: a model cannot be found.
        UsageError: the placebo is one of the pair.
    """
    codes = tuple(code for code in sample.languages if code in answered_languages())
    if config.pivot not in codes:
        raise CorpusError(
            "--behaviour",
            found=f"no answers in the pivot {config.pivot}",
            expected=f"one of {', '.join(answered_languages())}",
            do="leave it out, or choose another --pivot",
        )
    spec, generate = config.spec, config.generate
    refs = {"reference": pair.reference, "aligned": pair.aligned, "placebo": config.placebo}
    checkpoints = {role: fetch(ref) for role, ref in refs.items() if ref}
    _check_placebo(checkpoints)
    texts = _only(sample, codes)
    heard = tuple(code for code in codes if code in detected_languages())  # in others nobody could tell a refusal
    linked = pair.reference is not None and sample.paired
    deep = link_layer(primary, read_depth(checkpoints["aligned"], track)) if linked or config.ablate else None
    layer = deep if linked else None
    compared = {role: ref for role, ref in refs.items() if ref and (linked or role == "aligned") and role != "placebo"}
    there = replace(spec, layers=(_option(deep),)) if deep else spec
    states = locate(compared, sample, there, store=store, track=track) if deep else {}
    return BehaviourPlan(
        languages=codes,
        answers=locate_answers(checkpoints, texts, spec, store=store),
        texts=locate_bits(
            checkpoints,
            texts,
            max_tokens=spec.max_tokens,
            dtype=spec.dtype,
            quantize=spec.quantize,
            store=store,
        )
        if sample.paired
        else {},
        spoken=locate_greedy(
            {role: one for role, one in checkpoints.items() if role != "placebo"},
            _first(_only(sample, heard), generate),
            spec,
            store=store,
        )
        if generate and heard
        else {},
        states=states if linked else {},
        layer=layer,
        generate=generate,
        harm=states["aligned"] if config.ablate else None,
    )


def _option(layer: Layer) -> str:
    """Name a layer as `ExtractSpec` takes it."""
    return {"": str(layer.index), "post": "final", "pre": "final-pre"}[layer.norm]


def _only(sample: Corpus, codes: tuple[str, ...]) -> Corpus:
    return replace(sample, frame=sample.frame.filter(pl.col("language").is_in(codes)))


def _first(texts: Corpus, n: int) -> Corpus:
    """Take n texts per language and class; text ids are hashes, so the first are a random sample."""
    few = texts.frame.group_by("language", "harmful", maintain_order=True).head(n)
    return Corpus(name=texts.name, frame=few.with_columns(pair_id=pl.lit(None, dtype=pl.String)))


def _check_placebo(checkpoints: Mapping[str, Checkpoint]) -> None:
    hashes = {role: one.sha256 for role, one in checkpoints.items()}
    placebo = hashes.pop("placebo", None)
    if placebo in hashes.values():
        raise UsageError(
            "--placebo",
            found="a model of the pair itself",
            expected="another descendant of the reference, such as one of isogloss tune --shuffle-labels",
            do="name that one",
        )
    if placebo and "reference" not in hashes:
        raise UsageError("--placebo", found="no reference", expected="the model before alignment", do="name it")
