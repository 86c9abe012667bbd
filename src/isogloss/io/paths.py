"""Places: folders on this machine, and folders of any file system that fsspec knows, such as s3://bucket/runs.

A local place is a pathlib.Path; what is done with it stands in `files` and `locks`. A remote one is a UPath, which is
no pathlib.Path, and this file knows what differs there. An object is written whole by one request or not at all, so
nothing is renamed. There are no folders to make, and none is left when its last object goes. Others write there too, so
every listing is asked for anew. A driver has errors of its own, which its users would see as they are.
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
    AnyPath = Path  # what reads annotations at run time, as typer does, shall not have to import upath

#: How a remote place begins; "C:\\" does not.
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
#: What the system answers where nothing can be written.
READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


def parse_path(where: AnyPath | str) -> AnyPath:
    """Read a path or URL: local ones become a pathlib.Path, all others a UPath; nothing is connected yet.

    >>> parse_place("runs/first").as_posix(), str(parse_place("memory://bucket/runs/first"))
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
        found = UPath(where)
        if url["protocol"].lower() in LOCAL:
            return Path(found.path)
        _ = found.fs  # imports the driver
    except ImportError as error:
        package, extra = EXTRAS.get(url["protocol"].lower(), (None, None))
        if package and extra:
            raise missing_extra(package, extra) from error
        raise UsageError(str(where), found=str(error), expected="the driver of fsspec", do="pip install it") from error
    except ValueError as error:
        raise UsageError(
            str(where), found=str(error), expected="a protocol that fsspec knows", do="correct the URL"
        ) from error
    return found


def refusals() -> tuple[type[BaseException], ...]:
    """Give the errors of the drivers that are imported, besides OSError; for `except`."""
    found = (getattr(sys.modules.get(module), name, None) for module, name in REFUSALS)
    return (OSError, *(kind for kind in found if kind is not None))


def why(error: BaseException) -> str:
    """Say in one line why a file system refuses."""
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(words).splitlines()[0]


@contextmanager
def reading(where: AnyPath) -> Iterator[None]:
    """Turn the refusal of a remote place to be read in this block into one line; local errors pass.

    Raises:
        StoreError: the driver refuses, but for FileNotFoundError.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except refusals() as error:
        if isinstance(where, Path):
            raise
        do = "check its address, the network and your credentials for it; then run the same command again"
        raise StoreError(f"reading {where}", found=why(error), expected="to read there", do=do) from error


def sizes(folder: UPath) -> dict[str, int]:
    """List the objects right in a folder: name -> bytes; nothing if there is no such folder."""
    return {name: int(info["size"] or 0) for name, info in _entries(folder).items() if info["type"] == "file"}


def names(folder: AnyPath) -> set[str]:
    """List what is right in a folder, folders too; nothing if there is no such folder."""
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
        found = system.ls(folder.path, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    finally:
        system.invalidate_cache(folder.path)
    own = folder.path.strip("/")
    # Some tools leave an empty object with the name of the folder.
    return {info["name"].rstrip("/").rsplit("/", 1)[-1]: info for info in found if info["name"].strip("/") != own}


def written(path: AnyPath) -> float:
    """Say when a file or object was written, in seconds since 1970; 0 where its file system does not say."""
    found = path.stat()
    # Some file systems say only when an object was made, which for objects is the same.
    return float(found.st_mtime or getattr(found, "st_birthtime", 0))


def put(path: UPath, raw: bytes, *, only_new: bool = False) -> None:
    """Write an object whole.

    Args:
        path: where.
        raw: its content.
        only_new: not if there is one. S3 (and what follows it in conditional writes) and Google Cloud Storage decide
            between writers that come at the same time; for other file systems fsspec looks first and then writes.

    Raises:
        OSError: it cannot be written, or is there. Drivers have errors of their own: see `refusals`.
    """
    if only_new:
        path.fs.pipe_file(path.path, raw, mode="create")
    else:
        path.fs.pipe_file(path.path, raw)


def get(path: UPath, start: int | None = None, end: int | None = None) -> bytes:
    """Read an object, or its bytes from `start` to before `end`, and no others."""
    found: bytes = path.fs.cat_file(path.path, start=start, end=end)
    return found


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
    found = paths[0].fs.cat([path.path for path in paths])
    return [found[path.path] for path in paths]


def drop(path: UPath) -> None:
    """Remove an object, if it is there."""
    with suppress(FileNotFoundError):
        path.fs.rm_file(path.path)


def drop_folder(folder: UPath) -> None:
    """Remove all objects in a folder and below it."""
    for below in folders(folder):
        drop_folder(below)
    for name in sizes(folder):
        drop(folder / name)


def put_folder(scratch: Path, target: UPath, last: str) -> None:
    """Write the files of a local folder as those of a remote one, where each folder of the same name is replaced.

    The file `last` is removed first and written last: as long as it is there, all others belong to it.
    """
    drop(target / last)
    for path in sorted(scratch.iterdir(), key=lambda path: (path.name == last, path.name)):
        if path.is_dir():
            drop_folder(target / path.name)
            for inside in sorted(part for part in path.rglob("*") if part.is_file()):
                put(target / inside.relative_to(scratch).as_posix(), inside.read_bytes())
        else:
            put(target / path.name, path.read_bytes())


def read_only(error: BaseException) -> bool:
    """Tell whether an error says that a place can be read but not written."""
    return isinstance(error, PermissionError) or getattr(error, "errno", None) in READ_ONLY
