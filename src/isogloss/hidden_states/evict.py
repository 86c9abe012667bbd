"""Take arrays of some texts out of the store again, and leave whatever else its shards hold.

A shard is never changed. What of it stays is written as a shard of its own before the old one goes, so that a process
that is killed in between leaves arrays twice and loses none.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from isogloss.hidden_states.shard import Shard, read_array, read_manifests, write_shard
from isogloss.hidden_states.store import Entry
from isogloss.io.files import remove, saving


def forget(place: Entry, arrays: Collection[str], beside: Collection[str]) -> int:
    """Remove arrays of the texts of an entry from the store; call it while nobody else uses the store.

    Arrays of other texts stay, and so do other arrays of these texts, such as layers that another run has read.

    Args:
        place: whose texts.
        arrays: names of those to remove.
        beside: names of arrays that are of use only beside others; of a text that has no others left they go too.

    Returns:
        Bytes that it freed.

    Raises:
        StoreError: a shard is broken, or one cannot be written or removed.
    """
    mine = set(place.texts)
    gone = set(arrays)
    shards = read_manifests(place.folder)
    needed = {text for shard in shards if shard.arrays.keys() - gone - set(beside) for text in shard.texts}
    freed = 0
    for shard in shards:
        parts = _parts(shard, mine, gone, set(beside) - gone, needed)
        if parts != {frozenset(shard.arrays): list(range(len(shard.texts)))}:
            freed += _replace(shard, parts)
    return freed


def _parts(
    shard: Shard, mine: set[str], gone: set[str], beside: set[str], needed: set[str]
) -> dict[frozenset[str], list[int]]:
    """Sort the rows of a shard by the arrays of them that stay."""
    parts: dict[frozenset[str], list[int]] = {}
    for row, text in enumerate(shard.texts):
        stay = frozenset(shard.arrays)
        if text in mine:
            stay -= gone if text in needed else gone | beside
        parts.setdefault(stay, []).append(row)
    return parts


def _replace(shard: Shard, parts: dict[frozenset[str], list[int]]) -> int:
    freed = shard.size
    for names, rows in parts.items():
        if names:
            texts = tuple(shard.texts[row] for row in rows)
            held = {name: read_array(shard, name)[np.array(rows)] for name in sorted(names)}
            with saving(shard.manifest.parent, "--store"):
                freed -= write_shard(shard.manifest.parent, shard.about, texts, held)
    for path in (shard.manifest, shard.path):  # without its manifest, it is no longer found
        with saving(path, "--store"):
            remove(path)
    return freed
