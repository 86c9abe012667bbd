"""Records of like length into one batch: padding is computed like text, and half of a random batch is padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Batches that are made of the same records: more save more padding, fewer keep the order more random.
WINDOW = 8


def batches_of_like_length(lengths: Sequence[int], batch_size: int, seed: int) -> list[int]:
    """Order records so that each batch holds records of like length, and batches come in random order.

    Records move within windows of WINDOW batches only, so what is trained on early and late is as random as before.

    Args:
        lengths: tokens of each record, in random order.
        batch_size: records in a forward pass.
        seed: of the order of batches.

    Returns:
        Numbers of the records, each once.

    >>> order = batches_of_like_length([9, 1, 8, 2], batch_size=2, seed=0)
    >>> sorted(order[:2]), sorted(order[2:])
    ([1, 3], [0, 2])
    """
    rng = np.random.default_rng(seed)
    found: list[int] = []
    for start in range(0, len(lengths), WINDOW * batch_size):
        stop = min(start + WINDOW * batch_size, len(lengths))
        sorted_rows = sorted(range(start, stop), key=lambda row: (lengths[row], row))
        # A batch that is not whole comes last, or those after it would be put together across windows.
        whole = (stop - start) // batch_size
        for number in (*rng.permutation(whole), whole):
            found += sorted_rows[number * batch_size : (number + 1) * batch_size]
    return found
