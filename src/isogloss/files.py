"""Files: hashes, canonical JSON, and writing so that nothing half-written is ever seen."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CACHE_VARIABLE = "ISOGLOSS_CACHE"


def cache_root() -> Path:
    """The user's cache folder: $ISOGLOSS_CACHE, else $XDG_CACHE_HOME/isogloss, else ~/.cache/isogloss."""
    if root := os.environ.get(CACHE_VARIABLE):
        return Path(root).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "isogloss"


def sha256_text(text: str) -> str:
    """Hash of a text's UTF-8 bytes, as 64 hex digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def sha256_file(path: Path) -> str:
    """Hash of a file's bytes, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _null_if_nan(value: Any) -> Any:  # noqa: ANN401 - JSON values have no narrower type
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, dict):
        return {key: _null_if_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_null_if_nan(item) for item in value]
    return value


def canonical_json(value: Any, *, indent: int | None = None) -> str:  # noqa: ANN401 - any JSON value
    """JSON with sorted keys and NaN written as null; equal values give equal text.

    >>> canonical_json({"b": float("nan"), "a": 0.1})
    '{"a": 0.1, "b": null}'
    """
    return json.dumps(_null_if_nan(value), sort_keys=True, ensure_ascii=False, allow_nan=False, indent=indent)


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file so that a reader sees the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = data.encode("utf-8") if isinstance(data, str) else data
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """Yield a scratch folder whose files become those of `target` when the block ends without an error.

    A new folder appears whole. In a folder that exists, each file or folder of the same name is replaced and all others
    stay.
    """
    exists = target.exists()
    home = target if exists else target.parent
    home.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=home, prefix=f".{target.name}."))
    try:
        yield scratch
        scratch.chmod(0o755)
        if exists:
            for path in sorted(scratch.iterdir()):
                if (target / path.name).is_dir():
                    shutil.rmtree(target / path.name)
                path.replace(target / path.name)
        else:
            scratch.replace(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
