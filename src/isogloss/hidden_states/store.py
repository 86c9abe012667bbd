"""The store: named arrays of texts under a model and settings, computed once and found again by content.

    STORE/<model hash>/<settings hash>/<language>/<shard>     see `shard`

A text's arrays may stand in any shard of its folder, those of one layer here and of another there: what is asked for is
gathered, and only what stands nowhere has to be computed. Nothing in the names depends on a run.
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
    """Texts of an entry, at most SHARD_TEXTS, for which the same arrays are stored nowhere."""

    rows: tuple[int, ...]
    names: tuple[str, ...]


def default_store() -> Path:
    """Return the user's store."""
    return cache_root() / "store"


def gaps(place: Entry, names: Sequence[str]) -> list[Gap]:
    """List what is to be computed so that every text has all arrays; no array is read.

    Equal states of the store give equal gaps, so an interrupted run goes on with the very shards that it would have
    written.

    Raises:
        StoreError: a manifest or file is missing or broken.
    """
    stored: dict[str, set[str]] = {}
    for shard in read_manifests(place.folder):
        here = shard.arrays.keys() & set(names)
        for text in shard.texts:
            stored.setdefault(text, set()).update(here)
    alike: dict[tuple[str, ...], list[int]] = {}
    for row, text in enumerate(place.texts):
        lacking = tuple(name for name in names if name not in stored.get(text, ()))
        if lacking:
            alike.setdefault(lacking, []).append(row)
    return [
        Gap(tuple(rows[start : start + SHARD_TEXTS]), lacking)
        for lacking, rows in alike.items()
        for start in range(0, len(rows), SHARD_TEXTS)
    ]


def write(
    place: Entry, rows: Sequence[int], arrays: Mapping[str, np.ndarray], *, about: Mapping[str, Any] | None = None
) -> None:
    """Write arrays of some texts, as one shard; when this returns they are on the disk and will be found.

    Args:
        place: whose texts.
        rows: which of its texts.
        arrays: name -> (rows,) or (rows, width), in the dtype to keep.
        about: what else the manifest shall say of them, such as how they were computed.

    Raises:
        StoreError: they cannot be written.
    """
    with saving(place.folder, "--store"):
        texts = tuple(place.texts[row] for row in rows)
        write_shard(place.folder, {**place.about, **(about or {})}, texts, arrays)


def told(place: Entry, names: Sequence[str]) -> list[Mapping[str, Any]]:
    """List what the manifests say of the shards that hold one of these arrays of one of these texts.

    Raises:
        StoreError: a manifest or file is missing or broken.
    """
    wanted = set(place.texts)
    return [
        shard.about
        for shard in read_manifests(place.folder)
        if shard.arrays.keys() & set(names) and wanted & set(shard.texts)
    ]


def read(place: Entry, name: str) -> np.ndarray:
    """Read one array of all texts of an entry, touching only its bytes.

    Returns:
        (texts,) or (texts, width), in the order of `place.texts` and the dtype that was written.

    Raises:
        StoreError: it is not stored for a text, or a file is missing or broken.
    """
    shards = [shard for shard in read_manifests(place.folder) if name in shard.arrays]
    where: dict[str, tuple[int, int]] = {}
    for number, shard in enumerate(shards):
        for row, text in enumerate(shard.texts):
            where.setdefault(text, (number, row))
    if lacking := sum(text not in where for text in place.texts):
        raise StoreError(
            f"store {place.folder}",
            found=f"no array {name} for {lacking} of {len(place.texts)} texts",
            expected="all of them",
            do="run the audit again, which computes what is missing",
        )
    found = np.array([where[text] for text in place.texts], dtype=np.intp).reshape(-1, 2)
    whole: np.ndarray | None = None
    for number in np.unique(found[:, 0]):
        part, mine = read_array(shards[number], name), found[:, 0] == number
        if whole is None:
            whole = np.empty((len(found), *part.shape[1:]), dtype=part.dtype)
        whole[mine] = part[found[mine, 1]]
    return np.empty(0) if whole is None else whole


@contextmanager
def filling(places: Iterable[Entry], track: Track = silent) -> Iterator[None]:
    """Keep others from filling the same models and settings during the block; wait while another process does.

    Look for gaps inside the block, not before: what the other process wrote is there, and what a killed one finished
    has been given its manifest. A remote store knows no such lock and needs none to be right: names are hashes of the
    content, so two that compute the same write the same, and only the work is done twice.

    Raises:
        StoreError: the store cannot be written.
    """
    places = list(places)
    with ExitStack() as stack:
        for root in sorted({place.root for place in places}):
            stack.enter_context(in_use(root, track))
        # In one order for all, so that no two processes wait for each other.
        for folder in sorted({place.folder.parent for place in places}):
            if isinstance(folder, Path):
                with saving(folder, "--store"):
                    stack.enter_context(locked(folder, wait=track))
        for folder in sorted({place.folder for place in places}):
            with saving(folder, "--store"):
                _adopt_all(folder)
        yield


def _adopt_all(folder: AnyPath) -> None:
    there = names(folder)
    for name in sorted(there):
        path = folder / name
        if path.suffix == ARRAYS and not name.startswith(".") and path.with_suffix(MANIFEST).name not in there:
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
