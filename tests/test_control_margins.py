"""Probe against control on the same texts: the interval of their paired difference, and the warning read from it."""

import numpy as np
import pytest

from isogloss.auditing.controls import _compare
from isogloss.stats.control_margins import MarginScore, margin, mirrored
from isogloss.stats.jackknife import Interval
from isogloss.stats.metrics import METRICS
from isogloss.stats.permutations import draw
from isogloss.stats.probe import ridge_probe
from isogloss.stats.probe_scores import fixed_scores, probe_scores

AUROC = [METRICS["auroc"]]


def make_draws(n):
    harmful = np.arange(2 * n) % 2 == 0
    keys = [str(row // 2) for row in range(2 * n)]
    return draw(harmful, np.arange(2 * n) ^ 1, keys=keys, n_permutations=0, seed=0)


def warned(control, probe, score):
    estimate = _compare(control, probe, score, n=100, seed=0)
    return not estimate.low > 0


@pytest.mark.parametrize(
    ("shifts", "low", "high"),
    [((1.0, 1.0), 0.90, 1.0), ((0.0, 0.0), 0.90, 1.0), ((1.0, 0.5), 0.0, 0.35), ((1.6, 0.0), 0.0, 0.02)],
)
def test_misses_and_false_alarms_of_the_warning(shifts, low, high):
    """Two probes of 100 pairs each: equal in truth, unequal, and one at chance beside one that is good."""
    draws, rng = make_draws(100), np.random.default_rng([7, int(10 * sum(shifts))])
    alarms = []
    for _ in range(60):
        shared = rng.normal(size=(200, 6))
        scores = []
        for shift in shifts:
            x = shared + rng.normal(size=(200, 6))
            x[:, 0] += shift * draws.harmful * np.sqrt(2)
            scores += probe_scores(ridge_probe(x), draws, AUROC)
        alarms.append(warned("ngram", *scores))
    assert low <= np.mean(alarms) <= high


def test_a_control_below_chance_is_no_rival_unless_it_has_no_direction_of_its_own():
    """n-grams at .49 [.26, .72] used to be read as .74 beside a probe at .96."""
    draws, rng = make_draws(100), np.random.default_rng(1)
    noise = rng.normal(size=200)
    (probe,) = fixed_scores(noise + 2.5 * draws.harmful, draws, AUROC)
    (chance,) = fixed_scores(rng.normal(size=200), draws, AUROC)
    assert not warned("ngram", probe, chance)
    assert not warned("length", probe, chance)
    (shorter,) = fixed_scores(noise - 2.5 * draws.harmful, draws, AUROC)
    assert warned("length", probe, shorter)
    assert not warned("ngram", probe, shorter)


def test_the_difference_of_equal_scores_is_zero_and_the_paired_interval_is_narrower():
    draws, rng = make_draws(100), np.random.default_rng(2)
    x = rng.normal(size=200) + draws.harmful
    (first,) = fixed_scores(x, draws, AUROC)
    (second,) = fixed_scores(x + 0.1 * rng.normal(size=200), draws, AUROC)
    paired = _compare("ngram", first, second, n=100, seed=0)
    assert paired.low < 0 < paired.high
    bare = MarginScore(first.plug_in, Interval(low=0.7, high=0.85), None)
    apart = margin(bare, bare, 0.95)
    assert paired.high - paired.low < 0.5 * (apart.interval.high - apart.interval.low)


def test_a_perfect_probe_is_compared_by_the_two_intervals():
    perfect = MarginScore(1.0, Interval(low=0.96, high=1.0), None)
    control = MarginScore(0.9, Interval(low=0.84, high=0.94), None)
    compared = margin(perfect, control, 0.95)
    assert compared.interval.low == pytest.approx(0.1 - np.hypot(0.04, 0.04))
    assert compared.interval.high == pytest.approx(0.1 + np.hypot(0.0, 0.06))


def test_an_interval_that_holds_one_half_shows_no_direction():
    score = MarginScore(0.3, Interval(low=0.1, high=0.5), None)
    assert mirrored(score) == score
    assert mirrored(score._replace(interval=Interval(low=0.1, high=0.49))).value == pytest.approx(0.7)
