"""Principal components against scikit-learn's, whichever side of the matrix is the longer one."""

import numpy as np
import pytest
import scipy.stats
from sklearn.decomposition import PCA

from isogloss.stats.components import pca
from isogloss.stats.metrics import between_class_variance, silhouette


def rows(seed, n, d):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) * np.geomspace(5, 0.5, d) @ rng.normal(size=(d, d)) / np.sqrt(d) + 3.0


def assert_same_up_to_sign(found, expected, tolerance=1e-6):
    assert found.shape == expected.shape
    signs = np.sign((found * expected).sum(axis=0))
    assert np.abs(found - expected * signs).max() < tolerance


@pytest.mark.parametrize(("n", "d"), [(60, 8), (60, 59), (60, 60), (60, 61), (30, 200), (12, 11)], ids=str)
def test_scores_and_variances_agree_with_scikit_learn(n, d):
    x = rows(1, n, d)
    found, other = pca(x, 5), PCA(n_components=6, svd_solver="full")
    expected = other.fit_transform(x)
    assert_same_up_to_sign(found.scores, expected[:, :5])
    assert found.variances == pytest.approx(other.explained_variance_, rel=1e-8)
    assert found.width == 5


@pytest.mark.parametrize(("n", "d"), [(40, 20), (20, 40)])
def test_components_that_do_not_exist_are_not_made_up(n, d):
    x = rows(2, n, 3) @ np.random.default_rng(2).normal(size=(3, d))
    found = pca(x, 10)
    assert found.width == 3
    assert len(found.variances) == 3
    assert_same_up_to_sign(found.scores, PCA(n_components=3, svd_solver="full").fit_transform(x))


def test_there_are_at_most_as_many_components_as_columns_or_rows_less_one():
    assert pca(rows(3, 50, 4), 10).width == 4
    assert pca(rows(3, 6, 50), 10).width == 5


@pytest.mark.parametrize("shape", [(8, 3), (3, 8)])
def test_rows_that_are_all_alike_have_no_component(shape):
    found = pca(np.full(shape, 0.1, dtype=np.float32), 2)
    assert found.width == 0
    assert found.scores.shape == (shape[0], 0)


@pytest.mark.parametrize(("n", "d"), [(40, 20), (20, 40)])
def test_components_are_centred_uncorrelated_and_have_their_largest_score_positive(n, d):
    found = pca(rows(4, n, d), 6)
    assert found.scores.mean(axis=0) == pytest.approx(np.zeros(6), abs=1e-10)
    assert np.cov(found.scores, rowvar=False) == pytest.approx(np.diag(found.variances[:6]), abs=1e-9)
    largest = np.abs(found.scores).max(axis=0)
    assert np.array_equal(found.scores.max(axis=0), largest)


@pytest.mark.parametrize(("n", "d"), [(40, 20), (20, 40)])
def test_scores_do_not_depend_on_place_direction_or_row_order(n, d):
    x = rows(5, n, d)
    rng = np.random.default_rng(5)
    expected = pca(x, 4).scores
    turned = x @ scipy.stats.ortho_group.rvs(d, random_state=rng) + rng.normal(size=d)
    order = rng.permutation(n)
    assert pca(turned, 4).scores == pytest.approx(expected, abs=1e-8)
    assert pca(x[order], 4).scores == pytest.approx(expected[order], abs=1e-8)


def test_single_precision_rows_far_from_the_origin_keep_their_components():
    x = rows(6, 50, 10).astype(np.float32) + np.float32(1000)
    found = pca(x, 3)
    assert found.scores.dtype == np.float64
    assert_same_up_to_sign(found.scores, PCA(n_components=3, svd_solver="full").fit_transform(x.astype(np.float64)))


def test_the_rows_that_are_given_are_left_as_they_were():
    x = rows(7, 20, 5)
    before = x.copy()
    pca(x, 2)
    assert np.array_equal(x, before)


def test_eigen_gap_is_the_ratio_of_neighbouring_variances():
    # Orthogonal columns with sums of squares 8, 4 and 1.
    x = np.zeros((6, 3))
    x[[0, 1], 0], x[[2, 3], 1], x[[4, 5], 2] = (2, -2), (np.sqrt(2), -np.sqrt(2)), (np.sqrt(0.5), -np.sqrt(0.5))
    assert pca(x, 2).eigen_gap(1) == pytest.approx(2)
    assert pca(x, 2).eigen_gap(2) == pytest.approx(4)
    assert pca(x, 3).eigen_gap(3) == np.inf


def test_all_components_together_are_a_rotation_that_keeps_the_metrics():
    x = rows(8, 40, 6)
    harmful = np.arange(40) < 20
    x[harmful, 0] += 2
    z = pca(x, 6).scores
    assert between_class_variance(z, harmful) == pytest.approx(between_class_variance(x, harmful), rel=1e-9)
    assert silhouette(z, harmful) == pytest.approx(silhouette(x, harmful), rel=1e-9)
