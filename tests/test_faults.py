"""What an audit must survive: kills at any moment, full and read-only disks, two at once, broken files."""

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import isogloss
from conftest import make_adapter, make_model, parallel_rows
from isogloss import AuditConfig, ModelPair, ModelRef
from isogloss.errors import StoreError
from isogloss.hidden_states.activations import locate
from isogloss.hidden_states.fill import fill
from isogloss.hidden_states.spec import ExtractSpec, Layer
from isogloss.hidden_states.store import filling
from isogloss.io.files import saving
from isogloss.io.locks import locked
from planted import QUICK, moved, plant
from running import OURS

SPEC = ExtractSpec(layers=("1", "final"))
FAST = AuditConfig(spec=SPEC, permutations=100, controls=(), metrics=("between_class_variance",), workers=1)
KILLS = 30


@pytest.fixture
def ref(tiny_folder):
    return ModelRef(base=str(tiny_folder))


@pytest.fixture
def corpus(parallel_file):
    return isogloss.load_corpus(parallel_file)


@pytest.fixture
def pair(tiny_folder, other_folder):
    aligned, reference = (ModelRef(base=str(folder)) for folder in (tiny_folder, other_folder))
    return ModelPair(name="tiny", reference=reference, aligned=aligned, source="test")


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Kills


@pytest.mark.slow
def test_killed_audits_go_on_and_give_the_same_bytes(tmp_path):
    make_adapter(make_model(tmp_path / "base", seed=0, depth=2), tmp_path / "adapter", seed=3)
    rows = "\n".join(json.dumps(row) for row in parallel_rows(n=20))
    (tmp_path / "pairs.jsonl").write_text(rows, encoding="utf-8")
    script = Path(__file__).with_name("kill_audits.py")
    command = [sys.executable, script, tmp_path, str(KILLS), "0"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    found = json.loads(result.stdout)
    assert found["faults"] == []
    assert len(found["killed"]) >= KILLS
    # The kills fell before, among and after the shards.
    assert {min(found["kept"]), max(found["kept"])} == {0, found["shards"]}
    assert len(set(found["kept"])) > 5
    # And a shard that was computed twice would have been noticed.
    assert len(found["sabotage"]) == 1
    assert "not the file that it was" in found["sabotage"][0]


# Two at once


def test_the_second_process_on_a_run_folder_is_refused_at_once(pair, corpus, tmp_path, monkeypatch):
    plant(monkeypatch, moved({"en": 2.0}))
    with locked(tmp_path / "out"):
        before = files(tmp_path / "out")
        with pytest.raises(StoreError, match=rf"{tmp_path / 'out'}: found process {os.getpid()} on .* since .*--out"):
            isogloss.audit(pair, corpus, config=QUICK, out=tmp_path / "out", store=tmp_path / "store")
        assert files(tmp_path / "out") == before
    isogloss.audit(pair, corpus, config=QUICK, out=tmp_path / "out", store=tmp_path / "store")
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


def test_the_second_that_fills_a_store_waits_and_finds_it_done(ref, corpus, tmp_path, monkeypatch):
    found = locate({"aligned": ref}, corpus, SPEC, store=tmp_path)
    other = locate({"aligned": ref}, corpus, SPEC, store=tmp_path)
    waiting, shown = threading.Event(), []

    @contextmanager
    def track(description, total):
        shown.append(description)
        waiting.set()
        yield lambda steps: None

    def second():
        with monkeypatch.context() as patch:
            patch.setattr("isogloss.hidden_states.compute.compute_missing", None)
            done.append(fill(other, track=track))

    from isogloss.hidden_states.compute import compute_missing

    done = []
    thread = threading.Thread(target=second)
    with filling(found["aligned"].entries.values()):
        thread.start()
        assert waiting.wait(30)
        compute_missing([found], execution=OURS, track=isogloss.progress.silent)
    thread.join(30)
    assert done == [0]
    assert shown == [f"Waiting for process {os.getpid()}" + shown[0].removeprefix(f"Waiting for process {os.getpid()}")]
    assert other["aligned"].missing == ()


# Disks that take nothing more


def refuse(monkeypatch, number, *, after=0, home=os, name="fsync"):
    """Let the system refuse to write, after so many times."""
    calls, act = [], getattr(home, name)

    def call(*args, **kwargs):
        calls.append(args)
        if len(calls) > after:
            raise OSError(number, os.strerror(number))
        return act(*args, **kwargs)

    monkeypatch.setattr(home, name, call)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "found No space left on device; .*free some space there, or choose another --store"),
        (errno.EDQUOT, "found Disk quota exceeded; .*free some of your quota, or choose another --store"),
        (errno.EROFS, "found Read-only file system; .*choose another --store, on a disk that can be written"),
        (errno.EACCES, "found Permission denied; .*choose another --store, or give yourself the right"),
        (errno.EIO, "found Input/output error; .*check what the system says .*, or choose another --store"),
    ],
)
def test_a_store_that_takes_nothing_is_one_line_and_the_run_goes_on_later(number, words, ref, corpus, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        refuse(patch, number, name="replace", after=2)  # of a shard and its manifest
        with pytest.raises(StoreError, match=rf"writing {tmp_path}.*{words}") as error:
            isogloss.extract(ref, corpus, SPEC, store=tmp_path, device="cpu")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.rglob("*.unfinished"))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert len(before) == 1
    found = isogloss.extract(ref, corpus, SPEC, store=tmp_path, device="cpu")
    assert found.missing == ()
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_run_folder_that_takes_nothing_is_one_line_and_the_old_result_stays(
    number, pair, corpus, tmp_path, monkeypatch
):
    plant(monkeypatch, moved({"en": 2.0}))
    options = {"config": QUICK, "out": tmp_path / "out", "store": tmp_path / "store"}
    isogloss.audit(pair, corpus, **options)
    before = files(tmp_path / "out")
    with pytest.MonkeyPatch.context() as patch:
        refuse(patch, number)
        with pytest.raises(StoreError, match=rf"writing {tmp_path / 'out'}.*{os.strerror(number)}.*--out"):
            isogloss.audit(pair, corpus, **options)
    assert files(tmp_path / "out") == before


@pytest.fixture
def disk(tmp_path):
    """A disk of 48 kB, and a function that changes it."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(*options):
        return subprocess.run(["mount", *options, str(folder)], capture_output=True, check=False).returncode

    if os.geteuid() or mount("-t", "tmpfs", "-o", "size=48k", "tmpfs"):
        pytest.skip("no right to mount a small disk")
    yield folder, lambda change: mount("-o", f"remount,{change}")
    subprocess.run(["umount", str(folder)], check=True)


def test_a_store_on_a_disk_that_is_really_full_or_read_only(disk, ref, corpus):
    folder, remount = disk
    full = rf"writing {folder}/store/.*\.(json|safetensors): found No space left on device.*free some space"
    with pytest.raises(StoreError, match=full):
        isogloss.extract(ref, corpus, SPEC, store=folder / "store", device="cpu")
    assert not list(folder.rglob("*.unfinished"))
    assert len(list(folder.rglob("*.json"))) == 1
    remount("size=1m")
    assert isogloss.extract(ref, corpus, SPEC, store=folder / "store", device="cpu").missing == ()
    remount("ro")
    assert isogloss.extract(ref, corpus, SPEC, store=folder / "store").missing == ()
    with pytest.raises(StoreError, match=r"Read-only file system.*--store"):
        isogloss.extract(ref, corpus, ExtractSpec(layers=("2",)), store=folder / "store", device="cpu")


def test_a_run_folder_on_a_disk_that_is_really_full_or_read_only(disk, pair, corpus, tmp_path, monkeypatch):
    folder, remount = disk
    plant(monkeypatch, moved({"en": 2.0}))
    options = {"config": QUICK, "out": folder / "out", "store": tmp_path / "store"}
    with pytest.raises(StoreError, match=rf"writing {folder}/out.*No space left on device.*--out"):
        isogloss.audit(pair, corpus, **options)
    assert [path.name for path in (folder / "out").iterdir()] == ["run.json"]
    remount("size=2m")
    isogloss.audit(pair, corpus, **options)
    before = files(folder)
    remount("ro")
    with pytest.raises(StoreError, match=rf"writing {folder}/out.*Read-only file system.*--out"):
        isogloss.audit(pair, corpus, **options)
    assert files(folder) == before


@pytest.mark.parametrize("option", ["store", "out"])
def test_a_file_where_a_folder_should_be(option, pair, corpus, tmp_path):
    (tmp_path / "file").write_text("mine")
    options = {"store": tmp_path / "store", "out": tmp_path / "out"} | {option: tmp_path / "file" / "folder"}
    with pytest.raises(StoreError, match=rf"{tmp_path / 'file'}.*found Not a directory; .*choose another --{option}"):
        isogloss.audit(pair, corpus, config=FAST, device="cpu", **options)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_store_that_is_complete_is_read_where_nothing_can_be_written(ref, corpus, tmp_path, monkeypatch):
    isogloss.extract(ref, corpus, SPEC, store=tmp_path, device="cpu")
    real = os.open

    def read_only(path, flags, *args, **kwargs):
        if flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return real(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", read_only)
    pair = ModelPair(name="t", reference=None, aligned=ref, source="test")
    audit = isogloss.audit(pair, corpus, config=FAST, store=tmp_path)
    assert audit.rows
    with pytest.raises(StoreError, match=rf"writing {tmp_path}.*Read-only file system.*--store"):
        isogloss.extract(ref, corpus, ExtractSpec(layers=("2",)), store=tmp_path, device="cpu")


def test_the_system_names_the_file_if_it_can(tmp_path):
    with pytest.raises(StoreError, match="writing /no/such/file: found No such file"), saving(tmp_path, "--out"):
        Path("/no/such/file").write_text("")
    with pytest.raises(StoreError, match=f"writing {tmp_path}: found broken; expected"), saving(tmp_path, "--out"):
        raise OSError("broken")


# Broken files


def test_a_broken_store_stops_the_audit_before_any_weights_are_loaded(ref, corpus, tmp_path, monkeypatch):
    found = isogloss.extract(ref, corpus, SPEC, store=tmp_path, device="cpu")
    victim = next(found.entries["en"].folder.glob("*.safetensors"))
    os.truncate(victim, 10)
    monkeypatch.setattr("isogloss.hidden_states.compute.load_model", None)
    pair = ModelPair(name="t", reference=None, aligned=ref, source="test")
    with pytest.raises(StoreError, match=rf"store {victim}: found 10 bytes; expected \d+ bytes; .*prune --broken"):
        isogloss.audit(pair, corpus, config=FAST, store=tmp_path, out=tmp_path / "out")
    np.testing.assert_equal(found.block("de", Layer(1, "")).hidden.shape, (60, 32))


def test_a_flipped_byte_never_becomes_a_number(ref, corpus, tmp_path):
    found = isogloss.extract(ref, corpus, SPEC, store=tmp_path, device="cpu")
    victim = next(found.entries["en"].folder.glob("*.safetensors"))
    hidden = found.block("en", Layer(1, "")).hidden
    raw = bytearray(victim.read_bytes())
    raw[raw.index(hidden.tobytes()) + 77] ^= 16
    victim.write_bytes(raw)
    pair = ModelPair(name="t", reference=None, aligned=ref, source="test")
    with pytest.raises(StoreError, match=rf"store {victim}: found an array 1 that was changed"):
        isogloss.audit(pair, corpus, config=FAST, store=tmp_path)


# Run folders of killed audits


def test_what_a_killed_run_left_in_its_folder_is_swept_and_nothing_else(pair, corpus, tmp_path, monkeypatch):
    plant(monkeypatch, moved({"en": 2.0}))
    options = {"config": QUICK, "out": tmp_path / "out", "store": tmp_path / "store"}
    isogloss.audit(pair, corpus, **options)
    (tmp_path / "out" / "audit.json").unlink()
    (tmp_path / "out" / ".lock").write_text("{")
    scratch = tmp_path / "out" / ".out.x1y2z3_w.unfinished"
    scratch.mkdir()
    (scratch / "audit.json").write_text("{")
    (tmp_path / "out" / ".env.template").write_text("mine")
    isogloss.audit(pair, corpus, **options)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "audit.json",
        "figures",
        "points.parquet",
        "report.html",
        "results.parquet",
        "run.json",
        ".env.template",
    }


def test_a_killed_run_that_had_just_begun_is_gone_on_with(pair, corpus, tmp_path, monkeypatch):
    plant(monkeypatch, moved({"en": 2.0}))
    out = tmp_path / "out"
    (out / ".run.json.x1y2z3_w.unfinished").parent.mkdir()
    (out / ".run.json.x1y2z3_w.unfinished").write_text('{"iden')
    (out / ".lock").write_text("")
    isogloss.audit(pair, corpus, config=QUICK, out=out, store=tmp_path / "store")
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
    shutil.rmtree(out)
    out.mkdir()
    (out / "run.json").write_text('{"something": "else"}')
    with pytest.raises(StoreError, match="something that is not a run"):
        isogloss.audit(pair, corpus, config=QUICK, out=out, store=tmp_path / "store")
