"""What is drawn once: permuted labels, jackknife groups and folds, and who shares them."""

import itertools

import numpy as np
import pytest
import scipy.stats

from isogloss.errors import MetricError
from isogloss.stats.permutations import JACKKNIFE_GROUPS, draw
from isogloss.stats.probe import N_FOLDS
from isogloss.stats.text_pairs import partner_index, unit_ids
from plain import labels_and_partners

BOTH = pytest.mark.parametrize("paired", [False, True])


def drawn(n, *, paired, permutations=5, seed=0, language="de", rng=None, harmless=None):
    harmful, partners = labels_and_partners(n, paired=paired, rng=rng, harmless=harmless)
    return draw(harmful, partners, keys=keys_of(harmful, partners, language), n_permutations=permutations, seed=seed)


def keys_of(harmful, partners, language):
    rows = np.arange(len(harmful))
    return [f"{language}:{row}" for row in (rows if partners is None else np.minimum(rows, partners))]


# Shuffled labels


def test_permutations_of_pairs_swap_within_pairs_and_nothing_else():
    draws = drawn(25, paired=True, permutations=400, rng=np.random.default_rng(1))
    assert draws.permutations.shape == (400, 50)
    assert draws.permutations.dtype == bool
    assert np.array_equal(draws.permutations[:, draws.partners], ~draws.permutations)
    assert (draws.permutations.sum(axis=1) == 25).all()
    assert len(np.unique(draws.permutations, axis=0)) == 400


def test_pairs_are_swapped_with_even_odds_and_independently():
    draws = drawn(12, paired=True, permutations=4000, rng=np.random.default_rng(2))
    swapped = (draws.permutations != draws.harmful)[:, draws.harmful]
    assert np.abs(swapped.mean(axis=0) - 0.5).max() < 4 * 0.5 / np.sqrt(4000)
    correlation = np.corrcoef(swapped, rowvar=False) - np.eye(12)
    assert np.abs(correlation).max() < 4.5 / np.sqrt(4000)
    # From one permutation to the next as well.
    assert abs(np.corrcoef(swapped[:-1].ravel(), swapped[1:].ravel())[0, 1]) < 4.5 / np.sqrt(12 * 4000)


@pytest.mark.parametrize(("harmful", "harmless"), [(2, 2), (1, 3), (3, 2), (4, 1)])
def test_without_pairs_all_labelings_of_the_same_class_sizes_are_equally_likely(harmful, harmless):
    n = harmful + harmless
    labelings = {}
    for rows in itertools.combinations(range(n), harmful):
        labelings[tuple(np.isin(np.arange(n), rows))] = 0
    for labels in drawn(harmful, paired=False, harmless=harmless, permutations=6000).permutations:
        labelings[tuple(labels)] += 1
    assert sum(labelings.values()) == 6000
    assert scipy.stats.chisquare(list(labelings.values())).pvalue > 0.01


def test_permutations_without_pairs_keep_unequal_class_sizes():
    draws = drawn(10, paired=False, harmless=30, permutations=4000, rng=np.random.default_rng(3))
    assert (draws.permutations.sum(axis=1) == 10).all()
    assert np.abs(draws.permutations.mean(axis=0) - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / 4000)
    assert len(np.unique(draws.permutations, axis=0)) == 4000


@BOTH
def test_without_permutations_there_is_still_all_the_rest(paired):
    draws = drawn(30, paired=paired, permutations=0)
    assert draws.permutations.shape == (0, 60)
    assert draws.permutation_ids.shape == (0,)
    assert np.array_equal(draws.groups, drawn(30, paired=paired, permutations=9).groups)


@BOTH
def test_drawing_leaves_the_true_labels_and_pairs_as_they_were(paired):
    harmful, partners = labels_and_partners(10, paired=paired)
    before = harmful.copy(), None if partners is None else partners.copy()
    draws = draw(harmful, partners, n_permutations=5, seed=0)
    assert np.array_equal(harmful, before[0])
    assert np.array_equal(draws.harmful, harmful)
    if paired:
        assert np.array_equal(partners, before[1])


# Who shares what


@BOTH
def test_draws_depend_on_the_seed_and_the_keys_only(paired):
    one, same = drawn(30, paired=paired), drawn(30, paired=paired)
    for name in ("permutations", "groups", "folds", "units", "permutation_ids", "group_ids"):
        assert np.array_equal(getattr(one, name), getattr(same, name))
    for other in (drawn(30, paired=paired, seed=1), drawn(30, paired=paired, language="fr")):
        for name in ("permutations", "groups", "folds"):
            assert not np.array_equal(getattr(one, name), getattr(other, name))


@BOTH
def test_more_permutations_change_nothing_that_is_drawn_already(paired):
    few, many = (drawn(30, paired=paired, permutations=permutations) for permutations in (4, 9))
    assert np.array_equal(few.permutations, many.permutations[:4])
    assert np.array_equal(few.groups, many.groups)
    assert np.array_equal(few.folds, many.folds)
    assert np.array_equal(few.permutation_ids, many.permutation_ids[:4])


@BOTH
def test_languages_with_the_same_items_share_everything_in_any_order_of_rows(paired):
    rng = np.random.default_rng(4)
    harmful, partners = labels_and_partners(30, paired=paired, rng=rng)
    keys = keys_of(harmful, partners, "item")
    one = draw(harmful, partners, keys=keys, n_permutations=20, seed=5)
    order = rng.permutation(60)
    moved = None if partners is None else np.argsort(order)[partners[order]]
    other = draw(harmful[order], moved, keys=[keys[row] for row in order], n_permutations=20, seed=5)
    assert np.array_equal(other.permutations, one.permutations[:, order])
    assert np.array_equal(other.groups, one.groups[order])
    assert np.array_equal(other.folds, one.folds[order])
    assert np.array_equal(other.units[other.unit_of_row], one.units[one.unit_of_row][order])
    assert np.array_equal(other.permutation_ids, one.permutation_ids)


def test_a_pair_is_swapped_alike_whatever_other_pairs_there_are():
    one = drawn(30, paired=True, permutations=200)
    harmful, partners = one.harmful[np.r_[5:20, 35:50]], partner_index(np.arange(30) % 15, np.arange(30) < 15)
    keys = [f"de:{row}" for row in range(5, 20)] * 2
    few = draw(harmful, partners, keys=keys, n_permutations=200, seed=0)
    assert np.array_equal(few.permutations, one.permutations[:, np.r_[5:20, 35:50]])
    assert np.array_equal(few.units, one.units[5:20])


def test_units_are_named_by_their_keys_or_their_first_rows():
    harmful, partners = np.array([True, False, False, True]), np.array([2, 3, 0, 1])
    named = draw(harmful, partners, keys=["a", "b", "a", "b"], n_permutations=2, seed=0)
    assert np.array_equal(named.units, unit_ids(["a", "b"]))
    assert named.unit_of_row.tolist() == [0, 1, 0, 1]
    assert np.array_equal(draw(harmful, partners, n_permutations=2, seed=0).units, unit_ids(["0", "1"]))
    assert np.array_equal(draw(harmful, None, n_permutations=2, seed=0).units, unit_ids(["0", "1", "2", "3"]))


@BOTH
def test_ids_of_permutations_are_equal_only_for_equal_sets_of_units(paired):
    everything = [drawn(30, paired=paired), drawn(29, paired=paired), drawn(31, paired=paired)]
    everything.append(drawn(30, paired=paired, language="fr"))
    permutations = np.concatenate([draws.permutation_ids for draws in everything])
    assert len(np.unique(permutations)) == len(permutations) == 4 * 5
    assert not set(permutations) & set(np.concatenate([draws.units for draws in everything]))
    assert permutations.dtype == everything[0].units.dtype == np.uint64


def test_units_with_the_same_key_are_refused():
    harmful, partners = np.array([True, False, False, True]), np.array([2, 3, 0, 1])
    with pytest.raises(MetricError, match="two with the same key"):
        draw(harmful, partners, keys=["a", "a", "a", "a"], n_permutations=2, seed=0)
    with pytest.raises(MetricError, match="two with the same key"):  # only the texts of a pair share a key
        draw(harmful, None, keys=["a", "b", "a", "b"], n_permutations=2, seed=0)
    assert len(draw(harmful, partners, keys=["a", "b", "a", "b"], n_permutations=2, seed=0).units) == 2


# Groups and folds


@pytest.mark.parametrize(("n", "groups"), [(60, JACKKNIFE_GROUPS), (25, 25), (10, 10)])
def test_groups_and_folds_keep_pairs_together_and_are_of_nearly_equal_size(n, groups):
    draws = drawn(n, paired=True, rng=np.random.default_rng(5))
    assert draws.n_groups == groups
    for parts in (draws.groups, draws.folds):
        assert np.array_equal(parts, parts[draws.partners])
        sizes = np.bincount(parts)
        assert sizes.max() - sizes.min() in {0, 2}
    assert draws.folds.max() == N_FOLDS - 1


def test_groups_and_folds_without_pairs_have_both_classes_in_the_same_proportion():
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
def test_without_a_group_the_others_keep_their_labels_and_pairs(paired):
    draws = drawn(30, paired=paired, rng=np.random.default_rng(7))
    seen = np.zeros(60, dtype=int)
    for group in range(draws.n_groups):
        stays, labels, partners = draws.without(group)
        rows = np.flatnonzero(stays)
        assert np.array_equal(stays, draws.groups != group)
        assert labels.shape == (1, len(rows))
        assert np.array_equal(labels[0], draws.harmful[rows])
        assert (partners is None) == (not paired)
        if paired:
            assert np.array_equal(rows[partners], draws.partners[rows])
        seen += ~stays
    assert (seen == 1).all()


def test_strata_are_the_classes_of_single_texts_and_missing_for_pairs():
    draws = drawn(6, paired=False, harmless=9, rng=np.random.default_rng(8))
    assert np.array_equal(draws.strata, draws.harmful.astype(int))
    assert drawn(6, paired=True).strata is None
