"""Gain, gap, retention, verdicts and families of p values, against closed forms, scipy and brute force."""

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from isogloss.stats.effects import (
    Retention,
    disagree,
    false_discovery,
    fieller,
    gain,
    gap,
    max_p,
    mde,
    read_verdict,
    retentions,
)
from isogloss.stats.jackknife import Interval, Jackknife, combine, covariance, critical_value, delete_one

NAN = float("nan")
LEVEL = 0.95


def of_mean(x, units):
    left = (x.sum() - x) / (len(x) - 1)
    return delete_one(x.mean(), left, np.asarray(units, dtype=np.uint64))


def column(influence, *, value, units=None, df=200):
    units = np.arange(len(influence)) if units is None else units
    return Jackknife(
        value=value, influence=np.asarray(influence, dtype=float), units=np.asarray(units, dtype=np.uint64), df=df
    )


def rng(seed=0):
    return np.random.default_rng(seed)


# Gain and gap


def test_a_gain_is_a_paired_difference_aligned_minus_reference():
    x, y = rng(1).normal(size=(2, 30)) + rng(2).normal(size=30)
    found = gain(of_mean(x, range(30)), of_mean(y, range(30)))
    expected = scipy.stats.ttest_rel(y, x)
    assert found.value == pytest.approx(y.mean() - x.mean())
    assert found.t == pytest.approx(expected.statistic, rel=1e-10)
    interval, other = found.interval(), expected.confidence_interval()
    assert (interval.low, interval.high) == pytest.approx((other.low, other.high))


def test_a_gain_over_oneself_is_exactly_nothing():
    one = of_mean(rng(3).normal(size=30), range(30))
    assert gain(one, one).interval() == Interval(low=0.0, high=0.0)


def test_a_gap_is_the_pivots_gain_minus_a_languages_and_pairs_what_they_share():
    x, y = rng(4).normal(1, 1, size=30), rng(5).normal(0, 2, size=20)
    independent = gap(of_mean(x, range(30)), of_mean(y, range(100, 120)))
    assert independent.value == pytest.approx(x.mean() - y.mean())
    assert independent.t == pytest.approx(scipy.stats.ttest_ind(x, y, equal_var=False).statistic, rel=1e-10)
    paired = gap(of_mean(x[:20], range(20)), of_mean(y, range(20)))
    assert paired.t == pytest.approx(scipy.stats.ttest_rel(x[:20], y).statistic, rel=1e-10)


def test_a_gap_of_the_detectable_size_is_found_with_ninety_percent_power():
    pivot, own = column([3.0, 0.0], value=5.0), column([4.0, 0.0], value=2.0, units=[7, 8])
    assert gap(pivot, own).se == 5
    assert mde(gap(pivot, own)) == pytest.approx(5 * 3.24)
    z = mde(gap(pivot, own)) / gap(pivot, own).se
    two_sided = scipy.stats.norm.ppf(0.975)
    assert scipy.stats.norm.sf(two_sided - z) + scipy.stats.norm.cdf(-two_sided - z) == pytest.approx(0.9, abs=0.001)


# Fieller's set


def ratio_case(seed, *, own=0.6, pivot=1.0, noise=1.0):
    draw = rng(seed)
    a, b = draw.normal(scale=noise, size=(2, 30)) / 10
    return column(a, value=own), column(b, value=pivot, units=np.arange(15, 45))


def distance(r, own, pivot):
    """|own - r pivot| in standard errors."""
    contrast = combine((1.0, own), (-r, pivot))
    return abs(contrast.value) / contrast.se


@pytest.mark.parametrize("noise", [0.3, 1.0])
@pytest.mark.parametrize(("own", "pivot"), [(0.6, 2.0), (-0.6, 2.0), (0.6, -2.0), (0.0, 2.0)])
def test_fiellers_set_ends_where_the_contrast_is_critical(own, pivot, noise):
    top, bottom = ratio_case(6, own=own, pivot=pivot, noise=noise)
    found, centre = fieller(top, bottom, 2.2), own / pivot
    ends = [
        scipy.optimize.brentq(lambda r: distance(r, top, bottom) - 2.2, *bracket)
        for bracket in ((centre - 50, centre), (centre, centre + 50))
    ]
    assert (found.low, found.high) == pytest.approx(ends, rel=1e-9)
    assert found.low < centre < found.high


def test_fiellers_set_of_independent_estimates_has_its_closed_form():
    own, pivot = column([0.3], value=2.0), column([0.2], value=4.0, units=[9])
    g, r = (1.96 * 0.2 / 4) ** 2, 0.5
    half = 1.96 / 4 * math.sqrt(0.3**2 * (1 - g) + r**2 * 0.2**2)
    found = fieller(own, pivot, 1.96)
    assert (found.low, found.high) == pytest.approx(((r - half) / (1 - g), (r + half) / (1 - g)), rel=1e-12)


def test_fiellers_set_is_missing_where_the_denominator_is_not_clear_of_zero():
    own, clear = column([0.3], value=2.0), column([0.2], value=4.0, units=[9])
    assert not math.isnan(fieller(own, clear, 19.9).low)
    for critical in (20.0, 20.1, 100.0):
        found = fieller(own, clear, critical)
        assert math.isnan(found.low)
        assert math.isnan(found.high)
    for pivot in (column([0.0], value=0.0), column([0.2], value=0.0), column([0.2], value=NAN)):
        assert math.isnan(fieller(own, pivot, 2.0).low)


def test_a_language_that_is_the_pivot_has_retention_one_without_width():
    _, pivot = ratio_case(7, noise=0.3)
    found = fieller(pivot, pivot, 2.0)
    assert (found.low, found.high) == pytest.approx((1.0, 1.0), abs=1e-6)


# Retention


def uncorrelated_pair():
    """A language with retention .6 whose contrast with the pivot is independent of the pivot's gain."""
    pivot, noise = column([0.1, -0.1], value=1.0), column([0.05, -0.05], value=0.0, units=[7, 8])
    return combine((0.6, pivot), (1.0, noise)), pivot


def test_the_set_of_one_language_covers_a_family_of_two_the_pivot_and_the_contrast():
    own, pivot = uncorrelated_pair()
    found = retentions({"de": (own, pivot)}, LEVEL, rng())["de"]
    # With 200 degrees of freedom the quantile of the larger of two is Sidak's, within .03.
    critical = scipy.stats.t.ppf((1 + LEVEL**0.5) / 2, 200)
    expected = fieller(own, pivot, critical)
    assert found.value == pytest.approx(0.6)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.002)
    single = fieller(own, pivot, scipy.stats.t.ppf((1 + LEVEL) / 2, 200))
    assert found.low < single.low < single.high < found.high
    assert found.reason is None
    assert found.verdict == "weakened"


def test_the_critical_value_is_that_of_the_pivot_and_all_contrasts_together():
    draw = rng(8)
    pivot = column(draw.normal(size=40) / 40, value=1.0)
    matched = column(draw.normal(size=40) / 40, value=0.8)
    owns = {
        code: column(draw.normal(size=40) / 40, value=value) for code, value in (("de", 0.9), ("fr", 0.2), ("hi", 0.5))
    }
    pivots = {"de": pivot, "fr": pivot, "hi": matched}
    found = retentions({code: (own, pivots[code]) for code, own in owns.items()}, LEVEL, rng(3))
    contrasts = [combine((1.0, own), (-own.value / pivots[code].value, pivots[code])) for code, own in owns.items()]
    critical = critical_value([pivot, matched, *contrasts], LEVEL, rng(3))
    for code, own in owns.items():
        expected = fieller(own, pivots[code], critical)
        assert (found[code].low, found[code].high) == pytest.approx((expected.low, expected.high), rel=1e-12)
        assert found[code].value == pytest.approx(own.value / pivots[code].value)


def test_more_languages_make_every_set_wider():
    own, pivot = uncorrelated_pair()
    many = {f"l{i}": (column([0.05, -0.05], value=0.6, units=[100 + 2 * i, 101 + 2 * i]), pivot) for i in range(8)}
    alone = retentions({"de": (own, pivot)}, LEVEL, rng())["de"]
    among = retentions({"de": (own, pivot), **many}, LEVEL, rng())["de"]
    assert among.low < alone.low < alone.high < among.high


@pytest.mark.parametrize("value", [0.0, 0.1, -5.0])
def test_without_a_clear_gain_of_the_pivot_retention_is_missing_and_says_why(value):
    found = retentions({"de": (column([0.1], value=0.6), column([0.1], value=value, units=[9]))}, LEVEL, rng())["de"]
    assert np.isnan([found.value, found.low, found.high]).all()
    assert found.reason == "the pivot's gain is not clear of zero"
    assert found.verdict == "inconclusive"


def test_models_that_are_the_same_gain_nothing_and_retain_nothing_that_can_be_named():
    nothing = column([0.0, 0.0], value=0.0)
    found = retentions({"de": (nothing, nothing), "fr": (nothing, nothing)}, LEVEL, rng())
    assert [one.verdict for one in found.values()] == ["inconclusive"] * 2
    assert {one.reason for one in found.values()} == {"the pivot's gain is not clear of zero"}


def test_a_language_with_the_pivots_own_texts_is_reached_and_changes_nothing_for_the_others():
    own, pivot = uncorrelated_pair()
    alone = retentions({"de": (own, pivot)}, LEVEL, rng())["de"]
    found = retentions({"en2": (pivot, pivot), "de": (own, pivot)}, LEVEL, rng())
    assert found["en2"].verdict == "reached"
    assert found["de"] == alone


def test_no_languages_have_no_retentions():
    assert retentions({}, LEVEL, rng()) == {}


def test_the_sets_of_all_languages_hold_together_as_often_as_they_say():
    true, covered = np.array([1.0, 0.5, 0.0]), []
    for seed in range(250):
        draw = rng([9, seed])
        shared, size = draw.normal(size=(60, 1)), 60
        noise = shared + draw.normal(size=(size, 4))
        samples = 0.8 * noise + np.r_[1.0, true]  # the pivot's gain is ten standard errors
        pivot, *owns = (of_mean(sample, range(size)) for sample in samples.T)
        found = retentions({str(i): (own, pivot) for i, own in enumerate(owns)}, LEVEL, draw)
        covered.append(all(one.low <= r <= one.high for one, r in zip(found.values(), true, strict=True)))
    # .95 with a standard error of .014, or a little more: the pivot's gain is in the family too.
    assert 0.915 <= np.mean(covered) <= 0.99


# Verdicts


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.5, -0.01, "reversed"),
        (-0.5, 0.0, "not reached"),
        (-0.1, 0.2, "not reached"),
        (0.1, 0.2499, "not reached"),
        (0.1, 0.25, "lagging"),
        (-0.5, 0.79, "lagging"),
        (0.25, 0.5, "lagging"),
        (0.2501, 0.5, "weakened"),
        (0.3, 0.7999, "weakened"),
        (0.3, 0.8, "inconclusive"),
        (-0.1, 1.0, "inconclusive"),
        (0.8, 1.2, "inconclusive"),
        (0.8001, 0.9, "reached"),
        (0.9, 7.0, "reached"),
        (NAN, NAN, "inconclusive"),
        (0.9, NAN, "inconclusive"),
        (NAN, 0.1, "inconclusive"),
        (-math.inf, 0.1, "not reached"),
        (0.9, math.inf, "reached"),
        (-math.inf, math.inf, "inconclusive"),
    ],
)
def test_verdicts_are_read_off_the_set_first_match(low, high, verdict):
    assert read_verdict(Interval(low=low, high=high)) == verdict
    assert Retention(value=0.5, low=low, high=high).verdict == verdict


CLEAR, FALL, UNCLEAR = Interval(low=0.1, high=0.3), Interval(low=-0.3, high=-0.1), Interval(low=-0.1, high=0.2)
SHORT = ["weakened", "lagging", "not reached", "reversed"]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("reached", CLEAR), ("reached", CLEAR), False),
        *[(("reached", CLEAR), (verdict, CLEAR), True) for verdict in SHORT],
        (("reached", CLEAR), ("inconclusive", CLEAR), False),
        (("reached", CLEAR), ("confounded", CLEAR), False),
        *[((one, CLEAR), (other, CLEAR), False) for one in SHORT for other in SHORT],
        (("inconclusive", CLEAR), ("inconclusive", FALL), True),
        (("reached", CLEAR), ("reached", FALL), True),
        (("inconclusive", CLEAR), ("inconclusive", UNCLEAR), False),
        (("inconclusive", FALL), ("inconclusive", UNCLEAR), False),
        (("inconclusive", FALL), ("inconclusive", FALL), False),
        (("inconclusive", CLEAR), ("inconclusive", Interval(low=-0.3, high=0.0)), False),
        (("inconclusive", CLEAR), ("inconclusive", Interval(low=NAN, high=NAN)), False),
        (("reached", CLEAR), ("lagging", Interval(low=NAN, high=NAN)), True),
    ],
)
def test_component_score_and_probe_score_disagree_if_signs_differ_or_one_alone_says_reached(one, other, expected):
    assert disagree(one, other) is expected
    assert disagree(other, one) is expected


# Families of p values


def max_p_by_loops(observed, null):
    n, cells = null.shape
    both = [[observed[c], *null[:, c]] for c in range(cells)]  # the true labels are one labelling among all
    z = [(observed[c] - np.mean(both[c])) / np.std(both[c]) for c in range(cells)]
    found = []
    for c in range(cells):
        reached = 0
        for b in range(n):
            largest = max((null[b, o] - np.mean(both[o])) / np.std(both[o]) for o in range(cells))
            reached += largest >= z[c]
        found.append((1 + reached) / (1 + n))
    return found


def test_family_wise_p_values_are_those_of_the_largest_of_all_cells():
    draw = rng(10)
    null = draw.normal(size=(99, 5)) @ draw.normal(size=(5, 5)) * [1, 10, 0.1, 5, 1] + 3
    observed = null.mean(axis=0) + np.array([0.0, 1.0, 1.5, 2.5, 9.0]) * null.std(axis=0)
    found = max_p(observed, null)
    assert found == pytest.approx(max_p_by_loops(observed, null), abs=1e-12)
    assert found[4] == 0.01
    single = [(1 + (null[:, c] >= observed[c]).sum()) / 100 for c in range(5)]
    assert (found >= single).all()
    assert (found[:3] > single[:3]).all()


def test_a_family_of_one_has_the_ordinary_permutation_p():
    null = rng(11).exponential(size=(999, 1))
    for observed in (0.0, 0.5, 2.0, 100.0):
        assert max_p(np.array([observed]), null)[0] == (1 + (null >= observed).sum()) / 1000


def test_permutations_that_tie_with_the_observed_value_but_for_rounding_count():
    null = rng(18).normal(size=(99, 2))
    observed = null[np.arange(2), np.arange(2)]
    expected = max_p(observed, null)
    assert np.array_equal(max_p(observed + 1e-14, null), expected)
    assert (max_p(observed[:1] + 1e-14, null[:, :1]) == (1 + (null[:, 0] >= observed[0]).sum()) / 100).all()
    assert (max_p(observed[:1] + 1e-3, null[:, :1]) < max_p(observed[:1], null[:, :1])).all()


def test_with_few_permutations_a_family_is_rejected_as_often_as_it_says():
    """On a scale that the observed labels had no part in, it would be 13 % here."""
    rejected = 0
    for seed in range(3000):
        values = rng([19, seed]).normal(size=(20, 9))
        rejected += max_p(values[0], values[1:]).min() <= 0.05
    assert 0.036 <= rejected / 3000 <= 0.064  # 5 % and 3.5 standard errors


def test_without_any_separation_few_families_have_a_small_p():
    smallest = []
    for seed in range(400):
        values = rng([12, seed]).normal(size=(100, 6)) + rng([13, seed]).normal(size=(100, 1))
        smallest.append(max_p(values[0], values[1:]).min())
    assert 0.03 <= np.mean(np.array(smallest) <= 0.05) <= 0.085  # .05, its standard error .011


def test_the_units_of_a_cell_do_not_matter_to_a_family():
    null, observed = rng(14).normal(size=(99, 3)), np.array([1.0, 2.0, 3.0])
    scale, shift = np.array([1e-3, 1.0, 1e4]), np.array([0.5, -7.0, 100.0])
    assert np.array_equal(max_p(observed * scale + shift, null * scale + shift), max_p(observed, null))


def test_a_cell_with_missing_numbers_does_not_make_a_family_significant():
    null, observed = rng(15).normal(size=(99, 3)), np.array([0.0, 1.0, 2.0])
    expected = max_p(observed[:2], null[:, :2])
    gone = null.copy()
    gone[:, 2] = np.nan
    # A cell without a value has no p and plays no part.
    found = max_p(np.array([0.0, 1.0, np.nan]), gone)
    assert np.array_equal(found[:2], expected)
    assert np.isnan(found[2])
    # One that some permutation has no value for keeps the others, and the other cells keep that permutation.
    some = null.copy()
    some[::10, 2] = np.nan
    found = max_p(observed, some)
    both = np.vstack([observed, some])
    scaled = (both - np.nanmean(both, axis=0)) / np.nanstd(both, axis=0)
    z, largest = scaled[0], np.nanmax(scaled[1:], axis=1)
    assert found == pytest.approx([(1 + (largest >= one).sum()) / 100 for one in z], abs=1e-12)
    # A single cell: the ordinary p of the permutations that have a value.
    known = some[~np.isnan(some[:, 2]), 2]
    assert max_p(observed[2:], some[:, 2:])[0] == (1 + (known >= 2.0).sum()) / (1 + len(known))


def test_false_discovery_is_benjamini_and_hochbergs_step_up():
    p = np.append(rng(16).uniform(size=20) ** 3, [0.02, 0.02])
    order, n = np.argsort(p), len(p)
    expected, least = np.empty(n), 1.0
    for rank in range(n, 0, -1):
        least = min(least, p[order[rank - 1]] * n / rank)
        expected[order[rank - 1]] = least
    assert false_discovery(p) == pytest.approx(expected, rel=1e-12)
    assert false_discovery(p) == pytest.approx(scipy.stats.false_discovery_control(p), rel=1e-12)


def test_missing_p_values_stay_missing_and_do_not_count():
    p = np.array([0.01, np.nan, 0.04, 0.03, np.nan])
    found = false_discovery(p)
    assert np.array_equal(np.isnan(found), np.isnan(p))
    assert found[[0, 2, 3]] == pytest.approx([0.03, 0.04, 0.04])
    assert np.isnan(false_discovery(np.array([np.nan, np.nan]))).all()
    assert len(false_discovery(np.empty(0))) == 0


def test_covariance_of_gains_is_what_fieller_reads():
    own, pivot = ratio_case(17)
    cov = covariance([own, pivot])
    shared = own.influence[15:] @ pivot.influence[:15]
    assert cov[0, 1] == pytest.approx(shared)
    assert abs(cov[0, 1]) > 0.001
