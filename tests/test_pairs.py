"""Twins, units of resampling, their names, and how they are dealt."""

import hashlib

import numpy as np
import pytest

from isogloss.separation.pairs import deal, twin_index, unit_codes, unit_ids
from plain import dealt, labels_and_twins


def test_twins_are_found_in_any_row_order_and_by_any_kind_of_name():
    harmful = np.array([False, True, True, False, True, False])
    assert twin_index(["b", "a", "c", "a", "b", "c"], harmful).tolist() == [4, 3, 5, 1, 0, 2]
    assert twin_index([2, 1, 3, 1, 2, 3], harmful).tolist() == [4, 3, 5, 1, 0, 2]


def test_units_are_pairs_where_there_are_twins_and_texts_elsewhere():
    assert unit_codes(6, np.array([4, 3, 5, 1, 0, 2])).tolist() == [0, 1, 2, 1, 0, 2]
    assert unit_codes(4, None).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("n", "parts"), [(60, 25), (25, 25), (23, 5), (7, 3)])
def test_parts_keep_twins_together_and_are_of_nearly_equal_size(n, parts):
    rng = np.random.default_rng(10)
    harmful, twins = labels_and_twins(n, paired=True, rng=rng)
    found = dealt(harmful, twins, parts, rng)
    assert np.array_equal(found, found[twins])
    sizes = np.bincount(found)
    assert len(sizes) == parts
    assert sizes.max() - sizes.min() == (2 if n % parts else 0)


@pytest.mark.parametrize(("harmful", "harmless"), [(18, 32), (50, 100), (5, 9)])
def test_parts_without_twins_share_each_class_out_evenly(harmful, harmless):
    rng = np.random.default_rng(11)
    labels, _ = labels_and_twins(harmful, paired=False, rng=rng, harmless=harmless)
    found = dealt(labels, None, 5, rng)
    for side in (labels, ~labels):
        sizes = np.bincount(found[side], minlength=5)
        assert sizes.sum() == side.sum()
        assert sizes.max() - sizes.min() == (1 if side.sum() % 5 else 0)


@pytest.mark.parametrize("paired", [False, True])
def test_units_are_dealt_in_the_order_of_their_numbers(paired):
    rng = np.random.default_rng(12)
    harmful, twins = labels_and_twins(20, paired=paired, rng=rng)
    order = rng.random(40)[unit_codes(40, twins)]
    found = deal(order, harmful, twins, 6)
    for rows in [np.arange(40)] if paired else [np.flatnonzero(harmful), np.flatnonzero(~harmful)]:
        rank = {number: place for place, number in enumerate(sorted(set(order[rows])))}
        assert [rank[order[row]] % 6 for row in rows] == found[rows].tolist()


@pytest.mark.parametrize("paired", [False, True])
def test_parts_do_not_depend_on_the_order_of_rows_and_leave_what_is_given_as_it_was(paired):
    rng = np.random.default_rng(13)
    harmful, twins = labels_and_twins(20, paired=paired, rng=rng)
    order = rng.random(40)[unit_codes(40, twins)]
    before = order.copy(), harmful.copy()
    found = deal(order, harmful, twins, 6)
    again = rng.permutation(40)
    moved = None if twins is None else np.argsort(again)[twins[again]]
    assert np.array_equal(deal(order[again], harmful[again], moved, 6), found[again])
    assert np.array_equal(order, before[0])
    assert np.array_equal(harmful, before[1])


def test_units_are_dealt_by_chance_and_by_seed():
    harmful, _ = labels_and_twins(20, paired=False)
    one, same, other = (dealt(harmful, None, 5, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_units_are_named_by_the_first_eight_bytes_of_a_hash_of_their_key():
    keys = ["de:1", "de:2", "हिन्दी", "de:1", ""]
    found = unit_ids(keys)
    assert found.dtype == np.uint64
    assert [f"{int(one):016x}" for one in found] == [hashlib.sha256(key.encode()).hexdigest()[:16] for key in keys]
    assert found[0] == found[3]
    assert len(np.unique(unit_ids([str(i) for i in range(20_000)]))) == 20_000
    assert unit_ids([]).shape == (0,)
