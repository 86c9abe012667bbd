"""Faults that once were in the separation room: each test failed before its mend."""

import numpy as np
import pytest

from isogloss.errors import MetricError
from isogloss.stats import metrics
from isogloss.stats.block import score_block
from isogloss.stats.components import pca
from isogloss.stats.metrics import METRICS
from isogloss.stats.permutations import draw
from isogloss.stats.probe import cross_fitted_scores, ridge_probe


@pytest.mark.parametrize("n", [4, 5, 9])
def test_auroc_of_few_pairs_is_a_number(n):
    x = np.random.default_rng(0).normal(size=(2 * n, 3))
    assert 0 <= metrics.auroc(x, np.arange(2 * n) < n, np.arange(2 * n) % n) <= 1


def test_auroc_of_two_pairs_is_refused():
    with pytest.raises(MetricError, match="at least 4 pairs"):
        metrics.auroc(np.random.default_rng(0).normal(size=(4, 3)), [1, 1, 0, 0], [0, 1, 0, 1])


def test_permutations_without_pairs_all_have_an_auroc():
    draws = draw(np.arange(40) < 20, None, n_permutations=500, seed=0)
    (score,) = score_block(np.random.default_rng(0).normal(size=(40, 5)), draws, [METRICS["auroc"]], (2,)).scores
    assert np.isfinite(score.null).all()


def test_pairs_of_another_length_are_refused():
    with pytest.raises(MetricError, match="pairs"):
        metrics.silhouette(np.random.default_rng(0).normal(size=(6, 2)), [1, 1, 1, 0, 0, 0], [0, 1, 2])


def test_a_component_lost_with_a_unit_is_not_ignored():
    x = np.zeros((60, 5))
    x[:, 0] = np.random.default_rng(0).normal(size=60)
    x[0, 1] = 3.0
    draws = draw(np.arange(60) < 30, np.r_[np.arange(30) + 30, np.arange(30)], n_permutations=5, seed=0)
    share, distance, silhouette = score_block(x, draws, [row for row in METRICS.values() if row.judges], (2,)).scores
    # Without that text the second component holds nothing: a share and a silhouette of one direction, and no distance.
    assert np.isfinite(
        [share.jackknife.value, share.jackknife.se, silhouette.jackknife.value, silhouette.jackknife.se]
    ).all()
    assert distance.jackknife is None
    assert distance.reason == "a class does not vary in every component"


def test_a_constant_feature_does_not_matter_by_its_value():
    rng = np.random.default_rng(5)
    harmful, folds = np.arange(60) % 2 == 0, np.arange(60) // 2 % 5
    x = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 6))
    x[harmful] += 1
    padded = [np.column_stack([x, np.full(60, c)]) for c in (0.0, 0.1)]
    scores = [cross_fitted_scores(ridge_probe(z), harmful[None, :], folds) for z in padded]
    assert scores[0] == pytest.approx(scores[1], abs=1e-9)


@pytest.mark.parametrize("shape", [(8, 3), (3, 8)])
def test_equal_double_precision_rows_have_no_component(shape):
    assert pca(np.full(shape, 0.1), 2).width == 0


def test_rows_equal_up_to_single_precision_rounding_have_no_component():
    rng = np.random.default_rng(0)
    x = np.float32(rng.normal(size=32)) * (1 + 1e-7 * rng.integers(-1, 2, size=(40, 32))).astype(np.float32)
    assert pca(x, 2).width == 0


def test_between_class_variance_of_constant_rows_is_refused():
    with pytest.raises(MetricError, match="all the same"):
        metrics.between_class_variance(np.ones((6, 2)), [1, 1, 1, 0, 0, 0])


def test_the_error_for_rows_that_are_not_finite_says_so():
    x = np.zeros((4, 2))
    x[0, 0] = np.nan
    with pytest.raises(MetricError, match="not finite"):
        metrics.silhouette(x, [0, 0, 1, 1])
