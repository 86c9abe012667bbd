"""What directional ablation reads: harm directions from half of the pairs, and the other half under ablation.

The direction is removed from the residual stream of the aligned model (Arditi et al., 2024). As controls, as much is
removed along random directions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from isogloss.analyses.ablation.request import Ablation
from isogloss.analyses.ablation.statistics import MOST_TRIED, N_RANDOM, harm_direction, random_directions, split
from isogloss.analyses.behaviour.needs import BehaviourPlan, link_layer, tokens_of_answers
from isogloss.analyses.behaviour.request import Behaviour
from isogloss.auditing.analysis import CostFacts, ForwardPasses, Lookup, Needs
from isogloss.auditing.config import AuditConfig
from isogloss.auditing.measure import draw_samples
from isogloss.auditing.plan import Plan
from isogloss.auditing.sample import Sample
from isogloss.data.corpus import Corpus
from isogloss.errors import ModelError, UsageError
from isogloss.hidden_states.activations import Activations, locate
from isogloss.likelihoods.answers import answered_languages
from isogloss.likelihoods.cached import Answers
from isogloss.models.depth import read_depth
from isogloss.models.edits import Edit, edit_of
from isogloss.stats.text_pairs import unit_ids

#: The aligned model without its harm direction, and with as much removed along random directions.
ABLATED = "ablated"
RANDOMS = tuple(f"random_{number}" for number in range(1, N_RANDOM + 1))


@dataclass(frozen=True, kw_only=True)
class AblationPlan:
    """What is read under ablation; all but `harm` is by language, and empty until the edits are known.

    Attributes:
        harm: hidden states of the aligned model that harm directions are fitted to.
        rows: int, rows in the language's part of the corpus: the texts that edits are tried on. None of them was used
            to fit a direction.
        states: ABLATED and RANDOMS -> hidden states of these texts at the primary layer.
        answers: ABLATED and RANDOMS -> likelihoods of answers to these texts.
    """

    harm: Activations
    rows: Mapping[str, np.ndarray]
    states: Mapping[str, Mapping[str, Activations]]
    answers: Mapping[str, Mapping[str, Answers]]


def check_ablation(request: Ablation, config: AuditConfig, corpus: Corpus) -> None:
    """Refuse the request without the behaviour analysis.

    Raises:
        UsageError: the behaviour analysis is not requested.
    """
    del request, corpus
    if config.request(Behaviour) is None:
        raise UsageError(
            "--ablation",
            found="no --behaviour",
            expected="both: it shows whether behaviour depends on the harm direction",
            do="add it",
        )


def ablation_needs(plan: Plan, request: Ablation, source: Lookup) -> Needs:
    """Locate the states that harm directions are fitted to: those of the link if there is one."""
    del request
    behaviour: BehaviourPlan = plan.needs["behaviour"].inputs
    if behaviour.states:
        return Needs(inputs=AblationPlan(harm=behaviour.states["aligned"], rows={}, states={}, answers={}))
    depth = read_depth(plan.activations["aligned"].checkpoint, source.track)
    spec = replace(plan.config.spec, layers=(link_layer(plan.primary_layer, depth).option,))
    states = locate({"aligned": source.pair.aligned}, plan.corpus, spec, store=source.cache, track=source.track)
    return Needs(states={"harm": states}, inputs=AblationPlan(harm=states["aligned"], rows={}, states={}, answers={}))


def ablation_follow(plan: Plan, request: Ablation, needs: Needs) -> Needs | None:
    """Fit the edits once the states that directions are fitted to are in the cache.

    Raises:
        ModelError: the mean states of both classes are equal.
        StoreError: the store is broken.
    """
    del request
    ablation: AblationPlan = needs.inputs
    if ablation.rows:
        return None
    behaviour: BehaviourPlan = plan.needs["behaviour"].inputs
    samples, seed = draw_samples(plan), plan.config.seed
    rows: dict[str, np.ndarray] = {}
    states: dict[str, dict[str, Activations]] = {}
    answers: dict[str, dict[str, Answers]] = {}
    for language in behaviour.languages:
        fits, rows[language] = split(samples[language].draws, seed)
        edits = _make_edits(ablation.harm, samples[language], fits, seed)
        texts = replace(plan.corpus, frame=plan.corpus.part(language)[rows[language]], warnings=())
        plain_states = plan.activations["aligned"].on(texts)
        plain_answers = behaviour.answers["aligned"].on(texts)
        states[language] = {name: plain_states.under(edit, plan.primary_layer) for name, edit in edits.items()}
        answers[language] = {name: plain_answers.under(edit) for name, edit in edits.items()}
    return replace(
        needs,
        states={**needs.states, **{f"edited, {language}": edited for language, edited in states.items()}},
        likelihoods=tuple(edited for by_edit in answers.values() for edited in by_edit.values()),
        inputs=replace(ablation, rows=rows, states=states, answers=answers),
    )


def _make_edits(harm: Activations, sample: Sample, fits: np.ndarray, seed: int) -> dict[str, Edit]:
    """Make the edits of one language: along the harm direction of the texts in `fits`, and along random directions."""
    language = sample.language
    hidden = harm.block(language, harm.layers[0]).hidden[sample.rows[fits]]
    direction = harm_direction(hidden, sample.draws.harmful[fits])
    if direction is None:
        raise ModelError(
            "--ablation",
            found=f"equal mean states of both classes in {language}",
            expected="a difference, which is the harm direction",
            do="check the model, or leave the analysis out",
        )
    rng = np.random.default_rng([seed, 7, int(unit_ids([language])[0])])
    controls = random_directions(direction, N_RANDOM, rng)
    return {
        ABLATED: edit_of(direction, direction),
        **{name: edit_of(direction, random) for name, random in zip(RANDOMS, controls, strict=True)},
    }


def ablation_cost(facts: CostFacts, request: Ablation) -> list[ForwardPasses]:
    """Count the passes of the edited models over the texts that edits are tried on."""
    del request
    languages = tuple(code for code in facts.languages if code in answered_languages())
    size = facts.size_of(facts.pair.aligned)
    flops = None
    if size is not None:
        answer_tokens = tokens_of_answers(languages) if languages else 0
        body, head = 2.0 * size.block_parameters, 2.0 * size.vocabulary * size.width
        edits, n_texts = len((ABLATED, *RANDOMS)), 2 * MOST_TRIED * len(languages)
        flops = edits * n_texts * ((2 * facts.tokens + answer_tokens) * body + answer_tokens * head)
    key = ("ablation", facts.config.spec.sha256)
    return [ForwardPasses(model=facts.pair.aligned, key=key, passes=0, flops=flops)]
