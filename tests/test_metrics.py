"""The metrics of the METRICS table against other implementations, closed forms and plain loops."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from sklearn.metrics import calinski_harabasz_score, roc_auc_score, silhouette_score

from isogloss.errors import MetricError
from isogloss.stats import metrics
from isogloss.stats.metrics import METRICS, STANDARD
from isogloss.stats.probe import N_FOLDS, cross_fitted_scores, ridge_probe
from isogloss.stats.silhouette import silhouette_many
from isogloss.stats.text_pairs import partner_index
from plain import dealt, permuted

PCA_METRICS = [name for name, row in METRICS.items() if row.judges]
PROBE_METRICS = [name for name, row in METRICS.items() if row.basis == "probe"]
ELSEWHERE = np.array([5.0, -3.0, 100.0, 0.0])


def two_classes(seed, *, n=30, width=4, shift=0.7):
    """Texts of two classes in random order; `pairs` joins each harmful text to a harmless one that resembles it."""
    rng = np.random.default_rng(seed)
    content = rng.normal(size=(n, width)) * np.linspace(2, 1, width)
    x = np.vstack([content + 0.5 * rng.normal(size=(n, width)) for _ in range(2)])
    harmful = np.arange(2 * n) < n
    x[harmful] += shift * rng.normal(size=width)
    order = rng.permutation(2 * n)
    return x[order], harmful[order], (np.arange(2 * n) % n)[order]


def exact_moments(rng, n, mean, covariance):
    """Draw n rows whose sample mean and unbiased sample covariance are exactly the given ones."""
    z = rng.normal(size=(n, len(mean)))
    z -= z.mean(axis=0)
    z = z @ np.linalg.inv(np.linalg.cholesky(np.cov(z, rowvar=False).reshape(len(mean), -1))).T
    return z @ np.linalg.cholesky(np.asarray(covariance)).T + np.asarray(mean)


def rotation(seed, width):
    return scipy.stats.ortho_group.rvs(width, random_state=np.random.default_rng(seed))


# Between-class variance


def test_between_class_variance_equals_one_minus_the_within_class_share_of_squared_distances():
    x, harmful, _ = two_classes(1, n=12)

    def scatter(rows):
        return sum(((a - b) ** 2).sum() for i, a in enumerate(rows) for b in rows[:i]) / len(rows)

    within = scatter(x[harmful]) + scatter(x[~harmful])
    assert metrics.between_class_variance(x, harmful) == pytest.approx(1 - within / scatter(x), rel=1e-10)


def test_between_class_variance_agrees_with_calinski_harabasz_where_classes_differ_in_size():
    x, harmful, _ = two_classes(2, n=25)
    few = ~harmful | (np.cumsum(harmful) <= 8)
    x, harmful = x[few], harmful[few]
    assert (harmful.sum(), (~harmful).sum()) == (8, 25)
    ratio = calinski_harabasz_score(x, harmful)
    assert metrics.between_class_variance(x, harmful) == pytest.approx(ratio / (ratio + len(x) - 2), rel=1e-10)


def test_between_class_variance_agrees_with_the_f_test_in_one_dimension():
    x, harmful, _ = two_classes(3, width=1)
    f = scipy.stats.f_oneway(x[harmful, 0], x[~harmful, 0]).statistic
    assert metrics.between_class_variance(x, harmful) == pytest.approx(f / (f + len(x) - 2), rel=1e-10)


@pytest.mark.parametrize(("apart", "within", "expected"), [(3.0, 4.0, 9 / 25), (0.0, 1.0, 0.0), (2.0, 0.0, 1.0)])
def test_between_class_variance_has_its_closed_form_for_two_tight_classes(apart, within, expected):
    x = [[-apart, -within], [-apart, within], [apart, -within], [apart, within]]
    assert metrics.between_class_variance(x, [0, 0, 1, 1]) == pytest.approx(expected, abs=1e-12)


# Bhattacharyya distance


@pytest.mark.parametrize(("n", "width"), [(30, 1), (30, 4), (150, 10)])
def test_bhattacharyya_agrees_with_numpy_covariances_and_determinants(n, width):
    x, harmful, _ = two_classes(4, n=n, width=width)
    x[harmful] *= np.linspace(1, 1.5, width)
    x, harmful = x[5:], harmful[5:]
    a, b = (np.cov(x[side], rowvar=False).reshape(width, width) for side in (~harmful, harmful))
    middle = (a + b) / 2
    d = x[harmful].mean(axis=0) - x[~harmful].mean(axis=0)
    logs = [np.linalg.slogdet(m)[1] for m in (middle, a, b)]
    expected = d @ np.linalg.inv(middle) @ d / 8 + (logs[0] - (logs[1] + logs[2]) / 2) / 2
    assert metrics.bhattacharyya(x, harmful) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_bhattacharyya_is_minus_the_log_of_the_overlap_of_two_gaussians():
    rng = np.random.default_rng(5)
    one, two = scipy.stats.norm(-0.5, 1.0), scipy.stats.norm(1.0, 2.5)
    x = np.vstack([exact_moments(rng, 20, [law.mean()], [[law.var()]]) for law in (one, two)])
    overlap, _ = scipy.integrate.quad(lambda t: np.sqrt(one.pdf(t) * two.pdf(t)), -30, 30)
    assert metrics.bhattacharyya(x, np.arange(40) >= 20) == pytest.approx(-np.log(overlap), abs=1e-6)


def test_bhattacharyya_of_equal_covariances_is_an_eighth_of_the_squared_mahalanobis_distance():
    rng = np.random.default_rng(6)
    covariance, mean = [[2.0, 0.6], [0.6, 1.0]], [1.0, -2.0]
    x = np.vstack([exact_moments(rng, 30, centre, covariance) for centre in ([0.0, 0.0], mean)])
    expected = np.array(mean) @ np.linalg.inv(covariance) @ np.array(mean) / 8
    assert metrics.bhattacharyya(x, np.arange(60) >= 30) == pytest.approx(expected, abs=1e-6)


def test_bhattacharyya_sees_a_difference_in_spread_alone():
    rng = np.random.default_rng(7)
    x = np.vstack([exact_moments(rng, 30, [0.0, 0.0], scale * np.eye(2)) for scale in (1.0, 4.0)])
    assert metrics.bhattacharyya(x, np.arange(60) >= 30) == pytest.approx(np.log(2.5 / 2), abs=1e-6)


def test_bhattacharyya_is_nan_where_a_class_does_not_vary_in_some_direction():
    x, harmful, _ = two_classes(8, width=3)
    x[harmful, 2] = x[harmful, 0] - x[harmful, 1]
    assert np.isnan(metrics.bhattacharyya(x, harmful))
    assert np.isnan(metrics.bhattacharyya(x[:8], np.arange(8) < 3))  # three texts span two directions
    assert np.isfinite(metrics.bhattacharyya(x[:, :2], harmful))


# Silhouette


@pytest.mark.parametrize("drop", [0, 17])
def test_silhouette_without_pairs_agrees_with_scikit_learn(drop):
    x, harmful, _ = two_classes(9)
    x, harmful = x[drop:], harmful[drop:]
    assert metrics.silhouette(x, harmful) == pytest.approx(silhouette_score(x, harmful), abs=1e-6)


def test_silhouette_of_texts_in_the_same_place_is_zero():
    x = np.array([[0.0], [0.0], [0.0], [0.0]])
    assert metrics.silhouette(x, [0, 0, 1, 1]) == 0
    x = np.array([[0.0], [0.0], [1.0], [1.0]])
    assert metrics.silhouette(x, [0, 0, 1, 1]) == 1


def silhouette_by_loops(x, harmful, pairs):
    widths = []
    for i in range(len(x)):
        own, other = [], []
        for j in range(len(x)):
            if j == i or pairs[j] == pairs[i]:
                continue
            (own if harmful[j] == harmful[i] else other).append(float(np.linalg.norm(x[i] - x[j])))
        a, b = sum(own) / len(own), sum(other) / len(other)
        widths.append((b - a) / max(a, b))
    return sum(widths) / len(widths)


def test_silhouette_with_pairs_leaves_each_texts_own_pair_out():
    x, harmful, pairs = two_classes(10)
    with_pairs = metrics.silhouette(x, harmful, pairs)
    assert with_pairs == pytest.approx(silhouette_by_loops(x, harmful, pairs), abs=1e-10)
    assert abs(with_pairs - metrics.silhouette(x, harmful)) > 0.005


@pytest.mark.parametrize("with_pairs", [False, True])
def test_silhouettes_do_not_depend_on_the_blocks_they_are_made_in(with_pairs, monkeypatch):
    x, harmful, pairs = two_classes(32)
    partners = partner_index(pairs, harmful) if with_pairs else None
    labels = permuted(harmful, partners, 7, np.random.default_rng(32))
    whole = silhouette_many(x, labels, partners)
    for block in (1, 7 * len(x), 59 * len(x)):  # 1, 7 and 59 of 60 rows
        monkeypatch.setattr("isogloss.stats.silhouette.BLOCK", block)
        assert silhouette_many(x, labels, partners) == pytest.approx(whole, abs=1e-12)


def test_silhouette_far_from_the_origin_is_that_of_scikit_learn():
    x, harmful, _ = two_classes(33)
    assert metrics.silhouette(x + 1e6, harmful) == pytest.approx(silhouette_score(x, harmful), abs=1e-8)


def test_silhouette_of_permuted_pairs_is_zero_on_average_only_with_the_pairs_left_out():
    rng = np.random.default_rng(11)
    harmful = np.arange(40) < 20
    pairs = np.arange(40) % 20
    partners = partner_index(pairs, harmful)
    folds = np.zeros(40, dtype=int)
    left_out, kept = [], []
    for _ in range(60):
        content = rng.normal(size=(20, 6))
        x = np.sqrt(0.8) * np.vstack([content, content]) + np.sqrt(0.2) * rng.normal(size=(40, 6))
        labels = permuted(harmful, partners, 150, rng)
        left_out.append(METRICS["silhouette"].many(x, labels, partners, folds).mean())
        kept.append(METRICS["silhouette"].many(x, labels, None, folds).mean())
    assert abs(np.mean(left_out)) < 0.004
    assert np.mean(kept) < -0.015


# AUROC


def test_auroc_without_pairs_is_the_mean_over_folds_of_scikit_learns():
    x, harmful, _ = two_classes(12, n=23)
    folds = dealt(harmful, None, N_FOLDS, np.random.default_rng(0))
    scores = cross_fitted_scores(ridge_probe(x), harmful[None, :], folds)[0]
    expected = [roc_auc_score(harmful[folds == fold], scores[folds == fold]) for fold in range(N_FOLDS)]
    found = metrics.auroc(x, harmful)
    assert found == pytest.approx(np.mean(expected), abs=1e-12)
    assert found != pytest.approx(roc_auc_score(harmful, scores), abs=1e-4)  # scores compare within a fold only


def test_auroc_counts_ties_as_half_like_scikit_learn():
    rng = np.random.default_rng(13)
    scores, harmful = rng.integers(0, 4, size=40).astype(float), rng.permutation(np.arange(40) < 15)
    found = METRICS["auroc"].many(scores[None, :], harmful[None, :], None, np.zeros(40, dtype=int))
    assert found[0] == pytest.approx(roc_auc_score(harmful, scores), abs=1e-12)


def auroc_by_loops(scores, harmful, pairs, folds):
    per_fold = []
    for fold in sorted(set(folds)):
        wins = [
            1.0 if scores[i] > scores[j] else 0.5 if scores[i] == scores[j] else 0.0
            for i in np.flatnonzero((folds == fold) & harmful)
            for j in np.flatnonzero((folds == fold) & ~harmful)
            if pairs[i] != pairs[j]
        ]
        per_fold.append(sum(wins) / len(wins))
    return sum(per_fold) / len(per_fold)


@pytest.mark.parametrize("tied", [False, True])
def test_auroc_with_pairs_leaves_own_pair_comparisons_out(tied):
    rng = np.random.default_rng(14)
    _, harmful, pairs = two_classes(14, n=22)
    partners = partner_index(pairs, harmful)
    folds = dealt(harmful, partners, N_FOLDS, rng)
    scores = rng.normal(size=44) + 2.0 * pairs % 3 + 0.5 * harmful
    scores = np.round(scores) if tied else scores
    found = METRICS["auroc"].many(scores[None, :], harmful[None, :], partners, folds)[0]
    assert found == pytest.approx(auroc_by_loops(scores, harmful, pairs, folds), abs=1e-12)
    all_pairs_of_texts = METRICS["auroc"].many(scores[None, :], harmful[None, :], None, folds)[0]
    assert abs(found - all_pairs_of_texts) > 0.0001


def test_auroc_of_the_public_function_with_pairs_scores_by_a_probe_that_never_saw_either_text():
    x, harmful, pairs = two_classes(15, n=20)
    partners = partner_index(pairs, harmful)
    folds = dealt(harmful, partners, N_FOLDS, np.random.default_rng(0))
    assert np.array_equal(folds, folds[partners])
    scores = cross_fitted_scores(ridge_probe(x), harmful[None, :], folds)[0]
    expected = auroc_by_loops(scores, harmful, pairs, folds)
    assert metrics.auroc(x, harmful, pairs) == pytest.approx(expected, abs=1e-12)


def test_auroc_of_permuted_pairs_is_one_half_on_average():
    rng = np.random.default_rng(16)
    means = []
    for seed in range(10):
        x, harmful, pairs = two_classes(seed, n=20, width=30)
        partners = partner_index(pairs, harmful)
        folds = dealt(harmful, partners, N_FOLDS, rng)
        labels = permuted(harmful, partners, 200, rng)
        means.append(
            METRICS["auroc"].many(cross_fitted_scores(ridge_probe(x), labels, folds), labels, partners, folds).mean()
        )
    assert np.mean(means) == pytest.approx(0.5, abs=0.01)


# Twin accuracy


def pair_accuracy_by_loops(scores, harmful, pairs):
    wins = []
    for pair in sorted(set(pairs)):
        (toxic,) = scores[(pairs == pair) & harmful]
        (neutral,) = scores[(pairs == pair) & ~harmful]
        wins.append(1.0 if toxic > neutral else 0.5 if toxic == neutral else 0.0)
    return sum(wins) / len(wins)


def test_pair_accuracy_is_the_share_of_pairs_won_with_ties_counted_half():
    rng = np.random.default_rng(17)
    _, harmful, pairs = two_classes(17, n=25)
    partners = partner_index(pairs, harmful)
    scores = rng.integers(0, 4, size=50).astype(float)
    assert (scores == scores[partners]).any()
    found = METRICS["pair_accuracy"].many(scores[None, :], harmful[None, :], partners, np.zeros(50, dtype=int))
    assert found[0] == pytest.approx(pair_accuracy_by_loops(scores, harmful, pairs), abs=1e-12)


def test_pair_accuracy_of_the_public_function_uses_cross_fitted_scores():
    x, harmful, pairs = two_classes(18, n=25)
    partners = partner_index(pairs, harmful)
    folds = dealt(harmful, partners, N_FOLDS, np.random.default_rng(0))
    scores = cross_fitted_scores(ridge_probe(x), harmful[None, :], folds)[0]
    expected = pair_accuracy_by_loops(scores, harmful, pairs)
    assert metrics.pair_accuracy(x, harmful, pairs) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", PROBE_METRICS)
def test_probe_metrics_find_a_strong_difference_and_none_where_there_is_none(name):
    x, harmful, pairs = two_classes(19, n=100, width=8, shift=0)
    function = getattr(metrics, name)
    assert abs(function(x, harmful, pairs) - 0.5) < 0.15
    x[harmful] += 3.0
    assert function(x, harmful, pairs) > 0.95


# Relations that must hold whatever the values are


@pytest.mark.parametrize("name", PCA_METRICS)
@pytest.mark.parametrize("with_pairs", [False, True])
def test_component_score_does_not_depend_on_label_names_row_order_place_or_direction(name, with_pairs):
    x, harmful, pairs = two_classes(20)
    function, pairs = getattr(metrics, name), pairs if with_pairs else None
    value = function(x, harmful, pairs)
    order = np.random.default_rng(20).permutation(len(x))
    assert function(x, ~harmful, pairs) == pytest.approx(value, rel=1e-9)
    assert function(x[order], harmful[order], pairs[order] if with_pairs else None) == pytest.approx(value, rel=1e-9)
    assert function(x + ELSEWHERE, harmful, pairs) == pytest.approx(value, rel=1e-9)
    assert function(x @ rotation(20, 4), harmful, pairs) == pytest.approx(value, rel=1e-9)
    assert function(1000 * x, harmful, pairs) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("name", PROBE_METRICS)
def test_probe_score_does_not_depend_on_label_names_pair_names_place_or_units(name):
    x, harmful, pairs = two_classes(21, n=40)
    function = getattr(metrics, name)
    value = function(x, harmful, pairs)
    assert 0.5 < value < 1
    assert function(x, ~harmful, pairs) == pytest.approx(value, abs=1e-12)
    assert function(x, harmful, [f"pair {pair}" for pair in pairs]) == pytest.approx(value, abs=1e-12)
    assert function(x + ELSEWHERE, harmful, pairs) == pytest.approx(value, abs=1e-12)
    assert function(x * [5.0, 0.01, 100.0, 1.0], harmful, pairs) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("name", PROBE_METRICS)
def test_probe_score_does_not_depend_on_row_order_once_the_folds_are_dealt(name):
    x, harmful, pairs = two_classes(22, n=40)
    rng = np.random.default_rng(22)
    folds = dealt(harmful, partner_index(pairs, harmful), N_FOLDS, rng)
    values = []
    for order in (np.arange(80), rng.permutation(80)):
        labels, part = harmful[order][None, :], folds[order]
        scores = cross_fitted_scores(ridge_probe(x[order]), labels, part)
        values.append(METRICS[name].many(scores, labels, partner_index(pairs[order], harmful[order]), part)[0])
    assert values[0] == pytest.approx(values[1], abs=1e-12)


def test_bhattacharyya_does_not_depend_on_the_units_of_the_axes():
    x, harmful, _ = two_classes(23)
    mixed = x @ np.random.default_rng(23).normal(size=(4, 4))
    assert metrics.bhattacharyya(mixed, harmful) == pytest.approx(metrics.bhattacharyya(x, harmful), rel=1e-7)


@pytest.mark.parametrize(
    ("name", "with_pairs"),
    [(name, True) for name in METRICS] + [(name, False) for name, row in METRICS.items() if not row.needs_pairs],
)
def test_many_labelings_at_once_give_what_each_gives_alone(name, with_pairs):
    x, harmful, pairs = two_classes(24, n=15)
    rng = np.random.default_rng(24)
    partners = partner_index(pairs, harmful) if with_pairs else None
    folds = dealt(harmful, partners, 3, rng)
    labels = permuted(harmful, partners, 300, rng)
    if METRICS[name].basis == "probe":
        # Chance may leave a fold without one of the classes; such a labeling has no AUROC.
        counts = np.array([labels[:, folds == fold].sum(axis=1) for fold in range(3)])
        labels = labels[((counts > 0) & (counts < 10)).all(axis=0)]
        x = cross_fitted_scores(ridge_probe(x), labels, folds)
    together = METRICS[name].many(x, labels, partners, folds)
    assert together.shape == (len(labels),)
    assert len(np.unique(together.round(12))) > 10
    for b in (0, 1, 100, len(labels) - 1):
        rows = x[b : b + 1] if METRICS[name].basis == "probe" else x
        alone = METRICS[name].many(rows, labels[b : b + 1], partners, folds)
        assert alone == pytest.approx(together[b : b + 1], rel=1e-10)


@pytest.mark.parametrize("name", STANDARD)
def test_values_stay_within_the_range_that_the_table_states(name):
    for seed in range(5):
        for shift in (0.0, 20.0):
            x, harmful, pairs = two_classes(seed, shift=shift)
            assert METRICS[name].low <= getattr(metrics, name)(x, harmful, pairs) <= METRICS[name].high


@pytest.mark.parametrize("name", STANDARD)
def test_labels_and_rows_may_be_plain_lists(name):
    x, harmful, pairs = two_classes(25)
    function = getattr(metrics, name)
    plain = function(x.tolist(), harmful.astype(int).tolist(), pairs.tolist())
    assert plain == function(x, harmful, pairs)


# Errors


@pytest.mark.parametrize("name", STANDARD)
def test_a_single_class_is_refused(name):
    x, harmful, pairs = two_classes(26, n=5)
    with pytest.raises(MetricError, match=rf"{name}: found 10 harmful of 10; expected at least 2 of each class"):
        getattr(metrics, name)(x, np.ones_like(harmful), pairs)
    with pytest.raises(MetricError, match="found 1 harmful of 10"):
        getattr(metrics, name)(x, np.arange(10) == 3)


@pytest.mark.parametrize("name", STANDARD)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_that_are_not_finite_are_refused(name, bad):
    x, harmful, pairs = two_classes(27, n=5)
    x[3, 1] = bad
    with pytest.raises(MetricError, match="values that are not finite"):
        getattr(metrics, name)(x, harmful, pairs)


@pytest.mark.parametrize("name", STANDARD)
def test_arrays_of_other_shapes_are_refused(name):
    x, harmful, _ = two_classes(28, n=5)
    with pytest.raises(MetricError, match=r"x \(10, 4\), harmful \(9,\)"):
        getattr(metrics, name)(x, harmful[1:])
    with pytest.raises(MetricError, match=r"x \(10,\), harmful \(10,\)"):
        getattr(metrics, name)(x[:, 0], harmful)


@pytest.mark.parametrize("name", STANDARD)
@pytest.mark.parametrize(
    ("harmful", "pairs"),
    [
        pytest.param([1, 1, 1, 0, 1, 0], [0, 0, 1, 1, 2, 2], id="two harmful texts in a pair"),
        pytest.param([0, 0, 1, 0, 1, 0], [0, 0, 1, 1, 2, 2], id="two harmless texts in a pair"),
        pytest.param([1, 1, 1, 0, 0, 0], [0, 1, 2, 0, 1, 3], id="texts without a partner"),
        pytest.param([1, 1, 1, 0, 0, 0], [0, 0, 1, 0, 0, 1], id="four texts in a pair"),
        pytest.param([1, 1, 1, 0, 0, 0], [0, 1, 1, 0, 0, 1], id="three texts in a pair"),
    ],
)
def test_pairs_that_are_not_one_harmful_and_one_harmless_text_are_refused(name, harmful, pairs):
    x = np.random.default_rng(29).normal(size=(6, 2))
    with pytest.raises(MetricError, match="one harmful and one harmless text a pair"):
        getattr(metrics, name)(x, harmful, pairs)


def test_an_odd_number_of_texts_cannot_be_pairs():
    x = np.random.default_rng(30).normal(size=(5, 2))
    with pytest.raises(MetricError, match="one harmful and one harmless text a pair"):
        metrics.silhouette(x, [1, 1, 0, 0, 0], [0, 1, 0, 1, 2])


def test_pair_accuracy_without_pairs_is_refused():
    x, harmful, _ = two_classes(31)
    with pytest.raises(MetricError, match="pair_accuracy: found texts without pairs; expected pairs; use auroc"):
        metrics.pair_accuracy(x, harmful)


def test_a_metric_is_found_by_name_and_a_misspelt_name_gets_a_suggestion():
    assert metrics.metric("silhouette") is METRICS["silhouette"]
    with pytest.raises(MetricError, match="did you mean 'silhouette'"):
        metrics.metric("silhuette")


def test_the_table_has_a_public_function_for_every_metric():
    assert [name for name in STANDARD if not callable(getattr(metrics, name, None))] == []
    assert [name for name, row in METRICS.items() if row.name != name] == []
