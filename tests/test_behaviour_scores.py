"""Scores of behaviour against closed forms: Welch's and Student's t, least squares, the AUROC of scikit-learn."""

import numpy as np
import pytest
import scipy.stats
from sklearn.linear_model import LinearRegression

from isogloss.analyses.behaviour.statistics import (
    adjusted_mean,
    left_out_coefficients,
    mean_difference,
    pair_differences,
    planted_gain,
    ranked,
    zero_score,
)
from isogloss.stats.effects import gain
from isogloss.stats.permutations import draw
from isogloss.stats.text_pairs import partner_index


def paired(n, seed=0, permutations=20):
    rng = np.random.default_rng(seed)
    names = np.repeat(np.arange(n), 2)
    harmful = np.tile([True, False], n)
    order = rng.permutation(2 * n)
    harmful, names = harmful[order], names[order]
    partners = partner_index(names, harmful)
    return draw(harmful, partners, keys=[f"p{name}" for name in names], n_permutations=permutations, seed=0)


def single(n, seed=0):
    harmful = np.random.default_rng(seed).permutation(np.arange(2 * n) < n)
    return draw(harmful, None, n_permutations=20, seed=0)


def test_a_difference_within_pairs_is_students_paired_t():
    draws = paired(30)
    values = np.random.default_rng(1).normal(size=60) + draws.harmful
    found = mean_difference("refusal_margin", values, draws).jackknife
    first = np.flatnonzero(draws.harmful)
    expected = scipy.stats.ttest_rel(values[first], values[draws.partners[first]])
    assert found.t == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.value == pytest.approx(pair_differences(values, draws).mean())


def test_without_pairs_its_error_is_welchs():
    draws = single(25)
    values = np.random.default_rng(2).normal(size=50) * np.where(draws.harmful, 3, 1) + 2 * draws.harmful
    found = mean_difference("refusal_margin", values, draws).jackknife
    expected = scipy.stats.ttest_ind(values[draws.harmful], values[~draws.harmful], equal_var=False)
    assert found.t == pytest.approx(expected.statistic)
    assert found.df == 48


def test_the_null_of_a_difference_swaps_pairs():
    draws = paired(12, permutations=50)
    values = np.random.default_rng(3).normal(size=24)
    score = mean_difference("first_token_gap", values, draws)
    for labels, null in zip(draws.permutations, score.null, strict=True):
        assert null == pytest.approx(values[labels].mean() - values[~labels].mean())
    assert 0 < score.p_value <= 1


def test_ranked_is_the_auroc_without_own_pairs():
    draws = paired(20)
    values = np.random.default_rng(4).normal(size=40) + draws.harmful
    wins = [
        values[i] > values[j]
        for i in np.flatnonzero(draws.harmful)
        for j in np.flatnonzero(~draws.harmful)
        if draws.partners[i] != j
    ]
    score = ranked("refusal_auroc", values, draws)
    assert (score.metric, score.row.scale, score.plug_in) == ("refusal_auroc", "logit", pytest.approx(np.mean(wins)))


def test_an_adjusted_mean_is_the_intercept_and_its_jackknife_that_of_refitting():
    draws = paired(40)
    rng = np.random.default_rng(5)
    covariates = rng.normal(size=(40, 2)) + 0.7
    shifts = 0.5 + covariates @ [2.0, -1.0] + rng.normal(size=40)
    found = adjusted_mean("text_preference_adjusted", shifts, covariates, draws).jackknife
    assert found.value == pytest.approx(LinearRegression().fit(covariates, shifts).intercept_)
    refitted = [LinearRegression().fit(np.delete(covariates, i, 0), np.delete(shifts, i)).intercept_ for i in range(40)]
    assert found.se == pytest.approx(np.sqrt(39 / 40 * ((refitted - np.mean(refitted)) ** 2).sum()))
    assert found.df == 37


def test_a_preference_that_length_explains_is_adjusted_away():
    draws = paired(200)
    rng = np.random.default_rng(6)
    lengths = rng.normal(1.0, 1.0, size=(200, 1))  # toxic texts are the longer ones
    shifts = 3 * lengths[:, 0] + rng.normal(size=200)
    raw = adjusted_mean("text_preference_adjusted", shifts, np.empty((200, 0)), draws).jackknife
    adjusted = adjusted_mean("text_preference_adjusted", shifts, lengths, draws).jackknife
    assert raw.t > 10
    assert abs(adjusted.t) < 3


def test_a_pair_that_decides_an_adjustment_alone_is_said():
    draws = paired(30)
    covariates = np.zeros((30, 1))
    covariates[7] = 1
    score = adjusted_mean("text_preference_adjusted", np.arange(30.0), covariates, draws)
    assert score.jackknife is None
    assert "a single pair" in score.reason


def test_columns_that_repeat_each_other_change_no_fit():
    rng = np.random.default_rng(7)
    one = np.column_stack([np.ones(20), rng.normal(size=20)])
    target = rng.normal(size=20)
    (value, *_), without = left_out_coefficients(one, target)
    (again, *_), repeated = left_out_coefficients(np.column_stack([one, one[:, 1]]), target)
    assert value == pytest.approx(again)
    np.testing.assert_allclose(without[:, 0], repeated[:, 0])


def test_a_gain_over_itself_is_the_score():
    draws = paired(20)
    score = adjusted_mean("text_preference_adjusted", np.arange(20.0), np.empty((20, 0)), draws)
    found = gain(zero_score("text_preference_adjusted", score).jackknife, score.jackknife)
    assert (found.value, found.se) == (score.jackknife.value, pytest.approx(score.jackknife.se))


@pytest.mark.parametrize("make", [paired, single])
def test_a_planted_gain_is_found_as_often_as_its_interval_says(make):
    draws = make(40)
    values = np.random.default_rng(8).normal(size=80) * 2 + 5
    held = 0
    for seed in range(300):
        interval = planted_gain(values, draws, 1.0, seed).interval()
        held += interval.low <= 1.0 <= interval.high
    assert 0.91 <= held / 300 <= 0.985
    # The guard can fail: nothing planted is not found.
    missed = [planted_gain(values, draws, 0.0, seed).interval() for seed in range(100)]
    assert np.mean([one.low > 0 for one in missed]) < 0.1
