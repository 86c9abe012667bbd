"""Token id rows -> batches: every distinct row once, rows of like length together, a shared beginning only once.

A batch holds rows of nearly one length, so that little is padded; no two texts share a row, so no model needs a mask
between texts. The number of rows in a batch trades padded tokens against the fixed cost of a forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

import numpy as np

#: A shared beginning is run once if it has at least this many tokens, and at least this share of all tokens.
PREFIX_TOKENS = 8
PREFIX_SHARE = 0.15
#: Shares of the token budget that a batch fills. oneDNN keeps what it prepared for every shape that it ever saw, a
#: megabyte each, so shapes are few: those of any size would cost 1 % less time, and memory that grows with the texts.
SHARES = (1, 5 / 8, 3 / 8, 3 / 16, 3 / 32, 3 / 64, 0)


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """`batches` index into the distinct rows; `inverse[i]` is the distinct row of text i.

    Every row begins with the first `prefix` tokens of row 0; `text_ends` as in `Prompts`, of the distinct rows.
    """

    distinct: tuple[tuple[int, ...], ...]
    text_ends: tuple[int, ...]
    inverse: tuple[int, ...]
    batches: tuple[tuple[int, ...], ...]
    prefix: int = 0

    @property
    def beginning(self) -> tuple[int, ...]:
        """The tokens with which every row begins, where they are run once."""
        return self.distinct[0][: self.prefix] if self.prefix else ()


def plan_batches(
    rows: Sequence[tuple[int, ...]],
    *,
    token_budget: int,
    overhead: int = 0,
    text_ends: Sequence[int] | None = None,
    share_prefix: bool = False,
) -> BatchPlan:
    """Group rows so that padding and forward passes together cost least.

    A padded batch holds at most `token_budget` tokens (one row may exceed it alone). Longest rows come first, so that a
    batch that does not fit in memory fails at once.

    Args:
        rows: token ids, at least one each.
        token_budget: most tokens in a padded batch, a shared beginning left out.
        overhead: what a forward pass costs beside its tokens, in tokens.
        text_ends: as in `Prompts`; None: where the rows end.
        share_prefix: whether a beginning that all rows share may be left to a forward pass of its own.

    >>> plan_batches([(1, 2), (3,), (1, 2), (4, 5, 6)], token_budget=4).batches
    ((2,), (0,), (1,))
    >>> plan_batches([(1, 2), (3,), (1, 2), (4, 5, 6)], token_budget=4, overhead=2).batches
    ((2,), (0, 1))
    """
    numbers: dict[tuple[tuple[int, ...], int], int] = {}
    ends = map(len, rows) if text_ends is None else text_ends
    inverse = tuple(numbers.setdefault(row, len(numbers)) for row in zip(rows, ends, strict=True))
    distinct, distinct_ends = zip(*numbers, strict=True) if numbers else ((), ())
    prefix = _prefix(distinct, min(distinct_ends)) if share_prefix and distinct_ends else 0
    order = sorted(range(len(distinct)), key=lambda i: (-len(distinct[i]), i))
    lengths = np.array([len(distinct[i]) - prefix for i in order])
    cuts = _cut(lengths, token_budget, overhead)
    batches = tuple(tuple(order[start:stop]) for start, stop in pairwise(cuts))
    return BatchPlan(distinct=distinct, text_ends=distinct_ends, inverse=inverse, batches=batches, prefix=prefix)


def _prefix(distinct: Sequence[tuple[int, ...]], first_end: int) -> int:
    """Length of the shared beginning, if running it once pays; the last token of every text is left over."""
    if len(distinct) < 2:  # noqa: PLR2004 - one row shares nothing
        return 0
    # All rows share what the first and the last in sorted order share.
    equal = takewhile(lambda pair: pair[0] == pair[1], zip(min(distinct), max(distinct), strict=False))
    shared = min(sum(1 for _ in equal), first_end - 1)
    worthwhile = shared >= PREFIX_TOKENS and shared * len(distinct) >= PREFIX_SHARE * sum(map(len, distinct))
    return shared if worthwhile else 0


def _cut(lengths: np.ndarray, budget: int, overhead: int) -> list[int]:
    """Cut falling lengths into batches of least cost: 0, the positions of the cuts, and len(lengths).

    `best[j]` is the least cost of the first j rows: that of the first i, and one batch of rows i to j, padded to the
    length of row i. Only a few numbers of rows are tried for a length, so that batches come in few shapes.
    """
    n = len(lengths)
    best = np.full(n + 1, np.inf)
    best[0] = 0
    start = np.zeros(n + 1, dtype=int)
    for i, length in enumerate(lengths):
        sizes = {max(1, int(share * budget) // int(length)) for share in SHARES}
        if i == 0 and n * length <= budget:
            sizes.add(n)
        for size in sizes:
            if i + size <= n and (cost := best[i] + size * length + overhead) < best[i + size]:
                best[i + size], start[i + size] = cost, i
    cuts = [n]
    while cuts[-1] > 0:
        cuts.append(int(start[cuts[-1]]))
    return cuts[::-1]
