"""What stays on disk after measuring: what was asked for, what others need, and numbers that follow from it."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open

import isogloss
from conftest import memory, parallel_rows
from isogloss import AuditConfig, ModelPair, ModelRef
from isogloss.auditing.cache_policy import KEPT, kept_line
from isogloss.cli import app as door
from isogloss.errors import StoreError, UsageError
from isogloss.hidden_states import evict as forgetting
from isogloss.hidden_states.evict import forget
from isogloss.hidden_states.maintenance import faults, holdings, pieces
from isogloss.hidden_states.spec import ExtractSpec
from isogloss.hidden_states.store import gaps, in_use, read, write
from isogloss.io.paths import names
from planted import load, moved, plant
from test_store import WORDS, entry, put, vectors

LAYERS = ExtractSpec(layers=("1", "final"))
CONFIG = AuditConfig(spec=LAYERS, permutations=20, controls=(), metrics=("between_class_variance",), workers=1)


@pytest.fixture(params=["local", "remote"])
def root(request, tmp_path):
    return tmp_path / "store" if request.param == "local" else memory()


# Taking arrays out of the store


def counted(place, words, layers):
    every = [place.texts.index(key) for key in entry(place.root, words).texts]
    arrays = {str(layer): vectors(words, layer) for layer in layers}
    write(place, every, arrays | {"cut": np.zeros(len(words), dtype=bool)})


def test_whole_shards_go_and_no_folder_file_is_left(root):
    place = entry(root)
    counted(place, WORDS[:3], [1, 2])
    counted(place, WORDS[3:], [1, 2])
    before = sum(piece.size for piece in pieces(root))
    freed = forget(place, ["1", "2"], ["cut"])
    assert 0 < freed < before  # manifests are not counted
    assert pieces(root) == []
    assert len(gaps(place, ["1"])) == 1
    assert forget(place, ["1", "2"], ["cut"]) == 0


def test_other_layers_of_these_texts_stay_with_what_stands_beside_them(root):
    place = entry(root)
    counted(place, WORDS, [1, 2])
    counted(place, WORDS[:2], [3])
    forget(place, ["1", "3"], ["cut"])
    assert faults(root) == []
    np.testing.assert_array_equal(read(place, "2"), vectors(WORDS, 2))
    assert not read(place, "cut").any()
    assert [gap.rows for gap in gaps(place, ["1"])] == [tuple(range(6))]
    assert [gap.rows for gap in gaps(place, ["3"])] == [tuple(range(6))]


def test_counts_stay_for_layers_in_other_shards(root):
    place = entry(root)
    counted(place, WORDS, [1])
    put(place, WORDS[:2], [2])  # found its counts in the other shard
    forget(place, ["1"], ["cut"])
    few = entry(root, WORDS[:2])
    assert gaps(few, ["2", "cut"]) == []
    assert len(gaps(entry(root, WORDS[2:]), ["cut"])) == 1


def test_other_texts_in_the_same_shard_keep_everything(root):
    everyone = entry(root)
    counted(everyone, WORDS, [1, 2])
    forget(entry(root, WORDS[:2]), ["1", "2"], ["cut"])
    others = entry(root, WORDS[2:])
    for layer in (1, 2):
        np.testing.assert_array_equal(read(others, str(layer)), vectors(WORDS[2:], layer))
    assert gaps(others, ["1", "2", "cut"]) == []
    assert [gap.rows for gap in gaps(everyone, ["1", "2", "cut"])] == [(0, 1)]
    assert faults(root) == []


def test_other_models_settings_and_languages_are_left_alone(root):
    for other in ({"model": "c"}, {"settings": "c"}, {"language": "de"}):
        counted(entry(root, **other), WORDS, [1])
    counted(entry(root), WORDS, [1])
    forget(entry(root), ["1"], ["cut"])
    assert len(holdings(root)) == 3


@pytest.mark.parametrize("step", range(4))
def test_killed_at_any_step_it_loses_nothing_of_others(step, root, monkeypatch):
    everyone, mine, others = entry(root), entry(root, WORDS[:2]), entry(root, WORDS[2:])
    counted(everyone, WORDS, [1, 2])
    done = []

    def killing(act):
        def call(*args):
            if len(done) == step:
                raise KeyboardInterrupt
            done.append(act)
            return act(*args)

        return call

    with monkeypatch.context() as patch:
        for name in ("write_shard", "remove"):
            patch.setattr(forgetting, name, killing(getattr(forgetting, name)))
        with pytest.raises(KeyboardInterrupt):
            forget(mine, ["1"], ["cut"])
    assert faults(root) == []
    for layer in (1, 2):
        np.testing.assert_array_equal(read(others, str(layer)), vectors(WORDS[2:], layer))
    forget(mine, ["1"], ["cut"])
    np.testing.assert_array_equal(read(mine, "2"), vectors(WORDS[:2], 2))
    assert len(gaps(mine, ["1"])) == 1


# Audits that keep less


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return load(tmp_path_factory.mktemp("corpus") / "pairs.jsonl", parallel_rows(n=20))


@pytest.fixture(scope="module")
def pair(tiny_folder, other_folder):
    aligned, reference = (ModelRef(base=str(folder)) for folder in (tiny_folder, other_folder))
    return ModelPair(name="tiny", reference=reference, aligned=aligned, source="test")


@pytest.fixture
def planted(monkeypatch):
    plant(monkeypatch, moved({"en": 2.0}))
    monkeypatch.setattr("isogloss.auditing.run_folder.write_figures", lambda *_: None)  # they take seconds
    monkeypatch.setattr("isogloss.auditing.run_folder.page_html", lambda *_, **__: "")


def run(pair, corpus, root, out, keep, **changes):
    config = replace(CONFIG, cache_states=keep, **changes)
    audit = isogloss.audit(pair, corpus, config=config, out=out, store=root)
    return audit, json.loads((out / "run.json").read_text())


def test_the_numbers_are_the_same_and_the_store_holds_what_was_asked(pair, corpus, planted, tmp_path):
    root = memory()
    whole, record = run(pair, corpus, root, tmp_path / "all", "all")
    assert "cache_states" not in record
    assert KEPT not in names(tmp_path / "all")
    assert {one.arrays for one in holdings(root)} == {("1", "4-post", "cut", "token_counts")}
    final, record = run(pair, corpus, root, tmp_path / "final", "final")
    assert final == whole
    assert {one.arrays for one in holdings(root)} == {("4-post", "cut", "token_counts")}
    assert record["cache_states"]["left"] is None
    assert record["cache_states"]["freed"] > 0
    assert "at the primary layer" in record["cache_states"]["lost"]
    none, record = run(pair, corpus, root, tmp_path / "none", "none")
    assert (tmp_path / "none" / "audit.json").read_bytes() == (tmp_path / "all" / "audit.json").read_bytes()
    assert none == whole
    assert pieces(root) == []
    assert (tmp_path / "none" / KEPT).read_bytes() == (tmp_path / "final" / KEPT).read_bytes()


def test_what_is_kept_gives_the_number_that_verdicts_come_from(pair, corpus, planted, tmp_path):
    audit, _ = run(pair, corpus, tmp_path / "store", tmp_path / "out", "none")
    with safe_open(tmp_path / "out" / KEPT, framework="np") as file:
        kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - a file, not a dict
        texts = json.loads(file.metadata()["record"])["texts"]
    assert set(texts) == {"en", "de"}
    for role in ("reference", "aligned"):
        for code in ("en", "de"):
            block = {
                part: kept[f"{role}/4-post/{code}/{part}"] for part in ("projections", "mean", "covariance", "scores")
            }
            harmful = kept[f"{code}/harmful"]
            rows = corpus.part(code)
            ids = dict(zip(rows["text_id"], rows["harmful"], strict=True))
            assert [ids[text] for text in texts[code]] == harmful.tolist()
            for label in (False, True):
                mine = block["projections"][harmful == label]
                np.testing.assert_allclose(block["mean"][int(label)], mine.mean(axis=0))
                np.testing.assert_allclose(block["covariance"][int(label)], np.cov(mine.T))
            # The plug-in of between_class_variance, from moments alone.
            n = [(~harmful).sum(), harmful.sum()]
            centre = sum(count * mean for count, mean in zip(n, block["mean"], strict=True)) / sum(n)
            between = sum(count * ((mean - centre) ** 2).sum() for count, mean in zip(n, block["mean"], strict=True))
            within = sum((count - 1) * np.trace(one) for count, one in zip(n, block["covariance"], strict=True))
            said = audit.value(
                kind="score", language=code, model=role, layer=4, metric="between_class_variance", components=10
            )
            assert between / (between + within) == pytest.approx(said.plug_in, rel=1e-9)
            assert block["scores"].shape == kept[f"{code}/fold"].shape == harmful.shape


def test_a_store_in_use_is_left_and_the_same_command_ends_it(pair, corpus, planted, tmp_path, monkeypatch, capsys):
    root, out = tmp_path / "store", tmp_path / "out"
    with in_use(root):
        first, record = run(pair, corpus, root, out, "none")
    assert "at work in it" in record["cache_states"]["left"]
    assert "run the same command again" in kept_line(record["cache_states"])
    held = len(pieces(root))
    assert held
    monkeypatch.setattr("isogloss.auditing.run.measure", None)
    second, record = run(pair, corpus, root, out, "none")
    assert second == first
    assert record["cache_states"]["left"] is None
    assert "MB of states removed; kept.safetensors has moments" in kept_line(record["cache_states"])
    assert pieces(root) == []


def test_a_run_that_kept_everything_can_be_made_to_keep_less(pair, corpus, planted, tmp_path):
    run(pair, corpus, tmp_path / "store", tmp_path / "out", "all")
    _, record = run(pair, corpus, tmp_path / "store", tmp_path / "out", "none")
    assert record["cache_states"]["freed"] > 0
    assert KEPT in names(tmp_path / "out")


def test_keeping_less_needs_a_run_folder_and_a_word_that_is_known(pair, corpus, planted, tmp_path):
    with pytest.raises(UsageError, match="--cache-states none: found no run folder"):
        isogloss.audit(pair, corpus, config=replace(CONFIG, cache_states="none"), store=tmp_path)
    with pytest.raises(UsageError, match="--cache-states: found 'some'; expected none, final or all"):
        isogloss.audit(pair, corpus, config=replace(CONFIG, cache_states="some"), store=tmp_path)


def test_the_command_says_what_was_lost(pair, corpus, planted, parallel_file, tmp_path, monkeypatch, capsys):
    command = ["audit", "--reference", pair.reference.base, "--aligned", pair.aligned.base, "--corpus", parallel_file]
    command += [
        "--controls",
        "none",
        "--permutations",
        "100",
        "--metrics",
        "between_class_variance",
        "--cache-states",
        "none",
    ]
    command += ["--out", tmp_path / "out", "--store", tmp_path / "store", "--json"]
    monkeypatch.setattr(sys, "argv", ["isogloss", *map(str, command)])
    with pytest.raises(SystemExit) as stop:
        door.main()
    assert not stop.value.code
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("--cache-states none: ")
    assert said.endswith("lost: other components, fits and probes, and other samples of these texts")


def test_a_store_that_cannot_be_changed_is_said_and_the_result_stands(pair, corpus, planted, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(forgetting, "remove", refuse)
    _, record = run(pair, corpus, tmp_path / "store", tmp_path / "out", "none")
    assert "Permission denied" in record["cache_states"]["left"]
    place = entry(tmp_path / "other")
    counted(place, WORDS, [1])
    with pytest.raises(StoreError, match="Permission denied"):
        forget(place, ["1"], ["cut"])
