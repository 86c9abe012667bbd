"""Files: hashes, canonical JSON, and writes of which no reader ever sees a half."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

from isogloss.errors import StoreError
from isogloss.io.paths import AnyPath, drop, put, put_folder, reason, refusals

CACHE_VARIABLE = "ISOGLOSS_CACHE"
#: Ends the names of files and folders that are still being written.
UNFINISHED = ".unfinished"

#: What the user can do about a failed write, by the error number of the system.
ADVICE = {
    errno.ENOSPC: "free some space there, or choose another {option}; then run the same command again",
    errno.EDQUOT: "free some of your quota, or choose another {option}; then run the same command again",
    errno.EROFS: "choose another {option}, on a disk that can be written",
    errno.EACCES: "choose another {option}, or give yourself the right to write there",
    errno.EPERM: "choose another {option}, or give yourself the right to write there",
    errno.ENOTDIR: "choose another {option}: a folder, not a file",
    errno.EEXIST: "choose another {option}: a folder, not a file",
}
OTHER_ADVICE = "check what the system says about this file, or choose another {option}"
REMOTE_ADVICE = "check the address, the network and your credentials for it, or choose another {option}"


def cache_root() -> Path:
    """Return the user's cache folder: $ISOGLOSS_CACHE, else $XDG_CACHE_HOME/isogloss, else ~/.cache/isogloss."""
    if root := os.environ.get(CACHE_VARIABLE):
        return Path(root).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "isogloss"


def sha256_text(text: str) -> str:
    """Hash of a text's UTF-8 bytes, as 64 hex digits."""
    # JSON from elsewhere may hold half of a surrogate pair, which has no UTF-8 but still needs a hash of its own.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


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


def parse_json(text: str) -> Any:  # noqa: ANN401 - any JSON value
    """Read JSON from a file of anybody.

    Raises:
        ValueError: it is not JSON; it is nested too deeply; it holds NaN, an infinity or a number that is too long; or
            an object has a key twice, so that readers would not agree on its value.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("JSON that is nested too deeply") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a key of an object twice")
    return table


def _refuse_constant(name: str) -> Any:  # noqa: ANN401 - it never returns
    raise ValueError(f"{name}, which JSON does not have")


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError("a number that is too large")
    return number


@contextmanager
def saving(path: AnyPath, option: str) -> Iterator[None]:
    """Turn the errors of writes in this block into one line that names the file.

    Args:
        path: what is written, for errors that name no file.
        option: the option that chooses the path, such as --out.

    Raises:
        StoreError: for any OSError of the block, and any error of a driver of a remote path.
    """
    try:
        yield
    except refusals() as error:
        number = getattr(error, "errno", None) or (errno.EACCES if isinstance(error, PermissionError) else 0)
        default = OTHER_ADVICE if isinstance(path, Path) else REMOTE_ADVICE
        raise StoreError(
            f"writing {getattr(error, 'filename', None) or path}",
            found=reason(error),
            expected="to write there",
            do=ADVICE.get(number, default).format(option=option),
        ) from error


def write_atomic(path: AnyPath, data: bytes | str) -> None:
    """Write a file so that a reader sees the old content or the new, never a mixture, even after a power cut."""
    raw = data.encode("utf-8") if isinstance(data, str) else data
    if not isinstance(path, Path):
        put(path, raw)
        return
    make_folder(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=UNFINISHED)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)  # the system names no file, or the temporary one
        raise
    _sync(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder and its missing parents, so that they survive a power cut."""
    missing = list(takewhile(lambda folder: not folder.exists(), (path, *path.parents)))
    path.mkdir(parents=True, exist_ok=True)
    for folder in reversed(missing):
        _sync(folder.parent)


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if os.name == "nt":  # it syncs no folders, and no files that are open for reading
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems cannot sync a folder; the files in it are on the disk all the same.
        if not (path.is_dir() and error.errno in {errno.EINVAL, errno.ENOTSUP}):
            raise
    finally:
        os.close(handle)


@contextmanager
def staged_folder(target: AnyPath, *, last: str = "") -> Iterator[Path]:
    """Yield a scratch folder whose files become those of `target` when the block ends without an error.

    A new folder appears whole. In a folder that exists, files and folders of the same name are replaced and all others
    stay. A remote folder is filled file by file; there `last` is removed first and written last, so while it exists,
    all others belong to it.
    """
    if not isinstance(target, Path):
        with tempfile.TemporaryDirectory(prefix="isogloss") as name:
            yield Path(name)
            put_folder(Path(name), target, last)
        return
    exists = target.exists()
    home = target if exists else target.parent
    make_folder(home)
    scratch = Path(tempfile.mkdtemp(dir=home, prefix=f".{target.name}.", suffix=UNFINISHED))
    try:
        yield scratch
        scratch.chmod(0o755)
        for path in (*scratch.rglob("*"), scratch):
            _sync(path)
        if exists:
            for path in sorted(scratch.iterdir()):
                if (target / path.name).is_dir():
                    shutil.rmtree(target / path.name)
                path.replace(target / path.name)
        else:
            scratch.replace(target)
        _sync(home)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def unfinished(folder: AnyPath) -> list[Path]:
    """Find unfinished files and folders that killed processes left in a folder, in order of name."""
    if not isinstance(folder, Path):
        return []  # an object exists whole or not at all
    return sorted(path for path in folder.glob(f".*{UNFINISHED}") if not path.is_symlink())


def remove(path: AnyPath) -> None:
    """Remove a file, or a folder with its content; a remote path must be a file."""
    if not isinstance(path, Path):
        drop(path)
    elif path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
