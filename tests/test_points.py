"""points.parquet holds the very scores that the audit counts, and anybody can count them again."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

import isogloss
from conftest import parallel_rows
from isogloss import ExtractSpec, ModelPair, ModelRef
from planted import QUICK, load, moved, plant, states

COLUMNS = {
    "text_id": pl.String,
    "pair_id": pl.String,
    "item_id": pl.String,
    "language": pl.String,
    "harmful": pl.Boolean,
    "model": pl.String,
    "layer": pl.Int64,
    "norm": pl.String,
    "fold": pl.Int64,
    "pc1": pl.Float64,
    "pc2": pl.Float64,
    "score": pl.Float64,
}
TWO_LAYERS = replace(QUICK, spec=ExtractSpec(layers=("2", "final")), metrics=("pair_accuracy",))


@pytest.fixture
def pair(tiny_folder, adapter_folder):
    aligned = ModelRef(base=str(tiny_folder), adapter=str(adapter_folder))
    return ModelPair(name="tiny", reference=ModelRef(base=str(tiny_folder)), aligned=aligned, source="test")


def run(pair, texts, folder, config=TWO_LAYERS):
    audit = isogloss.audit(pair, texts, config=config, out=folder / "out", store=folder / "store")
    return audit, pl.read_parquet(folder / "out" / "points.parquet")


def counted_again(block):
    """AUROC of a block of points by scikit-learn: the mean over folds, comparisons of twins left out."""
    found = []
    for part in block.partition_by("fold"):
        n = part["harmful"].sum()
        wins = roc_auc_score(part["harmful"], part["score"]) * n * (part.height - n)
        if part["pair_id"].null_count():
            found.append(wins / (n * (part.height - n)))
            continue
        partners = part.group_by("pair_id").agg(
            difference=pl.col("score").filter("harmful").first() - pl.col("score").filter(~pl.col("harmful")).first()
        )
        found.append((wins - ((np.sign(partners["difference"]) + 1) / 2).sum()) / (n * (part.height - n) - n))
    return float(np.mean(found))


def test_the_scores_are_those_that_auroc_and_pair_accuracy_count(pair, tmp_path, monkeypatch):
    plant(monkeypatch, moved({"en": 1.5, "de": 0.5}))
    audit, points = run(pair, load(tmp_path / "t.jsonl", parallel_rows(n=40)), tmp_path)
    assert dict(points.schema) == {name: dtype() for name, dtype in COLUMNS.items()}
    blocks = points.partition_by("language", "model", "layer", "norm", as_dict=True)
    assert len(blocks) == 8
    for (language, model, layer, norm), block in blocks.items():
        where = {"kind": "score", "language": language, "model": model, "layer": layer, "norm": norm}
        assert counted_again(block) == pytest.approx(audit.value(metric="auroc", **where).plug_in, abs=1e-12)
        partners = block.sort("harmful").group_by("pair_id").agg(wins=pl.col("score").last() > pl.col("score").first())
        assert partners["wins"].mean() == pytest.approx(audit.value(metric="pair_accuracy", **where).plug_in, abs=1e-12)


def test_without_pairs_too(pair, labelled_file, tmp_path, monkeypatch):
    plant(monkeypatch, moved({"en": 1.0}))
    audit, points = run(pair, isogloss.load_corpus(labelled_file), tmp_path)
    for (model, layer), block in points.partition_by("model", "layer", as_dict=True).items():
        found = audit.value(kind="score", metric="auroc", model=model, layer=layer)
        assert counted_again(block) == pytest.approx(found.plug_in, abs=1e-12)
    assert points["pair_id"].null_count() == points.height


def test_the_order_is_that_of_the_plan_and_ids_are_those_of_the_corpus(pair, tmp_path, monkeypatch):
    plant(monkeypatch, moved({"en": 1.5, "de": 0.5}))
    rows = [row | {"item_id": f"i{row['pair_id']}"} for row in parallel_rows(n=40)]
    texts = load(tmp_path / "t.jsonl", rows)
    _, points = run(pair, texts, tmp_path)
    blocks = points.select("language", "layer", "norm", "model").unique(maintain_order=True).rows()
    assert blocks == [
        (code, *layer, model)
        for code in ("en", "de")
        for layer in ((2, ""), (4, "post"))
        for model in ("reference", "aligned")
    ]
    part = points.filter((pl.col("language") == "de") & (pl.col("layer") == 2) & (pl.col("model") == "aligned"))
    ids = ["text_id", "pair_id", "item_id", "language", "harmful"]
    assert part.select(ids).equals(texts.part("de").select(ids))
    assert part["fold"].unique().sort().to_list() == [0, 1, 2, 3, 4]
    assert part.group_by("pair_id").agg(pl.col("fold").n_unique())["fold"].unique().to_list() == [1]


def test_what_does_not_exist_is_null_and_the_probe_still_scores(pair, tmp_path, monkeypatch):
    def hidden_of(role, code, part, layer):
        hidden = states(len(code), part["harmful"].to_numpy(), 1.0)
        hidden[:, 1:] = 0.0
        return hidden

    plant(monkeypatch, hidden_of)
    _, points = run(pair, load(tmp_path / "t.jsonl", parallel_rows(n=40)), tmp_path)
    assert points["pc1"].null_count() == 0
    assert points["pc2"].null_count() == points.height
    assert points["score"].null_count() == 0
