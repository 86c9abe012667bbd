"""Locks: one holder at a time, who is named; a killed one leaves nothing; where there are no locks, none are needed."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from isogloss.errors import StoreError
from isogloss.io import locks
from isogloss.io.locks import LOCK, locked

HOLD = """
import sys, time
from pathlib import Path
from isogloss.io.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_is_refused_and_told_who_holds_it(tmp_path):
    with locked(tmp_path / "run"):
        with pytest.raises(StoreError) as error, locked(tmp_path / "run", do="go away"):
            pass
        assert f"{tmp_path / 'run'}: found process {os.getpid()} on " in str(error.value)
        assert " since 20" in str(error.value)
        assert str(error.value).endswith("; go away.")
    with locked(tmp_path / "run"):
        pass
    assert list((tmp_path / "run").iterdir()) == []


def test_a_killed_holder_leaves_no_lock(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match=f"process {holder.pid} on"), locked(tmp_path):
            pass
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    assert (tmp_path / LOCK).is_file()
    with locked(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["process"] == os.getpid()
    assert not (tmp_path / LOCK).exists()


def test_who_waits_says_so_and_comes_next(tmp_path):
    shown, order, holding = [], [], threading.Event()

    @contextmanager
    def track(description, total):
        shown.append(description)
        holding.set()
        yield lambda steps: None

    def wait():
        with locked(tmp_path, wait=track):
            order.append("second")

    with locked(tmp_path):
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert holding.wait(10)
        order.append("first")
    waiting.join(10)
    assert order == ["first", "second"]
    assert shown[0].startswith(f"Waiting for process {os.getpid()} on ")


def test_no_two_hold_it_at_once(tmp_path):
    """The file goes when its holder does: nobody may hold one that others can no longer find."""
    inside, most, rounds = [], [], 40

    @contextmanager
    def track(description, total):
        yield lambda steps: None

    def work():
        for _ in range(rounds):
            with locked(tmp_path, wait=track):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.0005)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == [1] * 4 * rounds


def test_sharers_keep_out_who_wants_it_alone(tmp_path):
    refused = pytest.raises(StoreError, match="another isogloss process at work")
    with locked(tmp_path, shared=True), locked(tmp_path, shared=True), refused, locked(tmp_path):
        pass
    with locked(tmp_path), pytest.raises(StoreError, match=f"process {os.getpid()}"), locked(tmp_path, shared=True):
        pass
    with locked(tmp_path):
        pass


def test_an_error_or_interrupt_frees_the_lock(tmp_path):
    for error in (RuntimeError, KeyboardInterrupt):
        with pytest.raises(error), locked(tmp_path):
            raise error
        with locked(tmp_path):
            pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_locks_in_the_file_system_the_work_goes_on(number, tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    with locked(tmp_path):
        assert (tmp_path / LOCK).is_file()
    assert not (tmp_path / LOCK).exists()


def test_without_locks_in_the_system_the_work_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)
    with locked(tmp_path), locked(tmp_path):
        pass


def test_other_refusals_of_the_system_are_not_hidden(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.EIO, "broken disk")

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    with pytest.raises(OSError, match="broken disk"), locked(tmp_path):
        pass
