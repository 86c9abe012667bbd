"""Remote stores and run folders: what is written there is what is written here, and refusals are one line."""

import errno
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import isogloss
from conftest import memory, parallel_rows
from isogloss import ModelPair, ModelRef
from isogloss.cli import app as door
from isogloss.errors import StoreError, UsageError
from isogloss.hidden_states import remote_arrays, shard
from isogloss.hidden_states.maintenance import alone, choose, delete, faults, holdings, pieces
from isogloss.hidden_states.shard import read_manifest
from isogloss.hidden_states.store import filling, gaps, in_use, read, write
from isogloss.io import leases
from isogloss.io.leases import LEASE, USING, Lease, leased, read_holder
from isogloss.io.paths import drop, drop_folder, names, parse_path, put, put_folder, reading, sizes
from isogloss.report.read_run import read_audit, read_run
from planted import QUICK, load, moved, plant
from test_store import WORDS, entry, vectors
from test_store import put as keep

FEW = replace(QUICK, metrics=("between_class_variance",))


@pytest.fixture(autouse=True)
def nothing_remembered():
    """Each test reads remote manifests and headers anew."""
    shard._READ.clear()
    remote_arrays._spans.cache_clear()


@pytest.fixture(params=["memory", "s3", "gcs"])
def folder(request):
    return memory() if request.param == "memory" else request.getfixturevalue(request.param)


#: The emulator of Google Cloud Storage knows no conditional writes, so who of two comes first cannot be tested there.
EXCLUSIVE = pytest.mark.parametrize("folder", ["memory", "s3"], indirect=True)


# What is read as a place


def test_paths_are_paths_and_urls_are_not(tmp_path):
    for text in ("runs", "../runs/a", "C:\\runs", str(tmp_path), "~/x", "a:b"):
        assert type(parse_path(text)) is type(Path(text))
        assert str(parse_path(text)) == str(Path(text))
    assert parse_path(tmp_path) is tmp_path
    assert parse_path(f"file://{tmp_path}/x") == tmp_path / "x"
    assert not isinstance(parse_path("memory://bucket/x"), Path)
    once = parse_path("memory://bucket/x")
    assert parse_path(once) == once


def test_a_url_that_pathlib_has_read_is_refused():
    with pytest.raises(UsageError, match=r'found a URL as pathlib.Path; .*write it as "s3://bucket/folder"'):
        parse_path(Path("s3://bucket/runs"))


def test_unknown_protocols_and_missing_drivers_are_one_line(monkeypatch):
    for url in ("s4://bucket/x", "S3://bucket/x"):  # not a folder of this name
        with pytest.raises(UsageError, match="expected a protocol that fsspec knows"):
            parse_path(url)
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(UsageError, match=r'needs the package gcsfs.*pip install "isogloss\[gcs\]"') as error:
        parse_path("gs://bucket/x")
    assert "\n" not in str(error.value)
    monkeypatch.setitem(sys.modules, "adlfs", None)
    with pytest.raises(UsageError, match=r"az://bucket/x: .*adlfs"):
        parse_path("az://bucket/x")


def test_local_work_imports_no_fsspec():
    script = "import sys, isogloss.hidden_states.store, isogloss.cli.audit; print('upath' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


def test_an_audit_that_finds_all_states_needs_no_torch():
    """Torch is imported where something is computed, which takes seconds that a warm run does not have to wait."""
    script = "import sys, isogloss.auditing.run; print(sorted({'torch', 'transformers', 'peft'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


def test_what_others_write_is_seen(folder):
    """Drivers keep listings; ours must not be of another time."""
    assert names(folder) == set()
    put(folder / "a", b"1")
    assert sizes(folder) == {"a": 1}
    from fsspec import filesystem

    other = filesystem(folder.protocol, skip_instance_cache=True)
    other.pipe_file(f"{folder.path}/b/c", b"22")
    assert names(folder) == {"a", "b"}
    assert sizes(folder) == {"a": 1}
    drop_folder(folder)
    assert names(folder) == set()


# The store


def test_arrays_are_gathered_and_gaps_found_as_in_a_local_store(folder, tmp_path):
    for root in (folder, tmp_path):
        place = entry(root)
        assert [gap.rows for gap in gaps(place, ["1"])] == [(0, 1, 2, 3, 4, 5)]
        keep(place, ["six", "two"], [1])
        keep(place, ["one", "three", "four", "five"], [1, 2])
        assert [(gap.rows, gap.names) for gap in gaps(place, ["1", "2"])] == [((1, 5), ("2",))]
        np.testing.assert_array_equal(read(place, "1"), vectors(WORDS, 1))
        with pytest.raises(StoreError, match="no array 2 for 2 of 6 texts"):
            read(place, "2")
    here, there = entry(tmp_path).folder, entry(folder).folder
    assert {path.name: path.read_bytes() for path in here.iterdir()} == {
        name: (there / name).read_bytes() for name in names(there)
    }


@pytest.mark.parametrize("dtype", ["float32", "int32", "bool"])
def test_an_array_keeps_its_type_and_may_be_empty(dtype):
    place = entry(memory())
    write(place, range(6), {"1": np.arange(6).astype(dtype), "2": np.empty((6, 0), dtype=dtype)})
    assert read(place, "1").dtype == dtype
    np.testing.assert_array_equal(read(place, "1"), np.arange(6).astype(dtype))
    assert read(place, "2").shape == (6, 0)


def test_only_the_bytes_of_the_array_are_fetched(monkeypatch):
    place = entry(memory())
    write(place, range(6), {str(layer): vectors(WORDS, layer).repeat(1000, axis=1) for layer in range(20)})
    (name,) = (name for name in names(place.folder) if name.endswith(".safetensors"))
    raw = (place.folder / name).read_bytes()
    header = 8 + int.from_bytes(raw[:8], "little")
    fetched, cat_file = [], MemoryFileSystem.cat_file

    def counted(self, path, start=None, end=None, **kwargs):
        found = cat_file(self, path, start=start, end=end, **kwargs)
        fetched.append((path.rsplit(".", 1)[-1], len(found)))
        return found

    monkeypatch.setattr(MemoryFileSystem, "cat_file", counted)
    read(place, "7")
    array = 6 * 4000 * 4
    assert sum(size for kind, size in fetched if kind == "safetensors") == header + array
    assert header < array < len(raw) / 19
    fetched.clear()
    read(place, "8")  # manifest and header are known
    assert fetched == [("safetensors", array)]


def test_a_manifest_that_was_removed_is_not_remembered():
    place = entry(memory())
    keep(place, WORDS, [1])
    assert gaps(place, ["1"]) == []
    drop_folder(place.folder)
    assert len(gaps(place, ["1"])) == 1


def test_few_manifests_are_remembered(monkeypatch):
    monkeypatch.setattr(shard, "READ_AT_MOST", 2)
    place = entry(memory())
    for word in WORDS:
        keep(place, [word], [1])
    np.testing.assert_array_equal(read(place, "1"), vectors(WORDS, 1))
    assert len(shard._READ) == 2


def spoil(path, change):
    path.fs.pipe_file(path.path, change(path.read_bytes()))


BREAK = {
    "flipped byte": (".safetensors", lambda raw: raw[:-3] + b"x" + raw[-2:], "changed"),
    "truncated": (".safetensors", lambda raw: raw[:100], "100 bytes"),
    "no header": (".safetensors", lambda raw: b"\xff" * len(raw), "a header of no possible length"),
    "not a header": (".safetensors", lambda raw: raw[:8] + b"[" + raw[9:], "array"),
    "torn manifest": (".json", lambda raw: raw[:100], "a manifest that cannot be read"),
    "changed manifest": (".json", lambda raw: raw.replace(b"tiny", b"tint"), "a manifest that was changed"),
}


@pytest.mark.parametrize("fault", BREAK)
def test_a_fault_is_found_named_and_can_be_mended(fault):
    suffix, change, words = BREAK[fault]
    root = memory()
    place = entry(root)
    keep(place, WORDS[:3], [1])
    keep(place, WORDS[3:], [1])
    victim = place.folder / min(name for name in names(place.folder) if name.endswith(suffix))
    spoil(victim, change)

    def ask():
        assert gaps(place, ["1"]) == []
        return read(place, "1")

    with pytest.raises(StoreError) as error:
        ask()
    assert f"store {victim}" in str(error.value)
    assert words in str(error.value) or fault == "not a header"
    assert f"--store {root};" in str(error.value)
    (found,) = faults(root)
    assert found.what == f"store {victim}"
    with alone(root):
        delete(choose(root, unusable=True))
    assert faults(root) == []
    (gap,) = gaps(place, ["1"])
    assert len(gap.rows) == 3


def test_killed_between_arrays_and_manifest_and_resumed(folder, monkeypatch):
    place = entry(folder)
    with monkeypatch.context() as patch:
        patch.setattr(shard, "_write_manifest", lambda *_: sys.exit(9))
        with pytest.raises(SystemExit):
            keep(place, WORDS, [1])
    assert [name.rsplit(".", 1)[-1] for name in names(place.folder)] == ["safetensors"]
    assert len(gaps(place, ["1"])) == 1
    with filling([place]):
        assert gaps(place, ["1"]) == []
    np.testing.assert_array_equal(read(place, "1"), vectors(WORDS, 1))
    assert {name for name in names(folder) if name.startswith(".")} == set()


def test_a_broken_file_without_a_manifest_is_not_taken_over():
    place = entry(memory())
    keep(place, WORDS, [1])
    (manifest,) = (name for name in names(place.folder) if name.endswith(".json"))
    path = read_manifest(place.folder / manifest).path
    place.folder.joinpath(manifest).unlink()
    spoil(path, lambda raw: raw[:-3] + b"x" + raw[-2:])
    with filling([place]):
        assert len(gaps(place, ["1"])) == 1


def test_a_store_is_listed_with_sizes_and_dates(folder):
    keep(entry(folder), WORDS, [1, 2])
    keep(entry(folder, model="c"), WORDS, [1])
    put(folder / "mine" / "notes.txt", b"mine")
    first, second = holdings(folder)
    assert (first.model, first.language, first.texts, first.arrays) == ("tiny", "en", 6, ("1", "2"))
    assert first.size > second.size > 100
    assert abs(time.time() - first.written.timestamp()) < 100
    with alone(folder):
        delete(choose(folder, model="c"))
    assert len(pieces(folder)) == 1
    assert (folder / "mine" / "notes.txt").read_bytes() == b"mine"


def test_nothing_is_pruned_while_a_run_uses_the_store(folder):
    refused = pytest.raises(StoreError, match=f"found process {os.getpid()} on .* at work in it")
    with in_use(folder), in_use(folder), refused, alone(folder):
        pass
    with alone(folder):
        pass
    assert names(folder) == set()


# Who has a run folder


@EXCLUSIVE
def test_the_second_driver_is_refused_and_told_who_has_it(folder):
    with leased(folder):
        with pytest.raises(StoreError) as error, leased(folder, do="go away"):
            pass
        assert f"{folder}: found process {os.getpid()} on " in str(error.value)
        assert str(error.value).endswith("at work in it; expected nobody; go away.")
    with leased(folder):
        pass
    assert names(folder) == set()


def test_of_many_that_come_at_once_one_wins(s3):
    """moto creates exclusively, as S3 does."""
    won, refused, together = [], [], threading.Barrier(6)

    def come():
        together.wait()
        try:
            with leased(s3):
                won.append(1)
                time.sleep(1)
        except StoreError:
            refused.append(1)

    drivers = [threading.Thread(target=come) for _ in range(6)]
    for one in drivers:
        one.start()
    for one in drivers:
        one.join()
    assert (len(won), len(refused)) == (1, 5)


def hold(folder, age, **changes):
    """Leave the lease of a process on another machine that renewed it `age` seconds ago."""
    content = {"host": "far", "process": 7, "since": "2026-01-01", "seen": time.time() - age, "token": "dead"}
    put(folder / LEASE, json.dumps({**content, "machine": "far away", **changes}).encode())


@EXCLUSIVE
def test_a_dead_holder_is_followed_and_a_quiet_one_is_not(folder):
    hold(folder, leases.STALE_SECONDS - 60)
    with pytest.raises(StoreError, match="process 7 on far since 2026-01-01 at work"), leased(folder):
        pass
    hold(folder, leases.STALE_SECONDS + 60)
    with leased(folder):
        assert read_holder(folder / LEASE).process == os.getpid()
        assert names(folder) == {LEASE}
    assert names(folder) == set()


def test_a_killed_process_of_this_machine_is_followed_at_once():
    if not leases._machine():
        pytest.skip("this system does not name itself")
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    folder = memory()
    hold(folder, 0, machine=leases._machine(), process=killed.pid)
    hold(folder / "using", 0, machine=leases._machine(), process=killed.pid)
    put(folder / f"{USING}1", (folder / "using" / LEASE).read_bytes())
    with alone(folder):
        assert read_holder(folder / LEASE).process == os.getpid()
    assert names(folder) == {"using"}
    hold(folder, 0, machine=leases._machine(), process=os.getpid())
    with pytest.raises(StoreError, match="at work in it"), leased(folder):
        pass


def test_a_lock_that_is_not_ours_to_read_is_left_alone():
    folder = memory()
    put(folder / LEASE, b"mine")
    with pytest.raises(StoreError, match=f"another process at work in it.*remove {folder / LEASE}"), leased(folder):
        pass
    assert (folder / LEASE).read_bytes() == b"mine"


@EXCLUSIVE
def test_only_one_follows_a_dead_holder(folder, monkeypatch):
    hold(folder, leases.STALE_SECONDS + 60)
    put(folder / f"{LEASE}-after-dead", Lease(path=folder / LEASE).content())
    with pytest.raises(StoreError, match="which is taking it over from a dead one"), leased(folder):
        pass
    # One that saw the dead holder, and comes to claim when another has already followed it.
    drop_folder(folder)
    hold(folder, leases.STALE_SECONDS + 60)
    late = read_holder(folder / LEASE)
    with leased(folder):
        seen = iter([late, read_holder(folder / LEASE)])
        monkeypatch.setattr(leases, "_create", lambda path, *_: path.name != LEASE)
        monkeypatch.setattr(leases, "read_holder", lambda path: next(seen))
        with pytest.raises(StoreError, match=f"process {os.getpid()}"):
            leases._take(Lease(path=folder / LEASE), "wait")
        monkeypatch.undo()


def test_a_holder_renews_its_time_and_notices_that_it_lost_the_folder(monkeypatch):
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.02)
    folder = memory()
    with leased(folder):
        first = read_holder(folder / LEASE).seen
        time.sleep(0.2)
        assert read_holder(folder / LEASE).seen > first
    lost = pytest.raises(StoreError, match=r"process 7 on far .* instead of this process")
    with lost, leased(folder) as lease:
        hold(folder, 0)
        assert lease.lost.wait(5)
    assert read_holder(folder / LEASE).host == "far"  # and it was left alone


def test_a_network_that_fails_for_a_while_costs_no_lease(monkeypatch):
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.02)
    folder, fail = memory(), threading.Event()

    def flaky(path, raw, **options):
        if fail.is_set():
            raise OSError("timeout")
        put(path, raw, **options)

    monkeypatch.setattr(leases, "put", flaky)
    with leased(folder) as lease:
        fail.set()
        time.sleep(0.1)
        fail.clear()
        assert not lease.lost.is_set()


# Whole audits


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return load(tmp_path_factory.mktemp("corpus") / "pairs.jsonl", parallel_rows(n=20))


@pytest.fixture(scope="module")
def pair(tiny_folder, other_folder):
    aligned, reference = (ModelRef(base=str(folder)) for folder in (tiny_folder, other_folder))
    return ModelPair(name="tiny", reference=reference, aligned=aligned, source="test")


@pytest.fixture(scope="module")
def here(pair, corpus, tmp_path_factory):
    """A local run; `plant` gives the states."""
    folder = tmp_path_factory.mktemp("local")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISOGLOSS_CACHE", str(folder))
        plant(patch, moved({"en": 2.0}))
        isogloss.audit(pair, corpus, config=FEW, out=folder / "out", store=folder / "store")
    return folder / "out"


WRITTEN = {"audit.json", "figures", "points.parquet", "report.html", "results.parquet", "run.json"}


def test_a_remote_run_gives_the_bytes_of_a_local_one(folder, here, pair, corpus, monkeypatch):
    plant(monkeypatch, moved({"en": 2.0}))
    isogloss.audit(pair, corpus, config=FEW, runs=str(folder), store=str(folder / "store"))
    (name,) = names(folder) - {"store"}
    out = folder / name
    assert names(out) == WRITTEN == names(here)
    for name in ("audit.json", "results.parquet", "points.parquet"):
        assert (out / name).read_bytes() == (here / name).read_bytes()
    assert names(out / "figures") == names(here / "figures")
    assert names(folder / "store") == {path.name for path in (here.parent / "store").iterdir()} - {".lock"}


def test_every_command_that_reads_a_run_reads_a_remote_one(here, monkeypatch, capsys):
    folder = memory()
    put_folder(here, folder / "out", "audit.json")
    drop(folder / "out" / "report.html")
    for command, said in {
        "report {} --format md": "| Language |",
        "report {}": "",
        f"compare {{}} {here} --format csv": "en",
        "gate {} --no-warnings C002 --inconclusive pass": "pass",
        "report {} --format csv --out {}/table.csv": "",
    }.items():
        monkeypatch.setattr(sys, "argv", ["isogloss", *command.format(*[folder / "out"] * 2).split()])
        with pytest.raises(SystemExit) as stop:
            door.main()
        shown = capsys.readouterr()
        assert not stop.value.code, (command, shown)
        assert said.lower() in shown.out.lower()
    assert names(folder / "out") == WRITTEN | {"table.csv"}


def test_another_run_in_a_remote_folder_is_left_alone(here, pair, corpus):
    folder = memory()
    put_folder(here, folder, "audit.json")
    with pytest.raises(StoreError, match=f"--out {folder}: found another run"):
        isogloss.audit(pair, corpus, config=replace(FEW, seed=1), out=folder, store=folder / "store")
    put(folder / "other" / "notes.txt", b"mine")
    with pytest.raises(StoreError, match="found something that is not a run"):
        isogloss.audit(pair, corpus, config=FEW, out=folder / "other", store=folder / "store")


def test_an_interrupted_extraction_goes_on_in_a_remote_store(pair, corpus, tmp_path, monkeypatch):
    root, pipe_file, written = memory(), MemoryFileSystem.pipe_file, []

    def killed(self, path, value, **kwargs):
        if path.endswith(".json") and len(written) == 2:  # between arrays and manifest of the second shard
            raise KeyboardInterrupt
        if path.endswith(".safetensors"):
            written.append(path)
        return pipe_file(self, path, value, **kwargs)

    def extract(store):
        return isogloss.extract(pair.aligned, corpus, store=store, device="cpu")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "pipe_file", killed)
        with pytest.raises(KeyboardInterrupt):
            extract(root)
    kept = {path: path.read_bytes() for path in root.rglob("*.safetensors")}
    assert len(kept) == 2
    monkeypatch.setattr("isogloss.hidden_states.compute.load_model", None)  # both languages are there
    found = extract(root)
    monkeypatch.undo()
    assert {path: path.read_bytes() for path in root.rglob("*.safetensors")} == kept
    local = extract(tmp_path)
    for code in corpus.languages:
        np.testing.assert_array_equal(
            found.block(code, found.layers[0]).hidden, local.block(code, local.layers[0]).hidden
        )


def test_two_drivers_on_a_remote_run(pair, corpus, monkeypatch):
    plant(monkeypatch, moved({"en": 2.0}))
    folder = memory()
    with (
        leased(folder / "out"),
        pytest.raises(StoreError, match=rf"found process {os.getpid()} on .* at work in it.*choose another --out"),
    ):
        isogloss.audit(pair, corpus, config=FEW, out=folder / "out", store=folder / "store")
    assert names(folder / "out") == set()


def test_a_run_killed_while_it_is_written_is_not_a_finished_one(here, pair, corpus, monkeypatch):
    plant(monkeypatch, moved({"en": 2.0}))
    monkeypatch.setattr("isogloss.auditing.run_folder.write_figures", lambda *_: None)  # they take seconds
    folder, pipe_file = memory(), MemoryFileSystem.pipe_file
    options = {"config": FEW, "out": folder / "out", "store": folder / "store"}
    put_folder(here, folder / "out", "audit.json")

    def killed(self, path, value, **kwargs):
        if path.endswith("results.parquet"):
            raise KeyboardInterrupt
        return pipe_file(self, path, value, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "pipe_file", killed)
        with pytest.raises(KeyboardInterrupt):
            isogloss.audit(pair, corpus, **options)
    with pytest.raises(StoreError, match=r"found run.json but no audit.json.*run the command that began it again"):
        read_run(folder / "out")
    isogloss.audit(pair, corpus, **options)
    assert (folder / "out" / "audit.json").read_bytes() == (here / "audit.json").read_bytes()
    assert names(folder / "out") == WRITTEN


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "found No space left on device; .*free some space there"),
        (PermissionError("Access Denied"), "found Access Denied; .*give yourself the right"),
        (OSError("timed\nout"), "found timed; .*check the address, the network and your credentials"),
    ],
)
@pytest.mark.parametrize("option", ["store", "out"])
def test_a_remote_place_that_takes_nothing_is_one_line(option, refusal, words, pair, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr("isogloss.hidden_states.compute.load_model", None)
    folder = memory()

    def refuse(self, path, value, **kwargs):
        raise refusal

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", refuse)
    options = {"store": tmp_path / "store", "out": tmp_path / "out"} | {option: folder}
    if option == "store":
        with pytest.raises(StoreError, match=rf"writing {folder}/.*{words}") as error:
            keep(entry(folder), WORDS, [1])
    else:
        with pytest.raises(StoreError, match=rf"writing {folder}.*{words}") as error:
            isogloss.audit(pair, corpus, config=FEW, **options)
    assert f"--{option}" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_remote_store_that_cannot_be_written_is_read(monkeypatch):
    root = memory()
    keep(entry(root), WORDS, [1])

    def refuse(self, path, value, **kwargs):
        raise PermissionError("Access Denied")

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", refuse)
    with in_use(root):
        np.testing.assert_array_equal(read(entry(root), "1"), vectors(WORDS, 1))


def test_no_bucket_and_no_credentials_are_one_line(s3, monkeypatch):
    import s3fs

    with pytest.raises(StoreError, match=r"writing s3://no-such-bucket/x.*bucket.*--store") as error:
        keep(entry(parse_path("s3://no-such-bucket/x")), WORDS, [1])
    assert "\n" not in str(error.value)
    with pytest.raises(StoreError, match=r"run s3://no-such-bucket/x: found no audit.json"):
        read_audit("s3://no-such-bucket/x")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/no/such/file")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(StoreError, match=r"reading s3://bucket/x.*credentials.*your credentials for it") as error:
        gaps(entry(parse_path("s3://bucket/x")), ["1"])
    assert "\n" not in str(error.value)


def test_reading_lets_local_errors_pass(tmp_path):
    with pytest.raises(PermissionError), reading(tmp_path):
        raise PermissionError
    with pytest.raises(FileNotFoundError), reading(memory()):
        raise FileNotFoundError
