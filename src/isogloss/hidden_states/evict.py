"""Evict arrays of some texts from the store, and leave everything else that its shards hold.

A shard is never changed. The rest is written as a new shard before the old one is removed, so a process that is killed
in between leaves arrays twice and loses none.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from isogloss.hidden_states.shard import Shard, read_array, read_manifests, write_shard
from isogloss.hidden_states.store import Entry
from isogloss.io.files import remove, saving


def forget(entry: Entry, arrays: Collection[str], beside: Collection[str]) -> int:
    """Remove arrays of the texts of an entry from the store; call it while nobody else uses the store.

    Arrays of other texts stay, and so do other arrays of these texts, such as layers that another run has read.

    Args:
        entry: whose texts.
        arrays: names of those to remove.
        beside: names of arrays that are useful only beside others; they go too if a text has no others left.

    Returns:
        Bytes that it freed.

    Raises:
        StoreError: a shard is broken, or one cannot be written or removed.
    """
    evicted = set(entry.texts)
    gone = set(arrays)
    shards = read_manifests(entry.folder)
    needed = {text for shard in shards if shard.arrays.keys() - gone - set(beside) for text in shard.texts}
    freed = 0
    for shard in shards:
        kept = _rows_by_kept_arrays(shard, evicted, gone, set(beside) - gone, needed)
        if kept != {frozenset(shard.arrays): list(range(len(shard.texts)))}:
            freed += _replace(shard, kept)
    return freed


def _rows_by_kept_arrays(
    shard: Shard, evicted: set[str], gone: set[str], beside: set[str], needed: set[str]
) -> dict[frozenset[str], list[int]]:
    """Group the rows of a shard by the arrays that they keep."""
    kept: dict[frozenset[str], list[int]] = {}
    for row, text in enumerate(shard.texts):
        stay = frozenset(shard.arrays)
        if text in evicted:
            stay -= gone if text in needed else gone | beside
        kept.setdefault(stay, []).append(row)
    return kept


def _replace(shard: Shard, kept: dict[frozenset[str], list[int]]) -> int:
    freed = shard.size
    for names, rows in kept.items():
        if names:
            texts = tuple(shard.texts[row] for row in rows)
            held = {name: read_array(shard, name)[np.array(rows)] for name in sorted(names)}
            with saving(shard.manifest.parent, "--store"):
                freed -= write_shard(shard.manifest.parent, shard.about, texts, held)
    for path in (shard.manifest, shard.path):  # without its manifest, it is no longer found
        with saving(path, "--store"):
            remove(path)
    return freed
