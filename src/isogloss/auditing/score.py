"""The scores of one language: both models, every layer, all metrics. Engines map these functions over work items."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from isogloss.stats.class_distance import within_class_spread
from isogloss.stats.scaling import SCALINGS, scales

ItemT = TypeVar("ItemT")
DoneT = TypeVar("DoneT")


class ScoreItem(NamedTuple):
    """A work item of an engine: the plan of one language, its sample, and one layer. The worker reads the states.

    `spread` is the unit of the class distance at the layer, the same for all languages and models.
    """

    plan: Plan
    sample: Sample
    layer: Layer
    spread: float


@dataclass(frozen=True, kw_only=True)
class ScoredBlock:
    """Scores of one language and layer by role, with their sample."""

    sample: Sample
    layer: Layer
    scores: dict[str, BlockScores]

    @property
    def n(self) -> int:
        """Texts per class."""
        return self.sample.draws.per_class

    def without_texts(self) -> ScoredBlock:
        """Drop the numbers of single texts, which are most of a block."""
        return replace(self, scores={role: scores.without_texts() for role, scores in self.scores.items()})

    @property
    def changes(self) -> dict[ScoreKey, Change]:
        """Both models' scores by metric; empty without a reference."""
        if "reference" not in self.scores:
            return {}
        # Matched by name: missing scores come last, and one model may lack a score that the other has.
        aligned = {(score.metric, score.components): score for score in self.scores["aligned"].scores}
        return {
            ScoreKey(self.layer, *key): Change(reference=reference, aligned=aligned[key], n=self.n)
            for reference in self.scores["reference"].scores
            for key in [(reference.metric, reference.components)]
        }


def score_blocks(
    plan: Plan, parts: Sequence[tuple[Sample, Layer]], engine: Engine, track: Track, name: str
) -> Iterator[ScoredBlock]:
    """Score samples of languages at layers in every compared model, one block after another.

    Args:
        plan: plan of the audit.
        parts: samples and layers.
        engine: where the work is done.
        track: progress display.
        name: title of the display.

    Yields:
        The blocks in the order of the parts, with the numbers of single texts (see `without_texts`).
    """
    plans = {language: plan.of_language(language) for language in {sample.language for sample, _ in parts}}
    spreads = {layer: _spread_of_pivot(plan, layer) for layer in dict.fromkeys(layer for _, layer in parts)}
    items = [ScoreItem(plans[sample.language], sample, layer, spreads[layer]) for sample, layer in parts]
    with track(name, len(items)) as advance:
        done = engine.map(score_item, items, workers=plan.config.workers)
        for (sample, layer), scores in zip(parts, done, strict=True):
            yield ScoredBlock(sample=sample, layer=layer, scores=scores)
            advance(1)


def score_all(
    plan: Plan, parts: Sequence[tuple[Sample, Layer]], engine: Engine, track: Track, name: str
) -> list[ScoredBlock]:
    """Score all blocks and drop the numbers of single texts; see `score_blocks`."""
    return [block.without_texts() for block in score_blocks(plan, parts, engine, track, name)]


def score_item(item: ScoreItem) -> dict[str, BlockScores]:
    """Score the states of a language and layer by role; only one block is in memory at a time."""
    plan, sample, layer, spread = item
    scores = {}
    known_units: dict[bytes, np.ndarray] = {}
    scale = _find_scales(plan, sample.language, layer)
    for role in plan.roles:
        hidden = plan.activations[role].block(sample.language, layer).hidden[sample.rows]
        block_scores = score_block(
            hidden, sample.draws, plan.metrics, plan.components, scale=scale[role], spread=spread
        )
        scores[role] = block_scores.with_units(known_units)
    return scores


def _spread_of_pivot(plan: Plan, layer: Layer) -> float:
    """Return the unit of the class distance: the spread within classes of the pivot in the model before alignment."""
    pivot = plan.config.pivot
    hidden = plan.activations[plan.roles[0]].block(pivot, layer).hidden
    return within_class_spread(hidden, plan.corpus.part(pivot)["harmful"].to_numpy())


def _find_scales(plan: Plan, language: str, layer: Layer) -> dict[str, np.ndarray | None]:
    """Return the scale of each model's states, from all texts of the language: a sample of them changes no scale."""
    scaling = SCALINGS[plan.config.scaling]
    if scaling.spread is None:
        return dict.fromkeys(plan.roles)
    return scales(scaling, {role: plan.activations[role].block(language, layer).hidden for role in plan.roles})


def map_side_by_side(
    function: Callable[[ItemT], DoneT],
    items: Sequence[ItemT],
    engine: Engine,
    track: Track,
    name: str,
    *,
    workers: int | None,
) -> list[DoneT]:
    """Map a function over items with a progress display; results are in the order of the items."""
    results = []
    with track(name, len(items)) as advance:
        for result in engine.map(function, items, workers=workers):
            results.append(result)
            advance(1)
    return results
