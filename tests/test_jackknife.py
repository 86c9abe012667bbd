"""The jackknife and everything that is read off its columns, against closed forms, scipy and brute force."""

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from isogloss.stats.jackknife import (
    Interval,
    Jackknife,
    bias,
    combine,
    covariance,
    critical_value,
    delete_one,
    stack,
    with_null,
)
from plain import pseudo_mean


def left_out(statistic, x):
    return np.array([statistic(np.delete(x, i, axis=0)) for i in range(len(x))])


def of_mean(x, units):
    """Jackknife of a mean: the simplest estimate whose standard error everybody knows."""
    return delete_one(x.mean(), left_out(np.mean, x), np.asarray(units, dtype=np.uint64))


def column(influence, *, value=0.0, units=None, df=20):
    influence = np.asarray(influence, dtype=float)
    units = np.arange(len(influence)) if units is None else units
    return Jackknife(value=value, influence=influence, units=np.asarray(units, dtype=np.uint64), df=df)


# Leaving out one unit


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99375])
def test_the_jackknife_of_a_mean_is_students_interval_and_test(level):
    x = np.random.default_rng(1).normal(0.5, 2, size=25)
    found, expected = of_mean(x, range(25)), scipy.stats.ttest_1samp(x, 0)
    interval = expected.confidence_interval(level)
    assert found.value == pytest.approx(x.mean(), rel=1e-12)
    assert found.df == 24
    assert found.se == pytest.approx(x.std(ddof=1) / 5, rel=1e-12)
    assert found.t == pytest.approx(expected.statistic, rel=1e-10)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-10)
    assert (found.interval(level).low, found.interval(level).high) == pytest.approx((interval.low, interval.high))
    assert found.influence.sum() == pytest.approx(0, abs=1e-12)


def test_a_variance_over_n_becomes_the_unbiased_one():
    x = np.random.default_rng(2).exponential(size=30)
    found = delete_one(x.var(), left_out(np.var, x), np.arange(30))
    assert found.value == pytest.approx(x.var(ddof=1), rel=1e-12)
    assert abs(found.value - x.var()) > 0.01


def test_the_value_is_the_mean_of_the_pseudo_values():
    rng = np.random.default_rng(3)
    x, strata = rng.exponential(size=30), np.arange(30) % 3 == 0
    left = left_out(lambda x: np.log(x.mean()), x)
    whole = np.log(x.mean())
    assert delete_one(whole, left, np.arange(30)).value == pytest.approx(pseudo_mean(whole, left), rel=1e-12)
    found = delete_one(whole, left, np.arange(30), strata.astype(int))
    assert found.value == pytest.approx(pseudo_mean(whole, left, strata), rel=1e-12)


def two_samples(seed=4):
    rng = np.random.default_rng(seed)
    strata = rng.permutation(np.arange(40) < 12)
    return np.where(strata, rng.normal(1, 3, size=40), rng.normal(0, 1, size=40)), strata


def without_each(statistic, x, strata):
    return np.array([statistic(np.delete(x, i), np.delete(strata, i)) for i in range(len(x))])


def difference(x, strata):
    return x[strata].mean() - x[~strata].mean()


def test_strata_give_welchs_standard_error_of_a_difference():
    x, strata = two_samples()
    left = without_each(difference, x, strata)
    found = delete_one(difference(x, strata), left, np.arange(40), strata.astype(int))
    welch = scipy.stats.ttest_ind(x[strata], x[~strata], equal_var=False)
    assert found.value == pytest.approx(difference(x, strata), rel=1e-12)
    assert found.t == pytest.approx(welch.statistic, rel=1e-10)
    assert found.df == 38
    # One stratum is another thing.
    assert delete_one(0.0, left, np.arange(40)).se != pytest.approx(found.se, rel=0.01)


def test_strata_take_the_bias_of_both_classes_off_a_squared_difference():
    x, strata = two_samples()
    left = without_each(lambda x, side: difference(x, side) ** 2, x, strata)
    found = delete_one(difference(x, strata) ** 2, left, np.arange(40), strata.astype(int))
    errors = [x[side].var(ddof=1) / side.sum() for side in (strata, ~strata)]
    # d^2 has the bias s1^2 / n1 + s2^2 / n2, and the jackknife removes exactly that.
    assert found.value == pytest.approx(difference(x, strata) ** 2 - sum(errors), rel=1e-10)


def test_biases_of_many_labelings_at_once_are_those_of_each():
    rng = np.random.default_rng(5)
    left, plug_in = rng.normal(size=(20, 3)), rng.normal(size=3)
    strata = np.array([rng.permutation(np.arange(20) < n) for n in (7, 10, 12)]).T
    for with_strata in (False, True):
        found = bias(plug_in, left, strata if with_strata else None)
        for b in range(3):
            side = strata[:, b] if with_strata else None
            assert found[b] == pytest.approx(plug_in[b] - pseudo_mean(plug_in[b], left[:, b], side), abs=1e-10)
            assert float(bias(plug_in[b], left[:, b], side)) == pytest.approx(found[b], abs=1e-12)


def test_entries_stand_in_the_order_of_the_ids_whatever_the_order_of_units():
    rng = np.random.default_rng(6)
    x, units, strata = rng.normal(size=10), rng.permutation(10).astype(np.uint64) * 7, np.arange(10) % 2
    left = left_out(np.mean, x)
    found = delete_one(x.mean(), left, units, strata)
    order = rng.permutation(10)
    again = delete_one(x.mean(), left[order], units[order], strata[order])
    assert np.array_equal(found.units, np.sort(units))
    assert found.influence == pytest.approx(again.influence, abs=1e-15)
    mean_of = {s: x[strata == s].mean() for s in (0, 1)}
    signs = [np.sign(x[units == unit][0] - mean_of[strata[units == unit][0]]) for unit in found.units]
    assert np.array_equal(np.sign(found.influence), signs)


# Intervals


def test_values_that_do_not_change_when_units_are_left_out_have_an_interval_without_width():
    found = delete_one(0.5, np.full(25, 0.5), np.arange(25))
    assert found.interval() == Interval(low=0.5, high=0.5)
    assert np.isnan(found.t)
    assert np.isnan(found.p_value)


def test_a_critical_value_takes_the_place_of_the_t_quantile():
    found = column([3.0, -4.0], value=1.0)
    assert found.se == 5
    assert found.interval(critical=2.0) == Interval(low=-9.0, high=11.0)
    assert found.interval(0.5, critical=2.0) == Interval(low=-9.0, high=11.0)
    assert found.interval(critical=0.0) == Interval(low=1.0, high=1.0)
    narrow, wide = found.interval(0.9), found.interval(0.99)
    assert wide.low < narrow.low < 1 < narrow.high < wide.high


# Sums of estimates


def test_estimates_of_the_same_units_are_paired():
    x, y = np.random.default_rng(8).normal(size=(2, 25)) + np.random.default_rng(9).normal(size=25)
    units = np.random.default_rng(10).permutation(25)
    found = combine((1.0, of_mean(x, units)), (-1.0, of_mean(y, units)))
    expected = scipy.stats.ttest_rel(x, y)
    assert found.t == pytest.approx(expected.statistic, rel=1e-10)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-10)


def test_estimates_of_other_units_are_independent():
    rng = np.random.default_rng(11)
    x, y = rng.normal(1, 1, size=25), rng.normal(0, 3, size=15)
    found = combine((1.0, of_mean(x, range(25))), (-1.0, of_mean(y, range(100, 115))))
    assert found.t == pytest.approx(scipy.stats.ttest_ind(x, y, equal_var=False).statistic, rel=1e-10)
    assert found.df == 14
    assert covariance([of_mean(x, range(25)), of_mean(y, range(100, 115))])[0, 1] == 0


def test_estimates_that_share_some_units_are_paired_in_these():
    rng = np.random.default_rng(12)
    ids = [rng.permutation(40)[:n] for n in (25, 15, 30)]
    samples, weights = [rng.normal(size=len(one)) for one in ids], (1.0, -2.0, 0.5)
    found = combine(*((w, of_mean(x, i)) for w, x, i in zip(weights, samples, ids, strict=True)))
    moves = dict.fromkeys(range(40), 0.0)
    for weight, x, units in zip(weights, samples, ids, strict=True):
        for value, unit in zip(x, units, strict=True):
            moves[unit] += weight * (value - x.mean()) / np.sqrt(len(x) * (len(x) - 1))
    assert found.se == pytest.approx(np.sqrt(sum(move**2 for move in moves.values())), rel=1e-10)
    assert found.value == pytest.approx(sum(w * x.mean() for w, x in zip(weights, samples, strict=True)))
    assert found.units.tolist() == sorted(set(np.concatenate(ids).tolist()))
    assert found.df == 14


def test_a_sum_of_one_estimate_is_that_estimate_and_sums_of_sums_are_sums():
    rng = np.random.default_rng(13)
    a, b, c = (of_mean(rng.normal(size=9), rng.permutation(14)[:9]) for _ in range(3))
    assert combine((1.0, a)).influence == pytest.approx(a.influence)
    at_once, in_steps = combine((1.0, a), (-1.0, b), (2.0, c)), combine((1.0, combine((1.0, a), (-1.0, b))), (2.0, c))
    assert in_steps.se == pytest.approx(at_once.se, rel=1e-12)
    assert in_steps.value == pytest.approx(at_once.value)


def test_the_matrix_has_a_column_an_estimate_and_zeros_where_a_unit_plays_no_part():
    big = 2**64 - 1
    found = [column([1, 2], units=[3, 7]), column([5, 6, 4], units=[1, 7, big])]
    matrix, units = stack(found)
    assert units.tolist() == [1, 3, 7, big]
    assert matrix.tolist() == [[0, 5], [1, 0], [2, 6], [0, 4]]
    assert covariance(found).tolist() == [
        [5, 12],
        [12, 77],
    ]


# What the null adds


def test_the_spread_of_the_null_adds_to_the_variance():
    rng = np.random.default_rng(14)
    found, null = of_mean(rng.normal(size=20), range(20)), rng.normal(3.0, 0.5, size=200)
    joined = with_null(found, null, np.arange(1000, 1200, dtype=np.uint64))
    assert joined.se**2 == pytest.approx(found.se**2 + null.var(ddof=1), rel=1e-10)
    assert (joined.value, joined.df) == (found.value, found.df)
    assert np.array_equal(joined.units, np.r_[np.arange(20), np.arange(1000, 1200)])


def test_estimates_that_share_permutations_stay_paired_in_them():
    rng = np.random.default_rng(15)
    x, y = (of_mean(rng.normal(size=20), range(20)) for _ in range(2))
    null = rng.normal(size=(2, 200)) + rng.normal(size=200)
    ids = rng.permutation(10_000)[:400].astype(np.uint64) + 1000
    shared = combine((1.0, with_null(x, null[0], ids[:200])), (-1.0, with_null(y, null[1], ids[:200])))
    apart = combine((1.0, with_null(x, null[0], ids[:200])), (-1.0, with_null(y, null[1], ids[200:])))
    units = combine((1.0, x), (-1.0, y)).se ** 2
    assert shared.se**2 == pytest.approx(units + (null[0] - null[1]).var(ddof=1), rel=1e-10)
    assert apart.se**2 == pytest.approx(units + null[0].var(ddof=1) + null[1].var(ddof=1), rel=1e-10)


@pytest.mark.parametrize("null", [[], [0.7]])
def test_a_null_of_one_shuffle_or_none_adds_nothing(null):
    found = column([3.0, -4.0])
    assert with_null(found, np.array(null), np.arange(100, 100 + len(null), dtype=np.uint64)).se == 5


# Simultaneous bands


def largest_t(m, df, level):
    """Quantile of the largest |t| of m independent estimates that share a standard error with df degrees of freedom."""

    chances = (np.arange(20_000) + 0.5) / 20_000
    spread = np.sqrt(scipy.stats.chi2.ppf(chances, df) / df)

    def holds(c):
        return ((2 * scipy.stats.norm.cdf(c * spread) - 1) ** m).mean() - level

    return scipy.optimize.brentq(holds, 1, 20)


def independent(m, df=20):
    rng = np.random.default_rng(16)
    return [column(rng.uniform(0.1, 10) * np.array([1.0, -1.0]), units=[2 * i, 2 * i + 1], df=df) for i in range(m)]


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize(("m", "df"), [(2, 20), (9, 20), (9, 5)])
def test_the_critical_value_of_independent_estimates_is_that_of_the_largest_t(m, df, level):
    found = critical_value(independent(m, df), level, np.random.default_rng(0))
    assert found == pytest.approx(largest_t(m, df, level), rel=0.02)
    assert found > 1.05 * scipy.stats.t.ppf((1 + level) / 2, df)


def test_with_many_degrees_of_freedom_the_critical_value_is_sidaks():
    found = critical_value(independent(5, 100_000), 0.95, np.random.default_rng(0))
    assert found == pytest.approx(scipy.stats.norm.ppf((1 + 0.95 ** (1 / 5)) / 2), abs=0.02)


def test_one_estimate_has_the_t_quantile_as_critical_value_exactly():
    for df in (3, 24, 500):
        found = critical_value(independent(1, df), 0.95, np.random.default_rng(0))
        assert found == scipy.stats.t.ppf(0.975, df)


def test_estimates_in_step_count_as_one_and_the_least_df_decides():
    one = column([1.0, -2.0, 1.0], df=50)
    in_step = [one, column(-3 * one.influence, df=12), column(0.1 * one.influence, df=50)]
    found = critical_value(in_step, 0.95, np.random.default_rng(0))
    assert found == pytest.approx(scipy.stats.t.ppf(0.975, 12), rel=0.02)


def test_the_critical_value_of_correlated_estimates_is_that_of_a_drawn_multivariate_t():
    rng = np.random.default_rng(17)
    found = [column(rng.normal(size=30) + 2 * np.linspace(-1, 1, 30)) for _ in range(4)]
    cov = covariance(found)
    correlation = cov / np.sqrt(np.outer(np.diag(cov), np.diag(cov)))
    assert 0.3 < np.abs(correlation[np.triu_indices(4, 1)]).max() < 0.95
    law = scipy.stats.multivariate_t(shape=correlation, df=20, seed=18)
    expected = np.quantile(np.abs(law.rvs(200_000)).max(axis=1), 0.95)
    assert critical_value(found, 0.95, np.random.default_rng(0)) == pytest.approx(expected, abs=0.03)


def test_the_critical_value_depends_on_the_seed_in_the_third_digit_only():
    values = [critical_value(independent(6), 0.95, np.random.default_rng(seed)) for seed in (0, 0, 1, 2)]
    assert values[0] == values[1] != values[2]
    assert np.ptp(values) < 0.04


def test_estimates_without_a_standard_error_do_not_widen_the_band_of_the_others():
    flat = column([0.0, 0.0])
    expected = critical_value(independent(3), 0.95, np.random.default_rng(0))
    assert critical_value([flat, *independent(3), flat], 0.95, np.random.default_rng(0)) == expected
    assert critical_value([flat, flat], 0.95, np.random.default_rng(0)) == scipy.stats.t.ppf(0.975, 20)


@pytest.mark.parametrize("at_once", [1, 3, 8, 1000])
def test_covariances_are_sums_over_shared_units_however_many_are_taken_at_once(at_once, monkeypatch):
    monkeypatch.setattr("isogloss.stats.jackknife.UNITS_AT_ONCE", at_once)
    rng = np.random.default_rng(3)
    found = [column(rng.normal(size=n), units=np.sort(rng.choice(40, n, replace=False))) for n in (5, 17, 40, 1)]
    entries = [dict(zip(one.units.tolist(), one.influence.tolist(), strict=True)) for one in found]
    expected = [[sum(one[unit] * other.get(unit, 0) for unit in one) for other in entries] for one in entries]
    np.testing.assert_allclose(covariance(found), expected, atol=1e-12)
