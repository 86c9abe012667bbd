"""What is drawn once: shuffled labels, jackknife groups and folds, and who shares them."""

import itertools

import numpy as np
import pytest
import scipy.stats

from isogloss.errors import MetricError
from isogloss.separation.pairs import twin_index, unit_ids
from isogloss.separation.probe import N_FOLDS
from isogloss.separation.resample import JACKKNIFE_GROUPS, draw
from plain import labels_and_twins

BOTH = pytest.mark.parametrize("paired", [False, True])


def drawn(n, *, paired, shuffles=5, seed=0, language="de", rng=None, harmless=None):
    harmful, twins = labels_and_twins(n, paired=paired, rng=rng, harmless=harmless)
    return draw(harmful, twins, keys=keys_of(harmful, twins, language), n_shuffles=shuffles, seed=seed)


def keys_of(harmful, twins, language):
    rows = np.arange(len(harmful))
    return [f"{language}:{row}" for row in (rows if twins is None else np.minimum(rows, twins))]


# Shuffled labels


def test_shuffles_of_twins_swap_within_pairs_and_nothing_else():
    draws = drawn(25, paired=True, shuffles=400, rng=np.random.default_rng(1))
    assert draws.shuffles.shape == (400, 50)
    assert draws.shuffles.dtype == bool
    assert np.array_equal(draws.shuffles[:, draws.twins], ~draws.shuffles)
    assert (draws.shuffles.sum(axis=1) == 25).all()
    assert len(np.unique(draws.shuffles, axis=0)) == 400


def test_pairs_are_swapped_with_even_odds_and_independently():
    draws = drawn(12, paired=True, shuffles=4000, rng=np.random.default_rng(2))
    swapped = (draws.shuffles != draws.harmful)[:, draws.harmful]
    assert np.abs(swapped.mean(axis=0) - 0.5).max() < 4 * 0.5 / np.sqrt(4000)
    correlation = np.corrcoef(swapped, rowvar=False) - np.eye(12)
    assert np.abs(correlation).max() < 4.5 / np.sqrt(4000)
    # From one shuffle to the next as well.
    assert abs(np.corrcoef(swapped[:-1].ravel(), swapped[1:].ravel())[0, 1]) < 4.5 / np.sqrt(12 * 4000)


@pytest.mark.parametrize(("harmful", "harmless"), [(2, 2), (1, 3), (3, 2), (4, 1)])
def test_without_twins_all_labelings_of_the_same_class_sizes_are_equally_likely(harmful, harmless):
    n = harmful + harmless
    labelings = {}
    for rows in itertools.combinations(range(n), harmful):
        labelings[tuple(np.isin(np.arange(n), rows))] = 0
    for labels in drawn(harmful, paired=False, harmless=harmless, shuffles=6000).shuffles:
        labelings[tuple(labels)] += 1
    assert sum(labelings.values()) == 6000
    assert scipy.stats.chisquare(list(labelings.values())).pvalue > 0.01


def test_shuffles_without_twins_keep_unequal_class_sizes():
    draws = drawn(10, paired=False, harmless=30, shuffles=4000, rng=np.random.default_rng(3))
    assert (draws.shuffles.sum(axis=1) == 10).all()
    assert np.abs(draws.shuffles.mean(axis=0) - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / 4000)
    assert len(np.unique(draws.shuffles, axis=0)) == 4000


@BOTH
def test_without_shuffles_there_is_still_all_the_rest(paired):
    draws = drawn(30, paired=paired, shuffles=0)
    assert draws.shuffles.shape == (0, 60)
    assert draws.shuffle_ids.shape == (0,)
    assert np.array_equal(draws.groups, drawn(30, paired=paired, shuffles=9).groups)


@BOTH
def test_drawing_leaves_the_true_labels_and_twins_as_they_were(paired):
    harmful, twins = labels_and_twins(10, paired=paired)
    before = harmful.copy(), None if twins is None else twins.copy()
    draws = draw(harmful, twins, n_shuffles=5, seed=0)
    assert np.array_equal(harmful, before[0])
    assert np.array_equal(draws.harmful, harmful)
    if paired:
        assert np.array_equal(twins, before[1])


# Who shares what


@BOTH
def test_draws_depend_on_the_seed_and_the_keys_only(paired):
    one, same = drawn(30, paired=paired), drawn(30, paired=paired)
    for name in ("shuffles", "groups", "folds", "units", "shuffle_ids"):
        assert np.array_equal(getattr(one, name), getattr(same, name))
    for other in (drawn(30, paired=paired, seed=1), drawn(30, paired=paired, language="fr")):
        for name in ("shuffles", "groups", "folds"):
            assert not np.array_equal(getattr(one, name), getattr(other, name))


@BOTH
def test_more_shuffles_change_nothing_that_is_drawn_already(paired):
    few, many = (drawn(30, paired=paired, shuffles=shuffles) for shuffles in (4, 9))
    assert np.array_equal(few.shuffles, many.shuffles[:4])
    assert np.array_equal(few.groups, many.groups)
    assert np.array_equal(few.folds, many.folds)
    assert np.array_equal(few.shuffle_ids, many.shuffle_ids[:4])


@BOTH
def test_languages_with_the_same_items_share_everything_in_any_order_of_rows(paired):
    rng = np.random.default_rng(4)
    harmful, twins = labels_and_twins(30, paired=paired, rng=rng)
    keys = keys_of(harmful, twins, "item")
    one = draw(harmful, twins, keys=keys, n_shuffles=20, seed=5)
    order = rng.permutation(60)
    moved = None if twins is None else np.argsort(order)[twins[order]]
    other = draw(harmful[order], moved, keys=[keys[row] for row in order], n_shuffles=20, seed=5)
    assert np.array_equal(other.shuffles, one.shuffles[:, order])
    assert np.array_equal(other.groups, one.groups[order])
    assert np.array_equal(other.folds, one.folds[order])
    assert np.array_equal(other.units[other.unit_of_row], one.units[one.unit_of_row][order])
    assert np.array_equal(other.shuffle_ids, one.shuffle_ids)


def test_a_pair_is_swapped_alike_whatever_other_pairs_there_are():
    one = drawn(30, paired=True, shuffles=200)
    harmful, twins = one.harmful[np.r_[5:20, 35:50]], twin_index(np.arange(30) % 15, np.arange(30) < 15)
    keys = [f"de:{row}" for row in range(5, 20)] * 2
    few = draw(harmful, twins, keys=keys, n_shuffles=200, seed=0)
    assert np.array_equal(few.shuffles, one.shuffles[:, np.r_[5:20, 35:50]])
    assert np.array_equal(few.units, one.units[5:20])


def test_units_are_named_by_their_keys_or_their_first_rows():
    harmful, twins = np.array([True, False, False, True]), np.array([2, 3, 0, 1])
    named = draw(harmful, twins, keys=["a", "b", "a", "b"], n_shuffles=2, seed=0)
    assert np.array_equal(named.units, unit_ids(["a", "b"]))
    assert named.unit_of_row.tolist() == [0, 1, 0, 1]
    assert np.array_equal(draw(harmful, twins, n_shuffles=2, seed=0).units, unit_ids(["0", "1"]))
    assert np.array_equal(draw(harmful, None, n_shuffles=2, seed=0).units, unit_ids(["0", "1", "2", "3"]))


@BOTH
def test_ids_of_shuffles_are_equal_only_for_equal_sets_of_units(paired):
    everything = [drawn(30, paired=paired), drawn(29, paired=paired), drawn(31, paired=paired)]
    everything.append(drawn(30, paired=paired, language="fr"))
    shuffles = np.concatenate([draws.shuffle_ids for draws in everything])
    assert len(np.unique(shuffles)) == len(shuffles) == 4 * 5
    assert not set(shuffles) & set(np.concatenate([draws.units for draws in everything]))
    assert shuffles.dtype == everything[0].units.dtype == np.uint64


def test_units_with_the_same_key_are_refused():
    harmful, twins = np.array([True, False, False, True]), np.array([2, 3, 0, 1])
    with pytest.raises(MetricError, match="two with the same key"):
        draw(harmful, twins, keys=["a", "a", "a", "a"], n_shuffles=2, seed=0)
    with pytest.raises(MetricError, match="two with the same key"):  # twins share a key, single texts do not
        draw(harmful, None, keys=["a", "b", "a", "b"], n_shuffles=2, seed=0)
    assert len(draw(harmful, twins, keys=["a", "b", "a", "b"], n_shuffles=2, seed=0).units) == 2


# Groups and folds


@pytest.mark.parametrize(("n", "groups"), [(60, JACKKNIFE_GROUPS), (25, 25), (10, 10)])
def test_groups_and_folds_keep_twins_together_and_are_of_nearly_equal_size(n, groups):
    draws = drawn(n, paired=True, rng=np.random.default_rng(5))
    assert draws.n_groups == groups
    for parts in (draws.groups, draws.folds):
        assert np.array_equal(parts, parts[draws.twins])
        sizes = np.bincount(parts)
        assert sizes.max() - sizes.min() in {0, 2}
    assert draws.folds.max() == N_FOLDS - 1


def test_groups_and_folds_without_twins_have_both_classes_in_the_same_proportion():
    draws = drawn(50, paired=False, harmless=100, rng=np.random.default_rng(6))
    assert np.array_equal(np.bincount(draws.groups[draws.harmful]), np.full(JACKKNIFE_GROUPS, 2))
    assert np.array_equal(np.bincount(draws.groups[~draws.harmful]), np.full(JACKKNIFE_GROUPS, 4))
    assert np.array_equal(np.bincount(draws.folds[draws.harmful]), np.full(N_FOLDS, 10))
    assert np.array_equal(np.bincount(draws.folds[~draws.harmful]), np.full(N_FOLDS, 20))
    assert draws.per_class == 50


@BOTH
def test_of_few_texts_no_group_is_empty(paired):
    draws = drawn(8, paired=paired, harmless=None if paired else 11)
    assert (np.bincount(draws.groups, minlength=draws.n_groups) > 0).all()
    assert draws.n_groups == (8 if paired else 11)


def test_folds_and_groups_are_dealt_apart():
    draws = drawn(500, paired=True)
    table = np.zeros((N_FOLDS, JACKKNIFE_GROUPS))
    np.add.at(table, (draws.folds, draws.groups), 1)
    assert scipy.stats.chi2_contingency(table / 2).pvalue > 0.01


@BOTH
def test_without_a_group_the_others_keep_their_labels_and_twins(paired):
    draws = drawn(30, paired=paired, rng=np.random.default_rng(7))
    seen = np.zeros(60, dtype=int)
    for group in range(draws.n_groups):
        stays, labels, twins = draws.without(group)
        rows = np.flatnonzero(stays)
        assert np.array_equal(stays, draws.groups != group)
        assert labels.shape == (1, len(rows))
        assert np.array_equal(labels[0], draws.harmful[rows])
        assert (twins is None) == (not paired)
        if paired:
            assert np.array_equal(rows[twins], draws.twins[rows])
        seen += ~stays
    assert (seen == 1).all()


def test_strata_are_the_classes_of_single_texts_and_missing_for_pairs():
    draws = drawn(6, paired=False, harmless=9, rng=np.random.default_rng(8))
    assert np.array_equal(draws.strata, draws.harmful.astype(int))
    assert drawn(6, paired=True).strata is None
