"""What an audit on Ray must survive, on a cluster of several nodes on this machine: `make test-faults`.

Each test breaks something and compares audit.json with that of the local, serial run, byte for byte.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import isogloss
from conftest import make_adapter, make_model, parallel_rows
from isogloss import Ablation, AuditConfig, Behaviour, CrossLingual, EngineConfig, ExtractSpec, ModelPair, ModelRef
from isogloss.errors import ModelError, StoreError, UsageError
from isogloss.hidden_states import store
from isogloss.hidden_states.shard import is_whole

ray = pytest.importorskip("ray")

import ray_hook  # noqa: E402

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"}
#: Nodes are told to be dead sooner than usual.
SOON = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000, "health_check_failure_threshold": 5}
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
ENGINE = EngineConfig(engine="ray")
CONFIG = AuditConfig(
    spec=ExtractSpec(layers=("1", "final")),
    permutations=100,
    controls=("bits_per_character",),
    metrics=("between_class_variance",),
    workers=1,
)
#: 2 models x 2 languages x 5 shards.
SHARDS = 20
#: A unit that is neither the first nor the last of its model.
SOMEWHERE = "de 3 bad"


def audit(home, *, out=None, store=None, ray=False, config=CONFIG, track=isogloss.progress.silent):
    """Audit the models and texts of a folder in many small shards."""
    isogloss.hidden_states.store.SHARD_TEXTS = 8
    base = ModelRef(base=str(home / "base"))
    pair = ModelPair(name="t", reference=base, aligned=replace(base, adapter=str(home / "adapter")), source="test")
    corpus = isogloss.load_corpus(home / "pairs.jsonl")
    engine = ENGINE if ray else None
    return isogloss.audit(pair, corpus, config=config, out=out, store=store, device="cpu", engine=engine, track=track)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """As many threads as a worker of the cluster has: sums in another order differ in the last digit."""
    import torch

    before = torch.get_num_threads(), store.SHARD_TEXTS
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before[0])
    store.SHARD_TEXTS = before[1]


@pytest.fixture(scope="module")
def cluster():
    """A head without work and two nodes with a core each."""
    from ray.cluster_utils import Cluster

    source = Path(isogloss.__file__).parents[1]
    os.environ["PYTHONPATH"] = os.pathsep.join(map(str, (source, Path(__file__).parent)))
    found = Cluster(initialize_head=True, head_node_args=NODE | {"num_cpus": 0, "_system_config": SOON})
    found.nodes = [found.add_node(**NODE) for _ in range(2)]
    yield found
    found.shutdown()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a base, an adapter and pairs."""
    folder = tmp_path_factory.mktemp("home")
    make_adapter(make_model(folder / "base", seed=0, depth=2), folder / "adapter", seed=3)
    rows = "\n".join(json.dumps(row) for row in parallel_rows(n=20 + 2))
    (folder / "pairs.jsonl").write_text(rows, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def expected(home):
    """The local, serial run."""
    return audit(home, store=home / "serial").to_json()


class Faults:
    """What breaks in the workers of a driver, and what they did."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.set()

    def set(self, *faults):
        (self.folder / "faults.json").write_text(json.dumps(faults))

    def count(self, word):
        log = self.folder / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        return Counter(line.removeprefix(word) for line in lines if line.startswith(word))


@pytest.fixture
def faults(home, request):
    return Faults(home / f"faults-{request.node.name}")


@pytest.fixture
def connected(cluster, faults):
    ray_hook.connect(cluster.address, faults.folder)
    yield
    ray.shutdown()


class Lines:
    """A track that keeps the lines that stay."""

    def __init__(self):
        self.said = []

    @contextmanager
    def __call__(self, description, total):
        if not total:
            self.said.append(description)
        yield lambda steps: None


def shards(folder):
    return [path for path in folder.rglob("*.safetensors") if not path.name.startswith(".") and is_whole(path)]


def states(folder):
    return [path for path in shards(folder) if b'"bits"' not in path.read_bytes()[:4000]]


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in shards(folder))


def test_the_same_bytes_from_ray_as_from_one_process(home, connected, faults, expected, tmp_path):
    found = audit(home, store=tmp_path, ray=True)
    assert found.to_json() == expected
    assert len(states(tmp_path)) == len(states(home / "serial"))
    assert set(faults.count("begun ").values()) == {1}
    assert faults.count("begun ") == faults.count("done ")
    assert names(tmp_path) == names(home / "serial")


def test_behaviour_languages_together_and_edited_models_are_the_same_too(home, connected, faults, tmp_path):
    config = replace(CONFIG, analyses=(Behaviour(), Ablation(), CrossLingual()), controls=())
    serial = audit(home, store=tmp_path / "serial", config=config)
    assert {row.kind for row in serial.rows} >= {"behaviour", "behaviour_control", "transfer", "meaning", "rank"}
    assert audit(home, store=tmp_path / "ray", ray=True, config=config).to_json() == serial.to_json()
    assert faults.count("begun ") == faults.count("done ")
    assert names(tmp_path / "ray") == names(tmp_path / "serial")


def test_a_worker_killed_in_the_middle_of_a_shard(home, connected, faults, expected, tmp_path):
    faults.set({"kind": "kill", "text": SOMEWHERE, "times": 1})
    track = Lines()
    assert audit(home, store=tmp_path, ray=True, track=track).to_json() == expected
    (line,) = [line for line in track.said if line.startswith("Worker lost at ")]
    assert ", de, texts " in line
    lost = faults.count("begun ") - faults.count("done ")
    assert list(lost.values()) == [1]
    assert set(faults.count("done ").values()) == {1}
    assert names(tmp_path) == names(home / "serial")


def test_a_unit_that_kills_every_worker_stops_the_run_and_is_named(home, connected, faults, tmp_path):
    faults.set({"kind": "kill", "text": SOMEWHERE})
    with pytest.raises(ModelError, match=r"base.*, de, texts \w+ to \w+: found its worker lost 4 times"):
        audit(home, store=tmp_path, ray=True)


def test_memory_that_does_not_do_halves_the_batches_and_says_so(home, connected, faults, expected, tmp_path):
    faults.set({"kind": "memory", "text": SOMEWHERE, "budget": 600})
    track = Lines()
    found = audit(home, store=tmp_path, ray=True, track=track)
    said = [line for line in track.said if "Out of memory at" in line]
    assert len(said) == 2  # a unit of each model
    budgets = Counter(
        json.loads(path.with_suffix(".json").read_text())["about"]["execution"]["token_budget"]
        for path in states(tmp_path)
    )
    assert budgets == {1024: len(states(tmp_path)) - 2, 512: 2}
    numbers = json.loads(found.to_json(), parse_float=float), json.loads(expected, parse_float=float)
    assert_close(*numbers)


def assert_close(found, wanted):
    assert type(found) is type(wanted)
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key in wanted:
            assert_close(found[key], wanted[key])
    elif isinstance(wanted, list):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert_close(one, other)
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=1e-5, abs=1e-7)
    else:
        assert found == wanted


def test_a_poisoned_text_stops_the_run_or_goes_into_quarantine(home, connected, faults, tmp_path, monkeypatch):
    faults.set({"kind": "poison", "text": SOMEWHERE})
    with pytest.raises(ModelError, match=r"the first is text \w+; .*--quarantine") as on_ray:
        audit(home, store=tmp_path / "stopped", ray=True)
    config = replace(CONFIG, quarantine=True)
    found = audit(home, store=tmp_path / "ray", ray=True, config=config)
    assert len(found.corpus["quarantined"]) == 2
    assert on_ray.value.text_ids[0] in found.corpus["quarantined"]
    # The same faults in this process.
    from isogloss.hidden_states import compute

    monkeypatch.setenv(ray_hook.FOLDER, str(faults.folder))
    monkeypatch.setattr(os, "fsync", os.fsync)
    monkeypatch.setattr(compute, "hidden_states", compute.hidden_states)
    compute_unit = compute.compute_unit
    ray_hook.apply()

    def watched(model, ready, unit, *rest):
        ray_hook.NOW["texts"] = unit.texts
        return compute_unit(model, ready, unit, *rest)

    monkeypatch.setattr(compute, "EXTRACTION", replace(compute.EXTRACTION, compute=watched))
    with pytest.raises(ModelError) as here:
        audit(home, store=tmp_path / "stopped here")
    assert here.value.text_ids == on_ray.value.text_ids
    assert audit(home, store=tmp_path / "local", config=config).to_json() == found.to_json()


def test_a_full_disk_is_one_line_and_another_engine_goes_on(home, connected, faults, expected, tmp_path):
    faults.set({"kind": "disk", "text": SOMEWHERE})
    with pytest.raises(StoreError, match=r"writing .*: found No space left on device; .*free some space.*--store"):
        audit(home, store=tmp_path, ray=True)
    before = {path: path.stat().st_mtime_ns for path in shards(tmp_path)}
    assert before
    faults.set()
    assert audit(home, store=tmp_path).to_json() == expected  # the local engine
    assert before.items() <= {path: path.stat().st_mtime_ns for path in shards(tmp_path)}.items()
    assert names(tmp_path) == names(home / "serial")


def test_ray_goes_on_where_the_local_engine_was_stopped(home, connected, faults, expected, tmp_path, monkeypatch):
    from isogloss.hidden_states import compute

    write, written = compute.write, []

    def stopping(*args, **how):
        if len(written) == 7:
            raise KeyboardInterrupt
        written.append(1)
        write(*args, **how)

    with monkeypatch.context() as patch:
        patch.setattr(compute, "write", stopping)
        with pytest.raises(KeyboardInterrupt):
            audit(home, store=tmp_path)
    assert audit(home, store=tmp_path, ray=True).to_json() == expected
    done = faults.count("done ")
    assert sum(count for name, count in done.items() if name.endswith("StatesUnit")) == len(states(home / "serial")) - 7


def test_a_model_that_another_node_has_not_got_is_one_line(home, connected, tmp_path, monkeypatch):
    """The driver's hash stands for its own files: here they change after it has looked."""
    from isogloss.models import checkpoints

    monkeypatch.setattr(checkpoints, "folder_sha256", lambda folder: "0" * 64)
    with pytest.raises(
        ModelError,
        match=r"on node .*: found files with the hash \w{12}; expected the files of the driver, 000000000000",
    ):
        audit(home, store=tmp_path, ray=True)


def test_a_cluster_without_room_is_one_line(home, connected, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ENGINE", EngineConfig(engine="ray", cpus_per_model=64))
    with pytest.raises(UsageError, match=r"no node with room for a worker \(.*1 CPUs.*; expected one with 64 CPUs"):
        audit(home, store=tmp_path, ray=True)


def until(true, seconds=120):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.1)


def test_a_driver_killed_and_started_again_and_a_second_one_meanwhile(home, cluster, faults, expected, tmp_path):
    out, place = tmp_path / "out", tmp_path / "out-store"
    faults.set({"kind": "slow", "seconds": 0.5})
    command = [sys.executable, ray_hook.__file__, cluster.address, str(faults.folder), str(out)]
    first = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        until(lambda: len(shards(place)) >= 3 or first.poll() is not None)
        assert first.poll() is None, first.stderr.read().decode()[-2000:]
        with pytest.raises(StoreError, match=rf"{out}: found process {first.pid} on .* at work in it"):
            audit(home, out=out, store=place)
    finally:
        first.kill()
        first.wait()
    time.sleep(2)  # its actors may be writing their last
    before = {path: path.stat().st_mtime_ns for path in shards(place)}
    assert 3 <= len(before) < SHARDS
    faults.set()
    subprocess.run(command, check=True, timeout=300)
    assert (out / "audit.json").read_text() == expected
    assert before.items() <= {path: path.stat().st_mtime_ns for path in shards(place)}.items()
    assert names(place) == names(home / "serial")
    again = [name for name, count in faults.count("begun ").items() if count > 1]
    assert len(again) <= 2 * 2  # what the two workers had in hand
    assert set(faults.count("done ").values()) <= {1, 2}


def test_a_node_that_is_lost(home, cluster, connected, faults, expected, tmp_path):
    faults.set({"kind": "slow", "seconds": 0.5})
    removed = []

    class Removing(Lines):
        @contextmanager
        def __call__(self, description, total):
            with super().__call__(description, total):
                yield self.advance

        def advance(self, steps):
            begun = faults.count("begun ") - faults.count("done ")
            if not removed and len(faults.count("done ")) >= 4 and begun:
                removed.append(cluster.nodes.pop())
                cluster.remove_node(removed[0], allow_graceful=False)

    track = Removing()
    assert audit(home, store=tmp_path, ray=True, track=track).to_json() == expected
    assert removed
    assert [line for line in track.said if line.startswith("Worker lost at ")]
    assert names(tmp_path) == names(home / "serial")
    lost = faults.count("begun ") - faults.count("done ")
    assert sum(lost.values()) <= 2
    assert set(faults.count("done ").values()) <= {1, 2}
    assert sum(count > 1 for count in faults.count("done ").values()) <= 2
