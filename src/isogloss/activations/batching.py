"""Token id rows -> batches: every distinct row once, rows of like length together, at most so many tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

TOKEN_BUDGET = 1024


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`batches` index into the distinct rows; `inverse[i]` is the distinct row of text i."""

    distinct: tuple[tuple[int, ...], ...]
    inverse: tuple[int, ...]
    batches: tuple[tuple[int, ...], ...]


def plan_batches(rows: Sequence[tuple[int, ...]], token_budget: int = TOKEN_BUDGET) -> Plan:
    """Group rows so that a padded batch holds at most `token_budget` tokens (one row may exceed it alone).

    Longest rows come first, so that a batch that does not fit in memory fails at once.

    >>> plan_batches([(1, 2), (3,), (1, 2), (4, 5, 6)], token_budget=4).batches
    ((2,), (0, 1))
    """
    position: dict[tuple[int, ...], int] = {}
    inverse = tuple(position.setdefault(row, len(position)) for row in rows)
    distinct = tuple(position)
    order = sorted(range(len(distinct)), key=lambda i: (-len(distinct[i]), i))
    batches: list[tuple[int, ...]] = []
    batch: list[int] = []
    for index in order:
        longest = len(distinct[batch[0]]) if batch else len(distinct[index])
        if batch and longest * (len(batch) + 1) > token_budget:
            batches.append(tuple(batch))
            batch = []
        batch.append(index)
    if batch:
        batches.append(tuple(batch))
    return Plan(distinct=distinct, inverse=inverse, batches=tuple(batches))
