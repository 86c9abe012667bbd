"""Behaviour in the main job, on a tiny model: numbers against plain computation, the store, rows, the run folder."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import scipy.stats
import torch

import isogloss
from conftest import make_adapter, parallel_rows
from isogloss import Audit, AuditConfig, Behaviour, ExtractSpec, ModelPair, ModelRef
from isogloss.analyses.behaviour import generated_answers
from isogloss.data.corpus import Corpus
from isogloss.errors import CorpusError, UsageError
from isogloss.likelihoods.answers import USES, answers
from isogloss.likelihoods.cached import scored_answers
from isogloss.likelihoods.packed_answers import answer_ids
from isogloss.models.adapters import use_checkpoint
from isogloss.models.checkpoints import fetch
from isogloss.models.load import load_model
from isogloss.models.prompts import encode

CODES = ("en", "de", "fr", "ko")


@pytest.fixture(scope="module")
def pair(tiny_folder, adapter_folder):
    aligned = ModelRef(base=str(tiny_folder), adapter=str(adapter_folder))
    return ModelPair(name="tiny", reference=ModelRef(base=str(tiny_folder)), aligned=aligned, source="test")


@pytest.fixture(scope="module")
def config(tiny_folder, tmp_path_factory):
    placebo = make_adapter(tiny_folder, tmp_path_factory.mktemp("placebo") / "adapter", seed=9)
    return AuditConfig(
        spec=ExtractSpec(layers=("2", "final")),
        permutations=50,
        controls=(),
        metrics=("between_class_variance",),
        analyses=(Behaviour(generate=2, placebo=ModelRef(base=str(tiny_folder), adapter=str(placebo))),),
        workers=2,
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "pairs.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in parallel_rows(n=22, languages=CODES)), encoding="utf-8")
    return isogloss.load_corpus(path)


@pytest.fixture(scope="module")
def run(pair, corpus, config, tmp_path_factory):
    """One audit with behaviour: (audit, run folder, store)."""
    root = tmp_path_factory.mktemp("run")
    audit = isogloss.audit(pair, corpus, config=config, out=root / "out", store=root / "store", device="cpu")
    return audit, root / "out", root / "store"


def plain_margins(ref, corpus, code):
    """Refusal log-odds of each text from transformers' logits: one text and answer after the other."""
    model = load_model(fetch(ref), device="cpu")
    rows = encode(model.tokenizer, corpus.part(code)["text"].to_list()).ids
    sides = [answer_ids(model.tokenizer, answers(code, side, "score")) for side in ("refusal", "engaged")]
    found = []
    with use_checkpoint(model, fetch(ref)), torch.inference_mode():
        for row in rows:
            log_odds = []
            for side in sides:
                totals = []
                for answer in side:
                    steps = model.causal(torch.tensor([row + answer])).logits[0].double().log_softmax(-1)
                    totals.append(sum(float(steps[len(row) + i - 1, t]) for i, t in enumerate(answer)))
                log_odds.append(np.log(np.mean(np.exp(np.array(totals) - max(totals)))) + max(totals))
            found.append(log_odds[0] - log_odds[1])
    return np.array(found)


def test_margins_and_their_gain_are_those_of_plain_transformers(run, pair, corpus):
    audit, _, _ = run
    harmful = corpus.part("de")["harmful"].to_numpy()
    by_role = {role: plain_margins(getattr(pair, role), corpus, "de") for role in ("reference", "aligned")}
    for role, margins in by_role.items():
        found = audit.value(kind="behaviour", language="de", model=role, metric="refusal_margin")
        assert found.value == pytest.approx(margins[harmful].mean() - margins[~harmful].mean(), abs=1e-4)
    ids = corpus.part("de")["pair_id"].to_list()
    reward = by_role["aligned"] - by_role["reference"]
    pairs = {one: [reward[i] for i, other in enumerate(ids) if other == one and harmful[i]] for one in ids}
    others = {one: [reward[i] for i, other in enumerate(ids) if other == one and not harmful[i]] for one in ids}
    expected = scipy.stats.ttest_1samp([pairs[one][0] - others[one][0] for one in pairs], 0)
    gain = audit.value(kind="behaviour_gain", language="de", metric="refusal_margin")
    assert gain.value == pytest.approx(reward[harmful].mean() - reward[~harmful].mean(), abs=1e-4)
    assert gain.p_value == pytest.approx(expected.pvalue, rel=1e-3)


def test_answers_for_training_are_never_scored():
    for code in ("en", "am", "zh"):
        scored = scored_answers(code)
        assert len(scored) >= 6
        assert not set(scored) & {one for side in ("refusal", "engaged") for one in answers(code, side, "train")}
    assert USES == ("train", "score")


def test_every_quantity_has_its_row_in_every_language_with_answers(run):
    audit, _, _ = run
    scores = {"refusal_margin", "refusal_margin_per_token", "refusal_auroc", "first_token_gap", "text_preference"}
    for code in ("en", "de", "fr"):
        rows = [row for row in audit.rows if row.language == code]
        for role in ("reference", "aligned", "placebo"):
            assert scores <= {row.metric for row in rows if row.kind == "behaviour" and row.model == role}
        gains = {row.metric for row in rows if row.kind == "behaviour_gain"}
        assert gains == scores | {"text_preference_adjusted", "text_preference_over_placebo"}
        assert ("behaviour_gap" in {row.kind for row in rows}) == (code != "en")
        assert audit.value(kind="behaviour", language=code, metric="reward_auroc").value > 0
    methods = {row.estimate.method for row in audit.rows if row.kind.startswith("behaviour")}
    assert not [method for method in methods if method and ("refitted" in method or "training" in method)]
    assert not [row for row in audit.rows if row.language == "ko" and row.kind.startswith(("behaviour", "link"))]
    assert [(one.code, one.detail) for one in audit.warnings if one.code == "B001"] == [("B001", "ko")]
    assert "" not in audit.languages


def test_the_placebo_is_set_against(run):
    audit, _, _ = run
    where = {"kind": "behaviour_gain", "language": "en"}
    adjusted = audit.value(**where, metric="text_preference_adjusted").value
    placebo = audit.value(kind="behaviour", language="en", model="placebo", metric="text_preference_adjusted").value
    beyond = audit.value(**where, metric="text_preference_over_placebo")
    assert beyond.value == pytest.approx(adjusted - placebo)
    assert beyond.low < beyond.value < beyond.high
    assert set(audit.models) == {"reference", "aligned", "placebo"}


def test_the_link_is_read_below_the_last_layers_and_has_its_rows(run, config):
    audit, folder, _ = run
    assert audit.config["analyses"]["behaviour"]["link_layer"] == "3"  # the primary layer is the last of four
    slopes = {row.language: row for row in audit.find(kind="link", metric="item_slope")}
    assert set(slopes) == {"en", "de", "fr"}
    assert all((row.layer, row.estimate.n) == (3, 22) for row in slopes.values())
    mean = audit.value(kind="link", language="", metric="item_slope_mean")
    assert mean.value == pytest.approx(np.mean([row.estimate.value for row in slopes.values()]))
    cross_lingual = audit.value(kind="link", language="", metric="across_spearman")
    assert (cross_lingual.n, "no p can reach" in cross_lingual.approximate) == (3, True)
    assert audit.value(kind="link", language="", metric="across_power").value == 0  # of three languages
    frame = pl.read_parquet(folder / "behaviour.parquet")
    assert frame.height == 3 * 22
    assert frame.null_count().sum_horizontal().item() == 0


def test_the_scatter_holds_the_pairs_own_numbers(run, pair, corpus):
    _, folder, _ = run
    frame = pl.read_parquet(folder / "behaviour.parquet").filter(pl.col("language") == "fr")
    part = corpus.part("fr")
    for row in frame.head(5).iter_rows(named=True):
        mine = part.filter(pl.col("pair_id") == row["pair_id"])
        texts = dict(mine.select("harmful", "text").iter_rows())
        assert row["length_difference"] == pytest.approx(np.log(len(texts[True]) / len(texts[False])))
        assert 0 < row["edit_rate"] < 1


def test_refusals_are_counted_only_where_the_detector_was_found_right(run, monkeypatch):
    audit, _, _ = run
    for code in ("en", "de", "fr"):
        rate = audit.value(kind="behaviour", language=code, model="aligned", metric="refusal_rate")
        recall = audit.value(kind="behaviour", language=code, metric="detector_recall")
        precision = audit.value(kind="behaviour", language=code, metric="detector_precision")
        assert recall.low <= recall.value <= recall.high
        assert np.isnan(rate.value) == (not generated_answers.validated(code))
        assert generated_answers.validated(code) == (min(recall.low, precision.low) >= generated_answers.LEAST)
    monkeypatch.setattr(generated_answers, "LEAST", 0.99)
    assert not generated_answers.validated("en")


def test_a_language_with_answers_and_without_a_detector_is_not_scored_and_said_so(pair, config, tmp_path):
    (tmp_path / "polish.jsonl").write_text(
        "\n".join(json.dumps(row) for row in parallel_rows(n=22, languages=("en", "pl"))), encoding="utf-8"
    )
    corpus = isogloss.load_corpus(tmp_path / "polish.jsonl")
    asked = replace(config, analyses=(Behaviour(generate=2),))
    audit = isogloss.audit(pair, corpus, config=asked, store=tmp_path, device="cpu")
    assert audit.value(kind="behaviour", language="pl", model="aligned", metric="refusal_margin").n == 22
    rate = audit.value(kind="behaviour", language="pl", model="aligned", metric="refusal_rate")
    assert (rate.n, rate.reason) == (0, "no refusal detector in this language")
    assert ("B002", "pl") in {(one.code, one.language) for one in audit.warnings}


def test_the_planted_gap_is_found(run):
    audit, _, _ = run
    assert not audit.find(kind="behaviour_control", language="en")
    for code in ("de", "fr"):
        found = audit.value(kind="behaviour_control", language=code, metric="planted_gap")
        # Three standard errors; how often its interval holds is simulated in test_behaviour_scores.py.
        assert abs(found.value - 1.0) < 0.75 * (found.high - found.low)


def test_a_second_audit_computes_nothing_and_reads_the_same(run, pair, corpus, config, monkeypatch):
    audit, folder, store = run

    def fail(*_, **__):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("isogloss.likelihoods.compute.load_model", fail)
    monkeypatch.setattr("isogloss.hidden_states.compute.load_model", fail)
    again = isogloss.audit(pair, corpus, config=config, out=folder, store=store, device="cpu")
    assert again == audit
    assert Audit.load(folder) == audit
    assert Audit.load(folder).identity == audit.identity


def test_without_behaviour_nothing_of_it_is_there_and_the_run_is_another(run, pair, corpus, config, tmp_path):
    audit, _, store = run
    quiet = replace(config, analyses=())
    other = isogloss.audit(pair, corpus, config=quiet, out=tmp_path / "out", store=store, device="cpu")
    assert other.identity.name != audit.identity.name
    assert not [row for row in other.rows if row.kind.startswith(("behaviour", "link"))]
    assert {row for row in audit.rows if not row.kind.startswith(("behaviour", "link"))} == set(other.rows)
    assert not (tmp_path / "out" / "behaviour.parquet").exists()
    assert "behaviour" not in other.config


def test_single_texts_have_margins_but_no_link(run, pair, corpus, config):
    _, _, store = run
    single = Corpus(name="single", frame=corpus.frame.with_columns(pair_id=pl.lit(None, dtype=pl.String)))
    plain = replace(config, analyses=(Behaviour(),))
    audit = isogloss.audit(pair, single, config=plain, store=store, device="cpu")
    assert audit.find(kind="behaviour_gain", metric="refusal_margin")
    assert not audit.find(kind="link")
    assert not audit.find(metric="text_preference")
    assert audit.config["analyses"]["behaviour"]["link_layer"] is None


def test_a_model_without_reference_is_scored_alone(run, pair, corpus, config):
    _, _, store = run
    alone = replace(pair, reference=None)
    audit = isogloss.audit(alone, corpus, config=replace(config, analyses=(Behaviour(),)), store=store, device="cpu")
    assert {row.kind for row in audit.rows if row.kind.startswith(("behaviour", "link"))} == {"behaviour"}


def test_what_cannot_be_is_refused(pair, corpus, config, tmp_path):
    for changes, error, words in (
        ({"analyses": (Behaviour(placebo=pair.aligned),)}, UsageError, "a model of the pair"),
        ({"pivot": "ko"}, CorpusError, "no answers in the pivot"),
    ):
        with pytest.raises(error, match=words):
            isogloss.audit(pair, corpus, config=replace(config, **changes), store=tmp_path, device="cpu")
