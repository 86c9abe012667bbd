"""What a store holds, which shards are broken, and which can be deleted.

Only files in STORE/<hash>/<hash>/<language>/ with names that isogloss gives are looked at; others are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from isogloss.errors import StoreError, UsageError
from isogloss.hidden_states.shard import (
    ARRAYS,
    MANIFEST,
    Shard,
    broken,
    check_shard,
    is_whole,
    manifest_version,
    read_manifest,
)
from isogloss.io.files import remove, saving, unfinished
from isogloss.io.leases import alone_in
from isogloss.io.locks import LOCK, locked
from isogloss.io.paths import AnyPath, folders, names, reading, written
from isogloss.progress import Track, silent

HASH = re.compile(r"[0-9a-f]{64}")
#: The shards of version 1 were numbered.
NUMBER = re.compile(r"-\d{5}$")


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Files of a store that belong together: a manifest with its shard, or what is left of them.

    Attributes:
        paths: the files, the manifest first: it goes first, so that nothing half deleted looks whole.
        folder: STORE/<model>/<settings>/<language>.
        version: of its format; None where no manifest says it.
        shard: what the manifest says, where it is of this version and its file is as long as it says.
        finished: False for what a process was writing when it was killed.
        size: bytes.
        written: when the last of its files was.
    """

    paths: tuple[AnyPath, ...]
    folder: AnyPath
    version: int | None
    shard: Shard | None
    finished: bool
    size: int
    written: datetime

    @property
    def model_sha256(self) -> str:
        """Hash of the model."""
        return self.folder.parents[1].name


@dataclass(frozen=True, kw_only=True)
class Holding:
    """What a store holds of a language under a model and settings.

    `version` is that of the format; files that no manifest of this version describes have empty `model`, `settings` and
    `arrays`, and no texts. `arrays` are those that are there for some or for all texts.
    """

    model: str
    model_sha256: str
    settings: Mapping[str, Any]
    settings_sha256: str
    language: str
    version: int | None
    texts: int
    arrays: tuple[str, ...]
    size: int
    written: datetime


def pieces(root: AnyPath) -> list[Piece]:
    """Find all that isogloss wrote into a store, in order of path; manifests are read, arrays are not.

    Raises:
        StoreError: a remote store cannot be read.
    """
    with reading(root):
        return [piece for folder in _folders(root) for piece in _pieces_in(folder)]


def _folders(root: AnyPath) -> Iterator[AnyPath]:
    """Folders of languages; links lead out of the store and are not followed."""
    if not isinstance(root, Path):
        for model in filter(_is_hash, folders(root)):
            for settings in filter(_is_hash, folders(model)):
                yield from folders(settings)
        return
    for folder in sorted(root.glob("*/*/*")):
        path = (folder, folder.parent, folder.parents[1])
        if folder.is_dir() and all(map(_is_hash, path[1:])) and not any(step.is_symlink() for step in path):
            yield folder


def _is_hash(path: AnyPath) -> bool:
    return HASH.fullmatch(path.name) is not None


def _pieces_in(folder: AnyPath) -> Iterator[Piece]:
    together: dict[str, list[AnyPath]] = {}
    for path in (folder / name for name in sorted(names(folder))):
        stem = NUMBER.sub("", path.stem)
        if path.suffix in {MANIFEST, ARRAYS} and HASH.fullmatch(stem):
            together.setdefault(stem, []).append(path)
    for paths in together.values():
        # ".json" comes before ".safetensors", but after the number that version 1 puts before it.
        yield from _piece(sorted(paths, key=lambda path: path.suffix))
    for path in unfinished(folder):
        yield from _piece([path], finished=False)


def _piece(paths: Sequence[AnyPath], *, finished: bool = True) -> Iterator[Piece]:
    """Look at the files of a piece; there is none if a run that is at work has renamed them in the meantime."""
    stats = []
    for path in paths:
        with suppress(FileNotFoundError):
            stats.append((path.stat().st_size, written(path)))
    if not stats:
        return
    version, shard = None, None
    if paths[0].suffix == MANIFEST:
        version = manifest_version(paths[0])
        with suppress(StoreError):  # `fault` says what is wrong with it
            shard = read_manifest(paths[0])
    yield Piece(
        paths=tuple(paths),
        folder=paths[0].parent,
        version=version,
        shard=shard,
        finished=finished,
        size=sum(size for size, _ in stats),
        written=datetime.fromtimestamp(max(when for _, when in stats), UTC),
    )


def fault(piece: Piece) -> StoreError | None:
    """Read a piece to its last byte and say what is wrong with it, if anything is.

    What a killed process left is not a fault: the next process uses a shard that only lacks its manifest, and nothing
    reads the rest.
    """
    first = piece.paths[0]
    if not piece.finished:
        return None
    if first.suffix == ARRAYS:
        return None if is_whole(first) else broken(first, "a broken file without a manifest", "a whole one")
    try:
        check_shard(read_manifest(first))
    except StoreError as error:
        return error
    return None


def faults(root: AnyPath, track: Track = silent) -> list[StoreError]:
    """Read all of a store and list what is wrong with it: one error for each broken shard, naming the file."""
    everything = pieces(root)
    with track("Verifying", len(everything)) as advance:
        errors = []
        for piece in everything:
            if error := fault(piece):
                errors.append(error)
            advance(1)
    return errors


def holdings(root: AnyPath) -> list[Holding]:
    """List what a store holds, in order of model name, settings and language."""
    groups: dict[tuple[AnyPath, int | None], list[Piece]] = {}
    for piece in pieces(root):
        groups.setdefault((piece.folder, piece.version), []).append(piece)
    held = [_holding(folder, version, group) for (folder, version), group in groups.items()]
    return sorted(held, key=lambda row: (row.model, row.model_sha256, row.settings_sha256, row.language))


def _holding(folder: AnyPath, version: int | None, group: Sequence[Piece]) -> Holding:
    shards = [piece.shard for piece in group if piece.shard]
    about = shards[0].about if shards else {}
    return Holding(
        model=about.get("model", ""),
        model_sha256=folder.parents[1].name,
        settings=about.get("settings", {}),
        settings_sha256=folder.parent.name,
        language=folder.name,
        version=version,
        texts=len({text for shard in shards for text in shard.texts}),
        arrays=tuple(sorted({name for shard in shards for name in shard.arrays})),
        size=sum(piece.size for piece in group),
        written=max(piece.written for piece in group),
    )


def choose(
    root: AnyPath,
    *,
    unusable: bool = False,
    older_than: timedelta | None = None,
    model: str = "",
    track: Track = silent,
) -> list[Piece]:
    """Find the pieces of a store that meet every condition; without any, all of them.

    Args:
        root: the store.
        unusable: broken, of another version, or never finished.
        older_than: written longer ago than this.
        model: how the model's hash begins.
        track: progress display.

    Raises:
        UsageError: `model` is the beginning of no hash, or of several.
    """
    candidates = pieces(root)
    if model:
        candidates = _of_model(candidates, model)
    if older_than is not None:
        candidates = [piece for piece in candidates if piece.written < datetime.now(UTC) - older_than]
    if not unusable:
        return candidates
    with track("Verifying", len(candidates)) as advance:
        chosen = []
        for piece in candidates:
            if not piece.finished or fault(piece):
                chosen.append(piece)
            advance(1)
    return chosen


@contextmanager
def alone(root: AnyPath) -> Iterator[None]:
    """Keep every run away from a store during the block.

    Raises:
        StoreError: a run is using it, or the store cannot be written.
    """
    with ExitStack() as stack:
        with saving(root, "--store"):
            stack.enter_context(locked(root) if isinstance(root, Path) else alone_in(root))
        yield


def _of_model(candidates: Sequence[Piece], beginning: str) -> list[Piece]:
    hashes = sorted({piece.model_sha256 for piece in candidates})
    matches = [name for name in hashes if name.startswith(beginning)]
    if len(matches) != 1:
        known = ", ".join(name[:12] for name in hashes)
        raise UsageError(
            "--model",
            found=f"{beginning!r}, which begins {len(matches)} hashes in the store",
            expected=f"the beginning of one of {known}" if known else "a model that is in the store",
            do="see isogloss store list",
        )
    return [piece for piece in candidates if piece.model_sha256 == matches[0]]


def delete(chosen: Sequence[Piece]) -> None:
    """Delete pieces of a store, and the folders that are empty then; call it inside `alone`.

    Raises:
        StoreError: a file cannot be deleted.
    """
    for piece in chosen:
        for path in piece.paths:
            with saving(path, "--store"), suppress(FileNotFoundError):
                remove(path)
    for folder in sorted({piece.folder for piece in chosen}):
        if isinstance(folder, Path):  # elsewhere a folder is gone with its last file
            for emptied in (folder, folder.parent, folder.parents[1]):
                _remove_empty(emptied)


def _remove_empty(folder: Path) -> None:
    with saving(folder, "--store"):
        if {path.name for path in folder.iterdir()} <= {LOCK}:
            (folder / LOCK).unlink(missing_ok=True)
            folder.rmdir()
