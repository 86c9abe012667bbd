"""The scores of one language: both models, every layer, all metrics; pure work that engines map over small parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np

from isogloss.auditing.compare import Cell, Change
from isogloss.auditing.plan import Plan
from isogloss.auditing.sample import Sample
from isogloss.engines.engine import Engine
from isogloss.hidden_states.spec import Layer
from isogloss.progress import Track
from isogloss.stats.block import BlockScores, score_block

ItemT = TypeVar("ItemT")
DoneT = TypeVar("DoneT")


class Part(NamedTuple):
    """Work for anybody: the plan of one language, its sample, and one layer; states are read where it is done."""

    plan: Plan
    sample: Sample
    layer: Layer


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Scores of one language and layer by role, with the sample that they came from.

    What there is of every text is gone from them but while `each` of `score_all` looks at it.
    """

    sample: Sample
    layer: Layer
    blocks: dict[str, BlockScores]

    @property
    def n(self) -> int:
        """Texts per class."""
        return self.sample.draws.per_class

    @property
    def changes(self) -> dict[Cell, Change]:
        """Both models' scores by metric; nothing where there is no reference."""
        if "reference" not in self.blocks:
            return {}
        # By name: scores that are missing stand last, and a model may lack one that the other has.
        after = {(score.metric, score.components): score for score in self.blocks["aligned"].scores}
        return {
            Cell(self.layer, *key): Change(reference=before, aligned=after[key], n=self.n)
            for before in self.blocks["reference"].scores
            for key in [(before.metric, before.components)]
        }


def forget(one: Scored) -> None:
    """Keep nothing of every text."""
    del one


def score_all(
    plan: Plan,
    parts: Sequence[tuple[Sample, Layer]],
    engine: Engine,
    track: Track,
    name: str,
    *,
    each: Callable[[Scored], None] = forget,
) -> list[Scored]:
    """Score samples of languages at layers in every model that is compared; results in the order of the parts.

    Args:
        plan: of the audit.
        parts: samples and layers.
        engine: who does it.
        track: progress display.
        name: of the display.
        each: shown each one as soon as it is there, with the numbers of every text.
    """
    plans = {code: plan.of(code) for code in {sample.language for sample, _ in parts}}
    items = [Part(plans[sample.language], sample, layer) for sample, layer in parts]
    found = []
    with track(name, len(items)) as advance:
        done = engine.map(score_part, items, workers=plan.config.workers)
        for (sample, layer), blocks in zip(parts, done, strict=True):
            one = Scored(sample=sample, layer=layer, blocks=blocks)
            each(one)
            found.append(replace(one, blocks={role: block.without_texts() for role, block in blocks.items()}))
            advance(1)
    return found


def score_part(part: Part) -> dict[str, BlockScores]:
    """Score a language's states of one layer by role; one block is in memory at a time."""
    plan, sample, layer = part
    blocks = {}
    known: dict[bytes, np.ndarray] = {}
    for role in plan.roles:
        hidden = plan.activations[role].block(sample.language, layer).hidden[sample.rows]
        blocks[role] = score_block(hidden, sample.draws, plan.metrics, plan.components).with_units(known)
    return blocks


def side_by_side(
    function: Callable[[ItemT], DoneT],
    items: Sequence[ItemT],
    engine: Engine,
    track: Track,
    name: str,
    *,
    workers: int | None,
) -> list[DoneT]:
    """Map a function over items with a display; results in the order of the items."""
    done = []
    with track(name, len(items)) as advance:
        for result in engine.map(function, items, workers=workers):
            done.append(result)
            advance(1)
    return done
