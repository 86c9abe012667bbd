"""The Bhattacharyya distance in closed form, and its jackknife estimate against leaving out unit after unit."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from isogloss.stats.overlap import bhattacharyya_estimates, gaussian_overlap
from isogloss.stats.text_pairs import unit_codes
from plain import bhattacharyya, kept, labels_and_partners, permuted, pseudo_mean, states

BOTH = pytest.mark.parametrize("paired", [False, True])


def overlap(shift, first, second):
    return float(gaussian_overlap(np.atleast_1d(shift), np.atleast_2d(first), np.atleast_2d(second)))


# The distance


def test_it_is_minus_the_log_of_the_integrated_root_of_both_densities():
    one, two = scipy.stats.norm(-0.5, 1.0), scipy.stats.norm(1.0, 2.5)
    shared, _ = scipy.integrate.quad(lambda t: np.sqrt(one.pdf(t) * two.pdf(t)), -40, 40)
    assert overlap(1.5, 1.0, 6.25) == pytest.approx(-np.log(shared), rel=1e-8)


def test_closed_forms():
    covariance, shift = np.array([[2.0, 0.6], [0.6, 1.0]]), np.array([1.0, -2.0])
    assert overlap(shift, covariance, covariance) == pytest.approx(shift @ np.linalg.inv(covariance) @ shift / 8)
    assert overlap(np.zeros(2), covariance, covariance) == pytest.approx(0, abs=1e-14)
    # Spread alone: k / 2 ln((1 + s) / (2 sqrt(s))).
    assert overlap(np.zeros(3), np.eye(3), 4 * np.eye(3)) == pytest.approx(1.5 * np.log(5 / 4))
    assert overlap(0.0, 1.0, 9.0) == pytest.approx(0.5 * np.log(10 / 6))


def random_covariances(rng, n, k):
    roots = rng.normal(size=(n, k, k + 2))
    return roots @ roots.transpose(0, 2, 1)


def test_many_at_once_are_as_each_alone_and_order_or_axes_do_not_matter():
    rng = np.random.default_rng(1)
    shift, first, second = rng.normal(size=(6, 3)), random_covariances(rng, 6, 3), random_covariances(rng, 6, 3)
    found = gaussian_overlap(shift, first, second)
    assert found == pytest.approx([overlap(*one) for one in zip(shift, first, second, strict=True)], rel=1e-12)
    assert gaussian_overlap(-shift, second, first) == pytest.approx(found, rel=1e-12)
    mix = rng.normal(size=(3, 3))
    assert gaussian_overlap(shift @ mix.T, mix @ first @ mix.T, mix @ second @ mix.T) == pytest.approx(found, rel=1e-8)
    assert (found > 0).all()


def test_it_is_missing_where_a_covariance_is_singular_and_there_only():
    flat, sound = np.diag([1.0, 0.0]), np.eye(2)
    shift, first = np.ones((4, 2)), np.array([flat, sound, sound, flat])
    found = gaussian_overlap(shift, first, np.array([sound, flat, sound, flat]))
    assert np.isnan(found).tolist() == [True, True, False, True]
    assert found[2] == pytest.approx(0.25)
    # Small is not singular.
    assert overlap(np.zeros(2), 1e-20 * sound, 1e-20 * sound) == pytest.approx(0, abs=1e-12)


# The jackknife estimate


def estimate(z, harmful, partners):
    unit_of_row, values = unit_codes(len(z), partners), []
    for unit in range(unit_of_row.max() + 1):
        stays, left = kept(unit_of_row == unit, partners)
        values.append(bhattacharyya(z[stays], harmful[stays], left))
    return pseudo_mean(bhattacharyya(z, harmful), np.array(values), harmful if partners is None else None)


def case(seed, *, paired, n=20, harmless=None, k=3, apart=1.0):
    rng = np.random.default_rng(seed)
    harmful, partners = labels_and_partners(n, paired=paired, rng=rng, harmless=harmless)
    z = states(rng, harmful, partners, apart=apart, spread=np.linspace(2, 1, k)) + 3.0
    z[harmful] *= 1.3
    labels = np.vstack([harmful, permuted(harmful, partners, 4, rng)])
    return z, labels, partners


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(
    ("paired", "n", "harmless"), [(True, 20, None), (False, 20, 20), (False, 12, 31), (False, 31, 12)]
)
def test_estimates_are_the_means_of_pseudo_values(paired, n, harmless, k):
    z, labels, partners = case(2, paired=paired, n=n, harmless=harmless, k=k)
    expected = [estimate(z, side, partners) for side in labels]
    assert bhattacharyya_estimates(z, labels, partners) == pytest.approx(expected, rel=1e-8, abs=1e-9)
    plug_in = [bhattacharyya(z, side) for side in labels]
    assert np.abs(np.array(expected) - plug_in).min() > 1e-3  # the bias is no trifle


@BOTH
def test_estimates_do_not_depend_on_label_names_place_axes_or_chunks(paired, monkeypatch):
    z, labels, partners = case(3, paired=paired)
    found = bhattacharyya_estimates(z, labels, partners)
    mix = np.random.default_rng(3).normal(size=(3, 3))
    assert bhattacharyya_estimates(z, ~labels, partners) == pytest.approx(found, rel=1e-9)
    assert bhattacharyya_estimates(z @ mix + 1e4, labels, partners) == pytest.approx(found, rel=1e-6, abs=1e-7)
    monkeypatch.setattr("isogloss.stats.overlap.CHUNK", 2 * 8 * len(z))  # two labelings at a time
    assert bhattacharyya_estimates(z, labels, partners) == pytest.approx(found, rel=1e-12)


@BOTH
def test_estimates_are_missing_for_labelings_with_a_class_that_does_not_vary_and_for_no_other(paired):
    rng = np.random.default_rng(4)
    harmful, partners = labels_and_partners(10, paired=paired)
    z = rng.normal(size=(20, 2))
    z[:, 1] = 0.0
    z[[0, 1], 1] = z[[10, 11], 1] = [1.0, -2.0]
    # Four rows vary in the second direction, two a class; a labelling that makes all four harmful leaves nothing.
    flat = harmful.copy()
    if paired:
        z[[10, 11, 12, 13], 1] = [0.0, 0.0, 1.0, -2.0]
        flat[[2, 3, 12, 13]] = [False, False, True, True]
    else:
        flat[[8, 9, 10, 11]] = [False, False, True, True]
    # One that leaves a class a single row of the four: without that row it does not vary.
    lone = harmful.copy()
    lone[[2, 12] if paired else [9, 10]] ^= True
    found = bhattacharyya_estimates(z, np.vstack([harmful, flat, lone, harmful]), partners)
    assert np.isnan(found).tolist() == [False, True, True, False]
    assert found[0] == pytest.approx(estimate(z, harmful, partners), rel=1e-8)


@BOTH
def test_the_estimate_is_nearly_unbiased_where_the_plug_in_is_far_off(paired):
    """Equal spherical classes d apart have the distance d^2 / 8 (of twins: the same marginals)."""
    estimates, plug_ins, apart = [], [], 1.2
    for seed in range(300):
        rng = np.random.default_rng([5, seed])
        harmful, partners = labels_and_partners(40, paired=paired)
        z = states(rng, harmful, partners, apart=apart, spread=np.ones(4))
        estimates.append(bhattacharyya_estimates(z, harmful[None, :], partners)[0])
        plug_ins.append(bhattacharyya(z, harmful))
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert np.mean(estimates) == pytest.approx(apart**2 / 8, abs=4 * error)
    assert np.mean(plug_ins) > apart**2 / 8 + 8 * error
