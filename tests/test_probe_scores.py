"""Detectability scores of a block: scikit-learn's ridge and AUROC, what each unit moves, and textbook variances."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from isogloss.stats.effects import gain
from isogloss.stats.metrics import METRICS
from isogloss.stats.permutations import draw
from isogloss.stats.probe import N_FOLDS, ridge_probe
from isogloss.stats.probe_scores import SHARED_TRAINING, fixed_scores, from_logit, logit, probe_scores
from plain import labels_and_partners, states

BOTH = pytest.mark.parametrize("paired", [False, True])
AUROC, TWINS = METRICS["auroc"], METRICS["pair_accuracy"]


def block(seed, n, *, paired, width=8, permutations=5, apart=1.0, harmless=None):
    rng = np.random.default_rng(seed)
    harmful, partners = labels_and_partners(n, paired=paired, rng=rng, harmless=harmless)
    x = states(rng, harmful, partners, apart=apart, spread=np.geomspace(3, 0.3, width))
    x = x @ rng.normal(size=(width, width))  # features that go together, so that shrinkage is neither none nor all
    return x, draw(harmful, partners, n_permutations=permutations, seed=seed)


def rows_of(paired):
    return [AUROC, TWINS] if paired else [AUROC]


def slow_scores(x, labels, draws):
    """scikit-learn's ridge, cross-fitted."""
    z = StandardScaler().fit_transform(x)
    strength = ledoit_wolf_shrinkage(z)
    assert 0.001 < strength < 0.999
    penalty = len(z) * (z**2).mean() * strength / (1 - strength)
    scores = np.full(len(x), np.nan)
    for fold in range(N_FOLDS):
        train, test = draws.folds != fold, draws.folds == fold
        scores[test] = Ridge(alpha=penalty, solver="svd").fit(z[train], labels[train].astype(float)).predict(z[test])
    return np.round(scores, 9)


def slow_auroc(scores, labels, draws, stays, folds):
    """Mean over folds of the share of comparisons won, a text is not compared with its partner."""
    per_fold = []
    for fold in np.unique(folds):
        toxic, neutral = (np.flatnonzero(stays & (folds == fold) & side) for side in (labels, ~labels))
        compared = [(i, j) for i in toxic for j in neutral if draws.partners is None or draws.partners[i] != j]
        if compared:
            per_fold.append(np.mean([(np.sign(scores[i] - scores[j]) + 1) / 2 for i, j in compared]))
    return np.mean(per_fold)


def slow_pair_accuracy(scores, labels, draws, stays, folds):
    del folds
    rows = np.flatnonzero(stays & labels)
    return np.mean([(np.sign(scores[row] - scores[draws.partners[row]]) + 1) / 2 for row in rows])


SLOW = {"auroc": slow_auroc, "pair_accuracy": slow_pair_accuracy}


def log_odds(share, n):
    share = min(max(share, 0.5 / n), 1 - 0.5 / n)
    return np.log(share) - np.log1p(-share)


def entries(found, draws):
    """What each unit moves, in the order of the units of `draws`; on the scale of the share."""
    own = dict(zip(found.jackknife.units.tolist(), found.jackknife.influence, strict=True))
    share = min(max(found.plug_in, 0.5 / draws.per_class), 1 - 0.5 / draws.per_class)
    return np.array([own[unit] for unit in draws.units.tolist()]) * share * (1 - share)


def slow_moves(name, scores, draws, folds):
    """What each unit moves by its own comparisons: the score less the score without it, the probe held.

    Without a unit the others weigh more, by m / (m - 1) for m texts of a class, or m / (m - 2) for m pairs, as a pair
    takes both a row and a column of comparisons along. That is taken off, so that the moves are of first order.
    """
    everything = np.ones(len(scores), dtype=bool)
    whole, moves = SLOW[name](scores, draws.harmful, draws, everything, folds), []
    for unit in range(len(draws.units)):
        rows = draws.unit_of_row == unit
        left = SLOW[name](scores, draws.harmful, draws, ~rows, folds)
        same = everything if name == "pair_accuracy" else folds == folds[rows][0]
        m = (same & (draws.harmful == draws.harmful[rows][0])).sum()
        g = 2 if draws.partners is not None and name == "auroc" else 1
        moves.append((whole - left) * (m - g) / m)
    return np.array(moves)


def constant(numbers):
    """A probe that gives these numbers whatever it is fitted on."""
    return lambda labels, gone: np.tile(numbers[gone], (len(labels), 1))


def numbers_of(draws, seed, *, ties=True):
    rng = np.random.default_rng(seed)
    n = len(draws.harmful)
    return (rng.integers(0, 12, size=n) if ties else rng.normal(6, 3, size=n)) + 3.0 * draws.harmful


# The score and its null


@pytest.mark.parametrize("width", [8, 100])
@pytest.mark.parametrize(("paired", "harmless"), [(True, None), (False, 30), (False, 45)])
def test_scores_and_what_moves_them_are_those_of_scikit_learns_ridge(paired, harmless, width):
    x, draws = block(1, 30, paired=paired, width=width, harmless=harmless)
    everything, n = np.ones(len(x), dtype=bool), len(draws.units)
    held = slow_scores(x, draws.harmful, draws)
    for found in probe_scores(ridge_probe(x), draws, rows_of(paired)):
        slow = SLOW[found.metric]
        whole = slow(held, draws.harmful, draws, everything, draws.folds)
        assert 0.3 < whole < 0.95
        assert found.plug_in == pytest.approx(whole, abs=1e-12)
        for b, labels in enumerate(draws.permutations):
            expected = slow(slow_scores(x, labels, draws), labels, draws, everything, draws.folds)
            assert found.plug_in_null[b] == pytest.approx(expected, abs=1e-12)
        assert found.jackknife.value == pytest.approx(log_odds(whole, 30), abs=1e-10)
        expected = slow_moves(found.metric, held, draws, draws.folds) * np.sqrt(2.25 * n / (n - 1))
        assert entries(found, draws) == pytest.approx(expected, abs=1e-12)
        assert np.ptp(expected) > 0.01
        assert found.jackknife.df == (29 if paired else n - 2)
        assert np.array_equal(found.jackknife.units, np.sort(draws.units))
        assert (found.components, found.approximate, found.reason) == (None, None, None)
        assert np.array_equal(found.null, found.plug_in_null)
        assert found.p_value == pytest.approx((1 + (found.plug_in_null >= whole - 1e-9).sum()) / 6)


@BOTH
@pytest.mark.parametrize("permutations", [0, 5])
def test_fixed_numbers_are_scored_by_scikit_learns_auroc_in_one_fold(paired, permutations):
    harmful, partners = labels_and_partners(30, paired=paired, rng=np.random.default_rng(4))
    draws = draw(harmful, partners, n_permutations=permutations, seed=4)
    numbers, n = numbers_of(draws, 4), len(draws.units)
    one_fold, everything = np.zeros(60, dtype=int), np.ones(60, dtype=bool)
    for found in fixed_scores(numbers, draws, rows_of(paired)):
        slow = SLOW[found.metric]
        expected = slow(numbers, harmful, draws, everything, one_fold)
        if not paired:
            assert expected == pytest.approx(roc_auc_score(harmful, numbers), abs=1e-12)
        assert found.plug_in == pytest.approx(expected, abs=1e-12)
        expected = [slow(numbers, labels, draws, everything, one_fold) for labels in draws.permutations]
        assert found.plug_in_null == pytest.approx(expected, abs=1e-12)
        moves = slow_moves(found.metric, numbers, draws, one_fold)
        assert entries(found, draws) == pytest.approx(moves * np.sqrt(n / (n - 1)), abs=1e-12)
        assert len(found.jackknife.units) == n


# The variance, against textbooks


def placements(numbers, harmful):
    """Share of the other class that each text is on the right side of (DeLong's V10 and V01)."""
    wins = [[(a > b) + (a == b) / 2 for b in numbers[~harmful]] for a in numbers[harmful]]
    return np.mean(wins, axis=1), np.mean(wins, axis=0)


@pytest.mark.parametrize("harmless", [50, 150])
def test_the_variance_of_one_fold_without_pairs_is_delongs(harmless):
    harmful, _ = labels_and_partners(100, paired=False, harmless=harmless, rng=np.random.default_rng(9))
    draws = draw(harmful, None, n_permutations=0, seed=9)
    for ties in (False, True):
        numbers = numbers_of(draws, 9, ties=ties)
        (found,) = fixed_scores(numbers, draws, [AUROC])
        first, second = placements(numbers, harmful)
        delong = first.var(ddof=1) / 100 + second.var(ddof=1) / harmless
        area = first.mean()
        assert found.plug_in == pytest.approx(area, abs=1e-12)
        assert found.jackknife.se == pytest.approx(np.sqrt(delong) / (area * (1 - area)), rel=0.01)
        # The two parts one by one, less the usual 1 / (m - 1).
        moves = entries(found, draws)
        for side, part in ((harmful, first), (~harmful, second)):
            expected = part.var() / len(part) * len(harmful) / (len(harmful) - 1)
            assert (moves[side] ** 2).sum() == pytest.approx(expected, rel=1e-9)


def test_the_gain_of_two_scores_of_the_same_texts_has_delongs_paired_variance():
    harmful, _ = labels_and_partners(100, paired=False, harmless=120, rng=np.random.default_rng(10))
    draws = draw(harmful, None, n_permutations=0, seed=10)
    numbers = numbers_of(draws, 10, ties=False)
    other = numbers + np.random.default_rng(11).normal(size=len(numbers))
    (one,), (two,) = fixed_scores(numbers, draws, [AUROC]), fixed_scores(other, draws, [AUROC])
    firsts, seconds = zip(placements(numbers, harmful), placements(other, harmful), strict=True)
    cov = np.cov(firsts) / 100 + np.cov(seconds) / 120
    slopes = np.array([-1, 1]) / [score.plug_in * (1 - score.plug_in) for score in (one, two)]
    change = gain(one.jackknife, two.jackknife)
    assert change.se == pytest.approx(np.sqrt(slopes @ cov @ slopes), rel=0.01)
    assert change.value == pytest.approx(log_odds(two.plug_in, 100) - log_odds(one.plug_in, 100))
    assert change.se < 0.6 * np.hypot(one.jackknife.se, two.jackknife.se)


@BOTH
def test_models_are_paired_where_they_score_the_same_units_and_only_there(paired):
    x, draws = block(12, 40, paired=paired)
    other = x + 0.3 * np.random.default_rng(12).normal(size=x.shape) * x.std(axis=0)
    elsewhere = draw(draws.harmful, draws.partners, keys=unlike(draws), n_permutations=0, seed=12)
    for row in rows_of(paired):
        (one,), (two,) = (probe_scores(ridge_probe(z), draws, [row]) for z in (x, other))
        apart = np.hypot(one.jackknife.se, two.jackknife.se)
        assert gain(one.jackknife, two.jackknife).se < 0.8 * apart
        (same,) = probe_scores(ridge_probe(x.copy()), draws, [row])
        assert gain(one.jackknife, same.jackknife).se == 0
        moved = replace(draws, units=elsewhere.units)
        (two,) = probe_scores(ridge_probe(other), moved, [row])
        assert gain(one.jackknife, two.jackknife).se == pytest.approx(apart, rel=1e-12)


def unlike(draws):
    return [f"other {unit}" for unit in draws.unit_of_row]


def test_the_variance_of_pair_accuracy_is_that_of_a_share():
    x, draws = block(13, 60, paired=True)
    numbers = numbers_of(draws, 13, ties=False)
    (fixed,) = fixed_scores(numbers, draws, [TWINS])
    (probed,) = probe_scores(ridge_probe(x), draws, [TWINS])
    for found, factor in ((fixed, 1.0), (probed, 2.25)):
        share = found.plug_in
        assert 0.6 < share < 0.95
        assert (entries(found, draws) ** 2).sum() == pytest.approx(factor * share * (1 - share) / 59, rel=1e-9)
        assert found.jackknife.se == pytest.approx(np.sqrt(factor / (59 * share * (1 - share))), rel=1e-9)


@pytest.mark.parametrize(("paired", "harmless"), [(True, None), (False, 30), (False, 45)])
def test_the_standard_error_is_nearly_that_of_the_jackknife_with_the_probe_held(paired, harmless):
    harmful, partners = labels_and_partners(30, paired=paired, harmless=harmless)
    draws = draw(harmful, partners, n_permutations=0, seed=14)
    numbers, one_fold = numbers_of(draws, 14), np.zeros(len(harmful), dtype=int)
    for found in fixed_scores(numbers, draws, rows_of(paired)):
        slow, units = SLOW[found.metric], range(len(draws.units))
        left = np.array([slow(numbers, harmful, draws, draws.unit_of_row != unit, one_fold) for unit in units])
        strata = [np.ones(30, dtype=bool)] if paired else [harmful, ~harmful]
        jackknife = np.sqrt(sum((side.sum() - 1) * left[side].var() for side in strata))
        ratio = np.linalg.norm(entries(found, draws)) / jackknife
        if found.metric == "pair_accuracy":
            assert ratio == pytest.approx(1, rel=1e-9)
        else:
            assert 0.94 < ratio < 1  # 28 / 30 of pairs, 29 / 30 of texts, and what 1 / (n - 1) puts back


@BOTH
def test_shared_training_texts_make_the_variance_two_and_a_quarter_times_as_large(paired):
    assert SHARED_TRAINING == (1 / 5 + 1 / 4) / (1 / 5) == 2.25
    harmful, partners = labels_and_partners(30, paired=paired, rng=np.random.default_rng(15))
    draws = draw(harmful, partners, n_permutations=5, seed=15)
    numbers = numbers_of(draws, 15)
    in_one = replace(draws, folds=np.zeros_like(draws.folds))
    probed, fixed = (
        probe_scores(constant(numbers), in_one, rows_of(paired)),
        fixed_scores(numbers, draws, rows_of(paired)),
    )
    for one, other in zip(probed, fixed, strict=True):
        assert (one.plug_in, one.jackknife.value, one.jackknife.df) == (
            other.plug_in,
            other.jackknife.value,
            other.jackknife.df,
        )
        assert np.array_equal(one.plug_in_null, other.plug_in_null)
        assert one.jackknife.influence == pytest.approx(1.5 * other.jackknife.influence, rel=1e-12)
        assert (other.effective_n, one.effective_n) == (30, pytest.approx(30 / 2.25))


# Extremes and small folds


@BOTH
@pytest.mark.parametrize("apart", [50.0, -50.0, 0.0])
def test_scores_that_no_text_moves_are_finite_and_say_so(paired, apart):
    harmful, partners = labels_and_partners(20, paired=paired, harmless=None if paired else 25)
    draws = draw(harmful, partners, n_permutations=5, seed=0)
    noise = np.random.default_rng(2).normal(size=len(harmful)) if apart else 0.0
    numbers = apart * harmful + noise
    for scores, size in (
        (fixed_scores(numbers, draws, rows_of(paired)), 20),
        (probe_scores(constant(numbers), draws, rows_of(paired)), 20 / 2.25),
    ):
        for found in scores:
            assert found.plug_in == (1 + np.sign(apart)) / 2
            assert found.jackknife.value == pytest.approx(np.sign(apart) * np.log(39))  # half a text of 20
            assert found.jackknife.se == 0
            assert found.approximate == "no text moves the score"
            assert found.effective_n == pytest.approx(size)
            assert found.reason is None
    x, draws = block(3, 20, paired=paired, apart=60.0)
    for found in probe_scores(ridge_probe(x), draws, rows_of(paired)):
        assert found.plug_in == 1
        assert (found.jackknife.se, found.approximate) == (0, "no text moves the score")


def test_pairs_that_win_what_they_lose_do_not_move_the_score_but_for_rounding():
    """One pair above the other: what a pair's harmful text wins more, its harmless text wins less."""
    harmful, partners = labels_and_partners(20, paired=True)
    draws = draw(harmful, partners, n_permutations=0, seed=0)
    (found,) = fixed_scores(np.arange(40) % 20 + 0.5 * harmful, draws, [AUROC])
    assert found.plug_in == 0.5
    assert (found.jackknife.se, found.approximate) == (0, "no text moves the score")


@BOTH
@pytest.mark.parametrize("sign", [1, -1])
def test_one_comparison_is_enough_to_move_a_score(paired, sign):
    """So near to 1 or 0 the slope of the log odds is that of half a text, not the one that goes to infinity."""
    harmful, partners = labels_and_partners(30, paired=paired)
    draws = draw(harmful, partners, n_permutations=0, seed=0)
    numbers = np.where(harmful, 1.0, -1.0) * sign
    numbers[0], numbers[31] = 0.0, 0.5 * sign  # not a pair
    (found,) = fixed_scores(numbers, draws, [AUROC])
    lost = 1 / (30 * (29 if paired else 30))
    assert found.plug_in == pytest.approx(1 - lost if sign > 0 else lost, abs=1e-12)
    assert found.jackknife.value == pytest.approx(sign * np.log(59))
    assert found.approximate is None
    moves = slow_moves("auroc", numbers, draws, np.zeros(60, dtype=int))
    n = len(draws.units)
    expected = np.linalg.norm(moves) * np.sqrt(n / (n - 1)) / (0.5 / 30 * (1 - 0.5 / 30))
    assert found.jackknife.se == pytest.approx(expected, rel=1e-9)
    assert np.count_nonzero(found.jackknife.influence) == n


@BOTH
def test_a_fold_without_comparisons_neither_counts_nor_moves(paired):
    """One pair, or one class, alone in its fold; and a fold with one text of a class."""
    harmful, partners = labels_and_partners(20, paired=paired)
    folds = np.arange(40) % 20 // 7
    alone = [19, 39] if paired else [17, 18, 19]
    folds[alone], folds[39] = 7, 7 if paired else 2
    if not paired:
        folds[:20][folds[:20] == 1] = 0
        folds[0] = 1  # the only harmful text there
    draws = replace(draw(harmful, partners, n_permutations=3, seed=16), folds=folds)
    numbers = numbers_of(draws, 16)
    (found,) = probe_scores(constant(numbers), draws, [AUROC])
    n = len(draws.units)
    everything = np.ones(40, dtype=bool)
    assert found.plug_in == pytest.approx(slow_auroc(numbers, harmful, draws, everything, folds), abs=1e-12)
    moves = entries(found, draws)
    assert moves == pytest.approx(slow_moves("auroc", numbers, draws, folds) * np.sqrt(2.25 * n / (n - 1)), abs=1e-12)
    assert not moves[np.unique(draws.unit_of_row[alone])].any()
    assert np.count_nonzero(moves) > 10


@BOTH
def test_too_few_texts_to_compare_within_a_fold_give_no_number_but_a_reason(paired):
    missed = 0
    for n in range(2, 13):
        x, draws = block(5, n, paired=paired)
        for found in probe_scores(ridge_probe(x), draws, rows_of(paired)):
            assert (found.jackknife is None) == np.isnan(found.plug_in) == (found.reason is not None)
            if found.jackknife is None:
                missed += 1
                assert found.reason == "too few texts to compare within the folds of the probe"
                assert np.isnan(found.p_value)
                assert len(found.null) == len(found.plug_in_null) == 0
            else:
                assert np.isfinite([found.jackknife.value, found.jackknife.se]).all()
        assert (found.jackknife is not None) or n < 12
    assert (missed > 0) == paired
    x, draws = block(6, 4, paired=True)  # four pairs, each alone in its fold
    auroc, accuracy = probe_scores(ridge_probe(x), draws, [AUROC, TWINS])
    assert auroc.jackknife is None
    assert accuracy.jackknife is not None


# Simulations


@BOTH
def test_permuted_labels_are_at_chance_and_true_ones_are_not(paired):
    x, draws = block(7, 60, paired=paired, permutations=200, apart=4.0)
    for found in probe_scores(ridge_probe(x), draws, rows_of(paired)):
        assert found.null.mean() == pytest.approx(0.5, abs=0.03)
        assert found.plug_in > 0.75
        assert found.p_value == 1 / 201
        assert found.jackknife.interval().low > 0


@BOTH
def test_the_interval_covers_the_auroc_of_fixed_numbers(paired):
    from scipy.stats import norm

    covered = []
    for seed in range(100):
        rng = np.random.default_rng([8, seed])
        harmful, partners = labels_and_partners(60, paired=paired)
        numbers = states(rng, harmful, partners, apart=1.0, spread=np.ones(1))[:, 0]
        (found,) = fixed_scores(numbers, draw(harmful, partners, n_permutations=0, seed=seed), [AUROC])
        interval = found.jackknife.interval()
        covered.append(from_logit(interval.low) < norm.cdf(1 / np.sqrt(2)) < from_logit(interval.high))
    assert np.mean(covered) >= 0.89  # .95 or more, its standard error .022


def test_log_odds_and_back():
    shares = np.array([0.03, 0.5, 0.9])
    assert logit(shares, 100) == pytest.approx(np.log(shares / (1 - shares)))
    assert [from_logit(value) for value in logit(shares, 100)] == pytest.approx(shares.tolist())
    assert logit(np.array([0.0, 0.049, 1.0]), 10) == pytest.approx([-np.log(19), -np.log(19), np.log(19)])
    assert np.isnan(logit(np.nan, 10))
