"""The main job end to end on a tiny model: numbers, run folder, second run, planted differences."""

import json
import shutil

import numpy as np
import polars as pl
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score

import isogloss
from conftest import parallel_rows
from isogloss import Audit, AuditConfig, ExtractSpec, ModelPair, ModelRef
from isogloss.activations.spec import Layer
from isogloss.errors import CorpusError, MetricError, ModelError, StoreError
from isogloss.report.tables import headline, lines, markdown

FINAL = Layer(4, "post")


@pytest.fixture(scope="module")
def pair(tiny_folder, adapter_folder):
    aligned = ModelRef(base=str(tiny_folder), adapter=str(adapter_folder))
    return ModelPair(name="tiny", reference=ModelRef(base=str(tiny_folder)), aligned=aligned, source="test")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "pairs.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in parallel_rows(n=40)), encoding="utf-8")
    return isogloss.load_corpus(path)


@pytest.fixture(scope="module")
def run(pair, corpus, tmp_path_factory):
    """One audit on all layers, written to disk: (audit, run folder, store)."""
    root = tmp_path_factory.mktemp("run")
    config = AuditConfig(spec=ExtractSpec(layers=("all",)), shuffles=100)
    audit = isogloss.audit(pair, corpus, config=config, out=root / "out", store=root / "store")
    return audit, root / "out", root / "store"


def test_scores_are_those_of_scikit_learn_on_the_same_states(run, pair, corpus):
    audit, _, store = run
    states = isogloss.extract(pair.aligned, corpus, ExtractSpec(layers=("all",)), store=store)
    block = states.block("de", FINAL)
    z = PCA(10, svd_solver="full").fit_transform(block.hidden.astype(float))
    shift = z[block.harmful].mean(0) - z[~block.harmful].mean(0)
    share = len(z) / 4 * (shift**2).sum() / ((z - z.mean(0)) ** 2).sum()  # classes of equal size
    where = {"kind": "score", "language": "de", "model": "aligned", "layer": 4, "norm": "post", "components": 10}
    assert audit.value(metric="between_class_variance", **where).value == pytest.approx(share, abs=1e-6)
    ours = isogloss.metrics.silhouette(z, block.harmful)
    assert ours == pytest.approx(silhouette_score(z, block.harmful), abs=1e-6)
    with_twins = isogloss.metrics.silhouette(z, block.harmful, pairs=block.pair_ids)
    assert audit.value(metric="silhouette", **where).value == pytest.approx(with_twins, abs=1e-6)


def test_gain_and_retention_follow_from_the_scores(run):
    audit, _, _ = run
    for layer, norm in ((2, ""), (4, "pre"), (4, "post")):
        where = {"layer": layer, "norm": norm, "metric": "between_class_variance", "components": 10}
        gains = {}
        for code in ("en", "de"):
            before, after = (
                audit.value(kind="score", language=code, model=model, **where).value
                for model in ("reference", "aligned")
            )
            gains[code] = audit.value(kind="gain", language=code, **where)
            assert gains[code].value == pytest.approx(after - before, abs=1e-12)
            assert gains[code].low < gains[code].value < gains[code].high
        gap = audit.value(kind="gap", language="de", **where)
        assert gap.value == pytest.approx(gains["en"].value - gains["de"].value, abs=1e-12)
        kept = audit.value(kind="retention", language="de", **where)
        if gains["en"].value > 0:
            assert kept.value == pytest.approx(gains["de"].value / gains["en"].value)
        else:
            assert np.isnan(kept.value)
            assert kept.reason


def test_every_score_travels_with_null_and_n(run):
    audit, _, _ = run
    scores = [row for row in audit.rows if row.kind == "score"]
    assert {row.metric for row in scores} == set(isogloss.METRICS)
    for row in scores:
        assert row.estimate.n == 40
        if row.estimate.reason is None:
            assert row.estimate.null_low <= row.estimate.null_mean <= row.estimate.null_high
            assert 0 < row.estimate.p_value <= 1


def test_the_run_folder_is_complete_and_exact(run):
    audit, out, _ = run
    assert Audit.load(out) == audit
    assert Audit.load(out).to_json() == (out / "audit.json").read_text("utf-8")
    assert pl.read_parquet(out / "results.parquet").equals(audit.table())
    points = pl.read_parquet(out / "points.parquet")
    assert points.height == 160 * 2 * 6  # texts, models, layers
    for name in ("scatter", "separation"):
        assert (out / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (out / "figures" / f"{name}.svg").read_text("utf-8")[:200]
    for secret in ("/tmp", "seconds", "202"):
        assert secret not in json.dumps(json.loads((out / "audit.json").read_text())["config"])


def test_a_second_run_loads_no_weights_and_gives_the_same_bytes(run, pair, corpus, monkeypatch):
    audit, out, store = run
    monkeypatch.setattr("isogloss.activations.compute.compute_missing", _fail)
    config = AuditConfig(spec=ExtractSpec(layers=("all",)), shuffles=100)
    again = isogloss.audit(pair, corpus, config=config, out=out, store=store)
    assert again.to_json() == audit.to_json()
    assert json.loads((out / "run.json").read_text())["parts_computed"] == 0


def _fail(*args, **kwargs):
    raise AssertionError("weights were loaded")


def test_adding_a_language_changes_nothing_for_the_others(run, pair, tmp_path, corpus):
    audit, _, store = run
    english = isogloss.load_corpus(_copy(corpus, tmp_path, ["en"]))
    config = AuditConfig(spec=ExtractSpec(layers=("all",)), shuffles=100)
    alone = isogloss.audit(pair, english, config=config, store=store)
    both = {
        (r.model, r.layer, r.norm, r.metric, r.components): r.estimate for r in audit.find(kind="score", language="en")
    }
    for row in alone.find(kind="score", language="en"):
        assert row.estimate == both[row.model, row.layer, row.norm, row.metric, row.components]


def _copy(corpus, folder, languages):
    frame = corpus.frame.filter(pl.col("language").is_in(languages)).select("text", "language", "pair_id", "harmful")
    path = folder / "copy.jsonl"
    frame.rename({"harmful": "label"}).with_columns(pl.col("label").cast(pl.Int8)).write_ndjson(path)
    return path


def test_another_run_in_out_is_refused_and_left_alone(run, pair, corpus):
    _, out, store = run
    before = (out / "audit.json").read_bytes()
    with pytest.raises(StoreError, match="another run"):
        isogloss.audit(pair, corpus, config=AuditConfig(seed=1), out=out, store=store)
    assert (out / "audit.json").read_bytes() == before


@pytest.mark.parametrize("make", ["file", "folder"])
def test_other_things_in_out_are_refused(make, pair, corpus, tmp_path, run):
    out = tmp_path / "out"
    if make == "file":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "thesis.tex").write_text("mine")
    with pytest.raises(StoreError, match="new or empty folder"):
        isogloss.audit(pair, corpus, out=out, store=run[2])


def test_a_failed_audit_leaves_nothing_behind(pair, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr("isogloss.auditing.run_folder.write_figures", _fail)
    with pytest.raises(AssertionError):
        isogloss.audit(pair, corpus, out=tmp_path / "runs" / "out", store=tmp_path / "store")
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_model_without_reference_gets_scores_but_no_gain(pair, corpus, tmp_path):
    alone = ModelPair(name="alone", reference=None, aligned=pair.aligned, source="test")
    audit = isogloss.audit(alone, corpus, config=AuditConfig(shuffles=100), out=tmp_path / "out", store=tmp_path / "s")
    assert {row.kind for row in audit.rows} == {"score", "control"}
    assert [notice.code for notice in audit.notices if notice.code == "M002"]
    assert headline(audit).startswith("No reference model")
    assert len(lines(audit)) == 2


def test_labelled_texts_without_twins_are_audited_too(pair, labelled_file, tmp_path):
    corpus = isogloss.load_corpus(labelled_file)
    audit = isogloss.audit(pair, corpus, config=AuditConfig(shuffles=100, per_class=50), store=tmp_path / "store")
    assert "twin_accuracy" not in {row.metric for row in audit.rows}
    assert {row.estimate.n for row in audit.rows} == {50}


@pytest.mark.parametrize(
    ("config", "kind", "words"),
    [
        (AuditConfig(metrics=("silhuette",)), MetricError, "did you mean 'silhouette'"),
        (AuditConfig(pivot="fr"), CorpusError, "a language of the corpus: de, en"),
        (AuditConfig(per_class=19), CorpusError, "at least 20"),
        (AuditConfig(per_class=41), CorpusError, "40 harmful and 40 harmless"),
        (AuditConfig(spec=ExtractSpec(layers=("9",))), MetricError, "numbers from 0"),
    ],
)
def test_bad_settings_are_refused_before_any_work(config, kind, words, pair, corpus, tmp_path):
    with pytest.raises(kind, match=words):
        isogloss.audit(pair, corpus, config=config, out=tmp_path / "out", store=tmp_path / "store")
    assert list(tmp_path.iterdir()) == []


def test_a_pair_of_other_depth_or_tokens_is_refused(tiny_folder, corpus, tmp_path):
    from conftest import make_model

    deep = make_model(tmp_path / "deep", seed=0, depth=6)
    unlike = shutil.copytree(tiny_folder, tmp_path / "unlike")
    tokens = json.loads((unlike / "tokenizer.json").read_text())
    tokens["model"]["vocab"]["Ġ"], tokens["model"]["vocab"]["a"] = (
        tokens["model"]["vocab"]["a"],
        tokens["model"]["vocab"]["Ġ"],
    )
    (unlike / "tokenizer.json").write_text(json.dumps(tokens))
    for other, words in ((deep, "the same architecture"), (unlike, "the same tokens for both models")):
        pair = ModelPair(
            name="bad", reference=ModelRef(base=str(other)), aligned=ModelRef(base=str(tiny_folder)), source="test"
        )
        with pytest.raises(ModelError, match=words):
            isogloss.audit(pair, corpus, store=tmp_path / "store")


def planted(code, text_ids, harmful, *, shift, rng):
    """Hidden states of 64 dimensions in which the classes stand `shift` apart on the strongest axis."""
    scale = 1 / np.sqrt(np.arange(1, 65))
    states = rng.normal(size=(len(text_ids), 64)) * scale
    states[:, 0] += shift * harmful
    return states.astype(np.float32)


@pytest.mark.parametrize("gap", [True, False])
def test_a_planted_difference_is_found_and_none_where_none_was_planted(gap, pair, corpus, tmp_path, monkeypatch):
    """Alignment that moves English only is seen in English only."""

    def fill(found, **kwargs):
        from isogloss.activations.store import finish, write_shard

        for role, states in found.items():
            for code, place in states.entries.items():
                part = states.corpus.part(code)
                rng = np.random.default_rng([code == "en", role == "aligned"])
                moved = 2.0 if gap and role == "aligned" and code == "en" else 0.0
                hidden = planted(code, part["text_id"], part["harmful"].to_numpy(), shift=moved, rng=rng)
                for path, texts in place.shards():
                    write_shard(
                        path,
                        {FINAL.name: hidden[texts], "token_counts": np.full(len(hidden[texts]), 5, dtype=np.int32)},
                    )
                finish(place, notes={"cut": 0})
        return len(found)

    monkeypatch.setattr("isogloss.auditing.audit.fill", fill)
    audit = isogloss.audit(pair, corpus, config=AuditConfig(shuffles=100), store=tmp_path)
    readings = {reading.language: reading.reading for reading in audit.readings}
    assert readings["de"] == "no clear change"
    assert readings["en"] == ("rose" if gap else "no clear change")
    assert f"in {int(gap)} of 2 languages" in headline(audit)
    assert "| en English |" in markdown(audit)
