"""One metric under many choices: values against plain loops, one pass a read-out, and what the command says."""

import sys

import numpy as np
import pytest
from sklearn.decomposition import PCA

import isogloss
from isogloss import AuditConfig, ChatTemplate, ExtractSpec, ModelPair, ModelRef, metrics
from isogloss.analyses import sensitivity as module
from isogloss.analyses.sensitivity import sensitivity
from isogloss.cli import app
from isogloss.stats.component_scopes import in_components

TEMPLATE = (
    "{% for m in messages %}<bos>user: {{ m['content'] }}{% endfor %}{% if add_generation_prompt %} model:{% endif %}"
)


@pytest.fixture
def pair(tiny_folder, adapter_folder):
    aligned = ModelRef(base=str(tiny_folder), adapter=str(adapter_folder))
    return ModelPair(name="t", reference=ModelRef(base=str(tiny_folder)), aligned=aligned, source="test")


@pytest.fixture
def corpus(parallel_file):
    return isogloss.load_corpus(parallel_file)


def test_every_combination_is_there_and_is_what_plain_code_gives(pair, corpus, tmp_path):
    table = sensitivity(pair, corpus, store=tmp_path, device="cpu")
    assert table.height == 2 * 2 * 3 * 2 * 2  # positions, norms, scopes, components, languages
    assert table.null_count().sum_horizontal().item() == 0
    spec = ExtractSpec(layers=("final-pre", "final"), position="mean")
    states = {
        role: isogloss.extract(ref, corpus, spec, store=tmp_path, device="cpu")
        for role, ref in (("reference", pair.reference), ("aligned", pair.aligned))
    }
    pre, post = states["aligned"].layers
    for layer in (pre, post):
        before, after = (states[role].block("de", layer) for role in ("reference", "aligned"))
        fitted = {"own": None, "reference": before.hidden, "joint": np.concatenate([before.hidden, after.hidden])}
        for scope, rows in fitted.items():
            for k in (2, 10):
                found = table.row(
                    by_predicate=(isogloss_row(position="mean", norm=layer.norm, scope=scope, components=k)), named=True
                )
                for role, block in (("reference", before), ("aligned", after)):
                    axes = PCA(k, svd_solver="full").fit((block.hidden if rows is None else rows).astype(float))
                    x = axes.transform(block.hidden.astype(float))
                    assert found[role] == pytest.approx(metrics.between_class_variance(x, block.harmful), rel=1e-6)
                assert found["gain"] == pytest.approx(found["aligned"] - found["reference"])


def isogloss_row(**wanted):
    import polars as pl

    return pl.all_horizontal(pl.col("language") == "de", *(pl.col(name) == value for name, value in wanted.items()))


def test_the_default_of_an_audit_is_among_the_combinations(pair, corpus, tmp_path):
    table = sensitivity(pair, corpus, store=tmp_path, device="cpu")
    audit = isogloss.audit(pair, corpus, config=AuditConfig(permutations=20, controls=()), store=tmp_path, device="cpu")
    for role in ("reference", "aligned"):
        found = table.row(
            by_predicate=isogloss_row(position="last", norm="post", scope="own", components=10), named=True
        )
        estimate = audit.value(
            kind="score", language="de", model=role, metric="between_class_variance", components=10, norm="post"
        )
        assert found[role] == pytest.approx(estimate.plug_in)


def test_all_readouts_are_one_extraction_and_a_second_run_none(pair, corpus, tmp_path, monkeypatch):
    filled = []
    real = module.fill
    monkeypatch.setattr(module, "fill", lambda *founds, **how: filled.append(founds) or real(*founds, **how))
    sensitivity(pair, corpus, store=tmp_path, device="cpu")
    ((last, mean),) = filled
    assert [one["aligned"].spec.position for one in (last, mean)] == ["last", "mean"]
    assert all(len(one["aligned"].layers) == 2 for one in (last, mean))
    sensitivity(pair, corpus, store=tmp_path, device="cpu")
    assert len(filled) == 1


def test_chat_read_outs_are_added_where_they_are_asked_for(pair, corpus, tmp_path):
    config = AuditConfig(analyses=(ChatTemplate(chat_template=TEMPLATE),), per_class=20)
    table = sensitivity(pair, corpus, config=config, store=tmp_path, device="cpu")
    found = set(table.select("prompt_format", "position").unique().iter_rows())
    assert found == {
        ("raw", "last"),
        ("raw", "mean"),
        ("chat", "last_prompt_token"),
        ("chat", "last_instruction_token"),
        ("chat", "mean"),
    }


def test_without_a_reference_there_are_levels_and_no_gains(corpus, tiny_folder, tmp_path):
    alone = ModelPair(name="t", reference=None, aligned=ModelRef(base=str(tiny_folder)), source="test")
    table = sensitivity(alone, corpus, store=tmp_path, device="cpu")
    assert table["gain"].count() == table["reference"].count() == 0
    assert set(table.drop_nulls("aligned")["scope"]) == {"own"}


def test_components_do_not_depend_on_the_solver():
    rng = np.random.default_rng(0)
    fitted, rows = rng.normal(size=(80, 30)) * np.linspace(3, 0.2, 30), rng.normal(size=(50, 30))
    exact = PCA(5, svd_solver="full").fit(fitted).transform(rows)
    found = in_components(fitted, rows, 5)
    np.testing.assert_allclose(np.abs(found), np.abs(exact), atol=1e-8)
    assert np.array_equal(found, in_components(fitted, rows, 5))


def test_the_command_prints_gains_and_says_what_they_are(
    tiny_folder, adapter_folder, parallel_file, monkeypatch, capsys, tmp_path
):
    monkeypatch.chdir(tmp_path)
    models = ["--reference", str(tiny_folder), "--aligned", f"{tiny_folder}+{adapter_folder}"]
    arguments = [*models, "--corpus", str(parallel_file), "--store", "store", "--out", "table.csv"]
    monkeypatch.setattr(sys, "argv", ["isogloss", "sensitivity", *arguments])
    with pytest.raises(SystemExit) as stop:
        sys.exit(app.main())
    assert not stop.value.code
    out = capsys.readouterr().out
    assert "between_class_variance:" in out
    assert "Combinations: en rises in" in out
    assert out.count("joint") == 8
    assert (tmp_path / "table.csv").read_text().startswith("model,corpus,prompt_format,position,norm,scope,components")
