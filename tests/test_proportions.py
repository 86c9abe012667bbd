"""Bounds of guards: textbook values, an independent oracle, and coverage where the truth is known."""

import math

import numpy as np
import pytest
import scipy.stats

from isogloss.stats.proportions import relative_rise, share_at_most, texts_needed


@pytest.mark.parametrize(("events", "n"), [(0, 59), (1, 50), (3, 60), (59, 60)])
def test_the_bound_of_a_share_is_where_so_few_events_become_unlikely(events, n):
    high = share_at_most(events, n).high
    assert scipy.stats.binom.cdf(events, n, high) == pytest.approx(0.05)
    assert high == pytest.approx(scipy.stats.binomtest(events, n, alternative="less").proportion_ci(0.95).high)


def test_the_ends_of_a_share():
    assert share_at_most(7, 7) == (1.0, 1.0)
    assert share_at_most(0, 20).high == pytest.approx(1 - 0.05 ** (1 / 20))
    assert all(map(math.isnan, share_at_most(0, 0)))


@pytest.mark.parametrize("limit", [0.01, 0.03, 0.05, 0.1, 0.5])
def test_the_number_of_texts_that_a_claim_needs_is_the_smallest(limit):
    n = texts_needed(limit)
    assert share_at_most(0, n).high < limit
    assert not share_at_most(0, n - 1).high < limit


def test_a_rise_of_every_text_alike_is_that_rise_without_doubt():
    before, units = np.array([10.0, 20.0, 60.0]), np.array([5, 10, 20])
    assert relative_rise(before, 1.02 * before, units, units) == pytest.approx((0.02, 0.02))
    assert relative_rise(before, before, units, units) == pytest.approx((0, 0))


def test_a_rise_is_one_of_sums_not_of_means():
    rise = relative_rise(np.array([10.0, 90.0]), np.array([20.0, 90.0]), np.array([10, 90]), np.array([10, 90]))
    assert rise.value == pytest.approx(0.1)


def test_what_cannot_be_had_is_nan():
    one = np.array([4.0])
    assert relative_rise(one, 2 * one, one, one).value == pytest.approx(1)
    assert math.isnan(relative_rise(one, one, one, one).high)
    assert math.isnan(relative_rise(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0)).value)


def test_the_bound_of_a_rise_holds_about_as_often_as_it_says():
    """60 texts, a true rise of 1 %: the bound covers it in 95 % of 1,000 draws (Monte-Carlo error 0.7 points)."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(1000):
        units = rng.integers(20, 120, size=60)
        before = units * rng.gamma(20, 0.1, size=60)
        after = before * rng.normal(1.01, 0.03, size=60)
        hits += relative_rise(before, after, units, units).high >= 0.01
    assert 920 <= hits <= 975
