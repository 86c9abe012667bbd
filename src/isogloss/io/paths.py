"""Paths: folders on this machine, and folders of any file system that fsspec knows, such as s3://bucket/runs.

A local path is a pathlib.Path; `files` and `locks` work with it. A remote path is a UPath, which is no pathlib.Path;
this file holds what differs. One request writes an object whole or not at all, so nothing is renamed. No folder has to
be made, and a folder is gone with its last object. Others write there too, so every listing is requested again. Drivers
raise errors of their own, which are turned into one line.

universal-pathlib joins and parses paths. It does not list a folder with sizes in one request, read a range of bytes,
create an object only if there is none, or remove an object without asking first whether it is there.
"""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from isogloss.errors import StoreError, UsageError, missing_extra

if TYPE_CHECKING:
    from upath import UPath

    AnyPath: TypeAlias = Path | UPath
else:
    AnyPath = Path  # typer reads annotations at run time, and must not have to import upath

#: How a remote path begins; "C:\\" does not.
URL = re.compile(r"(?P<protocol>[a-z][a-z0-9+.-]*(::[a-z0-9+.-]+)*)://", re.IGNORECASE)
LOCAL = ("file", "local")
#: Protocols with an extra of isogloss, and the package that it brings.
EXTRAS = {"s3": ("s3fs", "s3"), "s3a": ("s3fs", "s3"), "gs": ("gcsfs", "gcs"), "gcs": ("gcsfs", "gcs")}
#: Errors with which drivers refuse without an OSError: module and class, looked up only where it is imported.
REFUSALS = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("gcsfs.retry", "HttpError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("azure.core.exceptions", "AzureError"),
    ("aiohttp.client_exceptions", "ClientError"),
)
#: What the system answers if nothing can be written.
READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


def parse_path(where: AnyPath | str) -> AnyPath:
    """Read a path or URL: local ones become a pathlib.Path, all others a UPath; nothing is connected yet.

    >>> parse_path("runs/first").as_posix(), str(parse_path("memory://bucket/runs/first"))
    ('runs/first', 'memory://bucket/runs/first')

    Raises:
        UsageError: fsspec knows no such protocol, or its driver is not installed.
    """
    if isinstance(where, Path):
        if re.match(r"[a-z0-9]{2,}:[/\\]", str(where)):  # pathlib has made one slash of two
            raise UsageError(
                f"path {where}", found="a URL as pathlib.Path", expected="text", do='write it as "s3://bucket/folder"'
            )
        return where
    url = URL.match(str(where))
    if url is None:
        return Path(str(where))
    from upath import UPath  # noqa: PLC0415 - most runs are local, and fsspec takes time to import

    try:
        path = UPath(where)
        if url["protocol"].lower() in LOCAL:
            return Path(path.path)
        _ = path.fs  # imports the driver
    except ImportError as error:
        package, extra = EXTRAS.get(url["protocol"].lower(), (None, None))
        if package and extra:
            raise missing_extra(package, extra) from error
        raise UsageError(str(where), found=str(error), expected="the driver of fsspec", do="pip install it") from error
    except ValueError as error:
        raise UsageError(
            str(where), found=str(error), expected="a protocol that fsspec knows", do="correct the URL"
        ) from error
    return path


def refusals() -> tuple[type[BaseException], ...]:
    """Return OSError and the errors of the imported drivers, for `except`."""
    errors = (getattr(sys.modules.get(module), name, None) for module, name in REFUSALS)
    return (OSError, *(kind for kind in errors if kind is not None))


def reason(error: BaseException) -> str:
    """Return the reason of a refusal in one line."""
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(words).splitlines()[0]


@contextmanager
def reading(where: AnyPath) -> Iterator[None]:
    """Turn an error of a remote path that is read in this block into one line; local errors pass.

    Raises:
        StoreError: the driver refuses, except with FileNotFoundError.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except refusals() as error:
        if isinstance(where, Path):
            raise
        do = "check its address, the network and your credentials for it; then run the same command again"
        raise StoreError(f"reading {where}", found=reason(error), expected="to read it", do=do) from error


def sizes(folder: UPath) -> dict[str, int]:
    """List the objects directly in a folder: name -> bytes; empty if there is no such folder."""
    return {name: int(info["size"] or 0) for name, info in _entries(folder).items() if info["type"] == "file"}


def names(folder: AnyPath) -> set[str]:
    """List the names directly in a folder, folders too; empty if there is no such folder."""
    if isinstance(folder, Path):
        return {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return set(_entries(folder))


def folders(folder: UPath) -> list[UPath]:
    """List the folders in a folder, in order of name."""
    return [folder / name for name, info in sorted(_entries(folder).items()) if info["type"] == "directory"]


def _entries(folder: UPath) -> dict[str, Any]:
    system = folder.fs
    system.invalidate_cache(folder.path)
    try:
        listing = system.ls(folder.path, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    finally:
        system.invalidate_cache(folder.path)
    itself = folder.path.strip("/")
    # Some tools leave an empty object with the name of the folder.
    return {info["name"].rstrip("/").rsplit("/", 1)[-1]: info for info in listing if info["name"].strip("/") != itself}


def written(path: AnyPath) -> float:
    """Return when a file or object was written, in seconds since 1970; 0 if its file system does not say."""
    stat = path.stat()
    # Some file systems say only when an object was created, which is the same for objects.
    return float(stat.st_mtime or getattr(stat, "st_birthtime", 0))


def put(path: UPath, raw: bytes, *, only_new: bool = False) -> None:
    """Write an object whole.

    Args:
        path: of the object.
        raw: its content.
        only_new: fail if the object exists. S3 (and services with its conditional writes) and Google Cloud Storage
            decide between simultaneous writers; for other file systems fsspec looks first and then writes.

    Raises:
        OSError: it cannot be written, or exists. Drivers have errors of their own: see `refusals`.
    """
    if only_new:
        path.fs.pipe_file(path.path, raw, mode="create")
    else:
        path.fs.pipe_file(path.path, raw)


def get(path: UPath, start: int | None = None, end: int | None = None) -> bytes:
    """Read an object, or only its bytes from `start` to before `end`."""
    raw: bytes = path.fs.cat_file(path.path, start=start, end=end)
    return raw


def read_if_there(path: AnyPath) -> bytes | None:
    """Read a file or object; None if there is none, or a folder.

    Raises:
        StoreError: a remote one cannot be read.
    """
    try:
        with reading(path):
            return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None


def get_all(paths: Sequence[UPath]) -> list[bytes]:
    """Read small objects of one file system at the same time."""
    if not paths:
        return []
    contents = paths[0].fs.cat([path.path for path in paths])
    return [contents[path.path] for path in paths]


def drop(path: UPath) -> None:
    """Remove an object, if it is there."""
    with suppress(FileNotFoundError):
        path.fs.rm_file(path.path)


def drop_folder(folder: UPath) -> None:
    """Remove all objects in a folder and its folders."""
    for below in folders(folder):
        drop_folder(below)
    for name in sizes(folder):
        drop(folder / name)


def put_folder(scratch: Path, target: UPath, last: str) -> None:
    """Copy the files of a local folder into a remote one, where each folder of the same name is replaced.

    The file `last` is removed first and written last: while it exists, all others belong to it.
    """
    drop(target / last)
    for path in sorted(scratch.iterdir(), key=lambda path: (path.name == last, path.name)):
        if path.is_dir():
            drop_folder(target / path.name)
            for file in sorted(inside for inside in path.rglob("*") if inside.is_file()):
                put(target / file.relative_to(scratch).as_posix(), file.read_bytes())
        else:
            put(target / path.name, path.read_bytes())


def read_only(error: BaseException) -> bool:
    """Whether an error says that a path can be read but not written."""
    return isinstance(error, PermissionError) or getattr(error, "errno", None) in READ_ONLY
