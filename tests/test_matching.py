"""Matching: planted distributions, cases to work out by hand, and a plain greedy search as oracle."""

import numpy as np
import pytest
from scipy.stats import ks_2samp
from sklearn.metrics import roc_auc_score

from isogloss.analyses.matched.matching import CALIPERS, MAX_KS, MAX_SMD, match
from isogloss.errors import MetricError


def matched(own, pivot, **options):
    """Match with the rows in their order; features may be given as a plain list."""
    own, pivot = (x[:, None] if x.ndim == 1 else x for x in (np.asarray(own, float), np.asarray(pivot, float)))
    options = {"order": np.arange(len(own)), "pivot_order": np.arange(len(pivot))} | options
    return match(own, pivot, **options)


def planted(seed=0, *, shift=(0.8, 0.0), n=300, m=350):
    """Two features, of which the pivot's are shifted; units in a random order of service."""
    rng = np.random.default_rng(seed)
    own, pivot = rng.normal(size=(n, 2)), rng.normal(size=(m, 2)) + shift
    return own, pivot, {"order": rng.permutation(n), "pivot_order": rng.permutation(m)}


def two_classes(seed=0, *, n=400):
    """Log lengths of two languages; in the own language harmful texts are longer, the pivot's are all longer."""
    rng = np.random.default_rng(seed)
    own_class, pivot_class = rng.permutation(np.arange(n) % 2), rng.permutation(np.arange(n) % 2)
    own = rng.normal(size=n) + own_class
    pivot = rng.normal(size=n) + 0.5
    return own[:, None], pivot[:, None], own_class, pivot_class


def standardised_difference(a, b):
    return abs(a.mean() - b.mean()) / np.sqrt((a.var() + b.var()) / 2)


def greedy(own, pivot, order, pivot_order, caliper):
    """Plain search with its own spread, unit by unit."""
    spread = np.array([np.sqrt((a.var() + b.var()) / 2) for a, b in zip(own.T, pivot.T, strict=True)])
    free, found = set(range(len(pivot))), []
    for i in sorted(range(len(own)), key=lambda i: order[i]):
        near = [j for j in free if max(abs(own[i] - pivot[j]) / spread) <= caliper]
        if near:
            j = min(near, key=lambda j: (sum(((own[i] - pivot[j]) / spread) ** 2), pivot_order[j]))
            free.remove(j)
            found.append((i, j))
    return found


def agrees(own, pivot, pairs):
    """Balance of a list of pairs by other implementations, in the spread of all units."""
    for j in range(own.shape[1]):
        a, b = (x[list(rows), j] for x, rows in zip((own, pivot), zip(*pairs, strict=True), strict=True))
        spread = np.sqrt((own[:, j].var() + pivot[:, j].var()) / 2)
        limit = max(MAX_KS, 0.83 * np.sqrt(2 / len(pairs)))
        if abs(a.mean() - b.mean()) / spread >= MAX_SMD or ks_2samp(a, b, method="asymp").statistic > limit:
            return False
    return True


@pytest.mark.parametrize("shift", [(0.8, 0.0), (0.0, 0.8), (0.5, -1.0)])
def test_planted_differences_are_gone_and_no_unit_is_used_twice(shift):
    own, pivot, order = planted(shift=shift)
    found = match(own, pivot, **order)
    assert 100 < len(found.rows) == len(found.pivot_rows) < 300
    assert len(set(found.rows)) == len(found.rows)
    assert len(set(found.pivot_rows)) == len(found.pivot_rows)
    assert found.smd_before.max() > 0.6
    for j in range(2):
        a, b = own[found.rows, j], pivot[found.pivot_rows, j]
        assert standardised_difference(a, b) < 0.15  # in the smaller spread of what is left
        assert ks_2samp(a, b).pvalue > 0.1


@pytest.mark.parametrize("seed", range(4))
def test_matches_are_those_of_a_plain_greedy_search_at_the_widest_caliper_that_balances(seed):
    own, pivot, order = planted(seed, n=60, m=50)
    own, pivot = own.round(1), pivot.round(1)  # so that there are ties
    found = match(own, pivot, **order)
    wider = [c for c in CALIPERS if c > found.caliper]
    assert found.caliper in CALIPERS
    assert wider
    for caliper in wider:
        assert not agrees(own, pivot, greedy(own, pivot, *order.values(), caliper))
    expected = greedy(own, pivot, *order.values(), found.caliper)
    assert agrees(own, pivot, expected)
    assert list(zip(found.rows, found.pivot_rows, strict=True)) == expected


def test_the_reported_differences_are_those_of_other_implementations():
    own, pivot, order = planted(5)
    own, pivot = own.round(1), pivot.round(1)
    found = match(own, pivot, **order)
    for j in range(2):
        a, b = own[:, j], pivot[:, j]
        spread = np.sqrt((a.var() + b.var()) / 2)
        assert found.smd_before[j] == pytest.approx(standardised_difference(a, b))
        assert found.ks_before[j] == pytest.approx(ks_2samp(a, b).statistic)
        a, b = a[found.rows], b[found.pivot_rows]
        assert found.smd_after[j] == pytest.approx(abs(a.mean() - b.mean()) / spread)
        assert found.ks_after[j] == pytest.approx(ks_2samp(a, b).statistic)


def test_units_that_agree_already_all_stay_each_with_its_like():
    values = np.random.default_rng(1).normal(size=40)
    shuffle = np.random.default_rng(2).permutation(40)
    found = matched(values, values[shuffle])
    assert len(found.rows) == 40
    assert np.array_equal(values[found.rows], values[shuffle][found.pivot_rows])


def test_nothing_in_common_matches_nothing():
    found = matched(np.arange(30), np.arange(30) + 1000)
    assert len(found.rows) == len(found.pivot_rows) == 0
    assert np.isnan(found.caliper)
    assert np.isnan(found.smd_after).all()
    assert found.ks_before.tolist() == [1]


def test_a_language_without_units_matches_nothing():
    found = matched(np.empty((0, 2)), np.ones((5, 2)))
    assert len(found.rows) == len(found.pivot_rows) == 0
    assert np.isnan(found.smd_before).all()


def test_only_the_common_range_is_kept():
    # 0 to 99 against 50 to 149: half of each lies where the other is.
    found = matched(np.arange(100), np.arange(50, 150))
    assert 45 <= len(found.rows) <= 60
    assert found.rows.min() >= 40
    assert found.pivot_rows.max() <= 60


def test_of_two_units_that_want_the_same_the_earlier_in_order_takes_it():
    own, pivot = [0.0, 0.0, 10.0], [0.0, 10.0, 20.0]
    for order, winner in (([1, 2, 3], 0), ([2, 1, 3], 1), (["b", "a", "c"], 1)):
        found = matched(own, pivot, order=np.array(order))
        assert dict(zip(found.pivot_rows.tolist(), found.rows.tolist(), strict=True))[0] == winner


def test_of_two_units_at_the_same_distance_the_earlier_in_order_is_taken():
    for order, taken in (([1, 2, 3], 0), ([2, 1, 3], 1)):
        found = matched([1.0, 1.0], [0.0, 2.0, 100.0], pivot_order=np.array(order))
        assert found.pivot_rows.tolist() == [taken, 1 - taken]


def test_the_order_of_rows_does_not_matter():
    own, pivot, order = planted(3)
    own, pivot = own.round(1), pivot.round(1)
    rng = np.random.default_rng(3)
    a, b = rng.permutation(len(own)), rng.permutation(len(pivot))
    one = match(own, pivot, **order)
    two = match(own[a], pivot[b], order=order["order"][a], pivot_order=order["pivot_order"][b])
    assert len(one.rows) > 100
    assert np.array_equal(a[two.rows], one.rows)
    assert np.array_equal(b[two.pivot_rows], one.pivot_rows)


def test_units_of_a_feature_do_not_matter():
    own, pivot, order = planted(4)
    scale = np.array([1e-6, 1e5])
    one, two = match(own, pivot, **order), match(own * scale + 1, pivot * scale + 1, **order)
    assert np.array_equal(one.rows, two.rows)
    assert np.array_equal(one.pivot_rows, two.pivot_rows)


def test_features_are_left_as_they_were():
    own, pivot, order = planted(6)
    copies = own.copy(), pivot.copy()
    match(own, pivot, **order)
    assert np.array_equal(own, copies[0])
    assert np.array_equal(pivot, copies[1])


@pytest.mark.parametrize("value", [0.1, 0.5])  # the deviation of twenty .1 is not quite 0, that of .5 is
def test_a_feature_that_never_varies_matches_where_it_is_equal_only(value):
    same = np.column_stack([np.arange(20.0), np.full(20, value)])
    assert len(matched(same, same).rows) == 20
    other = same.copy()
    other[:, 1] = value + 0.01
    assert len(matched(same, other).rows) == 0
    zero = same * [1, 0]
    assert len(matched(zero, zero).rows) == 20


def test_strata_get_equal_counts_and_length_no_longer_tells_the_classes_apart():
    own, pivot, own_class, pivot_class = two_classes()
    found = matched(own, pivot, strata=own_class, pivot_strata=pivot_class)
    assert roc_auc_score(own_class, own[:, 0]) > 0.7
    assert np.array_equal(own_class[found.rows], pivot_class[found.pivot_rows])
    counts = np.bincount(own_class[found.rows])
    assert counts[0] == counts[1] > 80
    assert len(set(found.rows)) == len(set(found.pivot_rows)) == 2 * counts[0]
    parts = []
    for values, sides, rows in ((own, own_class, found.rows), (pivot, pivot_class, found.pivot_rows)):
        left, side = values[rows, 0], sides[rows]
        assert roc_auc_score(side, left) == pytest.approx(0.5, abs=0.05)
        parts += [left[side == 0], left[side == 1]]
    limit = max(MAX_KS, 0.83 * np.sqrt(2 / counts[0]))
    assert max(ks_2samp(a, b).statistic for a in parts for b in parts) <= limit


def test_with_strata_the_differences_are_the_largest_between_any_two_of_the_four_groups():
    own, pivot, own_class, pivot_class = two_classes(2)
    found = matched(own, pivot, strata=own_class, pivot_strata=pivot_class)
    sides = (own[:, 0], own_class, found.rows), (pivot[:, 0], pivot_class, found.pivot_rows)
    before = [values[side == s] for values, side, _ in sides for s in (0, 1)]
    after = [values[rows][side[rows] == s] for values, side, rows in sides for s in (0, 1)]
    spread = np.sqrt(np.mean([part.var() for part in before]))
    for parts, smd, ks in (
        (before, found.smd_before, found.ks_before),
        (after, found.smd_after, found.ks_after),
    ):
        means = [part.mean() for part in parts]
        assert smd == pytest.approx([(max(means) - min(means)) / spread])
        assert ks == pytest.approx([max(ks_2samp(a, b).statistic for a in parts for b in parts)])
    assert found.smd_after[0] < MAX_SMD


def test_without_strata_the_classes_are_not_looked_at():
    own, pivot, own_class, _ = two_classes(1)
    found = matched(own, pivot)
    assert roc_auc_score(own_class[found.rows], own[found.rows, 0]) > 0.6


def test_a_match_of_strata_needs_a_unit_of_every_one():
    # At 5 the pivot has no harmful unit, so nothing at 5 is used, in neither class.
    own, own_class = [0, 0, 5, 5, 0, 0], np.array([0, 1, 0, 1, 0, 1])
    pivot, pivot_class = [0, 0, 5, 5, 0, 0], np.array([0, 1, 0, 0, 1, 0])
    found = matched(own, pivot, strata=own_class, pivot_strata=pivot_class)
    assert sorted(found.rows.tolist()) == [0, 1, 4, 5]
    assert sorted(found.pivot_rows.tolist()) == [0, 1, 4, 5]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"units": np.array([[0.0], [np.nan], [1.0]])}, "not finite"),
        ({"pivot_units": np.array([[0.0], [np.inf], [1.0]])}, "not finite"),
        ({"pivot_units": np.zeros((3, 2))}, r"shape \(3, 2\)"),
        ({"units": np.zeros(3)}, r"shape \(3,\)"),
        ({"order": np.arange(2)}, r"order .* language: found shape \(2,\)"),
        ({"pivot_order": np.arange(4)}, r"order .* pivot: found shape \(4,\)"),
        ({"strata": np.zeros(3, int)}, "None in the other"),
        ({"strata": np.zeros(3, int), "pivot_strata": np.array([0, 1, 1])}, "the same in both"),
        ({"strata": np.zeros(2, int), "pivot_strata": np.zeros(3, int)}, "strata .* language"),
    ],
)
def test_what_cannot_be_matched_is_refused(change, message):
    good = {
        "units": np.zeros((3, 1)),
        "pivot_units": np.zeros((3, 1)),
        "order": np.arange(3),
        "pivot_order": np.arange(3),
    }
    units, pivot_units, *_ = (good | change).values()
    options = {key: value for key, value in (good | change).items() if key not in {"units", "pivot_units"}}
    assert len(match(**good).rows) == 3
    with pytest.raises(MetricError, match=message):
        match(units, pivot_units, **options)


def test_real_pairs_of_most_languages_match_the_english_ones(shared_data):
    import polars as pl

    from isogloss.io.files import sha256_text
    from isogloss.stats.text_controls import edit_rate

    frame = pl.read_parquet(shared_data / "parallel_multiparadetox.parquet")
    features, orders = {}, {}
    for (code,), part in frame.group_by("language"):
        pairs = list(zip(part["toxic"], part["neutral"], strict=True))
        edits = [edit_rate(a, b, segmented=code != "zh") for a, b in pairs]
        features[code] = np.column_stack([edits, [np.log(len(a) / len(b)) for a, b in pairs]])
        orders[code] = np.array([sha256_text(str(name)) for name in part["pair_id"]])
    sizes = {}
    for code in set(features) - {"en"}:
        found = match(features[code], features["en"], order=orders[code], pivot_order=orders["en"])
        assert found.smd_after.max() < 0.1
        sizes[code] = len(found.rows)
    # Chinese rewrites are longer than the original as a rule, so few of them have a like in English.
    assert sizes.pop("zh") < 100
    assert min(sizes.values()) > 200
