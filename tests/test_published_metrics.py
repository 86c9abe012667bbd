"""What others print: each formula against another implementation, and what it gives where nothing is to be found."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score

from isogloss.analyses.published_metrics.metrics import (
    BINS,
    PUBLISHED,
    ams_sigma,
    aqi,
    calinski_harabasz,
    davies_bouldin,
    xie_beni,
)
from isogloss.stats.block import score_block
from isogloss.stats.metrics import METRICS
from isogloss.stats.permutations import draw
from plain import labels_and_partners


def texts(seed, n, *, paired=True, width=6, apart=1.0):
    """Rows of two classes, `n` each, and their draws."""
    rng = np.random.default_rng(seed)
    harmful, partners = labels_and_partners(n, paired=paired, rng=rng)
    x = rng.normal(size=(2 * n, width)) * np.linspace(2, 1, width)
    x[harmful, 0] += apart
    return x, draw(harmful, partners, n_permutations=100, seed=seed)


def test_cluster_indices_are_those_of_scikit_learn_and_of_their_definitions():
    x, draws = texts(0, 20)
    labels = np.vstack([draws.harmful, draws.permutations[:3]])
    for found, oracle in ((calinski_harabasz, calinski_harabasz_score), (davies_bouldin, davies_bouldin_score)):
        assert found(x, labels) == pytest.approx([oracle(x, side) for side in labels], rel=1e-10)
    for side, value in zip(labels, xie_beni(x, labels), strict=True):
        means = [x[part].mean(axis=0) for part in (side, ~side)]
        within = sum(((x[part] - mean) ** 2).sum() for part, mean in zip((side, ~side), means, strict=True))
        assert value == pytest.approx(within / 40 / ((means[0] - means[1]) ** 2).sum(), rel=1e-10)


def test_for_classes_of_equal_size_every_term_of_aqi_is_a_function_of_the_between_class_share():
    x, draws = texts(1, 20)
    share = METRICS["between_class_variance"].many(x, draws.permutations, None, draws.folds)
    assert xie_beni(x, draws.permutations) == pytest.approx((1 - share) / (4 * share))
    assert calinski_harabasz(x, draws.permutations) == pytest.approx(38 * share / (1 - share))
    assert aqi(x, draws.permutations) == pytest.approx(2 * share / (1 - share) + share / 2)


def test_jensen_shannon_is_that_of_scipy_on_counts_in_ten_bins_of_equal_counts():
    x, draws = texts(2, 60)
    scores, folds = x[:, 0], np.zeros(120, dtype=int)
    edges = np.quantile(scores, np.linspace(0, 1, BINS + 1))
    counts = [np.histogram(scores[side], edges)[0] for side in (draws.harmful, ~draws.harmful)]
    found = PUBLISHED["jensen_shannon"].many(scores[None, :], draws.harmful[None, :], None, folds)[0]
    assert found == pytest.approx(jensenshannon(*counts, base=2) ** 2, abs=1e-12)
    apart = np.where(draws.harmful, scores + 100, scores)
    assert PUBLISHED["jensen_shannon"].many(apart[None, :], draws.harmful[None, :], None, folds)[0] == pytest.approx(1)


def test_jensen_shannon_compares_scores_within_a_fold_only():
    x, draws = texts(3, 60)
    one = PUBLISHED["jensen_shannon"].many(x[None, :, 0], draws.harmful[None, :], None, draws.folds)
    moved = x[None, :, 0] * (1 + draws.folds) + 50 * draws.folds
    assert PUBLISHED["jensen_shannon"].many(moved, draws.harmful[None, :], None, draws.folds) == pytest.approx(one)


def test_sigma_is_the_standardised_distance_along_the_difference_of_means():
    x, draws = texts(4, 30)
    shift = x[draws.harmful].mean(axis=0) - x[~draws.harmful].mean(axis=0)
    first, second = (x[side] @ shift for side in (draws.harmful, ~draws.harmful))
    pooled = np.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 2)
    expected = (first.mean() - second.mean()) / pooled
    assert ams_sigma(x, draws.harmful[None, :])[0] == pytest.approx(expected, rel=1e-10)


def test_without_any_difference_the_published_sigma_is_large_and_the_cross_fitted_one_is_not():
    x, draws = texts(5, 16, width=400, apart=0.0)
    published = ams_sigma(x, draws.permutations)
    crossed = PUBLISHED["ams_sigma_cross_fitted"].many(x, draws.permutations, draws.partners, draws.folds)
    assert published.min() > 3.5  # what AMS passes as safe
    assert abs(crossed.mean()) < 0.3


def test_a_planted_distance_is_found_by_the_cross_fitted_sigma():
    x, draws = texts(6, 400, width=5, apart=4.0)  # 4 over a spread of 2
    found = PUBLISHED["ams_sigma_cross_fitted"].many(x, draws.harmful[None, :], draws.partners, draws.folds)
    assert found[0] == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize("paired", [False, True])
def test_every_published_metric_has_an_interval_and_a_null_and_is_not_debiased(paired):
    x, draws = texts(7, 40, paired=paired, apart=3.0)
    metrics = [*(METRICS.values() if paired else ()), *PUBLISHED.values()]
    found = score_block(x, draws, metrics, (2, 3)).scores
    published = [score for score in found if score.metric in PUBLISHED]
    assert len(published) == 4 * 2 + 3
    for one in published:
        row = PUBLISHED[one.metric]
        assert one.jackknife.value == one.plug_in
        assert row.low <= one.plug_in <= row.high
        assert one.jackknife.se > 0
        assert len(one.null) == 100
        assert one.p_value < 0.02  # also where classes that lie farther apart give a smaller value
        assert one.jackknife.df == 24


def test_a_decreasing_score_is_not_found_where_it_is_large():
    x, draws = texts(8, 40, apart=0.0)
    found = score_block(x, draws, [PUBLISHED["davies_bouldin"]], (2,)).scores[0]
    reached = (found.null <= found.plug_in).mean()
    assert found.p_value == pytest.approx((1 + 100 * reached) / 101, abs=1e-9)


def test_what_cannot_be_computed_has_a_reason():
    x, draws = texts(9, 20, width=2)
    found = score_block(x, draws, [PUBLISHED["aqi"]], (2, 3)).scores
    assert [one.reason for one in found] == [None, "the texts vary in 2 directions only"]
