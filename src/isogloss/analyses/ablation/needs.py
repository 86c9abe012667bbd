"""How models are edited for the ablation control: harm directions from half of a language's pairs, and random ones.

The other pairs are read again with the direction taken out of the aligned model.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from isogloss.analyses.ablation.edited_reading import ABLATED, RANDOMS, Ablation
from isogloss.analyses.ablation.statistics import N_RANDOM, harm_direction, random_directions, split
from isogloss.auditing.config import ABLATE
from isogloss.auditing.measure import samples_of
from isogloss.auditing.plan import Plan
from isogloss.auditing.sample import Sample
from isogloss.errors import ModelError
from isogloss.hidden_states.activations import Activations
from isogloss.likelihoods.cached import Answers
from isogloss.models.edits import Edit, edit_of
from isogloss.stats.text_pairs import unit_ids


def with_ablation(plan: Plan) -> Plan:
    """Settle how models are edited, if that is asked for and the states that say so are all in the store.

    Raises:
        ModelError: the model's states are the same for both classes.
        StoreError: the store is broken.
    """
    if ABLATE not in plan.config.controls or plan.ablation or plan.missing:
        return plan
    told, harm = plan.behaviour, plan.behaviour.harm if plan.behaviour else None
    assert told is not None  # noqa: S101 - check_choices: behaviour is asked for
    assert harm is not None  # noqa: S101 - plan_behaviour, likewise
    samples = samples_of(plan)
    rows: dict[str, np.ndarray] = {}
    states: dict[str, dict[str, Activations]] = {}
    answers: dict[str, dict[str, Answers]] = {}
    for code in told.languages:
        fits, rows[code] = split(samples[code].draws, plan.config.seed)
        edits = _edits(harm, samples[code], fits, plan.config.seed)
        texts = replace(plan.corpus, frame=plan.corpus.part(code)[rows[code]], warnings=())
        plain, said = plan.activations["aligned"].on(texts), told.answers["aligned"].on(texts)
        states[code] = {name: plain.under(edit, plan.primary_layer) for name, edit in edits.items()}
        answers[code] = {name: said.under(edit) for name, edit in edits.items()}
    return replace(plan, ablation=Ablation(rows=rows, states=states, answers=answers))


def _edits(harm: Activations, sample: Sample, fits: np.ndarray, seed: int) -> dict[str, Edit]:
    """The edits of one language: the harm direction from the texts in `fits`, and random ones."""
    code = sample.language
    hidden = harm.block(code, harm.layers[0]).hidden[sample.rows[fits]]
    direction = harm_direction(hidden, sample.draws.harmful[fits])
    if direction is None:
        raise ModelError(
            f"--controls {ABLATE}",
            found=f"equal mean states of both classes in {code}",
            expected="a difference, which is the harm direction",
            do="check the model, or leave it out",
        )
    drawn = random_directions(direction, N_RANDOM, np.random.default_rng([seed, 7, int(unit_ids([code])[0])]))
    return {
        ABLATED: edit_of(direction, direction),
        **{name: edit_of(direction, one) for name, one in zip(RANDOMS, drawn, strict=True)},
    }
