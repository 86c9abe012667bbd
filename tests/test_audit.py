"""The main job end to end on a tiny model: numbers, run folder, second run, planted differences."""

import json
import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score

import isogloss
from conftest import parallel_rows
from isogloss import Audit, AuditConfig, ExtractSpec, Matched, ModelPair, ModelRef
from isogloss.auditing.config import MODEL_CONTROLS, parse_primary
from isogloss.auditing.plan import make_plan
from isogloss.errors import CorpusError, MetricError, ModelError, StoreError, UsageError
from isogloss.hidden_states.spec import Layer
from isogloss.progress import silent
from isogloss.records import Primary
from isogloss.report.audit_tables import language_table
from isogloss.report.render_markdown import render_markdown
from isogloss.report.sentences import headline
from isogloss.report.view import view
from isogloss.stats.metrics import STANDARD
from isogloss.stats.probe_scores import logit
from isogloss.stats.text_controls import CONTROLS
from isogloss.tuning.gain_change import primary_gains
from planted import QUICK, load, moved, plant, states

FINAL = Layer(4, "post")
SPEC = ExtractSpec(layers=("0", "2", "final"))
ALL = AuditConfig(spec=SPEC, permutations=100)
NO_CONTROLS = AuditConfig(spec=SPEC, permutations=100, controls=())
FAST = replace(QUICK, metrics=("between_class_variance",))
TWO = replace(QUICK, metrics=("between_class_variance", "silhouette"))


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
    """One audit with all controls, written to disk: (audit, run folder, store)."""
    root = tmp_path_factory.mktemp("run")
    audit = isogloss.audit(pair, corpus, config=replace(ALL, workers=2), out=root / "out", store=root / "store")
    return audit, root / "out", root / "store"


def test_plug_in_scores_are_those_of_scikit_learn_on_the_same_states(run, pair, corpus):
    audit, _, store = run
    sides = isogloss.extract(pair.aligned, corpus, SPEC, store=store)
    block = sides.block("de", FINAL)
    where = {"kind": "score", "language": "de", "model": "aligned", "layer": 4, "norm": "post"}
    for k in (2, 10):
        z = PCA(k, svd_solver="full").fit_transform(block.hidden.astype(float))
        shift = z[block.harmful].mean(0) - z[~block.harmful].mean(0)
        share = len(z) / 4 * (shift**2).sum() / ((z - z.mean(0)) ** 2).sum()  # classes of equal size
        found = audit.value(metric="between_class_variance", components=k, **where)
        assert found.plug_in == pytest.approx(share, abs=1e-6)
        assert found.value != found.plug_in  # debiased
        ours = isogloss.metrics.silhouette(z, block.harmful)
        assert ours == pytest.approx(silhouette_score(z, block.harmful), abs=1e-6)
        with_partners = isogloss.metrics.silhouette(z, block.harmful, pairs=block.pair_ids)
        assert audit.value(metric="silhouette", components=k, **where).plug_in == pytest.approx(with_partners, abs=1e-6)


def test_gain_gap_and_retention_follow_from_the_scores(run):
    audit, _, _ = run
    for layer, norm in ((2, ""), (4, "post")):
        for metric, components in (("between_class_variance", 10), ("auroc", None)):
            where = {"layer": layer, "norm": norm, "metric": metric, "components": components}
            gains = {}
            for code in ("en", "de"):
                before, after = (
                    audit.value(kind="score", language=code, model=model, **where).value
                    for model in ("reference", "aligned")
                )
                if metric == "auroc":
                    before, after = logit(before, 40), logit(after, 40)
                gains[code] = audit.value(kind="gain", language=code, **where)
                assert gains[code].value == pytest.approx(after - before, abs=1e-12)
                if gains[code].approximate == "no text moves it":  # the same comparisons are won before and after
                    assert before == after
                    assert np.isnan(gains[code].low)
                else:
                    assert gains[code].low <= gains[code].value <= gains[code].high
            gap = audit.value(kind="gap", language="de", **where)
            assert gap.value == pytest.approx(gains["en"].value - gains["de"].value, abs=1e-12)
            kept = audit.value(kind="retention", language="de", **where)
            if np.isnan(kept.value):
                assert kept.reason == "the pivot's gain is not clear of zero"
            else:
                assert kept.value == pytest.approx(gains["de"].value / gains["en"].value)
                assert kept.low < kept.value < kept.high
    assert {row.scale for row in audit.find(kind="gain", metric="auroc")} == {"logit"}
    assert {row.scale for row in audit.find(kind="gain", metric="silhouette")} == {"plain"}


def test_gains_with_what_moves_them_are_those_of_the_audit(run, pair, corpus):
    audit, _, store = run
    gains = primary_gains(make_plan(pair, corpus, ALL, store, silent))
    assert gains.keys() == set(audit.languages)
    for code, found in gains.items():
        (row,) = audit.find(
            kind="gain", language=code, layer=4, metric="between_class_variance", components=10, sample="all"
        )
        assert found.value == row.estimate.value
        assert found.p_value == pytest.approx(row.estimate.p_value)


def test_every_score_travels_with_interval_null_and_n(run):
    audit, _, _ = run
    scores = audit.find(kind="score")
    assert {row.metric for row in scores} == set(STANDARD)
    for row in scores:
        if row.estimate.reason:
            words = "fewer than 100 texts per class for 10 components" if row.layer else "the texts vary in"
            assert words in row.estimate.reason or row.layer == 0
    for row in scores:
        found = row.estimate
        assert (found.n, found.seed) == (40, 0)
        if found.reason is None:
            assert found.low <= found.high
            assert found.method
            assert found.level == 0.95
            # Where nearly all permutations tie, as at layer 0, a mean may lie just outside two quantiles.
            assert found.null_low - 0.01 <= found.null_mean <= found.null_high + 0.01
            assert 0 < found.p_value <= 1
            primary = (row.layer, row.norm, row.metric, row.components) == (4, "post", "between_class_variance", 10)
            assert np.isnan(found.p_family) is not primary
            assert np.isnan(found.fdr) == primary
            assert found.p_family >= found.p_value or found.fdr >= found.p_value


def test_every_row_of_a_language_carries_its_verdict(run):
    audit, _, _ = run
    verdicts = {one.language: one.verdict for one in audit.verdicts}
    assert verdicts.keys() == {"en", "de"}
    for row in audit.rows:
        assert row.verdict == verdicts[row.language]
    for row in audit.find(kind="score", language="de", metric="silhouette", layer=2, components=2):
        (gain,) = audit.find(kind="gain", language="de", metric="silhouette", layer=2, components=2)
        assert (row.mde, row.pivot_z) == (gain.mde, gain.pivot_z)


def test_only_the_primary_estimand_has_intervals_for_all_languages_at_once(run):
    audit, _, _ = run
    together = {
        (row.layer, row.norm, row.metric, row.components)
        for row in audit.rows
        if row.kind in {"gain", "gap"} and "simultaneous" in str(row.estimate.method)
    }
    assert together == {(4, "post", "between_class_variance", 10)}


def test_layer_0_is_the_same_in_both_models_and_says_nothing(run):
    """Low-rank adapters leave the embeddings alone; the last byte is all that layer 0 sees."""
    audit, _, _ = run
    gains = audit.find(kind="gain", layer=0)
    assert gains
    for row in gains:
        assert row.estimate.reason or row.estimate.value == 0
    for row in audit.find(kind="retention", layer=0):
        assert np.isnan(row.estimate.value)


def test_all_controls_are_there_with_intervals(run):
    audit, _, _ = run
    for code in ("en", "de"):
        controls = {row.metric: row.estimate for row in audit.find(kind="control", language=code)}
        assert set(controls) == set(CONTROLS)
        for found in controls.values():
            assert found.low <= found.value <= found.high
            assert found.level == 0.95
        assert controls["length_pair_accuracy"].value == 0  # "bad" is shorter than "good"
        assert controls["edit_rate"].value == pytest.approx(2 / 18)
        assert controls["bits_per_character"].value > 0
    assert tuple(audit.config["controls"]) == MODEL_CONTROLS


def test_the_run_folder_is_complete_and_exact(run):
    audit, out, _ = run
    assert Audit.load(out) == audit
    assert Audit.load(out).to_json() == (out / "audit.json").read_text("utf-8")
    assert pl.read_parquet(out / "results.parquet").equals(audit.table())
    points = pl.read_parquet(out / "points.parquet")
    assert points.height == 160 * 2 * 3  # texts, models, layers
    for name in ("scatter", "separation"):
        assert (out / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (out / "figures" / f"{name}.svg").read_text("utf-8")[:200]
    assert (out / "report.html").read_text("utf-8").startswith("<!doctype html>")
    for secret in ("/tmp", "seconds", "202"):
        assert secret not in json.dumps(json.loads((out / "audit.json").read_text())["config"])


def test_a_second_run_with_one_worker_loads_no_weights_and_gives_the_same_bytes(run, pair, corpus, monkeypatch):
    audit, out, store = run
    monkeypatch.setattr("isogloss.hidden_states.compute.compute_missing", _fail)
    again = isogloss.audit(pair, corpus, config=replace(ALL, workers=1), out=out, store=store)
    assert again.to_json() == audit.to_json()
    assert json.loads((out / "run.json").read_text())["parts_computed"] == 0


def _fail(*args, **kwargs):
    raise AssertionError("weights were loaded")


def test_adding_a_language_changes_nothing_for_the_others(pair, tmp_path, monkeypatch):
    """Except what holds for the whole family: corrected p values, and the width of simultaneous intervals."""
    plant(monkeypatch, moved({"en": 2.0, "de": 1.0, "fr": 0.5}))
    three = load(tmp_path / "three.jsonl", parallel_rows(n=40, languages=("en", "de", "fr")))
    two = load(tmp_path / "two.jsonl", parallel_rows(n=40, languages=("en", "de")))
    many, few = (isogloss.audit(pair, texts, config=TWO, store=tmp_path / "s") for texts in (three, two))

    def rows(audit, kind, skip):
        return {
            (r.language, r.model, r.metric, r.components): [v for k, v in vars(r.estimate).items() if k not in skip]
            for r in audit.find(kind=kind)
            if r.language != "fr"
        }

    assert rows(many, "score", {"p_family", "fdr"}) == rows(few, "score", {"p_family", "fdr"})
    assert rows(many, "control", ()) == rows(few, "control", ())
    assert rows(many, "gain", {"low", "high", "fdr"}) == rows(few, "gain", {"low", "high", "fdr"})
    for family in (many, few):
        assert (
            family.value(kind="gain", language="de", metric="silhouette", components=2).low
            == many.value(kind="gain", language="de", metric="silhouette", components=2).low
        )
    wide, narrow = (
        audit.value(kind="gain", language="de", metric="between_class_variance", components=10) for audit in (many, few)
    )
    assert wide.high - wide.low > narrow.high - narrow.low


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
        isogloss.audit(pair, corpus, config=NO_CONTROLS, out=out, store=run[2])


def test_a_failed_audit_leaves_no_result_behind(pair, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr("isogloss.auditing.run_folder.write_figures", _fail)
    with pytest.raises(AssertionError):
        isogloss.audit(pair, corpus, config=FAST, out=tmp_path / "runs" / "out", store=tmp_path / "store")
    (left,) = (tmp_path / "runs" / "out").iterdir()
    assert left.name == "run.json"
    assert list(json.loads(left.read_text())) == ["execution", "identity"]
    monkeypatch.undo()
    # A run without a result is nobody's loss: other settings may take its folder.
    other = replace(FAST, seed=1)
    isogloss.audit(pair, corpus, config=other, out=tmp_path / "runs" / "out", store=tmp_path / "store")
    assert json.loads(left.read_text())["identity"]["config"]["seed"] == 1


def test_a_model_without_reference_gets_scores_but_no_gain(pair, corpus, tmp_path):
    alone = ModelPair(name="alone", reference=None, aligned=pair.aligned, source="test")
    audit = isogloss.audit(alone, corpus, config=FAST, out=tmp_path / "out", store=tmp_path / "s")
    assert audit.verdicts == ()
    assert {row.kind for row in audit.rows} == {"score", "control"}
    assert [warning.code for warning in audit.warnings if warning.code == "M002"]
    assert "no reference model is public" in headline(view(audit)).text.lower()
    assert len(language_table(view(audit)).rows) == 2


def test_labelled_texts_without_pairs_are_audited_too(pair, labelled_file, tmp_path):
    corpus = isogloss.load_corpus(labelled_file)
    audit = isogloss.audit(pair, corpus, config=replace(QUICK, per_class=50), store=tmp_path / "store")
    metrics = {row.metric for row in audit.rows}
    assert not metrics & {"pair_accuracy", "edit_rate", "length_pair_accuracy", "ngram_pair_accuracy"}
    assert {"auroc", "silhouette", "length_auroc", "ngram_auroc", "permuted_labels_auroc"} <= metrics
    assert {row.estimate.n for row in audit.find(kind="score")} == {50}
    assert [one.verdict for one in audit.verdicts] == ["pivot"]


@pytest.mark.parametrize(
    ("config", "kind", "words"),
    [
        (AuditConfig(metrics=("silhuette",)), MetricError, "did you mean 'silhouette'"),
        (AuditConfig(pivot="fr"), CorpusError, "a language of the corpus: de, en"),
        (AuditConfig(per_class=19), CorpusError, "at least 20"),
        (AuditConfig(per_class=41), CorpusError, "40 harmful and 40 harmless"),
        (AuditConfig(spec=ExtractSpec(layers=("9",))), MetricError, "numbers from 0"),
        (AuditConfig(primary=parse_primary("silhouette:2@2")), UsageError, "one of the layers that are read: 4-post"),
        (AuditConfig(primary=parse_primary("silhouette@9")), MetricError, "numbers from 0"),
        (AuditConfig(primary=parse_primary("silhouete")), MetricError, "did you mean 'silhouette'"),
        (AuditConfig(primary=parse_primary("auroc")), MetricError, "a metric of principal components"),
        (AuditConfig(primary=parse_primary("pair_accuracy:2@final")), MetricError, "a metric of principal components"),
        (AuditConfig(primary=Primary(metric="silhouette", components=0, layer="")), UsageError, "at least 1 component"),
        (AuditConfig(analyses=(Matched(match=("lenght",)),)), UsageError, "any of length, edit"),
        (AuditConfig(controls=("random",)), UsageError, "any of untrained, bits_per_character"),
    ],
)
def test_bad_settings_are_refused_before_any_work(config, kind, words, pair, corpus, tmp_path):
    with pytest.raises(kind, match=words):
        isogloss.audit(pair, corpus, config=config, out=tmp_path / "out", store=tmp_path / "store")
    assert list(tmp_path.iterdir()) == []


def test_a_pair_of_other_depth_is_refused(tiny_folder, corpus, tmp_path):
    from conftest import make_model

    deep = make_model(tmp_path / "deep", seed=0, depth=6)
    pair = ModelPair(
        name="bad", reference=ModelRef(base=str(deep)), aligned=ModelRef(base=str(tiny_folder)), source="test"
    )
    with pytest.raises(ModelError, match="the same architecture"):
        isogloss.audit(pair, corpus, store=tmp_path / "store")


# Planted effects


CODES = ("en", "de", "fr")


def planted(pair, folder, monkeypatch, gains, *, n=60, config=FAST, **more):
    """Audit texts in whose states alignment moves each language by its gain."""
    plant(monkeypatch, moved(gains, **more))
    texts = load(folder / "texts.jsonl", parallel_rows(n=n, languages=CODES))
    audit = isogloss.audit(pair, texts, config=config, store=folder / "planted")
    return audit, {one.language: one for one in audit.verdicts}


def test_an_effect_in_the_pivot_only_is_not_reached_elsewhere(pair, tmp_path, monkeypatch):
    audit, verdicts = planted(pair, tmp_path, monkeypatch, {"en": 2.0, "de": 2.0, "fr": 0.0})
    assert verdicts["fr"].verdict in {"not reached", "lagging"}
    assert verdicts["de"].verdict in {"reached", "inconclusive"}
    assert "fr" in headline(view(audit)).text
    assert "| en English |" in render_markdown([language_table(view(audit))])
    assert "S006" not in {warning.code for warning in audit.warnings}
    gap = audit.find(kind="gap", language="fr", metric="between_class_variance", components=10)[0]
    assert gap.estimate.method.endswith("independent samples")
    assert gap.estimate.value > gap.mde > 0


def test_an_equal_effect_is_never_said_not_to_reach(pair, tmp_path, monkeypatch):
    _, verdicts = planted(pair, tmp_path, monkeypatch, dict.fromkeys(CODES, 3.0), n=80)
    assert {verdicts[code].verdict for code in ("de", "fr")} <= {"reached", "inconclusive"}
    assert verdicts["de"].high > 1


def test_no_effect_in_the_pivot_leaves_everything_inconclusive(pair, tmp_path, monkeypatch):
    audit, verdicts = planted(pair, tmp_path, monkeypatch, {"de": 2.0})
    assert {verdicts[code].verdict for code in ("de", "fr")} == {"inconclusive"}
    assert [warning.detail for warning in audit.warnings if warning.code == "S006"] == ["every verdict is inconclusive"]
    assert "clear" in headline(view(audit)).text


def test_an_opposite_effect_is_reversed(pair, tmp_path, monkeypatch):
    _, verdicts = planted(pair, tmp_path, monkeypatch, {"en": 1.5, "de": 1.5, "fr": -3.0}, start=3.0, n=80)
    assert verdicts["fr"].verdict == "reversed"
    assert verdicts["fr"].high < 0


def test_parallel_texts_are_compared_item_by_item(pair, tmp_path, monkeypatch):
    """The same items, and noise that belongs to the item: gaps are far more certain than between other texts."""

    def hidden_of(role, code, part, layer):
        keys = part["text"].str.split(" ").list.get(1).cast(pl.Int64).to_numpy() * 2 + part["harmful"].to_numpy()
        hidden = states(0, np.arange(100) % 2, 2.0 if role == "aligned" else 0.0)[keys]
        return hidden + 0.02 * states(len(code + role) + (code == "de"), part["harmful"].to_numpy(), 0.0)

    plant(monkeypatch, hidden_of)
    rows = parallel_rows(n=50)
    gaps = {}
    for name, items in (("paired", True), ("apart", False)):
        texts = load(tmp_path / f"{name}.jsonl", [row | ({"item_id": row["pair_id"]} if items else {}) for row in rows])
        audit = isogloss.audit(pair, texts, config=FAST, store=tmp_path / name)
        (gaps[name],) = audit.find(kind="gap", language="de", metric="between_class_variance", components=10)
        (probe,) = audit.find(kind="gap", language="de", metric="auroc")
        assert ("items paired" in probe.estimate.method) is items
    assert gaps["paired"].estimate.method.endswith("items paired")
    assert gaps["apart"].estimate.method.endswith("independent samples")
    widths = {name: gap.estimate.high - gap.estimate.low for name, gap in gaps.items()}
    assert widths["paired"] < widths["apart"] / 2
    assert gaps["paired"].mde < gaps["apart"].mde / 2


@pytest.mark.parametrize("how", ["constant", "rank 3", "constant columns"])
def test_states_that_do_not_vary_in_one_model_give_reasons(how, pair, tmp_path, monkeypatch):
    """French has no score in the aligned model; English and German are judged all the same."""
    usual = moved({"en": 2.0, "de": 2.0})

    def hidden_of(role, code, part, layer):
        hidden = usual(role, code, part, layer)
        if code == "fr" and role == "aligned":
            if how == "constant":
                hidden[:] = hidden[0]
            else:
                hidden[:, 3:] = 0.0 if how == "rank 3" else 7.0
        return hidden

    plant(monkeypatch, hidden_of)
    texts = load(tmp_path / "texts.jsonl", parallel_rows(n=40, languages=CODES))
    audit = isogloss.audit(pair, texts, config=TWO, store=tmp_path / "s")
    verdicts = {one.language: one for one in audit.verdicts}
    directions = 0 if how == "constant" else 3
    for kind in ("score", "gain", "gap", "retention"):
        model = {"model": "aligned"} if kind == "score" else {}
        found = audit.value(kind=kind, language="fr", metric="between_class_variance", components=10, **model)
        assert np.isnan(found.value)
        assert f"the texts vary in {directions} directions only" in found.reason
    assert verdicts["fr"].verdict == "not measured"
    assert verdicts["fr"].reason
    for metric in ("between_class_variance", "silhouette") if directions else ():
        where = {"language": "fr", "metric": metric, "components": 2}
        before, after = (audit.value(kind="score", model=role, **where).value for role in ("reference", "aligned"))
        assert audit.value(kind="gain", **where).value == pytest.approx(after - before, abs=1e-12)
    assert verdicts["de"].verdict != "not measured"
    assert any(warning.code == "S001" and "in fr" in warning.detail for warning in audit.warnings)
    assert np.isnan(audit.find(kind="gain", language="fr", metric="between_class_variance", components=10)[0].pivot_z)
    assert language_table(view(audit)).column("verdict")[-1].text == "not measured"


def test_the_same_weights_twice_give_no_verdict(tiny_folder, corpus, tmp_path):
    copy = shutil.copytree(tiny_folder, tmp_path / "copy")
    settings = copy / "tokenizer_config.json"
    settings.write_text(settings.read_text() + " ")  # one and the same model would be refused
    same = ModelPair(
        name="same", reference=ModelRef(base=str(copy)), aligned=ModelRef(base=str(tiny_folder)), source="test"
    )
    audit = isogloss.audit(same, corpus, config=FAST, store=tmp_path / "s")
    assert {row.estimate.value for row in audit.find(kind="gain") if not row.estimate.reason} == {0.0}
    assert [one.verdict for one in audit.verdicts] == ["pivot", "inconclusive"]


def test_another_primary_estimand_is_recorded(pair, corpus, tmp_path, monkeypatch):
    plant(monkeypatch, moved({"en": 2.0}))
    config = replace(
        FAST, spec=ExtractSpec(layers=("2", "final")), primary=parse_primary("silhouette:3@2"), metrics=("silhouette",)
    )
    audit = isogloss.audit(pair, corpus, config=config, store=tmp_path)
    assert audit.primary == Primary(metric="silhouette", components=3, layer="2")
    assert audit.config["primary"] == {"metric": "silhouette", "components": 3, "layer": "2"}
    assert audit.config["primary_changed"] is True
    assert [warning.detail for warning in audit.warnings if warning.code == "S012"] == [
        "silhouette, 3 components, layer 2"
    ]
    usual = isogloss.audit(pair, corpus, config=replace(config, primary=FAST.primary), store=tmp_path)
    assert usual.identity.name != audit.identity.name
    assert usual.config["primary_changed"] is False
    assert "S012" not in {warning.code for warning in usual.warnings}
    together = {
        (row.layer, row.metric, row.components)
        for row in audit.find(kind="gain")
        if "max-t" in str(row.estimate.method)
    }
    assert together == {(2, "silhouette", 3)}
    assert len(language_table(view(audit)).rows) == 2


@pytest.mark.parametrize(
    ("code", "spec"), [("M004", ExtractSpec(precision="fast")), ("M007", ExtractSpec(dtype="bfloat16"))]
)
def test_the_drift_of_rounded_states_is_measured_and_said(code, spec, run, pair, corpus, tmp_path):
    config = replace(FAST, spec=spec, controls=())
    audit = isogloss.audit(pair, corpus, config=config, store=tmp_path)
    for role in ("reference", "aligned"):
        drift = audit.models[role]["drift"]
        assert 0 < drift["mean"] <= drift["max"] < 0.1
        assert any(
            n.code == code and f"{role}: " in n.detail and f"{drift['max']:.2%}" in n.detail for n in audit.warnings
        )
    exact = run[0]
    assert "drift" not in exact.models["aligned"]
    assert not {"M004", "M007"} & {warning.code for warning in exact.warnings}
