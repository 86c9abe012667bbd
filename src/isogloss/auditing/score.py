"""The scores of one language: both models, every layer, all metrics; pure work that engines map over small parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np

from isogloss.auditing.compare import Change, ScoreKey
from isogloss.auditing.plan import Plan
from isogloss.auditing.sample import Sample
from isogloss.engines.engine import Engine
from isogloss.hidden_states.spec import Layer
from isogloss.progress import Track
from isogloss.stats.block import BlockScores, score_block

ItemT = TypeVar("ItemT")
DoneT = TypeVar("DoneT")


class ScoreItem(NamedTuple):
    """Work for an engine: the plan of one language, its sample, and one layer; the worker reads the states."""

    plan: Plan
    sample: Sample
    layer: Layer


@dataclass(frozen=True, kw_only=True)
class ScoredBlock:
    """Scores of one language and layer by role, with the sample that they came from.

    Numbers of every text are dropped from them after `each` of `score_all` has seen them.
    """

    sample: Sample
    layer: Layer
    scores: dict[str, BlockScores]

    @property
    def n(self) -> int:
        """Texts per class."""
        return self.sample.draws.per_class

    @property
    def changes(self) -> dict[ScoreKey, Change]:
        """Both models' scores by metric; nothing where there is no reference."""
        if "reference" not in self.scores:
            return {}
        # By name: scores that are missing stand last, and a model may lack one that the other has.
        aligned = {(score.metric, score.components): score for score in self.scores["aligned"].scores}
        return {
            ScoreKey(self.layer, *key): Change(reference=reference, aligned=aligned[key], n=self.n)
            for reference in self.scores["reference"].scores
            for key in [(reference.metric, reference.components)]
        }


def ignore_block(scored: ScoredBlock) -> None:
    """Do nothing with a block."""
    del scored


def score_all(
    plan: Plan,
    parts: Sequence[tuple[Sample, Layer]],
    engine: Engine,
    track: Track,
    name: str,
    *,
    each: Callable[[ScoredBlock], None] = ignore_block,
) -> list[ScoredBlock]:
    """Score samples of languages at layers in every model that is compared; results in the order of the parts.

    Args:
        plan: of the audit.
        parts: samples and layers.
        engine: who does it.
        track: progress display.
        name: of the display.
        each: called with each block as soon as it is scored, with the numbers of every text.
    """
    plans = {language: plan.of_language(language) for language in {sample.language for sample, _ in parts}}
    items = [ScoreItem(plans[sample.language], sample, layer) for sample, layer in parts]
    scored = []
    with track(name, len(items)) as advance:
        done = engine.map(score_item, items, workers=plan.config.workers)
        for (sample, layer), scores in zip(parts, done, strict=True):
            block = ScoredBlock(sample=sample, layer=layer, scores=scores)
            each(block)
            scored.append(replace(block, scores={role: kept.without_texts() for role, kept in scores.items()}))
            advance(1)
    return scored


def score_item(item: ScoreItem) -> dict[str, BlockScores]:
    """Score a language's states of one layer by role; one block is in memory at a time."""
    plan, sample, layer = item
    scores = {}
    known_units: dict[bytes, np.ndarray] = {}
    for role in plan.roles:
        hidden = plan.activations[role].block(sample.language, layer).hidden[sample.rows]
        scores[role] = score_block(hidden, sample.draws, plan.metrics, plan.components).with_units(known_units)
    return scores


def map_side_by_side(
    function: Callable[[ItemT], DoneT],
    items: Sequence[ItemT],
    engine: Engine,
    track: Track,
    name: str,
    *,
    workers: int | None,
) -> list[DoneT]:
    """Map a function over items with a display; results in the order of the items."""
    results = []
    with track(name, len(items)) as advance:
        for result in engine.map(function, items, workers=workers):
            results.append(result)
            advance(1)
    return results
