"""The ratio of mean gaps that two aligned models leave."""

import numpy as np
import pytest

from isogloss.stats.effects import gap_ratio, mean_gap
from isogloss.stats.jackknife import Jackknife, delete_one


def exact(value):
    return Jackknife(value=value, influence=np.zeros(2), units=np.arange(2, dtype=np.uint64), df=9)


def mean_of(x, first_unit):
    n = len(x)
    left_out = (x.sum() - x) / (n - 1)
    return delete_one(float(x.mean()), left_out, np.arange(first_unit, first_unit + n, dtype=np.uint64))


def test_numbers_by_hand():
    before = {"en": exact(0.4), "hi": exact(0.0), "am": exact(0.2), "de": exact(9.0)}
    after = {"en": exact(0.4), "hi": exact(0.3), "am": exact(0.2), "de": exact(9.0)}
    assert mean_gap(before, "en", ["hi", "am"]).value == pytest.approx(0.3)
    found = gap_ratio(before, after, pivot="en", languages=["hi", "am"])
    assert (found.before, found.after, found.value) == pytest.approx((0.3, 0.15, 0.5))
    assert (found.low, found.high) == pytest.approx((0.5, 0.5))


def test_a_first_gap_that_is_not_clear_of_zero_leaves_no_interval():
    rng = np.random.default_rng(0)
    before = {"en": mean_of(rng.normal(0.1, 5, 30), 0), "hi": exact(0.0)}
    after = {"en": exact(0.1), "hi": exact(0.05)}
    found = gap_ratio(before, after, pivot="en", languages=["hi"])
    assert np.isnan([found.low, found.high]).all()


def test_the_interval_covers_the_truth_as_often_as_it_says():
    """Pairs move both models alike (correlation .6), languages are other pairs."""
    rng = np.random.default_rng(1)
    truth = {"en": (0.4, 0.4), "hi": (0.0, 0.3), "am": (0.1, 0.2)}
    n, runs, covered, ignoring = 60, 500, 0, 0
    for _ in range(runs):
        before, after = {}, {}
        for number, (code, (first, second)) in enumerate(truth.items()):
            shared, own = rng.normal(size=(2, n)), rng.normal(size=(2, n))
            before[code] = mean_of(first + 0.4 * (np.sqrt(0.6) * shared[0] + np.sqrt(0.4) * own[0]), 1000 * number)
            after[code] = mean_of(second + 0.4 * (np.sqrt(0.6) * shared[0] + np.sqrt(0.4) * own[1]), 1000 * number)
        found = gap_ratio(before, after, pivot="en", languages=["hi", "am"])
        covered += found.low <= 0.15 / 0.35 <= found.high
        apart = {code: mean_of(rng.normal(second, 0.4, n), 9000 + 1000 * k) for k, (code, (_, second)) in
                 enumerate(truth.items())}  # fmt: skip
        loose = gap_ratio(before, apart, pivot="en", languages=["hi", "am"])
        ignoring += loose.high - loose.low > found.high - found.low
    assert 0.92 <= covered / runs <= 0.98
    assert ignoring / runs > 0.9  # pairing makes it shorter
