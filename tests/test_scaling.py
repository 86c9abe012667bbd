"""Scaling of hidden dimensions: the scales, what they change, and that no outlier dimension turns a verdict."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import RobustScaler, StandardScaler

import isogloss
from conftest import parallel_rows
from isogloss import ModelPair, ModelRef
from isogloss.errors import UsageError
from isogloss.stats.block import score_block
from isogloss.stats.metrics import METRICS
from isogloss.stats.permutations import draw
from isogloss.stats.scaling import SCALINGS, largest_dimension, scales
from planted import QUICK, load, plant, states

SCALED = [name for name, row in SCALINGS.items() if row.spread is not None]


def two_models(seed=0, n=60, width=6):
    rng = np.random.default_rng(seed)
    spread = np.array([30.0, 1.0, 0.2, 5.0, 1.0, 1.0])[:width]
    before = (rng.normal(size=(n, width)) * spread + 100).astype(np.float32)
    return {"reference": before, "aligned": (before * 1.5 + rng.normal(size=(n, width))).astype(np.float32)}


def test_scales_are_those_of_scikit_learn():
    x = two_models()
    assert scales(SCALINGS["standard"], x)["aligned"] == pytest.approx(
        StandardScaler().fit(x["aligned"]).scale_, rel=1e-5
    )
    robust = RobustScaler(unit_variance=True).fit(x["aligned"].astype(np.float64)).scale_
    assert scales(SCALINGS["robust"], x)["aligned"] == pytest.approx(robust, rel=1e-5)


@pytest.mark.parametrize("name", ["pooled", "pooled-robust"])
def test_a_pooled_scale_is_the_same_for_both_models_and_lies_between_theirs(name):
    x = two_models()
    pooled = scales(SCALINGS[name], x)
    apart = scales(SCALINGS[{"pooled": "standard", "pooled-robust": "robust"}[name]], x)
    assert np.array_equal(pooled["reference"], pooled["aligned"])
    assert ((pooled["aligned"] > apart["reference"]) & (pooled["aligned"] < apart["aligned"])).all()


def test_models_of_different_width_are_scaled_apart():
    x = two_models()
    x["aligned"] = x["aligned"][:, :4]
    assert {role: len(scale) for role, scale in scales(SCALINGS["pooled"], x).items()} == {"reference": 6, "aligned": 4}


@pytest.mark.parametrize("name", SCALED)
def test_a_dimension_that_does_not_vary_in_one_model_stays_as_it_is(name):
    """Dividing its rounding error by itself would make noise of it."""
    x = two_models()
    x["aligned"][:, 2] = np.float32(1234.5) + np.float32(1e-4) * (np.arange(60) % 2)
    x["reference"][:, 3] = 7.0
    scale = scales(SCALINGS[name], x)
    assert all(np.isfinite(each).all() and (each > 0).all() for each in scale.values())
    if name in {"standard", "robust"}:
        assert scale["aligned"][2] == scale["reference"][3] == 1.0


def test_half_of_the_texts_with_one_value_do_not_end_a_robust_scale():
    x = {"aligned": np.where(np.arange(40) < 36, 0.0, np.arange(40.0))[:, None]}
    assert scales(SCALINGS["robust"], x)["aligned"] == pytest.approx(x["aligned"].std(axis=0))


def test_scores_are_those_of_states_that_were_scaled_before():
    x = two_models()["aligned"]
    harmful = np.arange(60) % 2 == 0
    draws = draw(harmful, np.arange(60) ^ 1, keys=[str(i // 2) for i in range(60)], n_permutations=20, seed=0)
    scaled = StandardScaler().fit_transform(x.astype(np.float64))
    (score,) = score_block(x, draws, [METRICS["between_class_variance"]], (2,), scale=x.std(axis=0)).scores
    z = PCA(2).fit_transform(scaled)
    assert score.plug_in == pytest.approx(isogloss.metrics.between_class_variance(z, harmful), rel=1e-4)


def test_a_scale_that_is_held_gives_nearly_the_error_of_one_that_is_fitted_without_each_pair():
    """The literal loop scales, fits components and scores without each pair."""
    rng = np.random.default_rng(5)
    n = 40
    harmful = np.arange(2 * n) % 2 == 0
    draws = draw(harmful, np.arange(2 * n) ^ 1, keys=[str(i // 2) for i in range(2 * n)], n_permutations=20, seed=0)
    x = rng.normal(size=(2 * n, 12)) * np.linspace(4, 0.5, 12)
    x[:, :3] += 0.8 * harmful[:, None] * np.linspace(4, 0.5, 12)[:3]
    (score,) = score_block(x, draws, [METRICS["between_class_variance"]], (3,), scale=x.std(axis=0)).scores
    values = []
    for pair in range(n):
        kept = draws.unit_of_row != pair
        z = PCA(3).fit_transform(StandardScaler().fit_transform(x[kept]))
        values.append(isogloss.metrics.between_class_variance(z, harmful[kept]))
    error = np.sqrt((n - 1) / n * ((np.array(values) - np.mean(values)) ** 2).sum())
    assert score.jackknife.se == pytest.approx(error, rel=0.15)


def test_the_largest_dimension_is_named_with_its_share():
    x = np.random.default_rng(0).normal(size=(500, 4)) * [1, 1, np.sqrt(6), 1]
    index, share = largest_dimension(x)
    assert index == 2
    assert share == pytest.approx(6 / 9, abs=0.05)
    assert np.isnan(largest_dimension(np.ones((5, 2)))[1])


@pytest.fixture
def pair(tiny_folder, adapter_folder):
    reference = ModelRef(base=str(tiny_folder))
    return ModelPair(
        name="tiny", reference=reference, aligned=replace(reference, adapter=str(adapter_folder)), source="test"
    )


def with_outlier(code):
    """English and German gain alike; in one language a dimension without class difference carries most variance."""

    def hidden_of(role, language, part, layer):
        harmful = part["harmful"].to_numpy()
        hidden = states([*language.encode(), layer.index], harmful, 0.0)
        if role == "aligned":
            hidden[:, 8:] += 2.0 * harmful[:, None] * hidden[:, 8:].std(axis=0)
        if language == code:
            noise = np.random.default_rng([9, *language.encode()]).normal(size=len(hidden))
            others = hidden.var(axis=0).sum()
            hidden[:, 7] = np.sqrt(1.5 * others) * noise  # 60 % of all variance
        return hidden

    return hidden_of


@pytest.fixture
def corpus(tmp_path):
    return load(tmp_path / "pairs.jsonl", parallel_rows(n=100))


@pytest.mark.parametrize("scaling", ["standard", "pooled-robust"])
def test_an_outlier_dimension_turns_no_verdict_when_dimensions_are_scaled(monkeypatch, pair, corpus, scaling):
    verdicts = {}
    for code in ("", "de"):
        plant(monkeypatch, with_outlier(code))
        audit = isogloss.audit(pair, corpus, config=replace(QUICK, scaling=scaling), device="cpu")
        verdicts[code] = audit.verdict("de").verdict
        assert audit.config["scaling"] == scaling
        assert "S012" in {warning.code for warning in audit.warnings}
    assert verdicts[""] == verdicts["de"] == "reached"


def test_unscaled_states_with_an_outlier_dimension_are_warned_of(monkeypatch, pair, corpus):
    """The verdict says that German lags behind where the classes moved apart as far as in English."""
    plant(monkeypatch, with_outlier("de"))
    audit = isogloss.audit(pair, corpus, config=QUICK, device="cpu")
    assert audit.verdict("de").verdict in {"weakened", "lagging", "not reached"}
    (warning,) = [warning for warning in audit.warnings if warning.code == "S015" and warning.language == "de"]
    assert warning.detail.startswith("dimension 7 6")
    assert audit.class_distance("retention", "de").high > 0.8


def test_an_unknown_scaling_is_refused(pair, corpus):
    with pytest.raises(UsageError, match="--scaling"):
        isogloss.audit(pair, corpus, config=replace(QUICK, scaling="standart"), device="cpu")
