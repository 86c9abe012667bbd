"""What languages have in common, asked of an audit: planted states in, rows and a page out."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import isogloss
from conftest import parallel_rows
from isogloss import Audit, CrossLingual, ExtractSpec, ModelPair, ModelRef
from isogloss.analyses.cross_lingual.tables import sections
from isogloss.cli.app import app
from isogloss.report.command import command
from isogloss.report.page import page_html
from isogloss.result_checks import refuse_unsound
from planted import QUICK, load, moved, plant, states

CONFIG = replace(
    QUICK, metrics=("between_class_variance",), analyses=(CrossLingual(),), spec=ExtractSpec(layers=("2", "final"))
)


def meant(role, code, part, layer):
    """States that lie by meaning at layer 2 and by language at the end; harm is one direction in all languages."""
    rng = np.random.default_rng([*code.encode(), layer.index])
    harmful = part["harmful"].to_numpy()
    hidden = states([*code.encode(), layer.index], harmful, 2.0 if role == "aligned" else 0.5)
    if layer.index == 2:
        own = np.array([hash_of(item, side) for item, side in zip(part["item_id"], harmful, strict=True)])
        return 3 * own + 0.1 * rng.normal(size=own.shape)
    return hidden + 4 * np.eye(24)[5 + ord(code[0]) % 7]


def hash_of(item, side):
    return np.random.default_rng([*str(item).encode(), int(side)]).normal(size=24)


@pytest.fixture(scope="module")
def pair(tiny_folder, adapter_folder):
    aligned = ModelRef(base=str(tiny_folder), adapter=str(adapter_folder))
    return ModelPair(name="tiny", reference=ModelRef(base=str(tiny_folder)), aligned=aligned, source="test")


@pytest.fixture(scope="module")
def run(pair, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cross_lingual")
    patch = pytest.MonkeyPatch()
    patch.setenv("ISOGLOSS_CACHE", str(folder))
    plant(patch, meant)
    corpus = load(folder / "pairs.jsonl", [row | {"item_id": row["pair_id"]} for row in parallel_rows(n=40)])
    audit = isogloss.audit(pair, corpus, config=CONFIG, out=folder / "run")
    found = Audit.load(folder / "run")
    assert found == audit
    yield found, folder / "run"
    patch.undo()


def test_an_audit_that_was_not_asked_has_no_such_rows_and_another_identity(run):
    audit, _ = run
    assert audit.config["analyses"] == {"cross_lingual": {"options": {"cross_lingual": True}}}
    asked = {"transfer", "cosine", "ceiling", "share", "reliability", "frozen", "rank", "meaning"}
    assert {row.kind for row in audit.rows} >= asked
    assert "--cross-lingual" in command(audit).split()
    without = replace(audit, config=audit.config | {"analyses": {}})
    assert "--cross-lingual" not in command(without)
    assert without.identity.name != audit.identity.name
    assert "" not in audit.languages


def test_the_matrix_is_whole_and_its_diagonal_is_the_probe_of_the_scores(run):
    audit, _ = run
    for model in ("reference", "aligned", ""):
        found = audit.find(kind="transfer", model=model)
        assert {(row.language, row.other) for row in found} == set(product(audit.languages, repeat=2))
        assert len(found) == len(audit.languages) ** 2
    for code in audit.languages:
        score = audit.value(kind="score", metric="auroc", language=code, model="aligned", layer=4)
        same = audit.value(kind="transfer", language=code, other=code, model="aligned")
        assert (same.value, same.null_mean) == (score.value, score.null_mean)
        assert same.low <= same.value <= same.high
        assert not math.isnan(same.fdr)


def test_a_direction_that_languages_share_is_found_in_both(run):
    audit, _ = run
    first, second = audit.languages[:2]
    found = audit.value(kind="cosine", language=first, other=second, model="aligned")
    assert found.low < 1 < found.high + 0.1
    assert found.value > 0.8
    assert found.p_value < 0.05
    share = audit.value(kind="share", language=second, other=first, model="aligned")
    assert share.value > 0.6
    assert audit.value(kind="ceiling", language=first, other=second, model="aligned").value <= 1


def test_meaning_wins_where_it_was_planted(run):
    audit, _ = run
    where = {"kind": "meaning", "model": "aligned", "language": ""}
    early, late = (audit.value(metric="meaning_minus_language", layer=layer, **where) for layer in (2, 4))
    assert early.value > 0.5
    assert late.value < 0
    assert early.low <= early.value <= early.high
    assert audit.value(metric="bottleneck", layer=2, **where).value == 1


def test_rows_survive_writing_and_only_they_have_a_second_language(run):
    audit, folder = run
    refuse_unsound(audit)
    frame = pl.read_parquet(folder / "results.parquet")
    second = {"transfer", "cosine", "ceiling", "share"}
    assert set(frame.filter(pl.col("other") != "")["kind"]) == second
    text = (folder / "audit.json").read_text("utf-8")
    assert text.count('"other": "",') == frame.filter(pl.col("other") == "").height


def test_texts_that_are_no_translations_have_a_reason_in_place_of_meaning(pair, tmp_path, monkeypatch):
    plant(monkeypatch, moved({"en": 1.0, "de": 1.0}, start=1.0))
    rows = [row | {"item_id": None, "pair_id": f"{row['language']}-{row['pair_id']}"} for row in parallel_rows(n=30)]
    corpus = load(tmp_path / "apart.jsonl", rows)
    audit = isogloss.audit(pair, corpus, config=replace(CONFIG, spec=ExtractSpec()))
    (row,) = audit.find(kind="meaning")
    assert row.estimate.reason == "0 items in all languages: meaning needs 20 translated into each"
    assert audit.find(kind="transfer")


def test_the_section_has_both_matrices_and_a_table(run):
    audit, folder = run
    page = (folder / "report.html").read_text("utf-8")
    assert 'id="cross-lingual"' in page
    (section,) = sections(audit, {})
    figures = [figure for block in section.blocks for figure in block.figures]
    matrices = [figure for figure in figures if "other" in figure.rows]
    assert len(matrices) == 4
    assert all(len(figure.rows["value"]) == len(audit.languages) ** 2 for figure in matrices)
    shown = {value for figure in matrices for value in figure.rows["value"]}
    assert audit.value(kind="transfer", model="aligned", language="en", other="de").value in shown
    words = " ".join(part for block in section.blocks for part in (block.text, block.note, *block.findings))
    assert "Aligned model: layer 2, the best in 100 % of random halves" in words
    assert {table.key for table in section.tables} >= {"transfer"}


def test_a_page_without_such_rows_has_no_such_section(run):
    audit, folder = run
    rows = tuple(row for row in audit.rows if row.kind in {"score", "gain", "gap", "retention", "control"})
    bare = replace(audit, rows=rows)
    assert list(sections(bare, {})) == []
    points = pl.read_parquet(folder / "points.parquet")
    assert 'id="cross-lingual"' not in page_html(bare, points, sections=sections(bare, {}))


def test_the_option_is_a_flag_and_a_recipe_takes_true_or_false():
    from isogloss.errors import UsageError
    from isogloss.recipes.settings import read_value

    assert read_value("cross_lingual", value=True, where="recipe") is True
    with pytest.raises(UsageError, match="found 'yes'; expected true or false"):
        read_value("cross_lingual", "yes", "recipe")
    assert "--cross-lingual" in CliRunner().invoke(app, ["audit", "--help"], env={"COLUMNS": "200"}).output
