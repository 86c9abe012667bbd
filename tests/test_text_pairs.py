"""Twins, units of resampling, their names, and how they are dealt."""

import hashlib

import numpy as np
import pytest

from isogloss.stats.text_pairs import deal, partner_index, unit_codes, unit_ids
from plain import dealt, labels_and_partners


def test_pairs_are_found_in_any_row_order_and_by_any_kind_of_name():
    harmful = np.array([False, True, True, False, True, False])
    assert partner_index(["b", "a", "c", "a", "b", "c"], harmful).tolist() == [4, 3, 5, 1, 0, 2]
    assert partner_index([2, 1, 3, 1, 2, 3], harmful).tolist() == [4, 3, 5, 1, 0, 2]


def test_units_are_pairs_where_there_are_pairs_and_texts_elsewhere():
    assert unit_codes(6, np.array([4, 3, 5, 1, 0, 2])).tolist() == [0, 1, 2, 1, 0, 2]
    assert unit_codes(4, None).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("n", "parts"), [(60, 25), (25, 25), (23, 5), (7, 3)])
def test_parts_keep_pairs_together_and_are_of_nearly_equal_size(n, parts):
    rng = np.random.default_rng(10)
    harmful, partners = labels_and_partners(n, paired=True, rng=rng)
    found = dealt(harmful, partners, parts, rng)
    assert np.array_equal(found, found[partners])
    sizes = np.bincount(found)
    assert len(sizes) == parts
    assert sizes.max() - sizes.min() == (2 if n % parts else 0)


@pytest.mark.parametrize(("harmful", "harmless"), [(18, 32), (50, 100), (5, 9)])
def test_parts_without_pairs_share_each_class_out_evenly(harmful, harmless):
    rng = np.random.default_rng(11)
    labels, _ = labels_and_partners(harmful, paired=False, rng=rng, harmless=harmless)
    found = dealt(labels, None, 5, rng)
    for side in (labels, ~labels):
        sizes = np.bincount(found[side], minlength=5)
        assert sizes.sum() == side.sum()
        assert sizes.max() - sizes.min() == (1 if side.sum() % 5 else 0)


@pytest.mark.parametrize("paired", [False, True])
def test_units_are_dealt_in_the_order_of_their_numbers(paired):
    rng = np.random.default_rng(12)
    harmful, partners = labels_and_partners(20, paired=paired, rng=rng)
    order = rng.random(40)[unit_codes(40, partners)]
    found = deal(order, harmful, partners, 6)
    for rows in [np.arange(40)] if paired else [np.flatnonzero(harmful), np.flatnonzero(~harmful)]:
        rank = {number: place for place, number in enumerate(sorted(set(order[rows])))}
        assert [rank[order[row]] % 6 for row in rows] == found[rows].tolist()


@pytest.mark.parametrize("paired", [False, True])
def test_parts_do_not_depend_on_the_order_of_rows_and_leave_what_is_given_as_it_was(paired):
    rng = np.random.default_rng(13)
    harmful, partners = labels_and_partners(20, paired=paired, rng=rng)
    order = rng.random(40)[unit_codes(40, partners)]
    before = order.copy(), harmful.copy()
    found = deal(order, harmful, partners, 6)
    again = rng.permutation(40)
    moved = None if partners is None else np.argsort(again)[partners[again]]
    assert np.array_equal(deal(order[again], harmful[again], moved, 6), found[again])
    assert np.array_equal(order, before[0])
    assert np.array_equal(harmful, before[1])


def test_units_are_dealt_by_chance_and_by_seed():
    harmful, _ = labels_and_partners(20, paired=False)
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
