"""Shuffles, jackknife, scores of a block and gains: known cases, brute force, and simulations with a known truth."""

import numpy as np
import pytest
import scipy.stats
from sklearn.decomposition import PCA
from sklearn.metrics import calinski_harabasz_score, silhouette_score

from isogloss.separation import metrics
from isogloss.separation.compare import gain, gain_interval, read_gain, retention
from isogloss.separation.metrics import METRICS
from isogloss.separation.pairs import fold_of_units, twin_index
from isogloss.separation.resample import (
    JACKKNIFE_GROUPS,
    Interval,
    jackknife_groups,
    jackknife_interval,
    label_shuffles,
)
from isogloss.separation.score import draw, score_block

PCA_ROWS = [row for row in METRICS.values() if row.basis == "pca"]
SHARE = METRICS["between_class_variance"]
SPREAD = np.array([3.0, 2.0, 1.0, 0.7, 0.5, 0.4, 0.3, 0.3])


def labels_and_twins(n, *, paired, rng=None):
    harmful, pairs = np.arange(2 * n) < n, np.arange(2 * n) % n
    if rng is not None:
        order = rng.permutation(2 * n)
        harmful, pairs = harmful[order], pairs[order]
    return harmful, twin_index(pairs, harmful) if paired else None


def states(rng, harmful, twins, *, apart, axis=0):
    """Hidden states with a known class difference on one axis; twins have most of their content in common."""
    x = rng.normal(size=(len(harmful), len(SPREAD)))
    if twins is not None:
        content = np.empty_like(x)
        content[harmful] = rng.normal(size=x[harmful].shape)
        content[~harmful] = content[twins[~harmful]]
        x = np.sqrt(0.8) * content + np.sqrt(0.2) * x
    x *= SPREAD
    x[harmful, axis] += apart
    return x


# Shuffled labels


def test_shuffles_of_twins_swap_within_pairs_and_nothing_else():
    rng = np.random.default_rng(1)
    harmful, twins = labels_and_twins(25, paired=True, rng=rng)
    shuffles = label_shuffles(harmful, twins, 400, rng)
    assert shuffles.shape == (400, 50)
    assert shuffles.dtype == bool
    assert np.array_equal(shuffles[:, twins], ~shuffles)
    assert (shuffles.sum(axis=1) == 25).all()


def test_pairs_are_swapped_with_even_odds_and_independently():
    rng = np.random.default_rng(2)
    harmful, twins = labels_and_twins(12, paired=True, rng=rng)
    swapped = (label_shuffles(harmful, twins, 4000, rng) != harmful)[:, harmful]
    assert np.abs(swapped.mean(axis=0) - 0.5).max() < 4 * 0.5 / np.sqrt(4000)
    correlation = np.corrcoef(swapped, rowvar=False) - np.eye(12)
    assert np.abs(correlation).max() < 4.5 / np.sqrt(4000)


def test_shuffles_without_twins_keep_the_class_sizes_and_give_every_text_the_same_chance():
    rng = np.random.default_rng(3)
    harmful = rng.permutation(np.arange(40) < 10)
    shuffles = label_shuffles(harmful, None, 4000, rng)
    assert (shuffles.sum(axis=1) == 10).all()
    assert np.abs(shuffles.mean(axis=0) - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / 4000)
    assert len(np.unique(shuffles, axis=0)) == 4000


def test_shuffling_leaves_the_true_labels_as_they_were():
    harmful, twins = labels_and_twins(10, paired=True)
    before = harmful.copy()
    label_shuffles(harmful, twins, 5, np.random.default_rng(4))
    label_shuffles(harmful, None, 5, np.random.default_rng(4))
    assert np.array_equal(harmful, before)


# Jackknife


@pytest.mark.parametrize(("n", "groups"), [(60, JACKKNIFE_GROUPS), (25, 25), (10, 10)])
def test_groups_keep_twins_together_and_are_of_nearly_equal_size(n, groups):
    rng = np.random.default_rng(5)
    harmful, twins = labels_and_twins(n, paired=True, rng=rng)
    found = jackknife_groups(harmful, twins, rng)
    sizes = np.bincount(found)
    assert np.array_equal(found, found[twins])
    assert len(sizes) == groups
    assert sizes.max() - sizes.min() in {0, 2}


def test_groups_without_twins_have_both_classes_in_the_same_proportion():
    rng = np.random.default_rng(6)
    harmful = rng.permutation(np.arange(150) < 50)
    found = jackknife_groups(harmful, None, rng)
    assert np.array_equal(np.bincount(found[harmful]), np.full(JACKKNIFE_GROUPS, 2))
    assert np.array_equal(np.bincount(found[~harmful]), np.full(JACKKNIFE_GROUPS, 4))


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99375])
def test_the_jackknife_of_a_mean_is_students_interval(level):
    sample = np.random.default_rng(7).normal(3, 2, size=25)
    left_out = np.array([np.delete(sample, i).mean() for i in range(25)])
    found = jackknife_interval(sample.mean(), left_out, level)
    expected = scipy.stats.ttest_1samp(sample, 0).confidence_interval(level)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-10)


def test_values_that_do_not_change_when_groups_are_left_out_have_an_interval_without_width():
    assert jackknife_interval(0.5, np.full(25, 0.5), 0.95) == Interval(low=0.5, high=0.5)


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("components", [2, 5])
def test_left_out_values_are_those_of_the_remaining_texts_with_their_own_pca(paired, components):
    rng = np.random.default_rng(8)
    harmful, twins = labels_and_twins(30, paired=paired, rng=rng)
    x = states(rng, harmful, twins, apart=2.0)
    draws = draw(harmful, twins, 3, rng)
    block = score_block(x, draws, PCA_ROWS, (2, 5))
    found = {score.metric: score.left_out for score in block.scores if score.components == components}
    shares, silhouettes = [], []
    for group in range(draws.groups.max() + 1):
        kept = draws.groups != group
        z = PCA(n_components=components, svd_solver="full").fit_transform(x[kept])
        ratio = calinski_harabasz_score(z, harmful[kept])
        shares.append(ratio / (ratio + kept.sum() - 2))
        silhouettes.append(silhouette_score(z, harmful[kept]))
    assert len(shares) == 25
    assert found["between_class_variance"] == pytest.approx(shares, abs=1e-9)
    if not paired:
        assert found["silhouette"] == pytest.approx(silhouettes, abs=1e-9)
    else:
        assert np.abs(found["silhouette"] - silhouettes).min() > 1e-4  # twins are left out


def test_silhouettes_with_a_group_left_out_still_leave_each_texts_own_twin_out():
    rng = np.random.default_rng(9)
    harmful, twins = labels_and_twins(27, paired=True, rng=rng)
    pairs = np.minimum(np.arange(54), twins)
    x = states(rng, harmful, twins, apart=1.0)
    draws = draw(harmful, twins, 1, rng)
    (score,) = score_block(x, draws, [METRICS["silhouette"]], (2,)).scores
    kept = draws.groups != 3
    z, side, pair = PCA(n_components=2, svd_solver="full").fit_transform(x[kept]), harmful[kept], pairs[kept]
    widths = []
    for i in range(len(z)):
        distance, other_pair = np.linalg.norm(z - z[i], axis=1), pair != pair[i]
        a, b = (distance[other_pair & (side == label)].mean() for label in (side[i], not side[i]))
        widths.append((b - a) / max(a, b))
    assert score.left_out[3] == pytest.approx(np.mean(widths), abs=1e-9)


@pytest.mark.parametrize("paired", [False, True])
def test_jackknife_intervals_cover_the_planted_share_of_variance(paired):
    apart = 2.0
    truth = (apart / 2) ** 2 / ((SPREAD[:2] ** 2).sum() + (apart / 2) ** 2)
    covered = []
    for seed in range(200):
        rng = np.random.default_rng([10, seed])
        harmful, twins = labels_and_twins(60, paired=paired)
        x = states(rng, harmful, twins, apart=apart)
        (score,) = score_block(x, draw(harmful, twins, 1, rng), [SHARE], (2,)).scores
        interval = jackknife_interval(score.value, score.left_out, 0.95)
        covered.append(interval.low < truth < interval.high)
    assert 0.88 <= np.mean(covered) <= 0.99


# Scores of a block


@pytest.mark.parametrize("paired", [False, True])
def test_a_block_is_scored_as_the_public_functions_score_its_components(paired):
    rng = np.random.default_rng(11)
    harmful, twins = labels_and_twins(60, paired=paired, rng=rng)
    pairs = np.minimum(np.arange(120), twins) if paired else None
    x = states(rng, harmful, twins, apart=1.0)
    block = score_block(x, draw(harmful, twins, 4, rng), PCA_ROWS, (2, 5))
    assert [(s.metric, s.components) for s in block.scores] == [(row.name, k) for row in PCA_ROWS for k in (2, 5)]
    for score in block.scores:
        z = PCA(n_components=score.components, svd_solver="full").fit_transform(x)
        assert score.value == pytest.approx(getattr(metrics, score.metric)(z, harmful, pairs), abs=1e-9)
        assert score.null.shape == (4,)
        assert score.reason is None


@pytest.mark.parametrize("paired", [False, True])
def test_the_null_is_the_score_under_the_drawn_shuffles(paired):
    rng = np.random.default_rng(12)
    harmful, twins = labels_and_twins(40, paired=paired, rng=rng)
    x = states(rng, harmful, twins, apart=1.0)
    draws = draw(harmful, twins, 6, rng)
    rows = [row for row in METRICS.values() if paired or not row.needs_twins]
    truly = score_block(x, draws, rows, (2,)).scores
    for b in range(6):
        pretended = draw(draws.shuffles[b], twins, 0, np.random.default_rng(0))
        pretended = type(draws)(**{**vars(pretended), "folds": draws.folds, "groups": draws.groups})
        for true, one in zip(truly, score_block(x, pretended, rows, (2,)).scores, strict=True):
            assert true.null[b] == pytest.approx(one.value, abs=1e-10)


def test_a_block_is_scored_the_same_in_either_precision_and_left_as_it_was():
    rng = np.random.default_rng(13)
    harmful, twins = labels_and_twins(30, paired=True)
    x = states(rng, harmful, twins, apart=1.0).astype(np.float32)
    before = x.copy()
    draws = draw(harmful, twins, 2, rng)
    single = score_block(x, draws, list(METRICS.values()), (2,)).scores
    double = score_block(x.astype(np.float64), draws, list(METRICS.values()), (2,)).scores
    assert [s.value for s in single] == [s.value for s in double]
    assert np.array_equal(x, before)


def test_draws_depend_on_the_seed_only():
    harmful, twins = labels_and_twins(30, paired=True)
    one, same, other = (draw(harmful, twins, 5, np.random.default_rng(seed)) for seed in (0, 0, 1))
    for name in ("shuffles", "groups", "folds"):
        assert np.array_equal(getattr(one, name), getattr(same, name))
        assert not np.array_equal(getattr(one, name), getattr(other, name))
    assert one.per_class == 30


def test_a_block_without_enough_directions_has_no_score_but_a_reason():
    rng = np.random.default_rng(14)
    harmful, twins = labels_and_twins(30, paired=True)
    x = np.outer(rng.normal(size=60), rng.normal(size=12))
    block = score_block(x, draw(harmful, twins, 5, rng), PCA_ROWS, (1, 2))
    assert block.projection.width == 1
    for score in block.scores:
        assert np.isnan(score.value) == (score.components == 2)
        assert (score.reason is None) == (score.components == 1)
        if score.components == 2:
            assert "the texts vary in 1 direction" in score.reason
            assert len(score.null) == len(score.left_out) == 0


def test_a_class_that_varies_in_too_few_directions_has_no_bhattacharyya_distance_but_a_reason():
    rng = np.random.default_rng(15)
    harmful, _ = labels_and_twins(30, paired=False)
    x = rng.normal(size=(60, 2))
    x[harmful] = [4.0, 4.0]
    scores = {s.metric: s for s in score_block(x, draw(harmful, None, 5, rng), PCA_ROWS, (2,)).scores}
    assert np.isnan(scores["bhattacharyya"].value)
    assert scores["bhattacharyya"].reason == "a class does not vary in every component"
    assert scores["between_class_variance"].reason is None
    assert scores["between_class_variance"].value > 0.5


@pytest.mark.parametrize(("harmless", "reported"), [(20, True), (19, False)])
def test_bhattacharyya_needs_ten_texts_per_class_and_component(harmless, reported):
    rng = np.random.default_rng(16)
    harmful = np.arange(40 + harmless) < 40
    x = rng.normal(size=(len(harmful), 5))
    scores = score_block(x, draw(harmful, None, 5, rng), [METRICS["bhattacharyya"]], (2, 3)).scores
    assert np.isfinite(scores[0].value) == reported
    assert scores[0].reason == (None if reported else "fewer than 20 texts per class for 2 components")
    assert np.isnan(scores[1].value)
    assert scores[1].reason == "fewer than 30 texts per class for 3 components"


def test_only_metrics_whose_plain_value_is_nearly_unbiased_get_jackknife_values():
    rng = np.random.default_rng(17)
    harmful, twins = labels_and_twins(30, paired=True)
    x = states(rng, harmful, twins, apart=1.0)
    scores = score_block(x, draw(harmful, twins, 2, rng), list(METRICS.values()), (2,)).scores
    found = {score.metric for score in scores if len(score.left_out)}
    assert found == {"between_class_variance", "silhouette"}


# Gain, its interval, its reading, retention


def two_scores(rng, *, before, after, paired=True, n=50, components=2, shuffles=20, metric=SHARE):
    """One language read by two models: the same texts, `before` and `after` apart, each model with noise of its own."""
    harmful, twins = labels_and_twins(n, paired=paired)
    draws = draw(harmful, twins, shuffles, rng)
    x = states(rng, harmful, twins, apart=0.0)
    scores = []
    for apart in (before, after):
        own = x + 0.3 * SPREAD * rng.normal(size=x.shape)
        own[harmful, 0] += apart
        scores += score_block(own, draws, [metric], (components,)).scores
    return scores


def test_a_gain_is_aligned_minus_reference_in_value_null_and_resamples():
    reference, aligned = two_scores(np.random.default_rng(18), before=0.5, after=3.0)
    found = gain(reference, aligned)
    assert found.value == aligned.value - reference.value > 0.1
    assert np.array_equal(found.left_out, aligned.left_out - reference.left_out)
    assert found.null_mean == pytest.approx(aligned.null.mean() - reference.null.mean(), abs=1e-12)
    back = gain(aligned, reference)
    assert back.value == -found.value
    one, other = gain_interval(found, 0.95), gain_interval(back, 0.95)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert one.low < found.value < one.high


def test_a_gain_of_nothing_on_the_same_states_is_exactly_zero():
    score, _ = two_scores(np.random.default_rng(19), before=1.0, after=1.0)
    found = gain(score, score)
    assert (found.value, found.null_mean) == (0.0, 0.0)
    assert gain_interval(found, 0.95) == Interval(low=0.0, high=0.0)
    assert read_gain(gain_interval(found, 0.95)) == "no clear change"


def test_sharing_groups_between_models_makes_the_interval_of_a_gain_narrower_than_adding_two_errors():
    reference, aligned = two_scores(np.random.default_rng(20), before=2.0, after=2.5)

    def half(value, left_out):
        interval = jackknife_interval(value, left_out, 0.95)
        return (interval.high - interval.low) / 2

    shared = half(0.0, gain(reference, aligned).left_out)
    assert shared < 0.8 * np.hypot(half(0.0, reference.left_out), half(0.0, aligned.left_out))


def test_a_gain_with_one_score_missing_is_missing():
    rng = np.random.default_rng(21)
    harmful, twins = labels_and_twins(30, paired=True)
    draws = draw(harmful, twins, 5, rng)
    flat = np.outer(rng.normal(size=60), np.ones(8))
    (missing,) = score_block(flat, draws, [SHARE], (2,)).scores
    (present,) = score_block(states(rng, harmful, twins, apart=1.0), draws, [SHARE], (2,)).scores
    for found in (gain(missing, present), gain(present, missing)):
        assert np.isnan(found.value)
        assert np.isnan(found.null_mean)
        interval = gain_interval(found, 0.95)
        assert np.isnan([interval.low, interval.high]).all()


def test_a_gain_without_jackknife_values_has_no_interval():
    reference, aligned = two_scores(
        np.random.default_rng(22), before=0.0, after=2.0, metric=METRICS["bhattacharyya"], n=30
    )
    found = gain(reference, aligned)
    assert found.value > 0
    interval = gain_interval(found, 0.95)
    assert np.isnan([interval.low, interval.high]).all()


@pytest.mark.parametrize(
    ("low", "high", "reading"),
    [
        (0.01, 0.2, "rose"),
        (-0.2, -0.01, "fell"),
        (-0.1, 0.1, "no clear change"),
        (0.0, 0.1, "no clear change"),
        (-0.1, 0.0, "no clear change"),
    ],
)
def test_a_gain_is_read_off_its_interval(low, high, reading):
    assert read_gain(Interval(low=low, high=high)) == reading


def test_retention_is_the_share_of_the_pivots_gain_and_undefined_without_one():
    assert retention(0.3, 0.4) == (pytest.approx(0.75), None)
    assert retention(-0.1, 0.4) == (pytest.approx(-0.25), None)
    for pivot in (0.0, -0.4):
        ratio, reason = retention(0.3, pivot)
        assert np.isnan(ratio)
        assert reason == "the pivot language gained nothing"


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("components", [2, 5])
def test_a_difference_planted_in_one_language_is_found_there_and_not_in_the_other(paired, components):
    readings = {}
    for language, after in (("reached", 3.0), ("not reached", 1.0)):
        rng = np.random.default_rng([23, components, len(language)])
        scores = two_scores(rng, before=1.0, after=after, paired=paired, components=components)
        readings[language] = read_gain(gain_interval(gain(*scores), 0.95))
    assert readings == {"reached": "rose", "not reached": "no clear change"}


def test_a_difference_taken_away_reads_as_a_fall():
    scores = two_scores(np.random.default_rng(24), before=3.0, after=0.5)
    assert read_gain(gain_interval(gain(*scores), 0.95)) == "fell"


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("apart", [0.0, 2.0])
def test_without_a_change_few_seeds_read_as_one(paired, apart):
    changed = 0
    for seed in range(60):
        rng = np.random.default_rng([25, seed])
        scores = two_scores(rng, before=apart, after=apart, paired=paired, shuffles=1)
        changed += read_gain(gain_interval(gain(*scores), 0.95)) != "no clear change"
    assert changed <= 6


def test_wider_confidence_gives_a_wider_interval():
    found = gain(*two_scores(np.random.default_rng(26), before=1.0, after=2.0))
    narrow, wide = gain_interval(found, 0.9), gain_interval(found, 0.99)
    assert wide.low < narrow.low < found.value < narrow.high < wide.high


def test_folds_and_groups_are_dealt_apart():
    harmful, twins = labels_and_twins(50, paired=True)
    draws = draw(harmful, twins, 1, np.random.default_rng(27))
    table = np.zeros((5, JACKKNIFE_GROUPS), dtype=int)
    np.add.at(table, (draws.folds, draws.groups), 1)
    assert (table > 0).sum() > 30
    assert len(np.unique(fold_of_units(harmful, twins, 5, np.random.default_rng(1)))) == 5
