"""The format of the store: a shard is a file of named arrays, and a manifest beside it, written last.

    <hash>.safetensors     the arrays, each (texts,) or (texts, width); their header holds the record too
    <hash>.json            the manifest: the record, and the size of the file

The record names the texts by the hash of their content, and each array with its type, shape and checksum. <hash> is the
sha256 of the record, so no accidental change goes unnoticed, and files with equal names are equal. The checksum is
XXH3; sha256 would take longer than a GPU takes to compute the states.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from isogloss.errors import StoreError
from isogloss.hidden_states.remote_arrays import array_bytes, remote_metadata
from isogloss.io.files import canonical_json, sha256_text, write_atomic
from isogloss.io.paths import AnyPath, get_all, reading, sizes

if TYPE_CHECKING:
    from upath import UPath

VERSION = 2
ARRAYS = ".safetensors"
MANIFEST = ".json"

#: Manifests of remote stores that this process has read. They cannot change: their names are hashes of their content.
_READ: OrderedDict[AnyPath, Shard] = OrderedDict()
READ_AT_MOST = 1024


@dataclass(frozen=True, kw_only=True)
class Shard:
    """What a manifest says about the file beside it.

    Attributes:
        manifest: the manifest.
        about: names for people (model, settings); they decide nothing.
        texts: `text_key` of each row.
        arrays: name -> dtype, shape and checksum of the array's bytes.
        size: bytes of the file.
    """

    manifest: AnyPath
    about: Mapping[str, Any]
    texts: tuple[str, ...]
    arrays: Mapping[str, Mapping[str, Any]]
    size: int

    @property
    def path(self) -> AnyPath:
        """The file with the arrays."""
        return self.manifest.with_suffix(ARRAYS)


#: How control tokens are spelt: <eos>, [INST], >>TITLE<<.
CONTROL = re.compile(r"<[^<>\s]{1,64}>|\[/?[A-Z_]{2,32}\]|>>[A-Z_]+<<")


def text_key(text: str) -> str:
    """Name a text in the store, by its content alone: 32 hex digits.

    Texts that may spell a control token have another name than in stores of earlier versions, which read it as one.
    """
    return sha256_text(f"plain {text}" if CONTROL.search(text) else text)[:32]


def write_shard(
    folder: AnyPath, about: Mapping[str, Any], texts: tuple[str, ...], arrays: Mapping[str, np.ndarray]
) -> int:
    """Write a shard, and its manifest last.

    Args:
        folder: where; made if it is not there.
        about: names for people.
        texts: `text_key` of each row.
        arrays: name -> (texts,) or (texts, width).

    Returns:
        Bytes of the file.

    Raises:
        OSError: it cannot be written.
    """
    solid = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    if strangers := [name for name, array in solid.items() if len(array) != len(texts)]:
        raise ValueError(f"{strangers[0]}: {len(solid[strangers[0]])} rows for {len(texts)} texts")
    described = {name: _describe(array) for name, array in solid.items()}
    record = canonical_json({"version": VERSION, "about": dict(about), "texts": list(texts), "arrays": described})
    path = folder / (sha256_text(record) + ARRAYS)
    raw = save(solid, metadata={"record": record})
    write_atomic(path, raw)
    _write_manifest(path, record, len(raw))
    return len(raw)


def _write_manifest(path: AnyPath, record: str, size: int) -> None:
    write_atomic(path.with_suffix(MANIFEST), canonical_json(json.loads(record) | {"size": size}) + "\n")


def _describe(array: np.ndarray) -> dict[str, Any]:
    checksum = xxhash.xxh3_128_hexdigest(array.data if array.size else b"")
    return {"dtype": array.dtype.str, "shape": list(array.shape), "xxh3_128": checksum}


def read_manifests(folder: AnyPath) -> list[Shard]:
    """Read all manifests of a folder, in order of name.

    A remote folder is listed once, and those that this process has not read yet are read at the same time.

    Raises:
        StoreError: see `read_manifest`.
    """
    if isinstance(folder, Path):
        return [read_manifest(folder / name) for name in _manifests(path.name for path in folder.glob(f"*{MANIFEST}"))]
    with reading(folder):
        present = sizes(folder)
        paths = [folder / name for name in _manifests(present)]
        shards = {path: shard for path in paths if (shard := _READ.get(path))}
        new = [path for path in paths if path not in shards]
        for path, raw in zip(new, get_all(new), strict=True):
            shards[path] = _READ[path] = _parsed(path, raw)
    while len(_READ) > READ_AT_MOST:
        _READ.popitem(last=False)
    return [_of_size(shards[path], present.get(shards[path].path.name)) for path in paths]


def _manifests(names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name.endswith(MANIFEST) and not name.startswith("."))


def read_manifest(path: AnyPath) -> Shard:
    """Read a manifest and check that its file is there in full length; no array is read.

    Raises:
        StoreError: the manifest is of another version or broken, or its file is missing or of another length.
    """
    shard = _parsed(path, _raw(path))
    try:
        with reading(path):
            size = shard.path.stat().st_size
    except OSError as error:
        raise broken(shard.path, f"no file that can be read ({_first_line(error)})", f"{shard.size} bytes") from error
    return _of_size(shard, size)


def _parsed(path: AnyPath, raw: bytes) -> Shard:
    content = _content(path, raw)
    if content["version"] != VERSION:
        raise broken(path, f"version {content['version']}", f"version {VERSION}")
    size = content.pop("size", None)
    if sha256_text(canonical_json(content)) != path.stem:
        raise broken(path, "a manifest that was changed", "the content that its name is the hash of")
    return _shard(path, content, size)


def _of_size(shard: Shard, size: int | None) -> Shard:
    if size is None:
        raise broken(shard.path, "no file that can be read (No such file)", f"{shard.size} bytes")
    if size != shard.size:
        raise broken(shard.path, f"{size} bytes", f"{shard.size} bytes")
    return shard


def manifest_version(path: AnyPath) -> int | None:
    """Return the version of a manifest, or None if it cannot be read."""
    try:
        return int(_content(path, _raw(path))["version"])
    except (StoreError, TypeError, ValueError):
        return None


def _raw(path: AnyPath) -> bytes:
    try:
        with reading(path):
            return path.read_bytes()
    except OSError as error:
        raise broken(path, "a manifest that cannot be read", f"JSON ({_first_line(error)})") from error


def _content(path: AnyPath, raw: bytes) -> dict[str, Any]:
    try:
        content = json.loads(raw.decode("utf-8"))
    except ValueError as error:
        raise broken(path, "a manifest that cannot be read", f"JSON ({_first_line(error)})") from error
    if not isinstance(content, dict) or "version" not in content:
        raise broken(path, "something that is not a manifest", "JSON with a version")
    return content


def _shard(path: AnyPath, record: Mapping[str, Any], size: int) -> Shard:
    texts, arrays = tuple(record["texts"]), record["arrays"]
    return Shard(manifest=path, about=record["about"], texts=texts, arrays=arrays, size=size)


def read_array(shard: Shard, name: str) -> np.ndarray:
    """Read one array and check it; of the file, only its header and the bytes of this array are touched.

    A local file is mapped into memory: the system fetches only the pages that are copied out, and its read-ahead. Of a
    remote file, only these bytes are requested.

    Raises:
        StoreError: the file is missing or broken, or the array is not what the manifest says.
    """
    try:
        if isinstance(shard.path, Path):
            array = _local_array(shard.path, name)
        else:
            array = _remote_array(shard.path, name, shard.arrays[name])
    except (SafetensorError, OSError, ValueError) as error:
        raise broken(shard.path, _first_line(error), f"the array {name}") from error
    if _describe(array) != shard.arrays[name]:
        raise broken(shard.path, f"an array {name} that was changed", "the content that its manifest names")
    return array


def _local_array(path: Path, name: str) -> np.ndarray:
    with safe_open(path, framework="np") as file:
        array: np.ndarray = file.get_tensor(name)
    return array


def _remote_array(path: UPath, name: str, described: Mapping[str, Any]) -> np.ndarray:
    with reading(path):
        raw = array_bytes(path, name)
    return np.frombuffer(raw, dtype=described["dtype"]).reshape(described["shape"])


def check_shard(shard: Shard) -> None:
    """Read all arrays of a shard and the record in its header.

    Raises:
        StoreError: one of them is not what the manifest says.
    """
    if (record := _record(shard.path)) is None or sha256_text(record) != shard.path.stem:
        raise broken(shard.path, "a header that was changed", "the record that its name is the hash of")
    for name in shard.arrays:
        read_array(shard, name)


def adopt(path: AnyPath) -> bool:
    """Write the manifest of a file whose writer was killed between the two; False if the file is broken.

    Raises:
        OSError: the manifest cannot be written.
    """
    if not is_whole(path):
        return False
    _write_manifest(path, str(_record(path)), path.stat().st_size)
    return True


def is_whole(path: AnyPath) -> bool:
    """Whether a file without a manifest holds all that the record in its header promises.

    Raises:
        StoreError: a remote store cannot be read.
    """
    record = _record(path)
    if record is None or sha256_text(record) != path.stem:
        return False
    try:
        check_shard(_shard(path.with_suffix(MANIFEST), json.loads(record), path.stat().st_size))
    except StoreError:
        return False
    return True


def _record(path: AnyPath) -> str | None:
    try:
        if not isinstance(path, Path):
            with reading(path):
                return remote_metadata(path).get("record")
        with safe_open(path, framework="np") as file:
            return (file.metadata() or {}).get("record")
    except (SafetensorError, OSError, ValueError):
        return None


def broken(path: AnyPath, found: str, expected: str) -> StoreError:
    """Build the error for a file of the store that cannot be used."""
    do = (
        f"run: isogloss store prune --broken --yes --store {path.parents[3]}; then what you ran, which computes it anew"
    )
    return StoreError(f"store {path}", found=found, expected=expected, do=do)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
