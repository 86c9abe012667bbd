"""Component scores of a block, end to end, against a slow and plain implementation of the same."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from isogloss.stats import component_scores as module
from isogloss.stats.block import score_block
from isogloss.stats.component_scores import component_scores
from isogloss.stats.components import pca
from isogloss.stats.effects import gain
from isogloss.stats.metrics import METRICS, STANDARD
from isogloss.stats.permutations import draw
from isogloss.stats.thresholds import THRESHOLDS
from plain import METRIC, SPREAD, fresh_pca, kept, labels_and_partners, left_out, pseudo_mean, states

BOTH = pytest.mark.parametrize("paired", [False, True])
ROWS = [row for row in METRICS.values() if row.judges]
NAMES = [row.name for row in ROWS]
#: Components that hardly differ: which of them are kept is chance.
TIED = np.array([1.2, 1.2, 1.1, 1.0])


def block(seed, n, *, paired, permutations=5, apart=1.0, spread=SPREAD, harmless=None):
    """Hidden states that are turned, and what is drawn for them."""
    rng = np.random.default_rng(seed)
    harmful, partners = labels_and_partners(n, paired=paired, rng=rng, harmless=harmless)
    x = states(rng, harmful, partners, apart=apart, spread=np.asarray(spread))
    x = x @ np.linalg.qr(rng.normal(size=(len(spread), len(spread))))[0]
    return x, draw(harmful, partners, n_permutations=permutations, seed=seed)


def score(x, draws, *names, components=(2,)):
    return component_scores(x, draws, [METRICS[name] for name in names or NAMES], components)


def jackknife_entries(left, draws):
    """Unit -> entry of the delete-one jackknife; single texts are taken class by class."""
    entries = {}
    for stratum in [np.full(len(left), True)] if draws.partners is not None else [draws.harmful, ~draws.harmful]:
        values = left[stratum]
        moves = np.sqrt((len(values) - 1) / len(values)) * (values.mean() - values)
        entries |= dict(zip(draws.units[stratum].tolist(), moves.tolist(), strict=True))
    return entries


def stderr_ratio(name, x, draws, k):
    """How many times as large fitting the components makes the standard error."""
    errors = []
    for fit in (True, False):
        left = left_out(name, x, draws.harmful, draws.partners, draws.unit_of_row, k, fit=fit)
        errors.append(np.linalg.norm(list(jackknife_entries(left, draws).values())))
    return errors[0] / errors[1]


class Slow:
    """One metric of one block by refitting everything, one unit, group and shuffle after the other."""

    def __init__(self, name, x, draws, k):
        self.z, self.draws = fresh_pca(x, k), draws
        self.plug_in = METRIC[name](self.z, draws.harmful, draws.partners)
        self.plug_in_null = [METRIC[name](self.z, labels, draws.partners) for labels in draws.permutations]
        fitted = left_out(name, x, draws.harmful, draws.partners, draws.unit_of_row, k)
        null = (
            [self.estimate(name, labels, k) for labels in draws.permutations]
            if name != "silhouette"
            else self.plug_in_null
        )
        self.null = np.array(null) - np.mean(null)
        self.moved = stderr_ratio(name, x, draws, k)
        self.value = self.estimate(name, draws.harmful, k) - np.mean(null)
        if x.shape[1] > k and name != "bhattacharyya" and self.moved <= 1.1:
            self.value -= self.bias_of_fit(name, x, k)
        self.units = jackknife_entries(fitted, draws)
        self.se = np.sqrt(self.null.var(ddof=1) + sum(move**2 for move in self.units.values()))

    def estimate(self, name, labels, k):
        left = left_out(name, self.z, labels, self.draws.partners, self.draws.unit_of_row, k, fit=False)
        return pseudo_mean(METRIC[name](self.z, labels, self.draws.partners), left, self.strata(labels))

    def strata(self, labels):
        return labels if self.draws.partners is None else None

    def bias_of_fit(self, name, x, k):
        differences = []
        for group in range(self.draws.groups.max() + 1):
            stays, partners = kept(self.draws.groups == group, self.draws.partners)
            side = self.draws.harmful[stays]
            anew, held = (METRIC[name](z, side, partners) for z in (fresh_pca(x[stays], k), self.z[stays]))
            differences.append(anew - held)
        return (len(differences) - 1) * np.mean(differences)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("paired", "harmless", "width"), [(True, None, 8), (False, 25, 8), (False, 33, 8), (True, None, 2), (False, 33, 2)]
)
def test_scores_are_those_of_the_slow_way(name, paired, harmless, width):
    x, draws = block(1, 25, paired=paired, harmless=harmless, spread=SPREAD[:width])
    (found,), expected = score(x, draws, name), Slow(name, x, draws, 2)
    assert expected.moved < 1.05
    assert found.plug_in == pytest.approx(expected.plug_in, abs=1e-9)
    assert found.plug_in_null == pytest.approx(expected.plug_in_null, abs=1e-9)
    assert found.null == pytest.approx(expected.null, abs=1e-8)
    assert found.jackknife.value == pytest.approx(expected.value, abs=1e-6)
    # The silhouette's entries are of first order in what is fitted; with two columns nothing is.
    exact = name != "silhouette" or width == 2
    assert found.jackknife.se == pytest.approx(expected.se, **({"rel": 1e-6} if exact else {"rel": 0.1}))
    own = dict(zip(found.jackknife.units.tolist(), found.jackknife.influence, strict=True))
    assert set(own) == set(draws.units.tolist()) | set(draws.permutation_ids.tolist())
    moves = [own[unit] for unit in expected.units]
    if exact:
        assert moves == pytest.approx(list(expected.units.values()), abs=1e-7)
    else:
        assert np.corrcoef(moves, list(expected.units.values()))[0, 1] > 0.9
    spread = [own[shuffle] for shuffle in draws.permutation_ids.tolist()]
    assert spread == pytest.approx((expected.null - expected.null.mean()) / 2, abs=1e-8)  # sqrt(5 - 1)
    assert found.jackknife.df == len(draws.units) - (1 if paired else 2)
    assert found.reason is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("paired", "harmless"), [(True, None), (False, 33)])
def test_where_the_score_hangs_on_the_components_what_fitting_adds_is_not_taken_off(name, paired, harmless):
    x, draws = block(1, 25, paired=paired, harmless=harmless, spread=TIED)
    (found,), expected = score(x, draws, name), Slow(name, x, draws, 2)
    assert expected.moved > 1.2
    assert found.jackknife.value == pytest.approx(expected.value, abs=1e-6)
    assert abs(expected.bias_of_fit(name, x, 2)) > 1e-3  # it would show
    exact = name != "silhouette"
    assert found.jackknife.se == pytest.approx(expected.se, rel=1e-6 if exact else 0.3)


@BOTH
def test_the_mean_of_the_null_is_what_permutations_take_off_the_value(paired):
    x, draws = block(16, 30, paired=paired, permutations=30)
    names = ["between_class_variance", "silhouette"]
    bare = score(x, replace(draws, packed=draws.packed[:0]), *names)
    for one, other in zip(score(x, draws, *names), bare, strict=True):
        null, z = one.plug_in_null, fresh_pca(x, 2)
        if one.metric == "between_class_variance":
            left = [
                left_out(one.metric, z, side, draws.partners, draws.unit_of_row, 2, fit=False)
                for side in draws.permutations
            ]
            strata = [None if paired else side for side in draws.permutations]
            null = [pseudo_mean(*each) for each in zip(null, left, strata, strict=True)]
        assert abs(np.mean(null)) > 1e-6
        assert other.jackknife.value - one.jackknife.value == pytest.approx(np.mean(null), abs=1e-9)
        assert one.null == pytest.approx(null - np.mean(null), abs=1e-9)
        assert other.null.shape == (0,)
        assert np.isnan(other.p_value)


@BOTH
def test_plug_in_values_are_the_metrics_of_principal_components(paired):
    x, draws = block(2, 60, paired=paired)
    block_scores = score_block(x, draws, ROWS, (2, 5))
    found, projection = block_scores.scores, block_scores.projection
    assert [(one.metric, one.components) for one in found] == [(name, k) for name in NAMES for k in (2, 5)]
    labels = np.vstack([draws.harmful, draws.permutations])
    for one in found:
        z = fresh_pca(x, one.components)
        expected = METRICS[one.metric].many(z, labels, draws.partners, draws.folds)
        assert np.r_[one.plug_in, one.plug_in_null] == pytest.approx(expected, abs=1e-9)
        assert one.row is METRICS[one.metric]
    assert projection.scores == pytest.approx(pca(x, 5).scores, abs=1e-9)
    assert projection.variances == pytest.approx(pca(x, 5).variances, rel=1e-9)


@BOTH
def test_values_for_some_components_do_not_depend_on_what_else_is_asked_for(paired):
    x, draws = block(3, 30, paired=paired, spread=np.geomspace(3, 0.1, 60))
    (alone,) = score(x, draws, "between_class_variance")
    among = next(
        one for one in score(x, draws, components=(1, 2)) if one.metric == alone.metric and one.components == 2
    )
    assert among.jackknife.value == pytest.approx(alone.jackknife.value, abs=1e-10)
    assert among.jackknife.se == pytest.approx(alone.jackknife.se, rel=1e-8)


def test_scores_are_about_nothing_without_a_difference():
    found = {name: [] for name in NAMES}
    for seed in range(40):
        x, draws = block(400 + seed, 30, paired=True, permutations=20, apart=0.0, spread=[3.0, 2.0, 1.0, 0.5])
        for one in score(x, draws):
            assert one.null.mean() == pytest.approx(0, abs=1e-12)
            found[one.metric].append((one.jackknife.value, one.plug_in))
    for name, pairs in found.items():
        values, plug_ins = np.array(pairs).T
        assert abs(values.mean()) < 4 * values.std() / np.sqrt(40)
        assert name == "silhouette" or plug_ins.mean() > 4 * values.std() / np.sqrt(40)


@BOTH
@pytest.mark.parametrize("name", ["between_class_variance", "silhouette"])
def test_the_p_value_is_exact_where_all_labelings_are_counted(name, paired):
    """Labelings that tie with the true ones, such as all labels turned round, count."""
    n = 6 if paired else 4
    for seed in range(8):
        x, draws = block(500 + seed, n, paired=paired, apart=2.0, spread=[2.0, 1.0])
        if paired:
            swaps = np.array(list(itertools.product([False, True], repeat=n)))
            labelings = draws.harmful ^ swaps[:, draws.unit_of_row]
        else:
            labelings = np.array([np.isin(np.arange(2 * n), rows) for rows in itertools.combinations(range(2 * n), n)])
        (found,) = score(x, replace(draws, packed=np.packbits(labelings, axis=1)), name)
        z = fresh_pca(x, 2)
        values = np.array([METRIC[name](z, labels, draws.partners) for labels in labelings])
        reached = (values >= METRIC[name](z, draws.harmful, draws.partners) - 1e-9).sum()
        assert reached >= 2  # itself and the other way round
        assert found.p_value == (1 + reached) / (1 + len(labelings))


def test_a_gain_of_two_blocks_is_paired_in_units_and_permutations():
    x, draws = block(6, 30, paired=True, permutations=50)
    rng = np.random.default_rng(6)
    other = x + 0.2 * rng.normal(size=x.shape)
    (one,), (two,) = score(x, draws, "between_class_variance"), score(other, draws, "between_class_variance")
    change = gain(one.jackknife, two.jackknife)
    assert change.value == two.jackknife.value - one.jackknife.value
    assert change.se < 0.6 * np.hypot(one.jackknife.se, two.jackknife.se)
    (same,) = score(x.copy(), draws, "between_class_variance")
    assert gain(one.jackknife, same.jackknife).se == 0


@BOTH
def test_intervals_cover_the_planted_share_of_variance(paired):
    apart, covered = 2.0, []
    truth = (apart / 2) ** 2 / ((SPREAD[:2] ** 2).sum() + (apart / 2) ** 2)
    for seed in range(100):
        x, draws = block(1000 + seed, 60, paired=paired, permutations=20, apart=apart)
        (found,) = score(x, draws, "between_class_variance")
        interval = found.jackknife.interval()
        covered.append(interval.low < truth < interval.high)
    assert 0.88 <= np.mean(covered) <= 0.995  # .95, its standard error .022


@BOTH
def test_scores_are_the_same_in_either_precision_and_the_states_left_as_they_were(paired):
    x, draws = block(7, 30, paired=paired)
    x = x.astype(np.float32)
    before = x.copy()
    for one, other in zip(score(x, draws), score(x.astype(np.float64), draws), strict=True):
        assert (one.plug_in, one.jackknife.value, one.jackknife.se) == (
            other.plug_in,
            other.jackknife.value,
            other.jackknife.se,
        )
    assert np.array_equal(x, before)


@BOTH
def test_scores_do_not_depend_on_place_direction_or_size(paired):
    x, draws = block(8, 30, paired=paired)
    turned = 100 * x @ np.linalg.qr(np.random.default_rng(8).normal(size=(8, 8)))[0] + 50
    for one, other in zip(score(x, draws), score(turned, draws), strict=True):
        assert other.jackknife.value == pytest.approx(one.jackknife.value, abs=1e-8)
        assert other.jackknife.se == pytest.approx(one.jackknife.se, rel=1e-6)


# What is missing says why


def test_more_components_than_the_texts_vary_in_give_no_number_but_a_reason():
    x, draws = block(9, 40, paired=True)
    flat = np.outer(x[:, 0], np.arange(1.0, 9)) + np.outer(x[:, 1], np.ones(8))
    found = score(flat, draws, components=(2, 3))
    assert [one.components for one in found] == [2] * 3 + [3] * 3
    for one in found:
        assert (one.jackknife is None) == np.isnan(one.plug_in) == (one.components == 3)
        assert one.reason == (None if one.components == 2 else "the texts vary in 2 directions only")
        if one.jackknife is None:
            assert len(one.null) == len(one.plug_in_null) == 0
            assert np.isnan(one.p_value)


@pytest.mark.parametrize(("harmless", "reported"), [(20, True), (19, False)])
def test_bhattacharyya_needs_ten_texts_per_class_and_component(harmless, reported):
    x, draws = block(10, 40, paired=False, harmless=harmless)
    few = {one.components: one for one in score(x, draws, "bhattacharyya", components=(2, 3))}
    assert (few[2].jackknife is not None) == reported
    assert few[2].reason == (None if reported else "fewer than 20 texts per class for 2 components")
    assert few[3].jackknife is None
    assert few[3].reason == "fewer than 30 texts per class for 3 components"
    assert all(one.jackknife is not None for one in score(x, draws, "between_class_variance", "silhouette"))


def without_variation(*rows):
    """Two columns; the second varies in these rows only, of 30 harmful and 30 harmless texts."""
    rng = np.random.default_rng(11)
    x = np.zeros((60, 2))
    x[:, 0] = rng.normal(size=60)
    x[list(rows), 1] = 1.0 + rng.random(len(rows))
    return x


@BOTH
def test_a_class_that_does_not_vary_in_a_component_has_no_distance_but_a_reason(paired):
    harmful, partners = labels_and_partners(30, paired=paired)
    draws = draw(harmful, partners, n_permutations=5, seed=0)
    found = {one.metric: one for one in score(without_variation(30, 31, 32), draws)}
    assert found["bhattacharyya"].jackknife is None
    assert np.isnan(found["bhattacharyya"].plug_in)
    assert found["bhattacharyya"].reason == "a class does not vary in every component"
    assert found["silhouette"].reason is None
    assert np.isfinite(found["silhouette"].jackknife.value)


@BOTH
def test_a_unit_without_which_a_class_does_not_vary_has_no_distance_but_a_reason(paired):
    harmful, partners = labels_and_partners(30, paired=paired)
    draws = draw(harmful, partners, n_permutations=0, seed=0)
    (found,) = score(without_variation(0, 31, 32), draws, "bhattacharyya")
    assert found.jackknife is None
    assert found.reason == "a class does not vary in every component"


@BOTH
def test_permutations_that_leave_a_class_without_variation_have_no_distance_but_a_reason(paired):
    harmful, partners = labels_and_partners(30, paired=paired)
    draws = draw(harmful, partners, n_permutations=200, seed=0)
    (found,) = score(without_variation(0, 1, 32, 33), draws, "bhattacharyya")
    assert found.jackknife is None
    assert np.isnan(found.plug_in)
    assert found.reason == "a class does not vary in every component under some permutation"


@BOTH
def test_every_score_has_finite_numbers_or_a_reason(paired):
    for name in NAMES:
        for n in (3, 4, 12, 21):
            x, draws = block(12, n, paired=paired, permutations=10)
            for one in score(x, draws, name, components=(1, 2, 7)):
                assert (one.jackknife is None) == (one.reason is not None) == np.isnan(one.plug_in)
                if one.jackknife is not None:
                    assert np.isfinite([one.jackknife.value, one.jackknife.se, *one.null]).all()


# What is approximate says why


def approximate(n, spread, k=2, **options):
    x, draws = block(13, n, paired=False, permutations=1, spread=spread, **options)
    (found,) = score(x, draws, "between_class_variance", components=(k,))
    return found.approximate


def test_few_texts_with_fitted_components_are_approximate():
    clear = [9.0, 5.0, 1.0, 0.5]
    few = f"fewer than {THRESHOLDS.few_texts} texts per class with fitted components"
    assert approximate(THRESHOLDS.few_texts - 1, clear) == few
    assert approximate(THRESHOLDS.few_texts, clear) is None
    assert approximate(THRESHOLDS.few_texts, clear, harmless=THRESHOLDS.few_texts - 1) == few
    assert approximate(20, clear, k=4) is None  # nothing is fitted
    assert approximate(20, clear, k=3) == few


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("paired", [False, True])
def test_a_score_that_hangs_on_the_fit_of_its_components_is_approximate(name, paired, monkeypatch):
    few = replace(THRESHOLDS, few_texts=25)
    monkeypatch.setattr(module, "THRESHOLDS", few)
    said = "it depends on components that the texts do not determine"
    for spread, hangs in ((SPREAD, False), (TIED, True)):
        x, draws = block(1, 25, paired=paired, harmless=None if paired else 33, permutations=1, spread=spread)
        assert score(x, draws, name)[0].approximate == (said if hangs else None)
        assert score(x[:, :2], draws, name)[0].approximate is None  # nothing is fitted
        if name == "silhouette":  # its ratio is right to first order only
            continue
        ratio = stderr_ratio(name, x, draws, 2)
        for edge, beyond in ((0.999, True), (1.001, False)):
            monkeypatch.setattr(module, "THRESHOLDS", replace(few, component_edge=edge * ratio))
            assert score(x, draws, name)[0].approximate == (said if beyond else None)
        monkeypatch.setattr(module, "THRESHOLDS", few)


def test_fitting_moves_a_score_that_hangs_by_a_tenth():
    assert THRESHOLDS.component_edge == 1.1


# The whole block


def test_a_block_has_the_scores_of_both_kinds_and_the_projection():
    x, draws = block(15, 30, paired=True)
    found = score_block(x, draws, [METRICS[name] for name in STANDARD], (1, 2))
    order = [(name, k) for name in NAMES for k in (1, 2)] + [
        ("auroc", None),
        ("pair_accuracy", None),
        ("class_distance", None),
    ]
    assert [(one.metric, one.components) for one in found.scores] == order
    assert found.projection.scores == pytest.approx(pca(x, 2).scores, abs=1e-9)
    only = score_block(x, draws, [METRICS["silhouette"]], (2,))
    assert [one.metric for one in only.scores] == ["silhouette"]
    assert found.text_scores.shape == (60,)
    assert only.text_scores is None


@BOTH
def test_a_block_lets_go_of_its_texts_and_holds_equal_units_once(paired):
    x, draws = block(5, 30, paired=paired, permutations=20)
    found = score_block(x, draws, [METRICS[name] for name in (*NAMES, "auroc")], (1, 2))
    slim = found.with_units({}).without_texts()
    assert slim.projection.scores.size == 0
    assert slim.projection.eigen_gap(2) == found.projection.eigen_gap(2)
    assert slim.text_scores is None
    assert all(
        (one.jackknife.units == other.jackknife.units).all()
        for one, other in zip(slim.scores, found.scores, strict=True)
    )
    assert len({id(one.jackknife.units) for one in slim.scores}) < len(
        {id(one.jackknife.units) for one in found.scores}
    )
