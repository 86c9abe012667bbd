"""The link in simulations with known truth: size and power of its tests, and closed forms."""

import itertools

import numpy as np
import pytest
import scipy.stats

from isogloss.analyses.behaviour.link_statistics import (
    correlate_languages,
    halves,
    mean_slope,
    rank_slope,
    share_units,
    spearman_power,
)
from isogloss.stats.jackknife import Jackknife


def items(n, link, rng, *, common=0.0):
    """Shifts of items that are linked directly, and through a covariate that moves both."""
    covariates = rng.normal(size=(n, 3))
    latent = rng.normal(size=n) + common * covariates[:, 0]
    behaviour = link * latent + rng.normal(size=n) + common * covariates[:, 0]
    return behaviour, latent, covariates


def slope(n, link, rng, *, common=0.0, start=0):
    behaviour, latent, covariates = items(n, link, rng, common=common)
    return rank_slope(behaviour, latent, covariates, np.arange(n) % 5, np.arange(start, start + n))


def test_alone_the_slope_is_spearmans_correlation():
    rng = np.random.default_rng(0)
    behaviour, latent, _ = items(50, 0.5, rng)
    found = rank_slope(behaviour, latent, np.empty((50, 0)), np.zeros(50), np.arange(50))
    assert found.value == pytest.approx(scipy.stats.spearmanr(behaviour, latent).statistic)
    assert found.df == 48


def test_with_covariates_it_is_the_coefficient_of_least_squares():
    rng = np.random.default_rng(1)
    behaviour, latent, covariates = items(60, 0.5, rng)
    folds = np.arange(60) % 5
    found = rank_slope(behaviour, latent, covariates, folds, np.arange(60))
    z = [scipy.stats.zscore(scipy.stats.rankdata(one)) for one in (behaviour, latent, *covariates.T)]
    design = np.column_stack([*z[1:], *(folds == fold for fold in range(5))])
    assert found.value == pytest.approx(np.linalg.lstsq(design, z[0], rcond=None)[0][0])


def test_no_link_is_found_as_rarely_as_the_level_says_though_a_covariate_moves_both():
    rng = np.random.default_rng(2)
    p_values = np.array([slope(80, 0.0, rng, common=1.0).p_value for _ in range(600)])
    assert 0.03 <= (p_values < 0.05).mean() <= 0.075
    behaviour, latent, _ = items(300, 0.0, rng, common=1.0)
    assert scipy.stats.spearmanr(behaviour, latent).pvalue < 1e-6  # unadjusted, it would be


def test_a_link_is_found():
    rng = np.random.default_rng(3)
    assert np.mean([slope(300, 0.2, rng).p_value < 0.05 for _ in range(100)]) > 0.85


def test_nothing_to_rank_gives_no_slope():
    rng = np.random.default_rng(4)
    behaviour, latent, covariates = items(40, 0.5, rng)
    folds, units = np.arange(40) % 5, np.arange(40)
    assert rank_slope(behaviour, np.ones(40), covariates, folds, units) is None
    assert rank_slope(np.ones(40), latent, covariates, folds, units) is None
    few = slice(0, 12)
    assert rank_slope(behaviour[few], latent[few], covariates[few], folds[few], units[few]) is None


def test_the_mean_of_slopes_is_tested_by_t_over_languages():
    values = np.array([0.1, 0.3, 0.2, 0.5])
    found = mean_slope(
        [Jackknife(value=v, influence=np.array([0.1]), units=np.array([i]), df=50) for i, v in enumerate(values)]
    )
    expected = scipy.stats.ttest_1samp(values, 0)
    assert (found.t, found.p_value, found.df) == (
        pytest.approx(expected.statistic),
        pytest.approx(expected.pvalue),
        3,
    )


def test_shared_items_widen_the_mean():
    same = [Jackknife(value=v, influence=np.array([0.1, -0.1]), units=np.array([1, 2]), df=50) for v in (0.3, 0.31)]
    found = mean_slope(same)
    assert share_units(same)
    assert found.se == pytest.approx(np.sqrt(0.02))  # of the items; between languages it would be .005


def test_halves_are_halves_and_belong_to_the_item():
    units = np.random.default_rng(5).integers(0, 2**60, size=21).astype(np.uint64)
    found = halves(units, 10, seed=0)
    assert found.shape == (10, 21)
    assert (found.sum(axis=1) == 10).all()
    order = np.random.default_rng(6).permutation(21)
    assert (halves(units[order], 10, seed=0) == found[:, order]).all()
    assert not (halves(units, 10, seed=1) == found).all()


def test_one_split_is_spearman_with_its_exact_p():
    rng = np.random.default_rng(7)
    latent, behaviour = rng.normal(size=(2, 1, 6))
    found = correlate_languages(latent, behaviour, seed=0)
    assert found.value == pytest.approx(scipy.stats.spearmanr(latent[0], behaviour[0]).statistic)
    null = [
        scipy.stats.spearmanr(latent[0], behaviour[0][list(order)]).statistic
        for order in itertools.permutations(range(6))
    ]
    assert found.p_value == pytest.approx(np.mean(np.abs(null) >= abs(found.value) - 1e-9))
    assert found.exact


def test_several_splits_are_averaged():
    rng = np.random.default_rng(8)
    latent, behaviour = rng.normal(size=(2, 7, 5))
    each = [scipy.stats.spearmanr(a, b).statistic for a, b in zip(latent, behaviour, strict=True)]
    assert correlate_languages(latent, behaviour, seed=0).value == pytest.approx(np.mean(each))


def test_nine_languages_need_a_correlation_of_two_thirds():
    """What the literature's tables say: .683 is the critical value at 5 %, and power at .6 is about a third."""
    line = np.arange(9.0)[None]
    found = correlate_languages(line, line, seed=0)
    assert (found.value, found.p_value) == (pytest.approx(1), pytest.approx(2 / 362_880))
    assert 0.28 <= found.power <= 0.42
    assert spearman_power(9, 0.0, 0) == pytest.approx(0.05, abs=0.015)


def test_above_nine_languages_orders_are_drawn():
    line = np.arange(12.0)[None]
    found = correlate_languages(line, line, seed=0)
    assert not found.exact
    assert 0 < found.p_value < 1e-3


def test_noise_that_both_halves_share_is_what_halves_avoid():
    """Type I error over languages, with item noise in both measures: with the same items on both axes it is far off."""
    rng = np.random.default_rng(9)
    apart, same = [], []
    for _ in range(200):
        noise = rng.normal(size=(6, 40))
        latent, behaviour = noise + rng.normal(size=(6, 40)) * 0.3, noise + rng.normal(size=(6, 40)) * 0.3
        half = halves(np.arange(40, dtype=np.uint64), 1, seed=int(rng.integers(1000)))[0]
        one = latent[:, half].mean(axis=1)[None]
        apart.append(correlate_languages(one, behaviour[:, ~half].mean(axis=1)[None], seed=0).p_value)
        same.append(correlate_languages(one, behaviour[:, half].mean(axis=1)[None], seed=0).p_value)
    assert np.mean(np.array(apart) < 0.05) < 0.09
    assert np.mean(np.array(same) < 0.05) > 0.5


def test_numbers_that_are_missing_are_refused():
    with pytest.raises(ValueError, match="finite"):
        correlate_languages(np.array([[1.0, np.nan]]), np.array([[1.0, 2.0]]), seed=0)
