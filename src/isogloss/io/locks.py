"""Locks between processes: who comes second is told who holds the place, or waits; a killed holder leaves no lock.

The system itself drops a lock (flock) when its holder dies, however it dies. The lock's file says who holds it and is
not the lock: a file that was left behind locks nothing.
"""

from __future__ import annotations

import errno
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from isogloss.errors import StoreError
from isogloss.io.files import make_folder
from isogloss.progress import Track

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

#: Name of a lock's file in the folder that it locks.
LOCK = ".lock"
#: What a file system answers that knows no locks (some network and cluster ones).
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}


@contextmanager
def locked(
    folder: Path, *, shared: bool = False, wait: Track | None = None, do: str = "wait for it to end"
) -> Iterator[None]:
    """Hold the lock of a folder during the block; the folder is made if it is not there.

    Where there are no such locks (on Windows, and on some file systems) the block runs without one: all that isogloss
    writes is written whole, so two processes may do the same work twice but cannot break each other's files.

    Args:
        folder: what to lock.
        shared: together with others who share it; it keeps out only those who want it alone.
        wait: display for waiting until the others are done; None refuses at once.
        do: what a user who is refused can do.

    Raises:
        StoreError: another process holds the lock, and `wait` is None.
        OSError: the lock's file cannot be written.
    """
    make_folder(folder)
    if fcntl is None:
        yield
        return
    handle = _take(folder / LOCK, shared, wait, do)
    try:
        os.ftruncate(handle, 0)
        if not shared:
            os.pwrite(handle, json.dumps(_myself()).encode(), 0)
        yield
    finally:
        if not shared and _is_at(handle, folder / LOCK):
            (folder / LOCK).unlink()
        os.close(handle)


def _take(path: Path, shared: bool, wait: Track | None, do: str) -> int:  # noqa: FBT001 - private
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _flock(handle, path, shared, wait, do)
        except BaseException:
            os.close(handle)
            raise
        # A holder removes the file as it leaves: then the lock that we got is on a file that nobody else will find.
        if _is_at(handle, path):
            return handle
        os.close(handle)


def _flock(handle: int, path: Path, shared: bool, wait: Track | None, do: str) -> None:  # noqa: FBT001 - private
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _holder(path)
        if wait is None:
            raise StoreError(str(path.parent), found=f"{holder} at work in it", expected="nobody", do=do) from None
        with wait(f"Waiting for {holder}", 1) as advance:
            fcntl.flock(handle, kind)
            advance(1)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _myself() -> dict[str, object]:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return {"host": platform.node(), "process": os.getpid(), "since": since}


def _holder(path: Path) -> str:
    """Name the holder; those who share a lock write no name, and one who is just coming has not yet."""
    try:
        found = json.loads(path.read_text("utf-8"))
        return f"process {found['process']} on {found['host']} since {found['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another isogloss process"
