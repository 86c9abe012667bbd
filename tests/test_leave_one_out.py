"""Components and metrics without each unit, against a PCA fitted anew for every one of them."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from isogloss.stats import leave_one_out as downdate
from isogloss.stats.components import open_space, pca
from isogloss.stats.leave_one_out import LEADING, leave_out, rows_of_units
from isogloss.stats.silhouette import open_silhouette
from isogloss.stats.text_pairs import unit_codes
from plain import kept, labels_and_partners, left_out, permuted, silhouette, states

BOTH = pytest.mark.parametrize("paired", [False, True])
DECAY = np.geomspace(3, 0.2, 12)


def block(seed, n, *, paired, spread=DECAY, apart=1.0, turn=True, harmless=None):
    """Hidden states, turned so that no component is a column; labels, partners and unit of each row."""
    rng = np.random.default_rng(seed)
    harmful, partners = labels_and_partners(n, paired=paired, rng=rng, harmless=harmless)
    x = states(rng, harmful, partners, apart=apart, spread=np.asarray(spread, dtype=float))
    if turn:
        x = x @ np.linalg.qr(rng.normal(size=(len(spread), len(spread))))[0] + rng.normal(size=len(spread))
    return x, harmful, partners, unit_codes(len(x), partners)


def same_up_to_sign(found, expected, tolerance):
    assert found.shape == expected.shape
    sign = np.where((found * expected).sum(axis=0) < 0, -1, 1)
    assert np.abs(found - sign * expected).max() < tolerance


# The space of all rows


@pytest.mark.parametrize("m", [1, 4, 30])
@pytest.mark.parametrize(
    ("n", "d", "rank"),
    [(20, 50, 19), (50, 20, 20), (30, 30, 29), (31, 30, 30), (40, 25, 6), (25, 40, 6), (2, 5, 1), (9, 1, 1)],
)
def test_the_space_is_that_of_numpys_singular_vectors_and_nothing_is_lost(n, d, rank, m):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, d)) + 5.0
    space = open_space(x, m)
    centred = x - x.mean(axis=0)
    u, s, axes = np.linalg.svd(centred, full_matrices=False)
    size = min(m, rank)
    assert space.rank == size
    assert space.scatter == pytest.approx(s[:size] ** 2, rel=1e-9)
    same_up_to_sign(space.leading, u[:, :size] * s[:size], 1e-8)
    if size == rank:
        assert space.outside is None
    else:
        assert space.outside == pytest.approx(centred - (u[:, :size] * s[:size]) @ axes[:size], abs=1e-8)
        assert space.outside @ space.outside.T + space.leading @ space.leading.T == pytest.approx(centred @ centred.T)


@pytest.mark.parametrize(("n", "d"), [(50, 12), (12, 50)])
def test_constant_columns_and_repeated_columns_add_no_component(n, d):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(n, d))
    x[:, 3:] = 0.1
    x[:, 5] = x[:, 0]
    space = open_space(x, 10)
    assert space.rank == 3
    assert space.outside is None
    assert space.scatter == pytest.approx(np.linalg.svd(x - x.mean(axis=0), compute_uv=False)[:3] ** 2, rel=1e-9)


def test_holding_components_keeps_them_and_nothing_else():
    x, *_ = block(3, 20, paired=False)
    space = open_space(x, 8)
    held = space.held(3)
    assert held.outside is None
    assert held.rank == 3
    assert np.array_equal(held.leading, space.leading[:, :3])
    assert np.array_equal(held.scatter, space.scatter[:3])
    assert space.projection(3).scores == pytest.approx(pca(x, 3).scores, abs=1e-9)
    assert space.projection(3).variances == pytest.approx(PCA(n_components=4).fit(x).explained_variance_, rel=1e-9)


# Components without a unit


def test_the_rows_of_each_unit_are_listed():
    assert rows_of_units(np.array([0, 1, 2, 1, 0, 2])).tolist() == [[0, 4], [1, 3], [2, 5]]
    assert rows_of_units(np.array([0, 1, 2])).tolist() == [[0], [1], [2]]


# 11 + 11 texts vary in 21 directions, one component and LEADING more.
SHAPES = [(30, DECAY), (11, np.geomspace(3, 1, 40)), (30, [3.0, 2, 1, 0, 0])]  # n > d, n < d, rank-deficient


@BOTH
@pytest.mark.parametrize(("n", "spread"), SHAPES, ids=["tall", "wide", "flat"])
def test_components_without_a_unit_are_those_of_a_pca_fitted_anew_where_the_space_holds_everything(paired, n, spread):
    x, _, partners, unit_of_row = block(4, n, paired=paired, spread=spread)
    space, removed, k = open_space(x, 3 + LEADING), rows_of_units(unit_of_row), 3
    seen = 0
    for part in leave_out(space, removed, k):
        for unit in range(len(part.removed)):
            stays, _ = kept(unit_of_row == seen, partners)
            other = PCA(n_components=k, svd_solver="full").fit(x[stays])
            scores = part.scores(space, unit, k)
            # Also of the rows that are gone, in components that never saw them.
            same_up_to_sign(scores - scores[stays].mean(axis=0), other.transform(x), 1e-7)
            assert part.scatter[unit] == pytest.approx(other.explained_variance_ * (stays.sum() - 1), rel=1e-8)
            assert part.scores(space, unit, 1) == pytest.approx(scores[:, :1])
            seen += 1
    assert seen == len(removed)


def test_components_without_whole_groups_are_those_of_a_pca_fitted_anew():
    x, _, _, _ = block(5, 40, paired=False)
    space, rows = open_space(x, 2 + LEADING), np.arange(80).reshape(10, 8)
    for part in leave_out(space, rows, 2):
        for unit, gone in enumerate(part.removed):
            stays = ~np.isin(np.arange(80), gone)
            scores = part.scores(space, unit, 2)[stays]
            same_up_to_sign(scores - scores.mean(axis=0), PCA(n_components=2).fit_transform(x[stays]), 1e-7)


@BOTH
def test_held_components_are_turned_but_not_fitted(paired):
    x, harmful, partners, unit_of_row = block(6, 25, paired=paired)
    space = open_space(x, 4 + LEADING).held(4)
    expected = left_out("between_class_variance", x, harmful, partners, unit_of_row, 4, fit=False)
    parts = leave_out(space, rows_of_units(unit_of_row), 4)
    found = [downdate.between_class_variance(space, part, harmful[None, :], 4)[:, 0] for part in parts]
    assert np.concatenate(found) == pytest.approx(expected, abs=1e-10)


# Metrics without a unit


def without_each(name, x, harmful, partners, unit_of_row, k):
    space, removed = open_space(x, k + LEADING), rows_of_units(unit_of_row)
    opened = open_silhouette(space, harmful, partners, removed, k) if name == "silhouette" else None
    values = []
    for part in leave_out(space, removed, k):
        if name == "between_class_variance":
            values.append(downdate.between_class_variance(space, part, harmful[None, :], k)[:, 0])
        elif name == "bhattacharyya":
            values.append(downdate.bhattacharyya(space, part, harmful, k))
        else:
            values.append(opened.refitted(space, part))
    return np.concatenate(values)


@BOTH
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("name", ["between_class_variance", "bhattacharyya"])
@pytest.mark.parametrize(("n", "spread"), SHAPES, ids=["tall", "wide", "flat"])
def test_left_out_values_are_exact_where_the_space_holds_everything(paired, k, name, n, spread):
    x, harmful, partners, unit_of_row = block(7, n, paired=paired, spread=spread)
    expected = left_out(name, x, harmful, partners, unit_of_row, k)
    assert without_each(name, x, harmful, partners, unit_of_row, k) == pytest.approx(expected, abs=1e-9, rel=1e-8)
    assert np.ptp(expected) > 0.001


@BOTH
@pytest.mark.parametrize("name", ["between_class_variance", "bhattacharyya"])
def test_left_out_values_are_close_where_most_directions_lie_outside(paired, name):
    x, harmful, partners, unit_of_row = block(8, 50, paired=paired, spread=np.arange(1, 201) ** -0.5)
    assert open_space(x, 3 + LEADING).outside is not None
    expected = left_out(name, x, harmful, partners, unit_of_row, 3)
    errors = without_each(name, x, harmful, partners, unit_of_row, 3) - expected
    # Compared with how much the values differ from unit to unit, which is what the jackknife reads.
    assert errors.std() < 0.01 * expected.std()
    assert np.abs(errors).max() < 0.05 * expected.std()


@pytest.mark.parametrize("harmless", [14, 30, 41])
def test_left_out_values_are_exact_with_classes_of_any_size(harmless):
    x, harmful, partners, unit_of_row = block(9, 30, paired=False, harmless=harmless)
    for name in ("between_class_variance", "bhattacharyya"):
        expected = left_out(name, x, harmful, partners, unit_of_row, 2)
        assert without_each(name, x, harmful, partners, unit_of_row, 2) == pytest.approx(expected, abs=1e-9)


@BOTH
def test_many_labelings_at_once_give_what_each_gives_alone(paired):
    x, harmful, partners, unit_of_row = block(10, 15, paired=paired, spread=np.geomspace(3, 1, 60))
    labels = permuted(harmful, partners, 4, np.random.default_rng(10))
    space, seen = open_space(x, 2 + 5), 0
    assert space.outside is not None
    for part in leave_out(space, rows_of_units(unit_of_row), 2):
        together = downdate.between_class_variance(space, part, labels, 2)
        for b in range(4):
            alone = downdate.between_class_variance(space, part, labels[b : b + 1], 2)
            assert together[:, b : b + 1] == pytest.approx(alone, abs=1e-12)
        assert np.ptp(together, axis=1).min() > 1e-4
        seen += len(together)
    assert seen == unit_of_row.max() + 1
    whole = open_space(x, 2 + LEADING + 40)
    parts = leave_out(whole, rows_of_units(unit_of_row), 2)
    found = np.concatenate([downdate.between_class_variance(whole, part, labels, 2) for part in parts])
    for b in range(4):
        expected = left_out("between_class_variance", x, labels[b], partners, unit_of_row, 2)
        assert found[:, b] == pytest.approx(expected, abs=1e-9)


@BOTH
def test_left_out_values_do_not_depend_on_chunks(paired, monkeypatch):
    x, harmful, partners, unit_of_row = block(11, 15, paired=paired, spread=np.geomspace(3, 1, 60))
    names = ("between_class_variance", "bhattacharyya", "silhouette")
    whole = [without_each(name, x, harmful, partners, unit_of_row, 2) for name in names]
    monkeypatch.setattr("isogloss.stats.leave_one_out.CHUNK", 7 * 24**2)  # 7 units, and the rest
    monkeypatch.setattr("isogloss.stats.silhouette.BLOCK", 8 * 30)  # 8 rows, and the rest
    sizes = [len(part.removed) for part in leave_out(open_space(x, 22), rows_of_units(unit_of_row), 2)]
    assert len(sizes) > 2
    assert sizes[-1] != sizes[0]
    for name, expected in zip(names, whole, strict=True):
        assert without_each(name, x, harmful, partners, unit_of_row, 2) == pytest.approx(expected, abs=1e-10)


def test_bhattacharyya_without_the_unit_that_alone_makes_a_class_vary_is_nan():
    x, harmful, _, unit_of_row = block(12, 20, paired=False, spread=[3.0, 2.0], turn=False)
    x[harmful, 1], odd = 0.0, np.flatnonzero(harmful)[4]
    x[odd, 1] = 9.0
    found = without_each("bhattacharyya", x, harmful, None, unit_of_row, 2)
    assert np.flatnonzero(np.isnan(found)).tolist() == [odd]


# The silhouette without a unit


@BOTH
@pytest.mark.parametrize("harmless", [20, 27])
def test_the_silhouette_without_a_unit_is_exact_in_held_components(paired, harmless):
    harmless = None if paired else harmless
    x, harmful, partners, unit_of_row = block(13, 20, paired=paired, harmless=harmless)
    opened = open_silhouette(open_space(x, 3 + LEADING), harmful, partners, rows_of_units(unit_of_row), 3)
    expected = left_out("silhouette", x, harmful, partners, unit_of_row, 3, fit=False)
    assert opened.held == pytest.approx(expected, abs=1e-10)


@BOTH
def test_the_silhouette_without_a_unit_is_exact_where_nothing_is_fitted(paired):
    x, harmful, partners, unit_of_row = block(14, 20, paired=paired, spread=[3.0, 2.0, 1.0])
    expected = left_out("silhouette", x, harmful, partners, unit_of_row, 3)
    assert without_each("silhouette", x, harmful, partners, unit_of_row, 3) == pytest.approx(expected, abs=1e-10)


@BOTH
@pytest.mark.parametrize("apart", [0.0, 2.0])
@pytest.mark.parametrize("width", [12, 120])
def test_the_silhouette_without_a_unit_is_right_to_first_order_in_the_fit(paired, apart, width):
    spread = np.r_[3.0, 2.0, np.geomspace(0.8, 0.3, width - 2) / np.sqrt(width / 12)]  # a clear eigen-gap after two
    x, harmful, partners, unit_of_row = block(15, 40, paired=paired, spread=spread, apart=apart)
    found = without_each("silhouette", x, harmful, partners, unit_of_row, 2)
    expected = left_out("silhouette", x, harmful, partners, unit_of_row, 2)
    assert np.corrcoef(found, expected)[0, 1] > 0.98
    assert 0.9 < found.std() / expected.std() < 1.1


@BOTH
def test_the_derivative_is_that_of_finite_differences(paired):
    x, harmful, partners, unit_of_row = block(16, 20, paired=paired)
    space, removed = open_space(x, 2 + LEADING), rows_of_units(unit_of_row)
    opened = open_silhouette(space, harmful, partners, removed, 2)
    rng = np.random.default_rng(16)
    direction = rng.normal(size=(space.rank, 2))
    direction[:2] = 0.0

    def value(step):
        axes = np.linalg.qr(np.vstack([np.eye(2), np.zeros((space.rank - 2, 2))]) + step * direction)[0]
        return silhouette(space.leading @ axes, harmful, partners)

    slope = (value(1e-5) - value(-1e-5)) / 2e-5
    # d trace(Z' L Z P) with P moving along direction and its transpose.
    form = space.leading.T @ opened.pull @ space.leading
    assert 2 * (form[:2] * direction.T).sum() == pytest.approx(slope, rel=1e-5)
    assert abs(slope) > 1e-3
