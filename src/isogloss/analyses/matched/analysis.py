"""The comparison repeated on samples of each language and the pivot that are matched with each other."""

from __future__ import annotations

from collections.abc import Mapping

from isogloss.auditing.compare import Cell, Change, Compared, Family, compare
from isogloss.auditing.plan import Plan
from isogloss.auditing.sample import Sample, matched
from isogloss.auditing.score import score_all
from isogloss.engines.engine import Engine
from isogloss.progress import Track
from isogloss.stats.thresholds import THRESHOLDS


def compare_matched(
    plan: Plan, samples: Mapping[str, Sample], primary: Cell, engine: Engine, track: Track
) -> dict[Cell, Compared]:
    """Compare each language with the pivot on matched texts, at the primary layer.

    Languages with fewer than `THRESHOLDS.fewest_matched` matched pairs (or texts per class) are left out. Every language has a sample
    of the pivot's texts of its own.

    Returns:
        What each metric says; nothing if matching was not asked for, or there is no reference.
    """
    config, pivot = plan.config, samples[plan.config.pivot]
    if not config.match or "reference" not in plan.activations:
        return {}
    parts: list[Sample] = []
    for code, sample in samples.items():
        if code == config.pivot:
            continue
        own, theirs = matched(sample, pivot, config.match)
        if len(own) // 2 >= THRESHOLDS.fewest_matched:
            parts += [
                part.part(rows, config.permutations, config.seed) for part, rows in ((sample, own), (pivot, theirs))
            ]

    done = score_all(plan, [(part, primary.layer) for part in parts], engine, track, "Measuring matched texts")
    own_changes: dict[Cell, dict[str, Change]] = {}
    pivot_changes: dict[Cell, dict[str, Change]] = {}
    for one, other in zip(done[0::2], done[1::2], strict=True):
        for cell, change in one.changes.items():
            own_changes.setdefault(cell, {})[one.sample.language] = change
            pivot_changes.setdefault(cell, {})[one.sample.language] = other.changes[cell]
    return {
        cell: compare(
            Family(
                changes=own,
                pivots=pivot_changes[cell],
                pivot=config.pivot,
                layer=cell.layer,
                sample="matched",
                together=cell == primary,
            ),
            config.seed,
        )
        for cell, own in own_changes.items()
    }
