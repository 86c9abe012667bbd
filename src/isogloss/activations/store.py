"""The store: named arrays per model, settings, language and set of texts, in shards; the manifest is written last.

    STORE/<model hash>/<spec hash>/<language>/<text-set hash>-<shard>.safetensors
    STORE/<model hash>/<spec hash>/<language>/<text-set hash>.json      its existence means: complete

Nothing in the names depends on a run, so every run that needs the same arrays finds them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from isogloss.errors import StoreError
from isogloss.files import cache_root, canonical_json, sha256_text, write_atomic

VERSION = 1
SHARD_TEXTS = 2048


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is stored of one set of texts in one language under one model and spec.

    `text_ids` is the stored set; `rows` picks the wanted texts from it, where a larger set than the wanted is stored.
    """

    folder: Path
    texts_sha256: str
    text_ids: tuple[str, ...]
    rows: tuple[int, ...] | None = None

    @property
    def manifest(self) -> Path:
        """The file whose existence means that all shards are there."""
        return self.folder / f"{self.texts_sha256}.json"

    @property
    def complete(self) -> bool:
        """True if the arrays are there."""
        return self.manifest.is_file()

    def shards(self) -> Iterator[tuple[Path, slice]]:
        """Iterate over shard files, each with the texts that it holds."""
        for number, start in enumerate(range(0, len(self.text_ids), SHARD_TEXTS)):
            stop = min(start + SHARD_TEXTS, len(self.text_ids))
            yield self.folder / f"{self.texts_sha256}-{number:05d}.safetensors", slice(start, stop)


def default_store() -> Path:
    """Return the user's store."""
    return cache_root() / "store"


def entry(root: Path, *, model_sha256: str, spec_sha256: str, language: str, text_ids: Sequence[str]) -> Entry:
    """Name the place of a set of texts, or of a stored set that holds all of these texts; no array is read."""
    folder = root / model_sha256 / spec_sha256 / language
    place = Entry(folder=folder, texts_sha256=sha256_text("\n".join(text_ids)), text_ids=tuple(text_ids))
    if place.complete:
        return place
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text("utf-8"))
        row = {name: number for number, name in enumerate(content["text_ids"])}
        if content["version"] == VERSION and row.keys() >= set(text_ids):
            rows = tuple(row[name] for name in text_ids)
            return Entry(folder=folder, texts_sha256=path.stem, text_ids=tuple(content["text_ids"]), rows=rows)
    return place


def write_shard(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write one shard: named arrays, each (texts,) or (texts, width), in the dtype that they have."""
    write_atomic(path, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def finish(place: Entry, *, notes: dict[str, object]) -> None:
    """Write the manifest, which makes the entry complete."""
    content = {"version": VERSION, "text_ids": list(place.text_ids), "shard_texts": SHARD_TEXTS, **notes}
    write_atomic(place.manifest, canonical_json(content, indent=1))


def manifest(place: Entry) -> dict[str, object]:
    """Read the manifest.

    Raises:
        StoreError: it is missing, of another version, or does not fit the texts.
    """
    if not place.complete:
        raise StoreError(
            "activation store", found="no manifest", expected=str(place.manifest), do="run the audit again"
        )
    content: dict[str, object] = json.loads(place.manifest.read_text("utf-8"))
    if content.get("version") != VERSION or content.get("text_ids") != list(place.text_ids):
        raise StoreError(
            f"activation store {place.manifest}",
            found=f"version {content.get('version')} or other texts",
            expected=f"version {VERSION} with these texts",
            do="delete this file and run the audit again",
        )
    return content


def read(place: Entry, name: str) -> np.ndarray:
    """Read one array of all texts of an entry, touching only its bytes.

    Returns:
        (texts,) or (texts, width), in the dtype that was written.

    Raises:
        StoreError: a shard is missing or broken.
    """
    manifest(place)
    parts = []
    for path, texts in place.shards():
        try:
            with safe_open(path, framework="np") as file:
                part = file.get_tensor(name)
        except (SafetensorError, OSError) as error:
            found = (str(error).splitlines() or [type(error).__name__])[0]
            raise StoreError(
                f"activation store {path}",
                found=found,
                expected=f"the tensor {name}",
                do=f"delete {place.manifest.name} beside it and run the audit again",
            ) from error
        if len(part) != texts.stop - texts.start:
            raise StoreError(
                f"activation store {path}",
                found=f"{len(part)} texts",
                expected=str(texts.stop - texts.start),
                do=f"delete {place.manifest.name} beside it and run the audit again",
            )
        parts.append(part)
    whole = np.concatenate(parts)
    return whole if place.rows is None else whole[list(place.rows)]
