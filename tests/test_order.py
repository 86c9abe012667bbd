"""Couples in one batch, and batches of like length."""

import numpy as np
import pytest

from isogloss.tuning.preferences import WINDOW, batches_of_similar_length, in_couples


@pytest.mark.parametrize("n", [1, 7, 64, 100, 1000])
def test_every_record_comes_once(n):
    lengths = np.random.default_rng(0).integers(1, 90, n)
    assert sorted(batches_of_similar_length(lengths, 8, 0)) == list(range(n))


def test_padding_is_less_and_windows_stay_apart():
    lengths = np.random.default_rng(1).integers(5, 90, 8 * WINDOW * 20)
    order = np.array(batches_of_similar_length(lengths, 8, 0))

    def padded(rows):
        return lengths[rows].reshape(-1, 8).max(axis=1).sum() * 8

    assert padded(order) < 0.65 * padded(np.arange(len(lengths)))
    window = 8 * WINDOW
    assert (order // window == np.arange(len(order)) // window).all()


def test_batches_come_in_random_order_that_the_seed_fixes():
    lengths = np.arange(8 * WINDOW)
    first = batches_of_similar_length(lengths, 8, 0)
    assert first == batches_of_similar_length(lengths, 8, 0)
    assert first != batches_of_similar_length(lengths, 8, 1)
    starts = np.array(first).reshape(-1, 8).mean(axis=1)
    assert not (np.diff(starts) > 0).all()


def test_a_last_batch_that_is_not_whole_comes_last():
    order = batches_of_similar_length([5] * 10, 4, 3)
    assert sorted(order[-2:]) == [8, 9]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8, 9])
@pytest.mark.parametrize("n", [1, 2, 31, 640])
def test_couples_stay_together(n, batch_size):
    lengths = np.random.default_rng(2).integers(1, 90, n)
    order = in_couples(lengths, batch_size, 0)
    assert sorted(order) == list(range(n))
    couples = np.array(order[: n - n % 2]).reshape(-1, 2)
    assert (couples[:, 0] % 2 == 0).all()
    assert (np.diff(couples, axis=1) == 1).all()


def test_batches_of_couples_have_little_padding():
    lengths = np.random.default_rng(3).integers(5, 90, 4 * WINDOW * 20).repeat(2)
    order = np.array(in_couples(lengths, 8, 0))
    padded = lengths[order].reshape(-1, 8).max(axis=1).sum() * 8
    assert padded < 1.2 * lengths.sum()
