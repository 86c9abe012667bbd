"""Engines without Ray: the order of work on many workers, short memory, other machines, texts that break a model."""

import heapq
import pickle
import sys
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch

import isogloss
from conftest import parallel_rows
from isogloss import AuditConfig, EngineConfig, ModelPair, ModelRef
from isogloss.cli.progress_bars import track
from isogloss.engines.engine import LOCAL, LocalEngine, open_engine
from isogloss.engines.remote_checkpoints import checkpoint_here, pinned
from isogloss.engines.schedule import IN_HAND, WorkerLostError, schedule
from isogloss.engines.work_units import MOST_HALVINGS
from isogloss.engines.worker import Worker
from isogloss.errors import ModelError, UsageError
from isogloss.hidden_states import compute, store
from isogloss.hidden_states.activations import locate
from isogloss.hidden_states.compute import EXTRACTION, compute_missing
from isogloss.hidden_states.extract import hidden_states
from isogloss.hidden_states.fill import fill
from isogloss.hidden_states.spec import ExtractSpec
from isogloss.hidden_states.units import sample_texts, units_of
from isogloss.models.checkpoints import fetch
from isogloss.progress import silent, tell
from planted import load
from running import OURS

SPEC = ExtractSpec(layers=("1", "final"))
FAST = AuditConfig(spec=SPEC, permutations=100, controls=(), metrics=("between_class_variance",), workers=1)


class Sender(LocalEngine):
    """Sends everything it maps there and back, as an engine on other machines does."""

    def map(self, function, items, *, workers):
        there = pickle.loads(pickle.dumps((function, list(items))))
        yield from pickle.loads(pickle.dumps(list(super().map(*there, workers=workers))))


def test_all_statistics_can_be_sent_and_are_the_same(pair, corpus, tmp_path, monkeypatch):
    analyses = (isogloss.Behaviour(), isogloss.Ablation(), isogloss.CrossLingual())
    config = replace(FAST, controls=("bits_per_character",), analyses=analyses)
    here = isogloss.audit(pair, corpus, config=config, store=tmp_path, device="cpu")
    monkeypatch.setattr("isogloss.auditing.run.open_engine", lambda config: nullcontext(Sender()))
    assert isogloss.audit(pair, corpus, config=config, store=tmp_path, device="cpu").to_json() == here.to_json()
    assert {row.kind for row in here.rows} >= {"behaviour", "behaviour_control", "transfer", "meaning", "rank"}


# The schedule


class Sleepers:
    """Workers that only let time pass (a `Pool`): each unit is (number, seconds); some of them are lost."""

    def __init__(self, size, *, load=5.0, lose=lambda worker, unit: False):
        self.size, self.load, self.lose = size, load, lose
        self.now, self.events, self.free_at = 0.0, [], {}
        self.tickets, self.at_once, self.alive, self.groups = {}, 0, set(), {}
        self.done, self.most_in_hand, self.in_hand = [], 0, {}

    def room(self):
        return self.size

    def start(self, group):
        worker = len(self.groups)
        self.groups[worker] = group
        self.alive.add(worker)
        self.at_once = max(self.at_once, len(self.alive))
        return worker, self._ticket(worker, None, self.load)

    def submit(self, worker, unit):
        assert worker in self.alive
        self.in_hand[worker] = self.in_hand.get(worker, 0) + 1
        self.most_in_hand = max(self.most_in_hand, self.in_hand[worker])
        return self._ticket(worker, unit, unit[1])

    def _ticket(self, worker, unit, seconds):
        ready = max(self.now, self.free_at.get(worker, 0.0)) + seconds
        self.free_at[worker] = ready
        ticket = len(self.tickets)
        self.tickets[ticket] = worker, unit
        heapq.heappush(self.events, (ready, ticket))
        return ticket

    def wait(self, tickets):
        assert tickets
        while True:
            self.now, ticket = heapq.heappop(self.events)
            if ticket in tickets:
                return [ticket]

    def result(self, ticket):
        worker, unit = self.tickets[ticket]
        if unit is not None:
            self.in_hand[worker] -= 1
        if self.lose(worker, unit):
            raise WorkerLostError("gone")
        self.done.append((worker, unit))
        return unit

    def stop(self, worker):
        self.alive.discard(worker)


def again(unit, group, loss, times):
    assert times <= 3, f"{unit} lost too often"
    return unit


def units(*seconds):
    return [(number, time) for number, time in enumerate(seconds)]


def test_every_unit_is_done_once_by_a_worker_of_its_model_and_all_workers_are_let_go():
    pool = Sleepers(3)
    queues = {"a": units(*[1.0] * 20), "b": units(*[2.0] * 7), "c": []}
    done = [unit for unit, _ in schedule(queues, pool, lost=again)]
    assert sorted(done) == sorted(queues["a"] + queues["b"])
    worked = [(pool.groups[worker], unit) for worker, unit in pool.done if unit]
    assert sorted(worked) == sorted((group, unit) for group, some in queues.items() for unit in some)
    assert pool.at_once <= 3
    assert pool.most_in_hand == IN_HAND
    assert not pool.alive


def test_a_straggler_does_not_hold_others_and_the_last_units_go_round():
    pool = Sleepers(4, load=0.0)
    times = [1.0] * 11 + [40.0] + [1.0] * 80
    list(schedule({"a": units(*times)}, pool, lost=again))
    assert pool.now <= 52 + 1  # the others did all the rest meanwhile


def test_workers_are_no_more_than_the_units_of_their_model_and_the_option_says():
    pool = Sleepers(10)
    list(schedule({"a": units(1.0, 1.0), "b": units(1.0)}, pool, lost=again))
    assert len(pool.groups) == 3
    pool = Sleepers(10)
    list(schedule({"a": units(*[1.0] * 30)}, pool, lost=again, most=2))
    assert pool.at_once == 2


def test_one_worker_after_the_other_where_there_is_room_for_one():
    pool = Sleepers(1)
    queues = {"a": units(1.0, 1.0), "b": units(1.0), "c": units(1.0)}
    assert len(list(schedule(queues, pool, lost=again))) == 4
    assert (pool.at_once, len(pool.groups)) == (1, 3)


def test_what_a_lost_worker_had_in_hand_is_done_by_others_and_nothing_twice():
    fatal = {(3, 1.0)}

    def lose(worker, unit):
        return unit in fatal and not fatal.discard(unit)

    told = []
    pool = Sleepers(2, lose=lose)
    wanted = units(*[1.0] * 12)
    for _ in schedule({"a": wanted}, pool, lost=lambda *about: told.append(about) or about[0]):
        pass
    assert sorted(unit for _, unit in pool.done if unit) == wanted
    assert [(unit, group, times) for unit, group, _, times in told] == [((3, 1.0), "a", 1)]
    assert len(pool.groups) == 3


@pytest.mark.parametrize("fatal", [(5, 1.0), None])
def test_a_unit_or_a_model_that_loses_every_worker_stops_the_run(fatal):
    pool = Sleepers(2, lose=lambda worker, unit: unit == fatal)
    with pytest.raises(AssertionError, match="lost too often"):
        list(schedule({"a": units(*[1.0] * 12)}, pool, lost=again))
    assert not pool.alive


def test_the_rest_of_a_queue_is_not_left_where_the_room_is_given_to_another_model():
    """The last worker of a model is lost after others of it were dismissed."""
    fatal = {(1, 30.0)}
    pool = Sleepers(2, load=1.0, lose=lambda worker, unit: unit in fatal and not fatal.discard(unit))
    queues = {"a": units(1.0, 30.0), "b": units(*[1.0] * 60)}
    assert len(list(schedule(queues, pool, lost=again))) == 62


# Units


@pytest.fixture
def ref(tiny_folder):
    return ModelRef(base=str(tiny_folder))


@pytest.fixture
def corpus(parallel_file):
    return isogloss.load_corpus(parallel_file)


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(store, "SHARD_TEXTS", 8)


def shards(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.safetensors")}


def test_units_are_small_and_give_the_same_shards_in_any_order_and_process(ref, adapter_folder, tmp_path, small_shards):
    corpus = load(tmp_path / "pairs.jsonl", parallel_rows(n=20))
    refs = {"aligned": replace(ref, adapter=str(adapter_folder)), "reference": ref}
    made = {}
    for name in ("forward", "backward"):
        found = locate(refs, corpus, SPEC, store=tmp_path / name)
        wanted = units_of([found], OURS)
        assert len(wanted) == 2 * 2 * 5
        assert max(len(pickle.dumps(unit)) for unit in wanted) < 16_000
        with Worker() as worker:
            for unit in wanted if name == "forward" else reversed(wanted):
                worker.run(EXTRACTION, pickle.loads(pickle.dumps(unit)))
        assert not any(one.missing for one in found.values())
        made[name] = shards(tmp_path / name)
    assert made["forward"] == made["backward"]
    assert len(made["forward"]) == 20


def test_weights_that_had_an_adapter_are_loaded_anew(ref, adapter_folder, corpus, tmp_path, monkeypatch):
    """Otherwise a merged adapter would leave its rounding in the base, and numbers depend on who came before."""
    loads, load_model = [], compute.load_model
    monkeypatch.setattr(compute, "load_model", lambda *args, **how: loads.append(1) or load_model(*args, **how))
    refs = {"aligned": replace(ref, adapter=str(adapter_folder)), "reference": ref}
    base, adapted = (
        [
            unit
            for unit in units_of([locate(refs, corpus, SPEC, store=tmp_path)], OURS)
            if bool(unit.job.checkpoint.adapter_folder) == adapter
        ]
        for adapter in (False, True)
    )
    with Worker() as worker:
        for unit in (base[0], adapted[0]):
            worker.run(EXTRACTION, unit)
        assert len(loads) == 1
        worker.run(EXTRACTION, base[1])
    assert len(loads) == 2


def test_sample_texts_are_spread_over_the_lengths():
    texts = ["x" * n for n in range(1, 102)]
    assert [len(text) for text in sample_texts(texts[::-1] + texts)] == [1, 21, 41, 61, 81, 101]
    assert sample_texts(["b", "a", "a"]) == ("a", "b")


# Short memory


def starving(monkeypatch, budget, error):
    """Let batches above a token budget find no memory."""

    def hungry(model, plan, wanted, *, execution, advance=lambda _: None, **how):
        if execution.token_budget > budget and how.get("bos") is not None and len(plan.inverse) > 6:
            advance(1)
            raise error
        return hidden_states(model, plan, wanted, execution=execution, advance=advance, **how)

    monkeypatch.setattr(compute, "hidden_states", hungry)


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory: 2 bytes")],
)
def test_short_memory_halves_the_batches_of_the_unit_and_says_so(ref, corpus, tmp_path, monkeypatch, error):
    starving(monkeypatch, OURS.token_budget // 4, error)
    shown, steps = [], []

    def track(description, total):
        shown.append((description, total))
        return silent(description, total)

    found = locate({"aligned": ref}, corpus, SPEC, store=tmp_path / "short")
    fill(found, execution=OURS, track=track)
    said = [description for description, total in shown if not total]
    assert len(said) == 2
    assert "Out of memory at" in said[0]
    assert said[0].endswith("batches cut to 1/4")
    (how,) = found["aligned"].computed_how()
    assert how["execution"]["token_budget"] == OURS.token_budget // 4
    monkeypatch.undo()
    whole = isogloss.extract(ref, corpus, SPEC, store=tmp_path / "whole", device="cpu")
    for layer in whole.layers:
        few, many = found["aligned"].block("de", layer).hidden, whole.block("de", layer).hidden
        np.testing.assert_allclose(few, many, rtol=1e-4, atol=1e-5)
    assert not steps


def test_no_memory_for_the_smallest_batch_is_one_line_and_other_errors_are_not_hidden(
    ref, corpus, tmp_path, monkeypatch
):
    found = locate({"aligned": ref}, corpus, SPEC, store=tmp_path)
    starving(monkeypatch, 0, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(
        ModelError, match=rf"de, texts \w+ to \w+: found no memory, even for batches of 1/{2**MOST_HALVINGS} "
    ):
        fill(found, execution=OURS)
    starving(monkeypatch, 0, RuntimeError("something else"))
    with pytest.raises(RuntimeError, match="something else"):
        fill(found, execution=OURS)


# Texts that break a model


@pytest.fixture
def pair(tiny_folder, other_folder):
    aligned, reference = (ModelRef(base=str(folder)) for folder in (tiny_folder, other_folder))
    return ModelPair(name="tiny", reference=reference, aligned=aligned, source="test")


def poison(monkeypatch, marks):
    """Let the states of texts be undefined that hold one of these beginnings in their tokens."""

    def poisoned(model, plan, wanted, **how):
        found = hidden_states(model, plan, wanted, **how)
        bad = [
            any(bytes(max(0, t - 3) % 256 for t in row) and mark in row_text(row) for mark in marks)
            for row in rows(plan)
        ]
        for states in found.values():
            for state in states.values():
                state[np.array(bad)] = np.nan
        return found

    monkeypatch.setattr(compute, "hidden_states", poisoned)


def rows(plan):
    return [plan.distinct[i] for i in plan.inverse]


def row_text(row):
    """Undo the byte-level tokenizer of the tiny models."""
    from conftest import make_tokenizer

    return make_tokenizer().decode(row, skip_special_tokens=True)


def test_a_text_that_breaks_a_model_stops_the_run_and_is_named(pair, corpus, tmp_path, monkeypatch):
    poison(monkeypatch, ["de 3 bad"])
    text_id = corpus.frame.filter(corpus.frame["text"].str.contains("de 3 bad"))["text_id"][0]
    with pytest.raises(ModelError, match=rf"in 1 of 60 texts, .* text {text_id}; .*--quarantine") as error:
        isogloss.audit(pair, corpus, config=FAST, store=tmp_path, device="cpu")
    assert error.value.text_ids == (text_id,)
    back = pickle.loads(pickle.dumps(error.value))
    assert (str(back), back.text_ids) == (str(error.value), error.value.text_ids)


def test_quarantine_leaves_whole_pairs_out_of_both_models_and_says_so(pair, corpus, tmp_path, monkeypatch):
    poison(monkeypatch, ["de 3 bad", "en 7 good"])
    config = replace(FAST, quarantine=True)
    found = isogloss.audit(pair, corpus, config=config, store=tmp_path / "store", device="cpu")
    frame = corpus.frame
    pairs = frame.filter(frame["text"].str.contains("de 3 |en 7 "))
    assert found.corpus["quarantined"] == sorted(pairs["text_id"])
    assert (found.corpus["texts"], found.corpus["sha256"]) == (
        4 * 29,
        isogloss.load_corpus(tmp_path / "pairs.jsonl").sha256,
    )
    assert {row.estimate.n for row in found.rows if row.kind == "score"} == {29}
    (warning,) = [one for one in found.warnings if one.code == "C009"]
    assert warning.detail.startswith("4 texts")
    # The same as an audit of a corpus that never had these pairs.
    monkeypatch.undo()
    lines = (tmp_path / "pairs.jsonl").read_text().splitlines()
    keep = [line for line in lines if not ("de 3 " in line or "en 7 " in line)]
    (tmp_path / "fewer.jsonl").write_text("\n".join(keep))
    fewer = isogloss.audit(
        pair, isogloss.load_corpus(tmp_path / "fewer.jsonl"), config=FAST, store=tmp_path / "store", device="cpu"
    )
    assert found.rows == fewer.rows
    # Once more: only the broken texts are tried again, and the run is the same one.
    poison(monkeypatch, ["de 3 bad", "en 7 good"])
    again = isogloss.audit(pair, corpus, config=config, store=tmp_path / "store", device="cpu")
    assert again == found
    assert found.config["quarantine"] is True


# What is shown


def test_displays_inside_each_other_end_in_any_order(capsys):
    with track("all", 5) as everything:
        first, second = track("base, de", 2), track("base, en", 3)
        some, others = first.__enter__(), second.__enter__()
        for advance in (everything, some, some, others):
            advance(1)
        others(-1)
        first.__exit__(None, None, None)
        tell(track, "Worker lost at [base], de")
        others(3)
        second.__exit__(None, None, None)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("base, de: 2 of 2")
    assert lines[1] == "Worker lost at [base], de"
    assert lines[2].startswith("base, en: 3 of 3")
    assert lines[3].startswith("all ")
    with track("next", 1) as advance:
        advance(1)
    assert "next" in capsys.readouterr().err


# Engines and other machines


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"engine": "dask"}, "--engine: found 'dask'; expected local or ray"),
        ({"address": "auto"}, "--address: found --engine local"),
        ({"engine": "ray", "workers_per_model": 0}, "--workers-per-model: found 0; expected at least 1"),
        ({"engine": "ray", "gpus_per_model": 1.5}, "--gpus-per-model: found 1.5"),
    ],
)
def test_options_that_do_not_go_together_are_refused(wrong, words):
    with pytest.raises(UsageError, match=words):
        EngineConfig(**wrong)


@pytest.mark.parametrize(
    ("config", "cpus", "gpus", "room"),
    [
        ({}, 1, 1.0, 4),  # a GPU each, where there are any
        ({"gpus_per_model": 0.5}, 1, 0.5, 8),
        ({"gpus_per_model": 2}, 1, 2, 1),  # both of one node
        ({"gpus_per_model": 3}, 1, 3, 1),
        ({"gpus_per_model": 0.5, "cpus_per_model": 3}, 3, 0.5, 3),  # cores of a node are the narrower
        ({"gpus_per_model": 0}, 4, 0, 3),
    ],
)
def test_workers_get_parts_of_a_gpu_or_several_of_one_node(monkeypatch, config, cpus, gpus, room):
    pytest.importorskip("ray")
    from isogloss.engines import ray_engine

    nodes = [{"CPU": 8.0, "GPU": 3.0}, {"CPU": 4.0, "GPU": 1.0}]
    monkeypatch.setattr(ray_engine, "_nodes", lambda: nodes)
    share = ray_engine._share(EngineConfig(engine="ray", **config), None)
    assert (share.cpus, share.gpus, ray_engine._room(share)) == (cpus, gpus, room)


def test_gpus_that_torch_does_not_see_are_one_line(monkeypatch):
    pytest.importorskip("ray")
    from isogloss.engines import ray_engine

    monkeypatch.setattr(ray_engine, "_nodes", lambda: [{"CPU": 8.0, "GPU": 2.0}])
    with pytest.raises(
        UsageError, match=r"--gpus-per-model 0.5: found models on cpu; expected workers whose torch sees"
    ):
        ray_engine._share(EngineConfig(engine="ray", gpus_per_model=0.5), "cpu")


def test_more_gpus_than_a_node_has_are_one_line(monkeypatch):
    pytest.importorskip("ray")
    from isogloss.engines import ray_engine

    monkeypatch.setattr(ray_engine, "_nodes", lambda: [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 2.0}])
    share = ray_engine._share(EngineConfig(engine="ray", gpus_per_model=4), None)
    with pytest.raises(UsageError, match=r"8 CPUs and 2 GPUs\).*expected one with 1 CPUs and 4 GPUs"):
        ray_engine._room(share)


def test_ray_that_is_not_installed_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "isogloss.engines.ray_engine", raising=False)
    with pytest.raises(UsageError, match=r'package ray.*pip install "isogloss\[ray\]"'):
        open_engine(EngineConfig(engine="ray"))
    assert open_engine(EngineConfig()).__enter__() is LOCAL


def test_another_machine_must_have_the_same_files(ref, adapter_folder, tmp_path, monkeypatch):
    theirs = fetch(replace(ref, adapter=str(adapter_folder)))
    assert checkpoint_here(theirs) == theirs
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").symlink_to(ref.base)
    assert pinned(fetch(ModelRef(base="mine"))).base == str(tmp_path / "mine")
    with pytest.raises(
        ModelError, match=r"found files with the hash .*; expected the files of the driver, .* every node"
    ) as error:
        checkpoint_here(replace(theirs, base_sha256="0" * 64))
    assert ", on node " in str(error.value)
    with pytest.raises(ModelError, match=r"on node "):
        checkpoint_here(replace(theirs, ref=ModelRef(base=str(tmp_path / "gone" / "model"))))


def test_many_models_and_languages_are_shown_one_by_one(ref, corpus, tmp_path):
    shown = {}

    class Display:
        def __init__(self, description, total):
            shown[description] = [total, 0, 0]
            self.description = description

        def __enter__(self):
            return self.advance

        def advance(self, steps):
            shown[self.description][1] += steps

        def __exit__(self, *error):
            shown[self.description][2] += 1

    found = locate({"aligned": ref}, corpus, SPEC, store=tmp_path)
    compute_missing([found], execution=OURS, track=Display)
    assert shown == {
        name: [total, total, 1] for name, total in (("Reading hidden states", 120), ("base, de", 60), ("base, en", 60))
    }
