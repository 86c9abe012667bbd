"""Several descendants of one reference: an audit each, the reference run once, one table."""

import json

import pytest
from typer.testing import CliRunner

import isogloss
from conftest import make_adapter
from isogloss.cli.app import app
from isogloss.errors import UsageError
from isogloss.models.load import load_model
from isogloss.models.pairs import ModelPair, ModelRef
from isogloss.recipes.descendants import audit_descendants, short_names
from isogloss.report.comparison.runs import descendant_table

CONFIG = isogloss.AuditConfig(permutations=20, controls=(), metrics=("between_class_variance",))


def test_each_descendant_has_the_audit_that_it_has_alone(
    tiny_folder, other_folder, adapter_folder, parallel_file, tmp_path, monkeypatch
):
    corpus, base = isogloss.load_corpus(parallel_file), ModelRef(base=str(tiny_folder))
    refs = [ModelRef(base=str(tiny_folder), adapter=str(adapter_folder)), ModelRef(base=str(other_folder))]
    loads = []

    def load(checkpoint, **settings):
        loads.append(checkpoint.base_sha256)
        return load_model(checkpoint, **settings)

    monkeypatch.setattr("isogloss.hidden_states.compute.load_model", load)
    settings = {"config": CONFIG, "device": "cpu"}
    found = audit_descendants(base, refs, corpus, out=tmp_path / "runs", store=tmp_path / "store", **settings)
    assert list(found) == ["adapter", "other"]
    assert len(loads) == 2  # base and adapter together, then the other: the reference is not run again
    for (name, audit), ref in zip(found.items(), refs, strict=True):
        pair = ModelPair(name="own", reference=base, aligned=ref, source="test")
        assert audit == isogloss.audit(pair, corpus, store=tmp_path / "alone" / name, **settings)
        assert isogloss.Audit.load(tmp_path / "runs" / name) == audit
    table = descendant_table(found)
    assert [cell.line for cell in table.column("language")] == ["en English", "de German"]
    assert [column.heading for column in table.columns] == ["language", "adapter", "other"]
    assert table.rows[0][1].text.endswith("pivot")


def test_without_a_reference_there_are_scores(tiny_folder, other_folder, parallel_file, tmp_path):
    refs = [ModelRef(base=str(tiny_folder)), ModelRef(base=str(other_folder))]
    corpus = isogloss.load_corpus(parallel_file)
    found = audit_descendants(None, refs, corpus, config=CONFIG, store=tmp_path, device="cpu")
    assert all(cell.text[0] != "+" for row in descendant_table(found).rows for cell in row)
    assert {warning.code for one in found.values() for warning in one.warnings} >= {"M002"}


def test_names_tell_descendants_apart():
    refs = [ModelRef.parse(text) for text in ("a/dpo", "b/dpo", "a/base+a/sft")]
    assert short_names(refs) == {"dpo-1": refs[0], "dpo-2": refs[1], "sft": refs[2]}
    with pytest.raises(UsageError, match="a/dpo twice"):
        short_names([refs[0], refs[0]])


def test_the_command_takes_several(tiny_folder, adapter_folder, parallel_file, tmp_path):
    other = make_adapter(tiny_folder, tmp_path / "dpo", seed=9)
    arguments = [
        "audit",
        "--reference",
        str(tiny_folder),
        "--controls",
        "none",
        "--permutations",
        "100",
        "--device",
        "cpu",
    ]
    for adapter in (adapter_folder, other):
        arguments += ["--aligned", f"{tiny_folder}+{adapter}"]
    arguments += ["--corpus", str(parallel_file), "--store", str(tmp_path / "store"), "--out", str(tmp_path / "runs")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "adapter" in result.stdout
    assert "picking the best of several" in result.stdout
    as_json = CliRunner().invoke(app, [*arguments, "--json"])
    assert set(json.loads(as_json.stdout)) == {"adapter", "dpo"}
    assert (tmp_path / "runs" / "dpo" / "audit.json").is_file()
    assert CliRunner().invoke(app, [*arguments, "--pair", "embedded"]).exit_code != 0
