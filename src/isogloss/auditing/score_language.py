"""The scores of one language: both models, every layer, all metrics; pure work that runs side by side with others'."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from threadpoolctl import threadpool_limits

from isogloss.activations.spec import Layer
from isogloss.auditing.comparisons import Cell, Change
from isogloss.auditing.plan import Plan
from isogloss.auditing.sample import Sample
from isogloss.progress import Track
from isogloss.separation.block import BlockScores, score_block

WorkT = TypeVar("WorkT")
DoneT = TypeVar("DoneT")


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Scores of one language and layer by role, with the sample that they came from."""

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


def score(plan: Plan, sample: Sample, layer: Layer) -> Scored:
    """Score a language's states of one layer in every model that is compared."""
    blocks = {}
    for role in plan.roles:
        hidden = plan.activations[role].block(sample.language, layer).hidden[sample.rows]
        blocks[role] = score_block(hidden, sample.draws, plan.metrics, plan.components)
    return Scored(sample=sample, layer=layer, blocks=blocks)


def side_by_side(
    work: Callable[[WorkT], DoneT], items: Sequence[WorkT], track: Track, name: str, workers: int | None
) -> list[DoneT]:
    """Map work over items on several threads; results in the order of the items.

    Each thread has one BLAS thread, so that the numbers do not depend on how many there are and no core is asked for
    twice.
    """
    done = []
    with (
        threadpool_limits(1),
        track(name, len(items)) as advance,
        ThreadPoolExecutor(workers or os.cpu_count()) as pool,
    ):
        for result in pool.map(work, items):
            done.append(result)
            advance(1)
    return done
