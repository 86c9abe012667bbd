"""The store: named arrays of texts under a model and settings, computed once and found again by content.

    STORE/<model hash>/<settings hash>/<language>/<shard>     see `shard`

The arrays of a text may lie in several shards of its folder: reading gathers them, and only arrays that no shard holds
are computed. Nothing in the names depends on a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from isogloss.errors import StoreError
from isogloss.hidden_states.shard import ARRAYS, MANIFEST, adopt, read_array, read_manifests, text_key, write_shard
from isogloss.io.files import cache_root, saving
from isogloss.io.leases import using
from isogloss.io.locks import locked
from isogloss.io.paths import AnyPath, names, read_only, refusals
from isogloss.progress import Track, silent

#: Texts in a shard: what a killed run loses at most.
SHARD_TEXTS = 512


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Some texts of a language under a model and settings: where their arrays are, or will be.

    Attributes:
        root: the store.
        model_sha256: hash of the model.
        settings_sha256: hash of what else decides the numbers, but not of which arrays are wanted.
        language: code.
        texts: `text_key` of each text.
        about: names for people (model, settings).
    """

    root: AnyPath
    model_sha256: str
    settings_sha256: str
    language: str
    texts: tuple[str, ...]
    about: Mapping[str, Any]

    @property
    def folder(self) -> AnyPath:
        """Where the shards are."""
        return self.root / self.model_sha256 / self.settings_sha256 / self.language

    def of(self, texts: Iterable[str]) -> Entry:
        """Take the entry of other texts."""
        return replace(self, texts=tuple(map(text_key, texts)))

    def edited(self, model_sha256: str) -> Entry:
        """Take the entry of the model after an edit, by whose hash it is then found."""
        return replace(self, model_sha256=model_sha256, about={**self.about, "model": f"{self.about['model']}, edited"})


class Gap(NamedTuple):
    """Texts of an entry, at most SHARD_TEXTS, that lack the same arrays."""

    rows: tuple[int, ...]
    names: tuple[str, ...]


def default_store() -> Path:
    """Return the user's store."""
    return cache_root() / "store"


def gaps(entry: Entry, names: Sequence[str]) -> list[Gap]:
    """List what is to be computed so that every text has all arrays; no array is read.

    Equal states of the store give equal gaps, so an interrupted run goes on with the very shards that it would have
    written.

    Raises:
        StoreError: a manifest or file is missing or broken.
    """
    stored: dict[str, set[str]] = {}
    for shard in read_manifests(entry.folder):
        held = shard.arrays.keys() & set(names)
        for text in shard.texts:
            stored.setdefault(text, set()).update(held)
    rows_lacking: dict[tuple[str, ...], list[int]] = {}
    for row, text in enumerate(entry.texts):
        lacking = tuple(name for name in names if name not in stored.get(text, ()))
        if lacking:
            rows_lacking.setdefault(lacking, []).append(row)
    return [
        Gap(tuple(rows[start : start + SHARD_TEXTS]), lacking)
        for lacking, rows in rows_lacking.items()
        for start in range(0, len(rows), SHARD_TEXTS)
    ]


def write(
    entry: Entry, rows: Sequence[int], arrays: Mapping[str, np.ndarray], *, about: Mapping[str, Any] | None = None
) -> None:
    """Write arrays of some texts, as one shard; when this returns they are on the disk and will be found.

    Args:
        entry: whose texts.
        rows: which of its texts.
        arrays: name -> (rows,) or (rows, width), in the dtype to keep.
        about: further facts for the manifest, such as how the arrays were computed.

    Raises:
        StoreError: they cannot be written.
    """
    with saving(entry.folder, "--store"):
        texts = tuple(entry.texts[row] for row in rows)
        write_shard(entry.folder, {**entry.about, **(about or {})}, texts, arrays)


def read_about(entry: Entry, names: Sequence[str]) -> list[Mapping[str, Any]]:
    """List the `about` of all shards that hold one of these arrays for one of these texts.

    Raises:
        StoreError: a manifest or file is missing or broken.
    """
    wanted = set(entry.texts)
    return [
        shard.about
        for shard in read_manifests(entry.folder)
        if shard.arrays.keys() & set(names) and wanted & set(shard.texts)
    ]


def read(entry: Entry, name: str) -> np.ndarray:
    """Read one array of all texts of an entry, touching only its bytes.

    Returns:
        (texts,) or (texts, width), in the order of `entry.texts` and the dtype that was written.

    Raises:
        StoreError: it is not stored for a text, or a file is missing or broken.
    """
    shards = [shard for shard in read_manifests(entry.folder) if name in shard.arrays]
    where: dict[str, tuple[int, int]] = {}
    for number, shard in enumerate(shards):
        for row, text in enumerate(shard.texts):
            where.setdefault(text, (number, row))
    if lacking := sum(text not in where for text in entry.texts):
        raise StoreError(
            f"store {entry.folder}",
            found=f"no array {name} for {lacking} of {len(entry.texts)} texts",
            expected="all of them",
            do="run the audit again, which computes what is missing",
        )
    positions = np.array([where[text] for text in entry.texts], dtype=np.intp).reshape(-1, 2)
    whole: np.ndarray | None = None
    for number in np.unique(positions[:, 0]):
        array, rows = read_array(shards[number], name), positions[:, 0] == number
        if whole is None:
            whole = np.empty((len(positions), *array.shape[1:]), dtype=array.dtype)
        whole[rows] = array[positions[rows, 1]]
    return np.empty(0) if whole is None else whole


@contextmanager
def filling(entries: Iterable[Entry], track: Track = silent) -> Iterator[None]:
    """Keep others from filling the same models and settings during the block; wait while another process does.

    Look for gaps inside the block: by then the other process has written its shards, and shards that a killed process
    finished have their manifests. A remote store has no such lock. It stays correct without one, because names are
    hashes of the content: two processes that compute the same write the same, and only the work is done twice.

    Raises:
        StoreError: the store cannot be written.
    """
    entries = list(entries)
    with ExitStack() as stack:
        for root in sorted({entry.root for entry in entries}):
            stack.enter_context(in_use(root, track))
        # In one order for all, so that no two processes wait for each other.
        for folder in sorted({entry.folder.parent for entry in entries}):
            if isinstance(folder, Path):
                with saving(folder, "--store"):
                    stack.enter_context(locked(folder, wait=track))
        for folder in sorted({entry.folder for entry in entries}):
            with saving(folder, "--store"):
                _adopt_all(folder)
        yield


def _adopt_all(folder: AnyPath) -> None:
    present = names(folder)
    for name in sorted(present):
        path = folder / name
        if path.suffix == ARRAYS and not name.startswith(".") and path.with_suffix(MANIFEST).name not in present:
            adopt(path)


@contextmanager
def in_use(root: AnyPath, track: Track = silent) -> Iterator[None]:
    """Keep `isogloss store prune` from a store during the block; wait while one is at work.

    A store that cannot be written can be read all the same: then nothing is locked.
    """
    with ExitStack() as stack:
        try:
            if isinstance(root, Path):
                stack.enter_context(locked(root, shared=True, wait=track))
            else:
                stack.enter_context(using(root, track))
        except refusals() as error:
            if not read_only(error):
                with saving(root, "--store"):
                    raise
        yield
