"""The cross-fitted probe against scikit-learn and explicit solutions, and what its folds keep apart."""

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from isogloss.stats.probe import (
    KERNEL_RIDGE,
    N_FOLDS,
    cross_fitted_scores,
    kernel_probe,
    ledoit_wolf_ridge,
    ridge_probe,
)
from plain import dealt, permuted

WIDTHS = [3, 29, 30, 31, 60, 150]  # of 60 texts: by features below 30, by texts from there on


def texts(seed, width, n=60):
    """Correlated features in different units, so that the shrinkage is neither nothing nor everything."""
    rng = np.random.default_rng(seed)
    harmful = rng.permutation(np.arange(n) < n // 2)
    x = rng.normal(size=(n, 3)) @ rng.normal(size=(3, width)) + rng.normal(size=(n, width))
    x[harmful] += rng.normal(size=width) * 0.5
    return x * rng.uniform(0.1, 10, size=width) + rng.normal(size=width), harmful


def case(seed, width, n=60):
    x, harmful = texts(seed, width, n)
    rng = np.random.default_rng(seed)
    return x, harmful, dealt(harmful, None, N_FOLDS, rng)


def penalty_of(z):
    """Ledoit-Wolf shrinkage s of C = X'X / n towards m I, divided by (1 - s) / n."""
    strength = ledoit_wolf_shrinkage(z)
    assert 0.001 < strength < 0.999
    return len(z) * (z**2).sum() / z.size * strength / (1 - strength)


def sklearn_scores(z, penalty, labels, train, test):
    """scikit-learn's ridge with an intercept, less what it would say of an average training text."""
    targets = labels[..., train].astype(float)
    fitted = Ridge(alpha=penalty, solver="svd").fit(z[train], targets.T)
    return fitted.predict(z[test]).T - targets.mean(axis=-1, keepdims=True)


def both_ways(kind, x):
    """A probe, and the features and the penalty of the ridge regression that it should be."""
    if kind == "ridge":
        z = StandardScaler().fit_transform(x)
        return ridge_probe(x), z, penalty_of(z)
    return kernel_probe(x @ x.T), x, KERNEL_RIDGE * x.var(axis=0).sum()


KINDS = pytest.mark.parametrize("kind", ["ridge", "kernel"])


@KINDS
@pytest.mark.parametrize("width", WIDTHS)
def test_scores_agree_with_scikit_learns_ridge(kind, width):
    x, harmful, folds = case(1, width)
    labels = np.vstack([harmful, permuted(harmful, None, 3, np.random.default_rng(1))])
    probe, z, penalty = both_ways(kind, x)
    found = cross_fitted_scores(probe, labels, folds)
    assert found.shape == labels.shape
    for fold in range(N_FOLDS):
        expected = sklearn_scores(z, penalty, labels, folds != fold, folds == fold)
        assert found[:, folds == fold] == pytest.approx(expected, abs=1e-8)
    assert np.abs(found).max() > 0.1


@pytest.mark.parametrize("width", [5, 29, 30, 80])
def test_the_solution_is_the_same_by_features_and_by_texts(width):
    x, harmful = texts(2, width)
    folds = np.arange(60) % N_FOLDS
    found = cross_fitted_scores(ridge_probe(x), harmful[None, :], folds)[0]
    z = StandardScaler().fit_transform(x)
    penalty = penalty_of(z)
    for fold in range(N_FOLDS):
        out, train = z[folds == fold], z[folds != fold]
        out, train = out - train.mean(axis=0), train - train.mean(axis=0)
        target = harmful[folds != fold] - harmful[folds != fold].mean()
        by_features = out @ np.linalg.solve(train.T @ train + penalty * np.eye(width), train.T @ target)
        by_texts = out @ train.T @ np.linalg.solve(train @ train.T + penalty * np.eye(len(train)), target)
        assert found[folds == fold] == pytest.approx(by_features, abs=1e-8)
        assert found[folds == fold] == pytest.approx(by_texts, abs=1e-8)


@pytest.mark.parametrize("width", [4, 29])
def test_constant_columns_that_turn_the_feature_form_into_the_kernel_form_only_move_the_ridge(width, monkeypatch):
    x, harmful, folds = case(3, width)
    padded = np.column_stack([x, np.full((60, 100), 0.1)])
    # Ledoit and Wolf count the constant columns as features; the same ridge must give the same scores.
    monkeypatch.setattr("isogloss.stats.probe._ridge", lambda *args: 17.0)
    found, expected = (cross_fitted_scores(ridge_probe(z), harmful[None, :], folds) for z in (padded, x))
    assert found == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("width", [20, 150])
def test_the_direction_is_that_of_linear_discriminant_analysis_with_the_same_shrinkage(width):
    x, harmful = texts(4, width)
    folds = np.arange(60) % N_FOLDS
    found = cross_fitted_scores(ridge_probe(x), harmful[None, :], folds)[0]
    z = StandardScaler().fit_transform(x)
    train, side = z[folds != 0], harmful[folds != 0]
    within = sum(((train[s] - train[s].mean(axis=0)).T @ (train[s] - train[s].mean(axis=0))) for s in (side, ~side))
    shift = train[side].mean(axis=0) - train[~side].mean(axis=0)
    expected = z[folds == 0] @ np.linalg.solve(within + penalty_of(z) * np.eye(width), shift)
    assert np.corrcoef(found[folds == 0], expected)[0, 1] == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("width", [5, 80])
def test_the_ridge_is_the_ledoit_wolf_shrinkage_whatever_the_scale(width):
    x, _ = texts(4, width)
    for scale in (1e-3, 1.0, 1e3):
        centred = scale * (x - x.mean(axis=0))
        assert ledoit_wolf_ridge(centred @ centred.T, width) == pytest.approx(penalty_of(centred), rel=1e-9)


@pytest.mark.parametrize("width", [4, 40])
def test_features_that_never_vary_score_every_text_alike(width):
    harmful, folds = np.arange(20) % 2 == 0, np.arange(20) // 4
    found = cross_fitted_scores(ridge_probe(np.full((20, width), 0.1)), harmful[None, :], folds)
    assert np.array_equal(found, np.zeros((1, 20)))


def test_a_kernel_of_texts_that_are_all_alike_scores_every_text_alike():
    harmful, folds = np.arange(20) % 2 == 0, np.arange(20) // 4
    assert np.array_equal(
        cross_fitted_scores(kernel_probe(np.ones((20, 20))), harmful[None, :], folds), np.zeros((1, 20))
    )


@KINDS
@pytest.mark.parametrize("width", [6, 150])
def test_the_labels_of_rows_that_are_gone_are_never_read(kind, width):
    x, harmful, folds = case(6, width)
    probe, _, _ = both_ways(kind, x)
    other = np.where(folds == 2, ~harmful, harmful)
    found = cross_fitted_scores(probe, np.vstack([harmful, other]), folds)
    assert np.array_equal(found[0, folds == 2], found[1, folds == 2])
    assert np.abs(found[0, folds != 2] - found[1, folds != 2]).max() > 1e-4


@KINDS
@pytest.mark.parametrize("width", [6, 150])
def test_turning_all_labels_round_turns_all_scores_round(kind, width):
    x, harmful, folds = case(7, width)
    found = cross_fitted_scores(both_ways(kind, x)[0], np.vstack([harmful, ~harmful]), folds)
    assert found[0] == pytest.approx(-found[1], abs=1e-8)


def test_shift_and_scale_of_the_features_do_not_move_the_scores():
    x, harmful, folds = case(25, 20)
    rng, moved = np.random.default_rng(25), 30 * (x + 5)
    one, other = (cross_fitted_scores(kernel_probe(z @ z.T), harmful[None, :], folds) for z in (x, moved))
    assert other == pytest.approx(one, abs=1e-7)
    moved = x * rng.uniform(0.01, 100, size=20) + rng.normal(size=20)
    one, other = (cross_fitted_scores(ridge_probe(z), harmful[None, :], folds) for z in (x, moved))
    assert other == pytest.approx(one, abs=1e-8)


@KINDS
@pytest.mark.parametrize("width", [6, 150])
def test_equal_texts_of_a_fold_tie_exactly(kind, width):
    x, harmful, folds = case(27, width, n=120)
    partner = np.arange(120) % 60
    x, folds = x[partner], folds[partner]
    found = cross_fitted_scores(both_ways(kind, x)[0], harmful[None, :], folds)[0]
    assert np.array_equal(found[:60], found[60:])
    assert len(np.unique(found)) == 60


@KINDS
@pytest.mark.parametrize("width", [6, 150])
def test_what_is_given_is_left_as_it_was(kind, width):
    x, harmful, folds = case(28, width)
    given = x.copy() if kind == "ridge" else x @ x.T
    before, labels = given.copy(), harmful.copy()
    probe = ridge_probe(given) if kind == "ridge" else kernel_probe(given)
    first = cross_fitted_scores(probe, labels[None, :], folds)
    assert np.array_equal(given, before)
    assert np.array_equal(labels, harmful)
    assert np.array_equal(cross_fitted_scores(probe, labels[None, :], folds), first)  # nor does a probe wear out


@pytest.mark.parametrize("width", [6, 150])
def test_single_precision_states_give_the_scores_of_double_precision(width):
    x, harmful, folds = case(9, width)
    x = x.astype(np.float32)
    single, double = (cross_fitted_scores(ridge_probe(z), harmful[None, :], folds) for z in (x, x.astype(np.float64)))
    assert np.array_equal(single, double)


@KINDS
@pytest.mark.parametrize("width", [6, 150])
def test_where_nothing_is_left_to_fit_on_scores_are_missing(kind, width):
    x, harmful, folds = case(29, width)
    probe, _, _ = both_ways(kind, x)
    assert np.isnan(cross_fitted_scores(probe, np.vstack([harmful, ~harmful]), np.zeros(60, int))).all()
    assert np.isfinite(cross_fitted_scores(probe, harmful[None, :], folds)).all()
