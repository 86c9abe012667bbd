"""What the behaviour analysis reads: likelihoods of answers and texts, and hidden states at the layer of the link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import polars as pl

from isogloss.analyses.behaviour.request import Behaviour
from isogloss.auditing.analysis import CostFacts, ForwardPasses, Lookup, Needs
from isogloss.auditing.config import AuditConfig
from isogloss.auditing.plan import Plan
from isogloss.data.corpus import Corpus
from isogloss.errors import CorpusError, UsageError
from isogloss.hidden_states.activations import Activations, locate
from isogloss.hidden_states.spec import Layer
from isogloss.likelihoods.answers import SIDES, answered_languages, answers
from isogloss.likelihoods.cached import NEW_TOKENS, Answers, Likelihoods, locate_answers, locate_bits, locate_greedy
from isogloss.likelihoods.refusal_detector import detected_languages
from isogloss.models.checkpoints import Checkpoint, fetch
from isogloss.models.depth import read_depth

if TYPE_CHECKING:
    from isogloss.models.size import Size

#: The link is read at this share of the depth at most: the LM head ties the last states to the first tokens of an
#: answer, whatever the model has learnt.
DEEPEST = 0.8
#: Tokens per answer: the mean over the answers table under Gemma 3's tokenizer, rounded up.
ANSWER_TOKENS = 10
#: Passes over the texts for each model: one with all answers after a text, one for the text itself.
PASSES = 2


@dataclass(frozen=True, kw_only=True)
class BehaviourPlan:
    """What is read, by role: reference (if there is one), aligned, and placebo (if one is named).

    Attributes:
        languages: languages that have answers.
        answers: likelihoods of answers.
        texts: likelihoods of the texts; empty without pairs, which a preference needs.
        greedy_answers: greedy answers to some texts; empty unless requested.
        states: hidden states at the layer of the link, reference and aligned; empty without a link.
        layer: layer of the link; None without a link.
        generate: greedy answers per language and class.
    """

    languages: tuple[str, ...]
    answers: Mapping[str, Answers]
    texts: Mapping[str, Likelihoods] = field(default_factory=dict)
    greedy_answers: Mapping[str, Answers] = field(default_factory=dict)
    states: Mapping[str, Activations] = field(default_factory=dict)
    layer: Layer | None = None
    generate: int = 0

    def of_language(self, part: Corpus) -> BehaviourPlan:
        """Return the plan for the texts of one language, small enough to send to a worker."""
        return replace(
            self,
            languages=tuple(part.languages),
            answers={role: reads.on(part) for role, reads in self.answers.items()},
            texts={role: reads.on(part.languages) for role, reads in self.texts.items()},
            greedy_answers={},
            states={role: states.on(part) for role, states in self.states.items()},
        )


def link_layer(primary: Layer, depth: int) -> Layer:
    """Choose the layer of the link: the primary layer if it is not too deep, else the deepest allowed layer.

    >>> link_layer(Layer(18, "post"), 18), link_layer(Layer(9, ""), 18)
    (Layer(index=14, norm=''), Layer(index=9, norm=''))
    """
    deepest = int(DEEPEST * depth)
    return primary if primary.index <= deepest else Layer(deepest, "")


def check_behaviour(request: Behaviour, config: AuditConfig, corpus: Corpus) -> None:
    """Refuse corpora without answers in the pivot language.

    Raises:
        CorpusError: the pivot has no answers.
    """
    del request, corpus
    if config.pivot not in answered_languages():
        raise CorpusError(
            "--behaviour",
            found=f"no answers in the pivot {config.pivot}",
            expected=f"one of {', '.join(answered_languages())}",
            do="leave it out, or choose another --pivot",
        )


def behaviour_needs(plan: Plan, request: Behaviour, source: Lookup) -> Needs:
    """Locate likelihoods and states, and choose the layer of the link; no weights are loaded.

    Raises:
        ModelError: a model cannot be found.
        UsageError: the placebo is a model of the pair, or there is no reference.
    """
    sample, spec, cache = plan.corpus, plan.config.spec, source.cache
    languages = tuple(code for code in sample.languages if code in answered_languages())
    refs = {"reference": source.pair.reference, "aligned": source.pair.aligned, "placebo": request.placebo}
    checkpoints = {role: fetch(ref) for role, ref in refs.items() if ref}
    _check_placebo(checkpoints)
    texts = texts_of(sample, languages)
    with_detector = tuple(code for code in languages if code in detected_languages())
    compared = {role: ref for role, ref in refs.items() if ref and role != "placebo"}
    linked = source.pair.reference is not None and sample.paired
    layer = link_layer(plan.primary_layer, read_depth(checkpoints["aligned"], source.track)) if linked else None
    link_spec = replace(spec, layers=(layer.option,)) if layer else spec
    behaviour = BehaviourPlan(
        languages=languages,
        answers=locate_answers(checkpoints, texts, spec, store=cache),
        texts=locate_bits(
            checkpoints,
            texts,
            max_tokens=spec.max_tokens,
            dtype=spec.dtype,
            quantize=spec.quantize,
            store=cache,
        )
        if sample.paired
        else {},
        greedy_answers=locate_greedy(
            {role: checkpoint for role, checkpoint in checkpoints.items() if role != "placebo"},
            _take_first_texts(texts_of(sample, with_detector), request.generate),
            spec,
            store=cache,
        )
        if request.generate and with_detector
        else {},
        states=locate(compared, sample, link_spec, store=cache, track=source.track) if layer else {},
        layer=layer,
        generate=request.generate,
    )
    return Needs(
        states={"link": behaviour.states} if behaviour.states else {},
        likelihoods=(*behaviour.answers.values(), *behaviour.texts.values(), *behaviour.greedy_answers.values()),
        checkpoints={role: checkpoint for role, checkpoint in checkpoints.items() if role == "placebo"},
        settings={"link_layer": layer.name if layer else None},
        inputs=behaviour,
    )


def texts_of(sample: Corpus, languages: tuple[str, ...]) -> Corpus:
    """Return the texts of some languages."""
    return replace(sample, frame=sample.frame.filter(pl.col("language").is_in(languages)))


def _take_first_texts(texts: Corpus, n: int) -> Corpus:
    """Take n texts per language and class; text ids are hashes, so the first texts are a random sample."""
    first = texts.frame.group_by("language", "harmful", maintain_order=True).head(n)
    return Corpus(name=texts.name, frame=first.with_columns(pair_id=pl.lit(None, dtype=pl.String)))


def _check_placebo(checkpoints: Mapping[str, Checkpoint]) -> None:
    hashes = {role: checkpoint.sha256 for role, checkpoint in checkpoints.items()}
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


def behaviour_cost(facts: CostFacts, request: Behaviour) -> list[ForwardPasses]:
    """Count two passes of each model, both with the LM head: answers after the texts, and the texts themselves."""
    models = [ref for ref in (facts.pair.reference, facts.pair.aligned, request.placebo) if ref is not None]
    key = ("behaviour", facts.config.spec.sha256, request.generate)
    return [
        ForwardPasses(
            model=ref, key=key, passes=PASSES, flops=_count_operations(size, facts, request) if size else None
        )
        for ref in models
        for size in [facts.size_of(ref)]
    ]


def tokens_of_answers(languages: tuple[str, ...]) -> int:
    """Estimate the number of tokens of all answers to a text."""
    return ANSWER_TOKENS * sum(len(answers(languages[0], side, "score")) for side in SIDES)


def _count_operations(size: Size, facts: CostFacts, request: Behaviour) -> float:
    """Count the operations for one model: 2 per parameter and token, with the LM head if it is used."""
    languages = tuple(code for code in facts.languages if code in answered_languages())
    if not languages or facts.texts is None:
        return 0.0
    share, tokens = len(languages) / len(facts.languages), facts.tokens
    answer_tokens = tokens_of_answers(languages)
    body, head = 2.0 * size.block_parameters, 2.0 * size.vocabulary * size.width
    per_text = (2 * tokens + answer_tokens) * body + (tokens + answer_tokens) * head
    total = per_text * facts.texts * share
    return total + 2 * request.generate * len(languages) * (tokens * body + NEW_TOKENS * (body + head))
