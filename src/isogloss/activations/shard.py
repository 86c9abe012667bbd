"""The format of the store: a shard is a file of named arrays, and a manifest beside it, written last.

    <hash>.safetensors     the arrays, each (texts,) or (texts, width); their header holds the record too
    <hash>.json            the manifest: the record, and the size of the file

The record names the texts by the hash of their content, and each array with its type, shape and checksum. <hash> is the
sha256 of the record: nothing can change by accident and go unnoticed, and files of equal names are equal. The checksum
is XXH3; sha256 would take longer than a GPU takes to compute the states.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from isogloss.errors import StoreError
from isogloss.files import canonical_json, sha256_text, write_atomic

VERSION = 2
ARRAYS = ".safetensors"
MANIFEST = ".json"


@dataclass(frozen=True, kw_only=True)
class Shard:
    """What a manifest says of the file beside it.

    Attributes:
        manifest: the manifest.
        about: names for people (model, settings); they decide nothing.
        texts: `text_key` of each row.
        arrays: name -> dtype, shape and checksum of the array's bytes.
        size: bytes of the file.
    """

    manifest: Path
    about: Mapping[str, Any]
    texts: tuple[str, ...]
    arrays: Mapping[str, Mapping[str, Any]]
    size: int

    @property
    def path(self) -> Path:
        """The file with the arrays."""
        return self.manifest.with_suffix(ARRAYS)


def text_key(text: str) -> str:
    """Name a text in the store, by its content alone: 32 hex digits."""
    return sha256_text(text)[:32]


def write_shard(
    folder: Path, about: Mapping[str, Any], texts: tuple[str, ...], arrays: Mapping[str, np.ndarray]
) -> None:
    """Write a shard, and its manifest last.

    Args:
        folder: where; made if it is not there.
        about: names for people.
        texts: `text_key` of each row.
        arrays: name -> (texts,) or (texts, width).

    Raises:
        OSError: it cannot be written.
    """
    solid = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    if strangers := [name for name, array in solid.items() if len(array) != len(texts)]:
        raise ValueError(f"{strangers[0]}: {len(solid[strangers[0]])} rows for {len(texts)} texts")
    described = {name: _describe(array) for name, array in solid.items()}
    record = canonical_json({"version": VERSION, "about": dict(about), "texts": list(texts), "arrays": described})
    path = folder / (sha256_text(record) + ARRAYS)
    write_atomic(path, save(solid, metadata={"record": record}))
    _write_manifest(path, record)


def _write_manifest(path: Path, record: str) -> None:
    content = json.loads(record) | {"size": path.stat().st_size}
    write_atomic(path.with_suffix(MANIFEST), canonical_json(content) + "\n")


def _describe(array: np.ndarray) -> dict[str, Any]:
    checksum = xxhash.xxh3_128_hexdigest(array.data if array.size else b"")
    return {"dtype": array.dtype.str, "shape": list(array.shape), "xxh3_128": checksum}


def read_manifest(path: Path) -> Shard:
    """Read a manifest and look whether its file is there in full length; no array is read.

    Raises:
        StoreError: the manifest is of another version or broken, or its file is missing or of another length.
    """
    content = _content(path)
    if content["version"] != VERSION:
        raise broken(path, f"version {content['version']}", f"version {VERSION}")
    size = content.pop("size", None)
    if sha256_text(canonical_json(content)) != path.stem:
        raise broken(path, "a manifest that was changed", "the content that its name is the hash of")
    shard = _shard(path, content, size)
    try:
        found = shard.path.stat().st_size
    except OSError as error:
        raise broken(shard.path, f"no file that can be read ({_first_line(error)})", f"{size} bytes") from error
    if found != size:
        raise broken(shard.path, f"{found} bytes", f"{size} bytes")
    return shard


def manifest_version(path: Path) -> int | None:
    """Return the version of a manifest, or None if it cannot be read."""
    try:
        return int(_content(path)["version"])
    except (StoreError, TypeError, ValueError):
        return None


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise broken(path, "a manifest that cannot be read", f"JSON ({_first_line(error)})") from error
    if not isinstance(content, dict) or "version" not in content:
        raise broken(path, "something that is not a manifest", "JSON with a version")
    return content


def _shard(path: Path, record: Mapping[str, Any], size: int) -> Shard:
    texts, arrays = tuple(record["texts"]), record["arrays"]
    return Shard(manifest=path, about=record["about"], texts=texts, arrays=arrays, size=size)


def read_array(shard: Shard, name: str) -> np.ndarray:
    """Read one array and check it; of the file, only its header and the bytes of this array are touched.

    The file is mapped into memory, not read: the system fetches the pages that are copied out, and no others (but for
    its read-ahead).

    Raises:
        StoreError: the file is missing or broken, or the array is not what the manifest says.
    """
    try:
        with safe_open(shard.path, framework="np") as file:
            array: np.ndarray = file.get_tensor(name)
    except (SafetensorError, OSError) as error:
        raise broken(shard.path, _first_line(error), f"the array {name}") from error
    if _describe(array) != shard.arrays[name]:
        raise broken(shard.path, f"an array {name} that was changed", "the content that its manifest names")
    return array


def check_shard(shard: Shard) -> None:
    """Read all arrays of a shard and the record in its header.

    Raises:
        StoreError: one of them is not what the manifest says.
    """
    if (found := _record(shard.path)) is None or sha256_text(found) != shard.path.stem:
        raise broken(shard.path, "a header that was changed", "the record that its name is the hash of")
    for name in shard.arrays:
        read_array(shard, name)


def adopt(path: Path) -> bool:
    """Write the manifest of a file whose writer was killed between the two; False if the file is broken.

    Raises:
        OSError: the manifest cannot be written.
    """
    if not is_whole(path):
        return False
    _write_manifest(path, str(_record(path)))
    return True


def is_whole(path: Path) -> bool:
    """Tell whether a file without a manifest holds all that the record in its header promises."""
    record = _record(path)
    if record is None or sha256_text(record) != path.stem:
        return False
    try:
        check_shard(_shard(path.with_suffix(MANIFEST), json.loads(record), path.stat().st_size))
    except StoreError:
        return False
    return True


def _record(path: Path) -> str | None:
    try:
        with safe_open(path, framework="np") as file:
            return (file.metadata() or {}).get("record")
    except (SafetensorError, OSError):
        return None


def broken(path: Path, found: str, expected: str) -> StoreError:
    """Build the error for a file of the store that cannot be used."""
    do = (
        f"run: isogloss store prune --broken --yes --store {path.parents[3]}; then what you ran, which computes it anew"
    )
    return StoreError(f"store {path}", found=found, expected=expected, do=do)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
