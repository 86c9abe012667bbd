"""Leases of remote folders, where no system drops a lock when its holder dies.

A holder writes an object with its name and renews the time in it. A holder counts as dead if it was not renewed for a
long time, or if it ran on this machine and its process is gone; then the next process takes over. The clocks of the
machines must agree to a few minutes.

    FOLDER/.lock             the process that holds the folder alone; created only if there is none
    FOLDER/.using-<token>    a process that uses the folder together with others

A process holds a folder alone if it holds the first and sees none of the second. It uses a folder if it wrote the
second and sees none of the first. Each writes before it looks, so if two come at once, at least one gives way.

Leases protect a remote store from `isogloss store prune` during a run, and a remote run folder from a second driver.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from isogloss.errors import StoreError
from isogloss.io.paths import drop, get, put, reading, refusals, sizes
from isogloss.progress import Track

if TYPE_CHECKING:
    from upath import UPath


LEASE = ".lock"
USING = ".using-"
#: How often a holder renews its time, and the age at which it is taken for dead.
RENEW_SECONDS = 60.0
STALE_SECONDS = 900.0
#: How often somebody who waits looks again.
LOOK_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Holder:
    """The holder that an object names."""

    host: str
    process: int
    since: str
    seen: float
    token: str
    machine: str = ""

    @property
    def stale(self) -> bool:
        """Whether its process is gone, or counts as gone because it was not renewed for too long."""
        if self.machine and self.machine == _machine() and not _runs(self.process):
            return True
        return time.time() - self.seen > STALE_SECONDS

    def __str__(self) -> str:
        """Name the holder."""
        return f"process {self.process} on {self.host} since {self.since}"


def _machine() -> str:
    """Name the system that numbers the processes: this boot and namespace (of a container); "" where it has no name."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it runs, but for somebody else
        return True
    return True


@dataclass(kw_only=True)
class Lease:
    """A lease that this process holds, and renews in a thread of its own.

    Attributes:
        path: the object.
        token: distinguishes this holder from all others.
        since: when it began.
        lost: set once another process took it over, or it could not be renewed for too long.
    """

    path: UPath
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    since: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    lost: threading.Event = field(default_factory=threading.Event)

    def content(self) -> bytes:
        """Return the object's content: the holder, and the present time."""
        holder = {"host": platform.node(), "process": os.getpid(), "since": self.since, "machine": _machine()}
        return json.dumps({**holder, "seen": time.time(), "token": self.token}).encode()

    def check(self) -> None:
        """Check that this process still holds it.

        Raises:
            StoreError: it does not.
        """
        with reading(self.path):
            holder = read_holder(self.path)
        if self.lost.is_set() or holder is None or holder.token != self.token:
            raise StoreError(
                str(self.path.parent),
                found=f"{holder or 'nobody'} instead of this process, which did not renew its lease in time",
                expected="this process to hold it still",
                do="run the same command again; what was computed is in the store",
            )


def read_holder(path: UPath) -> Holder | None:
    """Read the holder of a lease; None if nobody holds it, or the object is not a lease."""
    try:
        content = json.loads(get(path))
        return Holder(
            host=str(content["host"]),
            process=int(content["process"]),
            since=str(content["since"]),
            seen=float(content["seen"]),
            token=str(content["token"]),
            machine=str(content["machine"]),
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def leased(folder: UPath, *, do: str = "wait for it to end") -> Iterator[Lease]:
    """Hold a remote folder during the block, against all others who lease it.

    Raises:
        StoreError: another process holds it, or took it over in the meantime.
        OSError: the lease cannot be written. Drivers have errors of their own: see `paths.refusals`.
    """
    lease = Lease(path=folder / LEASE)
    _take(lease, do)
    with _renewed(lease):
        yield lease
        lease.check()


def _take(lease: Lease, do: str) -> None:
    if _create(lease.path, lease.content(), lease.token):
        return
    holder = read_holder(lease.path)
    if holder is None:  # it has just ended, or the object cannot be read
        if _create(lease.path, lease.content(), lease.token):
            return
        raise _held(lease.path, "another process", f"try again; if nothing changes, remove {lease.path}")
    if not holder.stale:
        raise _held(lease.path, str(holder), do)
    # Only one process that finds it stale can create this object, and so may write over the lease.
    claim = lease.path.with_name(f"{LEASE}-after-{holder.token}")
    if not _create(claim, lease.content(), lease.token):
        heir = f"{read_holder(claim) or 'another process'}, which is taking it over from a dead one,"
        raise _held(lease.path, heir, f"try again in a minute; if nothing changes, remove {claim} and {lease.path}")
    # Another process may have been quicker: then the lease has another holder by now.
    now = read_holder(lease.path)
    if now == holder:
        put(lease.path, lease.content())
    drop(claim)
    if now != holder:
        raise _held(lease.path, str(now or "another process"), do)


def _create(path: UPath, content: bytes, token: str) -> bool:
    """Create an object; False if it exists. Drivers report that in different ways, so look."""
    try:
        put(path, content, only_new=True)
    except refusals():
        if not _exists(path):
            raise
    # If a driver sends a request twice, the second is refused because of the first. And without exclusive creation in a
    # file system, the last writer wins.
    holder = read_holder(path)
    return holder is not None and holder.token == token


def _exists(path: UPath) -> bool:
    try:
        return path.name in sizes(path.parent)
    except refusals():
        return False


def _held(path: UPath, holder: str, do: str) -> StoreError:
    return StoreError(str(path.parent), found=f"{holder} at work in it", expected="nobody", do=do)


@contextmanager
def _renewed(lease: Lease) -> Iterator[None]:
    """Renew a lease during the block, and release it at the end."""
    done = threading.Event()
    thread = threading.Thread(target=_renew, args=(lease, done), name="isogloss lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        if not lease.lost.is_set():
            _release(lease)


def _release(lease: Lease) -> None:
    try:
        holder = read_holder(lease.path)
        if holder and holder.token == lease.token:
            drop(lease.path)
    except refusals():
        pass  # it goes stale by itself, and the block may be ending with the error that explains this one


def _renew(lease: Lease, done: threading.Event) -> None:
    renewed = time.time()
    while not done.wait(RENEW_SECONDS):
        try:
            holder = read_holder(lease.path)
            if holder and holder.token == lease.token:
                put(lease.path, lease.content())
                renewed = time.time()
                continue
        except refusals():
            if time.time() - renewed < STALE_SECONDS:
                continue  # a network that fails for a while
        lease.lost.set()
        return


@contextmanager
def using(folder: UPath, wait: Track) -> Iterator[None]:
    """Use a remote folder together with others during the block; wait while a process holds it alone.

    Raises:
        OSError: it cannot be written. Drivers have errors of their own: see `paths.refusals`.
    """
    lease = Lease(path=folder / f"{USING}{uuid.uuid4().hex}")
    put(lease.path, lease.content())
    with _renewed(lease):
        _wait(lambda: _alive(folder / LEASE), wait)
        yield


def _wait(look: Callable[[], Holder | None], wait: Track) -> None:
    holder = look()
    if holder is None:
        return
    with wait(f"Waiting for {holder}", 1) as advance:
        while look():
            time.sleep(LOOK_SECONDS)
        advance(1)


def _alive(path: UPath) -> Holder | None:
    holder = read_holder(path)
    return holder if holder and not holder.stale else None


@contextmanager
def alone_in(folder: UPath) -> Iterator[None]:
    """Hold a remote folder alone during the block, against all who use or lease it.

    Raises:
        StoreError: another process uses it, or holds it alone.
        OSError: see `leased`.
    """
    with leased(folder):
        for name in sorted(sizes(folder)):
            if name.startswith(USING) and (holder := read_holder(folder / name)):
                if not holder.stale:
                    raise _held(folder / name, str(holder), "wait for it to end")
                drop(folder / name)
        yield
