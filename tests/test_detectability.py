"""Detectability scores of a block against scikit-learn's ridge and AUROC, refitted for every group."""

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from isogloss.separation.detectability import fixed_scores, from_logit, logit, probe_scores
from isogloss.separation.metrics import METRICS
from isogloss.separation.probe import N_FOLDS, ridge_probe
from isogloss.separation.resample import draw
from plain import labels_and_twins, states

BOTH = pytest.mark.parametrize("paired", [False, True])
AUROC, TWINS = METRICS["auroc"], METRICS["twin_accuracy"]


def block(seed, n, *, paired, width=8, shuffles=5, apart=1.0, harmless=None):
    rng = np.random.default_rng(seed)
    harmful, twins = labels_and_twins(n, paired=paired, rng=rng, harmless=harmless)
    x = states(rng, harmful, twins, apart=apart, spread=np.geomspace(3, 0.3, width))
    x = x @ rng.normal(size=(width, width))  # features that go together, so that shrinkage is neither none nor all
    return x, draw(harmful, twins, n_shuffles=shuffles, seed=seed)


def rows_of(paired):
    return [AUROC, TWINS] if paired else [AUROC]


def slow_scores(x, labels, draws, stays):
    """scikit-learn's ridge on the rows that stay: cross-fitted scores, NaN at the rows that are gone."""
    z = StandardScaler().fit_transform(x)
    strength = ledoit_wolf_shrinkage(z)
    assert 0.001 < strength < 0.999
    penalty = len(z) * (z**2).mean() * strength / (1 - strength)
    scores = np.full(len(x), np.nan)
    for fold in range(N_FOLDS):
        train, test = stays & (draws.folds != fold), stays & (draws.folds == fold)
        scores[test] = Ridge(alpha=penalty, solver="svd").fit(z[train], labels[train].astype(float)).predict(z[test])
    return scores


def slow_auroc(scores, labels, draws, stays, folds=None):
    """Mean over folds of the share of comparisons won, a text's own twin left out."""
    per_fold, folds = [], draws.folds if folds is None else folds
    for fold in np.unique(folds):
        toxic, neutral = (np.flatnonzero(stays & (folds == fold) & side) for side in (labels, ~labels))
        compared = [(i, j) for i in toxic for j in neutral if draws.twins is None or draws.twins[i] != j]
        if compared:
            per_fold.append(np.mean([(np.sign(scores[i] - scores[j]) + 1) / 2 for i, j in compared]))
    return np.mean(per_fold)


def slow_twin_accuracy(scores, labels, draws, stays, folds=None):
    rows = np.flatnonzero(stays & labels)
    return np.mean([(np.sign(scores[row] - scores[draws.twins[row]]) + 1) / 2 for row in rows])


SLOW = {"auroc": slow_auroc, "twin_accuracy": slow_twin_accuracy}


def log_odds(share, n):
    share = min(max(share, 0.5 / n), 1 - 0.5 / n)
    return np.log(share) - np.log1p(-share)


@pytest.mark.parametrize("width", [8, 100])
@pytest.mark.parametrize(("paired", "harmless"), [(True, None), (False, 30), (False, 45)])
def test_scores_are_those_of_ridges_refitted_without_each_group(paired, harmless, width):
    x, draws = block(1, 30, paired=paired, width=width, harmless=harmless)
    everything = np.ones(len(x), dtype=bool)
    for found in probe_scores(ridge_probe(x), draws, rows_of(paired)):
        slow = SLOW[found.metric]
        whole = slow(np.round(slow_scores(x, draws.harmful, draws, everything), 9), draws.harmful, draws, everything)
        assert found.plug_in == pytest.approx(whole, abs=1e-12)
        for b, labels in enumerate(draws.shuffles):
            scores = np.round(slow_scores(x, labels, draws, everything), 9)
            assert found.plug_in_null[b] == pytest.approx(slow(scores, labels, draws, everything), abs=1e-12)
        left = []
        for group in range(25):
            stays = draws.groups != group
            left.append(log_odds(slow(slow_scores(x, draws.harmful, draws, stays), draws.harmful, draws, stays), 30))
        left = np.array(left)
        assert np.ptp(left) > 0.05
        assert found.found.value == pytest.approx(log_odds(whole, 30), abs=1e-10)
        assert found.found.se == pytest.approx(np.sqrt(24 / 25 * ((left - left.mean()) ** 2).sum()), rel=1e-9)
        own = dict(zip(found.found.units.tolist(), found.found.influence, strict=True))
        moves = [own[group] for group in draws.group_ids.tolist()]
        assert moves == pytest.approx(np.sqrt(24 / 25) * (left.mean() - left), abs=1e-9)
        assert found.found.df == 24
        assert found.components is None
        assert found.null is not None
        assert np.array_equal(found.null, found.plug_in_null)
        assert found.p_value == pytest.approx((1 + (found.plug_in_null >= whole - 1e-9).sum()) / 6)


@BOTH
@pytest.mark.parametrize("apart", [50.0, -50.0])
def test_perfect_scores_have_finite_log_odds(paired, apart):
    harmful, twins = labels_and_twins(20, paired=paired)
    draws = draw(harmful, twins, n_shuffles=5, seed=0)
    numbers = apart * harmful + np.random.default_rng(2).normal(size=40)
    for found in fixed_scores(numbers, draws, rows_of(paired)):
        assert found.plug_in == (1.0 if apart > 0 else 0.0)
        assert found.found.value == pytest.approx(np.sign(apart) * np.log(39))  # half a text of 20
        assert found.found.se < 1e-12
    x, draws = block(3, 20, paired=paired, apart=60.0)
    for found in probe_scores(ridge_probe(x), draws, rows_of(paired)):
        assert found.plug_in == 1
        assert np.isfinite([found.found.value, found.found.se]).all()


@BOTH
@pytest.mark.parametrize("shuffles", [0, 5, 40])
def test_fixed_numbers_are_scored_by_scikit_learns_auroc_and_its_jackknife(paired, shuffles):
    rng = np.random.default_rng(4)
    harmful, twins = labels_and_twins(30, paired=paired, rng=rng)
    draws = draw(harmful, twins, n_shuffles=shuffles, seed=4)
    numbers = rng.integers(0, 12, size=60) + 3.0 * harmful
    one_fold, everything = np.zeros(60, dtype=int), np.ones(60, dtype=bool)
    for found in fixed_scores(numbers, draws, rows_of(paired)):
        slow = SLOW[found.metric]
        expected = slow(numbers, harmful, draws, everything, one_fold)
        if not paired:
            assert expected == pytest.approx(roc_auc_score(harmful, numbers), abs=1e-12)
        assert found.plug_in == pytest.approx(expected, abs=1e-12)
        expected = [slow(numbers, labels, draws, everything, one_fold) for labels in draws.shuffles]
        assert found.plug_in_null == pytest.approx(expected, abs=1e-12)
        left = [slow(numbers, harmful, draws, draws.groups != group, one_fold) for group in range(25)]
        left = np.array([log_odds(share, 30) for share in left])
        assert found.found.se == pytest.approx(np.sqrt(24 / 25 * ((left - left.mean()) ** 2).sum()), rel=1e-9)
        assert len(found.found.units) == 25


@BOTH
def test_too_few_texts_to_compare_within_a_fold_give_no_number_but_a_reason(paired):
    for n in range(2, 13):
        x, draws = block(5, n, paired=paired)
        for found in probe_scores(ridge_probe(x), draws, rows_of(paired)):
            assert (found.found is None) == np.isnan(found.plug_in) == (found.reason is not None)
            if found.found is None:
                assert found.reason == "too few texts to compare within the folds of the probe"
                assert np.isnan(found.p_value)
            else:
                assert np.isfinite([found.found.value, found.found.se]).all()
        assert (found.found is not None) or n < 12
    x, draws = block(6, 4, paired=True)  # four pairs, each alone in its fold
    (found,) = probe_scores(ridge_probe(x), draws, [AUROC])
    assert found.found is None


@BOTH
def test_shuffled_labels_are_at_chance_and_true_ones_are_not(paired):
    x, draws = block(7, 60, paired=paired, shuffles=200, apart=4.0)
    for found in probe_scores(ridge_probe(x), draws, rows_of(paired)):
        assert found.null.mean() == pytest.approx(0.5, abs=0.03)
        assert found.plug_in > 0.75
        assert found.p_value == 1 / 201
        assert found.found.interval().low > 0


@BOTH
def test_the_interval_covers_the_auroc_of_fixed_numbers(paired):
    from scipy.stats import norm

    covered = []
    for seed in range(100):
        rng = np.random.default_rng([8, seed])
        harmful, twins = labels_and_twins(60, paired=paired)
        numbers = states(rng, harmful, twins, apart=1.0, spread=np.ones(1))[:, 0]
        (found,) = fixed_scores(numbers, draw(harmful, twins, n_shuffles=0, seed=seed), [AUROC])
        interval = found.found.interval()
        covered.append(from_logit(interval.low) < norm.cdf(1 / np.sqrt(2)) < from_logit(interval.high))
    assert np.mean(covered) >= 0.89  # .95 or more, its standard error .022


def test_log_odds_and_back():
    shares = np.array([0.03, 0.5, 0.9])
    assert logit(shares, 100) == pytest.approx(np.log(shares / (1 - shares)))
    assert [from_logit(value) for value in logit(shares, 100)] == pytest.approx(shares.tolist())
    assert logit(np.array([0.0, 0.049, 1.0]), 10) == pytest.approx([-np.log(19), -np.log(19), np.log(19)])
    assert np.isnan(logit(np.nan, 10))
