"""Locks of local folders: the second process is refused with the name of the first, or waits for it.

The system itself drops a lock (flock) when its holder dies, however it dies. The file of a lock names its holder and is
not the lock: a file that was left behind locks nothing.

The package filelock does not replace this: its flock locks know no sharers, it leaves its file behind, and on a file
system without locks it raises, or takes the existence of the file for a lock, which outlives a killed holder.
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
#: What file systems without locks answer, among them some network and cluster file systems.
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}


@contextmanager
def locked(
    folder: Path, *, shared: bool = False, wait: Track | None = None, do: str = "wait for it to end"
) -> Iterator[None]:
    """Hold the lock of a folder during the block; the folder is made if it does not exist.

    Without such locks (on Windows, and on some file systems) the block runs all the same: isogloss writes every file
    whole, so two processes may do the same work twice but cannot break each other's files.

    Args:
        folder: what to lock.
        shared: hold it together with other sharers; it keeps out only those who want the folder alone.
        wait: shows that this process waits for the others; None refuses at once.
        do: the advice for a user who is refused.

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
            os.pwrite(handle, json.dumps(_this_process()).encode(), 0)
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
        # A holder removes the file as it leaves; then our lock is on a file that no other process can find.
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


def _this_process() -> dict[str, object]:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return {"host": platform.node(), "process": os.getpid(), "since": since}


def _holder(path: Path) -> str:
    """Name the holder; sharers write no name, and a new holder may not have written its name yet."""
    try:
        holder = json.loads(path.read_text("utf-8"))
        return f"process {holder['process']} on {holder['host']} since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another isogloss process"
