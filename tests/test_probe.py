"""The cross-fitted probe against scikit-learn and explicit solutions, and what its folds keep apart."""

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from isogloss.separation.pairs import fold_of_units, twin_index, unit_codes
from isogloss.separation.probe import (
    KERNEL_RIDGE,
    N_FOLDS,
    cross_fitted_kernel_scores,
    cross_fitted_scores,
    jackknife_kernel_scores,
    ledoit_wolf_ridge,
)

WIDTHS = [3, 20, 47, 48, 49, 150]  # 60 texts in 5 folds: 48 in each training part


def texts(seed, width, n=60):
    """Correlated features in different units, so that the shrinkage is neither nothing nor everything."""
    rng = np.random.default_rng(seed)
    harmful = rng.permutation(np.arange(n) < n // 2)
    x = rng.normal(size=(n, 3)) @ rng.normal(size=(3, width)) + rng.normal(size=(n, width))
    x[harmful] += rng.normal(size=width) * 0.5
    return x * rng.uniform(0.1, 10, size=width) + rng.normal(size=width), harmful


def standardised(x, folds, fold):
    scaler = StandardScaler().fit(x[folds != fold])
    return scaler.transform(x[folds != fold]), scaler.transform(x[folds == fold])


def sklearn_ridge(train):
    """Ledoit-Wolf shrinkage s of C = X'X / n towards m I, divided by (1 - s) / n."""
    share = ledoit_wolf_shrinkage(train)
    assert 0.001 < share < 0.999
    mean_variance = (train**2).sum() / train.size
    return len(train) * mean_variance * share / (1 - share)


@pytest.mark.parametrize("width", WIDTHS)
def test_scores_agree_with_scikit_learns_ridge_at_the_ledoit_wolf_penalty(width):
    x, harmful = texts(1, width)
    rng = np.random.default_rng(1)
    folds = fold_of_units(harmful, None, N_FOLDS, rng)
    labels = np.vstack([harmful, rng.permuted(np.tile(harmful, (3, 1)), axis=1)])
    found = cross_fitted_scores(x, labels, folds)
    assert found.shape == labels.shape
    for fold in range(N_FOLDS):
        train, test = standardised(x, folds, fold)
        targets = labels[:, folds != fold].astype(float)
        other = Ridge(alpha=sklearn_ridge(train), solver="svd").fit(train, targets.T)
        expected = other.predict(test).T - targets.mean(axis=1, keepdims=True)
        assert found[:, folds == fold] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_solution_is_the_same_by_features_and_by_texts(width):
    x, harmful = texts(2, width)
    folds = np.arange(60) % N_FOLDS
    found = cross_fitted_scores(x, harmful[None, :], folds)[0]
    for fold in range(N_FOLDS):
        train, test = standardised(x, folds, fold)
        ridge = sklearn_ridge(train)
        target = harmful[folds != fold] - harmful[folds != fold].mean()
        by_features = test @ np.linalg.solve(train.T @ train + ridge * np.eye(width), train.T @ target)
        by_texts = test @ train.T @ np.linalg.solve(train @ train.T + ridge * np.eye(len(train)), target)
        assert found[folds == fold] == pytest.approx(by_features, abs=1e-9)
        assert found[folds == fold] == pytest.approx(by_texts, abs=1e-9)


@pytest.mark.parametrize("width", [20, 150])
def test_the_direction_is_that_of_linear_discriminant_analysis_with_the_same_shrinkage(width):
    x, harmful = texts(3, width)
    folds = np.arange(60) % N_FOLDS
    found = cross_fitted_scores(x, harmful[None, :], folds)[0]
    train, test = standardised(x, folds, 0)
    side = harmful[folds != 0]
    share = ledoit_wolf_shrinkage(train)
    within = sum(np.cov(train[s], rowvar=False, bias=True) * s.mean() for s in (side, ~side))
    shrunk = (1 - share) * within + share * np.eye(width)
    expected = test @ np.linalg.solve(shrunk, train[side].mean(axis=0) - train[~side].mean(axis=0))
    assert np.corrcoef(found[folds == 0], expected)[0, 1] == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("width", [5, 80])
def test_the_ridge_is_the_ledoit_wolf_shrinkage_whatever_the_scale(width):
    x, _ = texts(4, width)
    for scale in (1e-3, 1.0, 1e3):
        centred = scale * (x - x.mean(axis=0))
        assert ledoit_wolf_ridge(centred @ centred.T, width) == pytest.approx(sklearn_ridge(centred), rel=1e-9)


def test_features_that_never_vary_score_every_text_alike():
    x = np.ones((20, 4))
    harmful = np.arange(20) % 2 == 0
    found = cross_fitted_scores(x, harmful[None, :], np.arange(20) // 4)
    assert np.array_equal(found, np.zeros((1, 20)))


def test_a_feature_that_does_not_vary_in_training_is_harmless_in_testing():
    x, harmful = texts(5, 6)
    folds = np.arange(60) % N_FOLDS
    x[:, 2] = 2.0
    expected = cross_fitted_scores(x, harmful[None, :], folds)
    x[folds == 1, 2] = 7.0
    found = cross_fitted_scores(x, harmful[None, :], folds)
    assert found[:, folds == 1] == pytest.approx(expected[:, folds == 1], abs=1e-12)


@pytest.mark.parametrize("width", [6, 150])
def test_the_labels_of_a_fold_do_not_move_its_own_scores(width):
    x, harmful = texts(6, width)
    folds = fold_of_units(harmful, None, N_FOLDS, np.random.default_rng(6))
    other = np.where(folds == 2, ~harmful, harmful)
    found = cross_fitted_scores(x, np.vstack([harmful, other]), folds)
    assert np.array_equal(found[0, folds == 2], found[1, folds == 2])
    assert np.abs(found[0, folds != 2] - found[1, folds != 2]).max() > 1e-4


@pytest.mark.parametrize("width", [6, 150])
def test_turning_all_labels_round_turns_all_scores_round(width):
    x, harmful = texts(7, width)
    found = cross_fitted_scores(x, np.vstack([harmful, ~harmful]), np.arange(60) % N_FOLDS)
    assert found[0] == pytest.approx(-found[1], abs=1e-12)


def test_the_hidden_states_and_labels_are_left_as_they_were():
    x, harmful = texts(8, 6)
    x_before, labels = x.copy(), harmful[None, :].copy()
    cross_fitted_scores(x, labels, np.arange(60) % N_FOLDS)
    assert np.array_equal(x, x_before)
    assert np.array_equal(labels[0], harmful)


def test_single_precision_states_give_the_scores_of_double_precision():
    x, harmful = texts(9, 150)
    x = x.astype(np.float32)
    folds = np.arange(60) % N_FOLDS
    single = cross_fitted_scores(x, harmful[None, :], folds)
    assert np.array_equal(single, cross_fitted_scores(x.astype(np.float64), harmful[None, :], folds))


def kernel_case(seed, width, n=60):
    x, harmful = texts(seed, width, n)
    rng = np.random.default_rng(seed)
    return x, harmful, fold_of_units(harmful, None, N_FOLDS, rng), rng.permutation(np.arange(n) % 7)


def ridge_scores(x, labels, train, test):
    """scikit-learn's primal ridge with an intercept, less what it would say of an average text."""
    penalty = KERNEL_RIDGE * x.var(axis=0).sum()
    targets = labels[..., train].astype(float)
    return Ridge(alpha=penalty, solver="svd").fit(x[train], targets.T).predict(x[test]).T - targets.mean(
        axis=-1, keepdims=True
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_kernel_scores_agree_with_scikit_learns_ridge_on_the_features(width):
    x, harmful, folds, _ = kernel_case(20, width)
    labels = np.vstack([harmful, np.random.default_rng(20).permuted(np.tile(harmful, (3, 1)), axis=1)])
    found = cross_fitted_kernel_scores(x @ x.T, labels, folds)
    assert found.shape == labels.shape
    for fold in range(N_FOLDS):
        expected = ridge_scores(x, labels, folds != fold, folds == fold)
        assert found[:, folds == fold] == pytest.approx(expected, abs=1e-8)
    assert np.abs(found).max() > 0.1


def test_kernel_scores_agree_with_a_kernel_that_is_centred_on_each_training_part():
    x, harmful, folds, _ = kernel_case(21, 150)
    gram = x @ x.T
    found = cross_fitted_kernel_scores(gram, harmful[None, :], folds)[0]
    penalty = KERNEL_RIDGE * x.var(axis=0).sum()
    for fold in range(N_FOLDS):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        mean = np.zeros((len(x), 1))
        mean[train] = 1 / len(train)
        centre = np.eye(len(x)) - mean.T  # each text less the mean of the training texts
        centred = centre @ gram @ centre.T
        dual = np.linalg.solve(
            centred[np.ix_(train, train)] + penalty * np.eye(len(train)), harmful[train] - harmful[train].mean()
        )
        assert found[test] == pytest.approx(centred[np.ix_(test, train)] @ dual, abs=1e-8)


@pytest.mark.parametrize("width", [3, 150])
def test_jackknifed_kernel_scores_are_those_of_refitted_ridges(width):
    x, harmful, folds, groups = kernel_case(22, width)
    found = jackknife_kernel_scores(x @ x.T, harmful, folds, groups)
    assert found.shape == (7, 60)
    for group in range(7):
        assert np.array_equal(np.isnan(found[group]), groups == group)
        for fold in range(N_FOLDS):
            train, test = (folds != fold) & (groups != group), (folds == fold) & (groups != group)
            assert found[group, test] == pytest.approx(ridge_scores(x, harmful, train, test), abs=1e-8)


def test_a_jackknife_group_that_holds_nothing_but_itself_moves_the_others_little():
    x, harmful, folds, _ = kernel_case(23, 150)
    full = cross_fitted_kernel_scores(x @ x.T, harmful[None, :], folds)[0]
    found = jackknife_kernel_scores(x @ x.T, harmful, folds, np.arange(60))
    moved = np.abs(found - full)[~np.eye(60, dtype=bool)]
    assert 0 < moved.max() < 0.2
    # Texts of the same fold are not trained on in any case.
    same_fold = (folds[:, None] == folds) & ~np.eye(60, dtype=bool)
    assert np.abs(found - full)[same_fold].max() < 1e-8


def test_the_labels_of_a_fold_or_group_do_not_move_kernel_scores_at_all():
    x, harmful, folds, groups = kernel_case(24, 150)
    other = np.where(folds == 2, ~harmful, harmful)
    found = cross_fitted_kernel_scores(x @ x.T, np.vstack([harmful, other]), folds)
    assert np.array_equal(found[0, folds == 2], found[1, folds == 2])
    assert np.abs(found[0, folds != 2] - found[1, folds != 2]).max() > 1e-3
    other = np.where(groups == 3, ~harmful, harmful)
    one, two = (jackknife_kernel_scores(x @ x.T, labels, folds, groups) for labels in (harmful, other))
    assert np.array_equal(one[3], two[3], equal_nan=True)
    assert not np.array_equal(one[2], two[2], equal_nan=True)


def test_shift_and_scale_of_the_features_do_not_move_kernel_scores():
    x, harmful, folds, _ = kernel_case(25, 20)
    one = cross_fitted_kernel_scores(x @ x.T, harmful[None, :], folds)
    moved = 30 * (x + 5)
    assert cross_fitted_kernel_scores(moved @ moved.T, harmful[None, :], folds) == pytest.approx(one, abs=1e-7)


def test_turning_all_labels_round_turns_kernel_scores_round():
    x, harmful, folds, _ = kernel_case(26, 20)
    found = cross_fitted_kernel_scores(x @ x.T, np.vstack([harmful, ~harmful]), folds)
    assert np.array_equal(found[0], -found[1])


def test_equal_texts_of_a_fold_tie_exactly_under_the_kernel_probe():
    x, harmful, folds, _ = kernel_case(27, 150, n=120)
    twin = np.arange(120) % 60
    x, folds = x[twin], folds[twin]
    found = cross_fitted_kernel_scores(x @ x.T, harmful[None, :], folds)[0]
    assert np.array_equal(found[:60], found[60:])
    assert len(np.unique(found)) == 60
    alike = cross_fitted_kernel_scores(np.ones((120, 120)), harmful[None, :], folds)
    assert np.array_equal(alike, np.zeros((1, 120)))


def test_the_kernel_is_left_as_it_was():
    x, harmful, folds, groups = kernel_case(28, 20)
    gram = x @ x.T
    before = gram.copy()
    cross_fitted_kernel_scores(gram, harmful[None, :], folds)
    jackknife_kernel_scores(gram, harmful, folds, groups)
    assert np.array_equal(gram, before)


def test_where_nothing_is_left_to_fit_on_kernel_scores_are_missing():
    x, harmful, folds, _ = kernel_case(29, 20)
    assert np.isnan(cross_fitted_kernel_scores(x @ x.T, harmful[None, :], np.zeros(60, int))).all()
    found = jackknife_kernel_scores(x @ x.T, harmful, folds % 2, folds % 2)
    assert np.isnan(found).all()


def test_folds_keep_twins_together_and_are_of_nearly_equal_size():
    rng = np.random.default_rng(10)
    harmful = rng.permutation(np.arange(46) < 23)
    pairs = np.empty(46, dtype=int)
    pairs[harmful], pairs[~harmful] = rng.permutation(23), rng.permutation(23)
    twins = twin_index(pairs, harmful)
    folds = fold_of_units(harmful, twins, 5, rng)
    assert np.array_equal(folds, folds[twins])
    assert sorted(np.bincount(folds)) == [8, 8, 10, 10, 10]


def test_folds_without_twins_share_each_class_out_evenly():
    harmful = np.random.default_rng(11).permutation(np.arange(50) < 18)
    folds = fold_of_units(harmful, None, 5, np.random.default_rng(12))
    assert sorted(np.bincount(folds[harmful])) == [3, 3, 4, 4, 4]
    assert sorted(np.bincount(folds[~harmful])) == [6, 6, 6, 7, 7]


def test_folds_are_dealt_by_chance_and_by_seed():
    harmful = np.arange(40) < 20
    one, same, other = (fold_of_units(harmful, None, 5, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_twins_are_found_in_any_row_order_and_by_any_kind_of_name():
    harmful = np.array([False, True, True, False, True, False])
    assert twin_index(["b", "a", "c", "a", "b", "c"], harmful).tolist() == [4, 3, 5, 1, 0, 2]
    assert twin_index([2, 1, 3, 1, 2, 3], harmful).tolist() == [4, 3, 5, 1, 0, 2]


def test_units_are_pairs_where_there_are_twins_and_texts_elsewhere():
    assert unit_codes(6, np.array([4, 3, 5, 1, 0, 2])).tolist() == [0, 1, 2, 1, 0, 2]
    assert unit_codes(4, None).tolist() == [0, 1, 2, 3]
