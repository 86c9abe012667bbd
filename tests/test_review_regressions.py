"""Faults that a review found across rooms: each test failed before its mend."""

import json
import shutil

import numpy as np
import pytest

import isogloss
import isogloss.hidden_states.compute
from conftest import make_adapter, parallel_rows
from isogloss import AuditConfig, ModelPair, ModelRef
from isogloss.data.curate import balance
from isogloss.data.named_corpora import CORPORA
from isogloss.data.sources import read_source
from isogloss.errors import CorpusError, ModelError, UsageError
from isogloss.io.files import staged_folder
from isogloss.models.adapters import use_checkpoint
from isogloss.models.checkpoints import fetch
from isogloss.models.depth import read_depth
from isogloss.models.load import load_model


def write(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_a_smaller_sample_of_stored_texts_is_read_not_computed(tiny_folder, tmp_path, monkeypatch):
    """One more language that is smaller than the others cuts them; their states are there already."""
    pair = ModelPair(name="t", reference=None, aligned=ModelRef(base=str(tiny_folder)), source="test")
    large = isogloss.load_corpus(write(tmp_path / "large.jsonl", parallel_rows(n=40, languages=("en",))))
    both = [*parallel_rows(n=40, languages=("en",)), *parallel_rows(n=30, languages=("de",))]
    config, store = AuditConfig(permutations=100, controls=(), metrics=("between_class_variance",)), tmp_path / "store"
    isogloss.audit(pair, large, config=config, store=store)
    computed = []
    real = isogloss.hidden_states.compute.hidden_states
    monkeypatch.setattr(
        "isogloss.hidden_states.compute.hidden_states",
        lambda model, plan, *a, **k: computed.append(len(plan.inverse)) or real(model, plan, *a, **k),
    )
    audit = isogloss.audit(pair, isogloss.load_corpus(write(tmp_path / "b.jsonl", both)), config=config, store=store)
    assert computed == [60]
    fresh = isogloss.audit(
        pair, isogloss.load_corpus(tmp_path / "b.jsonl"), config=config, store=tmp_path / "other store"
    )
    for mine, other in zip(audit.rows, fresh.rows, strict=True):
        assert mine.estimate.value == pytest.approx(other.estimate.value, rel=1e-3, abs=1e-5, nan_ok=True)


def test_files_of_others_in_a_run_folder_stay(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.md").write_text("mine")
    (tmp_path / "run" / "audit.json").write_text("old")
    with staged_folder(tmp_path / "run") as scratch:
        (scratch / "audit.json").write_text("new")
    assert (tmp_path / "run" / "notes.md").read_text() == "mine"
    assert (tmp_path / "run" / "audit.json").read_text() == "new"
    assert len(list((tmp_path / "run").iterdir())) == 2


@pytest.mark.parametrize("content", ["{", "[]", '{"model_type": "no_such_model"}'])
def test_a_broken_configuration_is_one_line(content, tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    (folder / "config.json").write_text(content)
    with pytest.raises(ModelError) as error:
        read_depth(fetch(ModelRef(base=str(folder))))
    assert "\n" not in str(error.value)


def test_a_corrupt_adapter_is_one_line(tiny_folder, adapter_folder, tmp_path):
    folder = shutil.copytree(adapter_folder, tmp_path / "adapter")
    (folder / "adapter_model.safetensors").write_bytes(b"\x00" * 40)
    checkpoint = fetch(ModelRef(base=str(tiny_folder), adapter=str(folder)))
    with (
        pytest.raises(ModelError, match="an adapter trained on this base"),
        use_checkpoint(load_model(checkpoint, device="cpu"), checkpoint),
    ):
        pass


def test_an_adapter_on_other_weights_of_its_shape_is_warned_of(tiny_folder, parallel_file, tmp_path):
    adapter = make_adapter(tiny_folder, tmp_path / "adapter", seed=0)
    (adapter / "isogloss_tune.json").write_text(json.dumps({"base_sha256": "0" * 64}))
    aligned = ModelRef(base=str(tiny_folder), adapter=str(adapter))
    pair = ModelPair(name="t", reference=None, aligned=aligned, source="test")
    audit = isogloss.audit(
        pair,
        isogloss.load_corpus(parallel_file),
        config=AuditConfig(permutations=100, controls=()),
        store=tmp_path / "store",
    )
    assert "M003" in {warning.code for warning in audit.warnings}


def test_a_plus_in_a_folder_name_does_not_split_the_reference(tmp_path):
    base = tmp_path / "c++" / "base"
    base.mkdir(parents=True)
    assert ModelRef.parse(f"{base}+{tmp_path}/adapter") == ModelRef(base=str(base), adapter=f"{tmp_path}/adapter")


def test_pairs_that_share_an_item_are_drawn_whole(tmp_path):
    rows = [
        row | {"pair_id": f"{row['pair_id']}", "item_id": f"i{i // 3}"} for i, row in enumerate(parallel_rows(n=60))
    ]
    corpus = isogloss.load_corpus(write(tmp_path / "c.jsonl", rows))
    for seed in range(10):
        assert set(balance(corpus, per_class=25, seed=seed).counts()["harmful"]) == {25}


def test_a_row_repeated_inside_a_pair_is_a_copy_not_a_twin(tmp_path):
    rows = [
        {"text": f"{word} {i}", "label": label, "language": "en", "pair_id": str(i)}
        for i in range(25)
        for word, label in (("bad", 1), ("good", 0))
    ]
    corpus = isogloss.load_corpus(write(tmp_path / "c.jsonl", [rows[0], *rows]))
    assert len(corpus) == 50
    assert [warning.code for warning in corpus.warnings] == ["C001", "C006"]


def test_files_of_single_languages_keep_their_common_items(tmp_path):
    files = [
        write(
            tmp_path / f"{code}.jsonl", [row | {"item_id": row["pair_id"]} for row in parallel_rows(languages=(code,))]
        )
        for code in ("en", "de")
    ]
    assert isogloss.load_corpus(files).parallel


def test_so_few_tokens_that_nothing_of_a_text_is_left_are_refused():
    with pytest.raises(UsageError, match="found 1; expected 8 to"):
        isogloss.ExtractSpec(max_tokens=1)


def test_strings_will_do_for_folders(tiny_folder, parallel_file, tmp_path):
    corpus = isogloss.load_corpus(str(parallel_file), languages=["en"])
    states = isogloss.extract(ModelRef(base=str(tiny_folder)), corpus, store=str(tmp_path / "store"))
    assert np.isfinite(states.block("en", states.layers[-1]).hidden).all()


def test_without_a_connection_a_hub_corpus_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", "http://127.0.0.1:9", raising=False)
    with pytest.raises(CorpusError, match=r"corpus s-nlp/paradetox: found .*check the connection") as error:
        read_source(CORPORA["paradetox"], None)
    assert "\n" not in str(error.value)


def test_narrow_terminals_get_the_columns_that_carry_the_answer(tiny_folder, parallel_file, tmp_path):
    from rich.console import Console

    from isogloss.report.render_terminal import print_audit

    pair = ModelPair(name="t", reference=None, aligned=ModelRef(base=str(tiny_folder)), source="test")
    audit = isogloss.audit(
        pair,
        isogloss.load_corpus(parallel_file),
        config=AuditConfig(permutations=100, controls=()),
        store=tmp_path / "store",
    )
    for width, there in ((80, False), (160, True)):
        console = Console(width=width, record=True, quiet=False, file=(tmp_path / "out").open("w"))
        print_audit(audit, console)
        text = console.export_text()
        assert "en English" in text
        assert "separation" in text
        assert "MDE" not in text  # nothing to compare without a reference
        assert ("tokens/char" in text) is there
        assert "…" not in text


def test_any_hub_data_set_is_read_with_splits_for_languages(monkeypatch):
    from pathlib import Path

    from datasets import Dataset, DatasetDict

    from isogloss.io.hub import Snapshot

    splits = {
        code: Dataset.from_list([{"comment": f"{code} {i}", "toxic": i % 2, "vector": [1.0]} for i in range(50)])
        for code in ("en", "hi")
    }
    asked = []
    monkeypatch.setattr("datasets.load_dataset", lambda where: asked.append(where) or DatasetDict(splits))
    monkeypatch.setattr(
        "isogloss.data.hub_data.download", lambda repo, revision, **_: Snapshot(Path("hub") / repo, revision)
    )
    corpus = isogloss.load_corpus("org/data@abc", columns={"text": "comment", "label": "toxic"})
    assert corpus.name == "org/data@abc"
    assert asked == ["hub/org/data"]
    assert corpus.counts().rows() == [("en", 25, 25), ("hi", 25, 25)]
    assert corpus.revision == "abc"
