"""The order of records: couples stay together, and couples of like length are one batch.

A batch of couples holds as many harmful as harmless texts, with the same answers: what answers have in common cancels,
and what tells the texts apart is left. Padding is computed like text, and half of a random batch is padding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Texts of a couple.
TWO = 2
#: Batches that are made of the same records: more save more padding, fewer keep the order more random.
WINDOW = 8


def in_couples(lengths: Sequence[int], batch_size: int, seed: int) -> list[int]:
    """Order records that come in couples.

    Args:
        lengths: tokens of each record; those of a couple stand beside each other.
        batch_size: records in a forward pass; if it is odd, couples are parted at its ends.
        seed: of the order of batches.

    Returns:
        Numbers of the records, each once.

    >>> in_couples([9, 8, 1, 2, 7, 9, 2, 1], batch_size=4, seed=0)
    [2, 3, 6, 7, 0, 1, 4, 5]
    """
    couples = [max(lengths[first : first + TWO]) for first in range(0, len(lengths) - 1, TWO)]
    order = batches_of_like_length(couples, max(1, batch_size // TWO), seed)
    alone = [len(lengths) - 1] if len(lengths) % TWO else []
    return [TWO * couple + side for couple in order for side in range(TWO)] + alone


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
