"""Controls as rows, and how scores at the edge of their range get their interval."""

import numpy as np
import pytest
import scipy.stats

from isogloss.auditing.controls import _estimate_median, _estimate_ratio, ratio
from isogloss.auditing.rows import WILSON, score_estimate
from isogloss.stats.metrics import METRICS
from isogloss.stats.permutations import draw
from isogloss.stats.probe_scores import fixed_scores


def test_a_ratio_of_sums_has_the_error_of_the_linearised_ratio():
    rng = np.random.default_rng(0)
    bottom = rng.integers(20, 60, size=400)
    top = rng.poisson(0.4 * bottom)
    found = ratio(top, bottom, np.arange(400))
    assert found.value == pytest.approx(top.sum() / bottom.sum(), rel=1e-3)
    rest = top - found.value * bottom
    assert found.se == pytest.approx(rest.std(ddof=1) / np.sqrt(400) / bottom.mean(), rel=0.02)


def test_a_ratio_of_pairs_counts_pairs():
    """Twins that are alike are one unit: the error is that of half as many texts."""
    rng = np.random.default_rng(1)
    bottom = rng.integers(20, 60, size=200)
    top = rng.poisson(0.4 * bottom)
    twice = ratio(np.tile(top, 2), np.tile(bottom, 2), np.tile(np.arange(200), 2))
    once = ratio(top, bottom, np.arange(200))
    assert twice.value == pytest.approx(once.value)
    assert twice.se == pytest.approx(once.se)


def test_a_ratio_without_characters_has_a_reason():
    found = _estimate_ratio(np.ones(3), np.zeros(3), np.arange(3), n=3, seed=3)
    assert (found.reason, found.n, found.seed) == ("no characters", 3, 3)


@pytest.mark.parametrize("n", [20, 84, 101])
def test_the_medians_bounds_hold_at_least_95_percent_and_no_closer_pair_does(n):
    found = _estimate_median(np.random.default_rng(n).permutation(n).astype(float), 3)
    low, high = int(found.low), int(found.high)  # order statistics are their ranks here, from 0
    assert found.value == (n - 1) / 2
    assert low == n - 1 - high
    inside = scipy.stats.binom(n, 0.5)
    assert 1 - 2 * inside.cdf(low) >= 0.95
    assert 1 - 2 * inside.cdf(low + 1) < 0.95


def scores(values, n=40):
    harmful = np.array([True, False] * n)
    draws = draw(harmful, np.arange(2 * n) ^ 1, keys=[str(i // 2) for i in range(2 * n)], n_permutations=50, seed=0)
    return fixed_scores(np.asarray(values, dtype=float), draws, [METRICS["auroc"], METRICS["pair_accuracy"]])


@pytest.mark.parametrize(("values", "value"), [([2, 1] * 40, 1.0), ([1, 2] * 40, 0.0)])
def test_a_perfect_score_has_an_interval_with_width_that_holds_it(values, value):
    """No text moves it, so the jackknife knows no error."""
    for score in scores(values):
        found = score_estimate(score, 40, 0)
        assert found.value == value
        assert found.low <= value <= found.high
        assert found.high - found.low == pytest.approx(1.96**2 / (40 + 1.96**2), rel=1e-3)
        assert found.method == WILSON


def test_a_nearly_perfect_score_lies_in_its_interval():
    """On the logit scale 1 is taken for 1 - 1 / 2n; the interval must still hold the score that is printed."""
    values = np.array([2.0, 1.0] * 40)
    for last in (1.5, 0.9, 0.5):
        values[0] = last
        for score in scores(values):
            found = score_estimate(score, 40, 0)
            assert found.low <= found.value <= found.high
