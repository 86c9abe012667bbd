"""The simulations of validation/, a few and with few runs: coverage, true values, and that a wrong number fails."""

from dataclasses import replace

import numpy as np
import pytest

import cells
import populations as pop
import table
from cells import DISTANCE, SHARE, SILHOUETTE, grid
from isogloss.stats import metrics
from judge import Band, judge

CELLS = grid()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A coarser true silhouette: its error is a tenth of that of 50 pairs."""
    monkeypatch.setattr(pop, "SILHOUETTE_SAMPLES", 12)
    monkeypatch.setattr(pop, "SILHOUETTE_SIZE", 600)


def records(name, runs, *, truth=None, off=0.0):
    cell = CELLS[name]
    truth = {key: value + off for key, value in (truth or cell.truth()).items()}
    found = [cell.records(truth, seed) for seed in range(runs)]
    return {key: np.array([one[key] for one in found]) for key in cell.bands}


def verdicts(name, runs, **how):
    cell = CELLS[name]
    return {key: judge(one, cell.bands[key]) for key, one in records(name, runs, **how).items()}


# What the package claims


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("coverage gaussian pairs share=0.1 n=50", 200),
        ("coverage heavy pairs share=0 n=50", 150),
        ("coverage gaussian texts without twins share=0.1 n=50", 150),
        ("retention independent z=5 n=50", 200),
        ("retention parallel z=10 n=50", 200),
        ("verdict parallel z=10 at=0, 0.25, 0.8", 150),
        ("permutation pairs n=50", 150),
        ("null mean pairs between_class_variance k=10 n=20", 150),
        ("null mean pairs silhouette k=10 n=20", 150),
        ("bias bhattacharyya n=50", 150),
    ],
)
def test_it_holds_as_often_as_it_says(name, runs):
    for key, found in verdicts(name, runs).items():
        assert found.verdict in {"ok", "-"}, (key, found)


# The harness warnings what is wrong


def with_se(factor):
    whole = cells.component_scores

    def scores(*arguments):
        return [
            replace(one, jackknife=replace(one.jackknife, influence=factor * one.jackknife.influence))
            for one in whole(*arguments)
        ]

    return scores


@pytest.mark.slow
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_wrong_standard_error_fails(monkeypatch, factor):
    monkeypatch.setattr(cells, "component_scores", with_se(factor))
    found = verdicts("coverage gaussian pairs share=0.1 n=50", 200)
    assert found[f"{SHARE} k=10"].verdict == "FAIL"
    assert found[f"{SILHOUETTE} k=10"].verdict == "FAIL"


def test_a_truth_that_is_off_fails():
    found = verdicts("coverage gaussian pairs share=0.1 n=50", 100, off=0.2)
    assert {one.verdict for one in found.values()} == {"FAIL"}


def test_a_value_that_is_not_debiased_fails(monkeypatch):
    whole = cells.component_scores

    def plug_in(*arguments):
        return [replace(one, jackknife=replace(one.jackknife, value=one.plug_in)) for one in whole(*arguments)]

    monkeypatch.setattr(cells, "component_scores", plug_in)
    name = "null mean pairs between_class_variance k=10 n=20"
    assert [found.verdict for found in verdicts(name, 100).values()] == ["FAIL"]


def test_an_uncorrected_family_of_verdicts_fails(monkeypatch):
    monkeypatch.setattr(cells, "retentions", lambda gains, level, rng: dict(_alone(gains, level)))
    assert verdicts("verdict independent z=20 at=0, 0.25, 0.8", 150)["any wrong verdict"].verdict == "FAIL"


def _alone(gains, level):
    from isogloss.stats.effects import Retention, fieller

    for code, (own, pivot) in gains.items():
        found = fieller(own, pivot, 1.97)
        yield code, Retention(value=own.value / pivot.value, low=found.low, high=found.high)


def test_judging():
    half = np.repeat([0.0, 1.0], 100)
    assert judge(half, Band(low=45, high=55)).verdict == "ok"
    assert judge(half, Band(low=61)).verdict == "FAIL"
    assert judge(half, Band(high=39)).verdict == "FAIL"
    assert judge(half, Band(low=58)).verdict == "ok"  # within the error of the simulation
    assert judge(half, Band(low=61, judged=False)).verdict == "-"
    assert judge(half + 1, Band(low=0, high=0, kind="mean")).verdict == "FAIL"
    assert judge(np.full(20, np.nan), Band(low=93)).verdict == "FAIL"
    known = judge(np.r_[half, np.nan], Band(low=45))
    assert (known.runs, known.value) == (200, 50)


# What is true


@pytest.mark.parametrize("shape", pop.SHAPES)
def test_true_values_are_those_of_a_large_sample(shape):
    population = pop.planted(0.1, width=10, k=10, shape=shape)
    n = 30_000
    x = pop.sample(population, n, np.random.default_rng(5), paired=False)
    harmful, _ = pop.labels_and_partners(n)
    for k in (2, 10):
        axes, _ = population.components(k)
        assert metrics.between_class_variance(x @ axes, harmful) == pytest.approx(
            population.between_class_variance(k), rel=0.05
        )
        assert metrics.bhattacharyya(x @ axes, harmful) == pytest.approx(population.bhattacharyya(k), rel=0.05)
    few = np.r_[:1500, n : n + 1500]
    assert metrics.silhouette(x[few], harmful[few]) == pytest.approx(population.silhouette(10), abs=0.01)
    assert population.between_class_variance(10) == pytest.approx(0.1)


def test_the_difference_is_where_it_should_be():
    for k in (2, 10):
        for where, component in (("nearly tied inside", k - 1), ("at the edge", k)):
            tied = pop.on_axis(where, width=64, k=k)
            axes, values = tied.components(k)
            assert values[k - 1] / values[k] == pytest.approx(1.15)
            assert np.abs(axes[:, component - 1] @ tied.shift) == pytest.approx(np.linalg.norm(tied.shift))
            assert np.linalg.norm(tied.shift) ** 2 / 4 == pytest.approx(values[component - 1] / 4)
        assert pop.on_axis("outside", width=64, k=k).between_class_variance(k) == pytest.approx(0, abs=1e-12)
    assert pop.distant(2.0, width=10).bhattacharyya(10) == pytest.approx(2.0)


def test_samples_are_correlated_as_they_should_be():
    rng = np.random.default_rng(6)
    n = 20_000
    pivot, parallel, other = pop.languages(rng, n, 2, (True, False))

    def correlation(a, b):
        return np.corrcoef(a.ravel(), b.ravel())[0, 1]

    assert correlation(pivot[0][:n], pivot[0][n:]) == pytest.approx(pop.PAIRS, abs=0.02)
    for reference, aligned in (pivot, parallel, other):
        assert correlation(reference, aligned) == pytest.approx(pop.MODELS, abs=0.02)
        assert reference.std() == pytest.approx(1, abs=0.02)
        assert aligned.std() == pytest.approx(1, abs=0.02)
    assert correlation(pivot[0], parallel[0]) == pytest.approx(pop.LANGUAGES, abs=0.02)
    assert correlation(pivot[1], parallel[1]) == pytest.approx(pop.LANGUAGES, abs=0.02)
    assert correlation(pivot[0], other[0]) == pytest.approx(0, abs=0.02)
    assert (pop.weights(rng, 200_000, pop.planted(0.0, width=2, k=2, shape="heavy")) ** 2).mean() == pytest.approx(
        1, abs=0.05
    )


def test_a_cell_repeats_itself():
    name = "gain n=50"
    cell = CELLS[name]
    assert cell.records(cell.truth(), 3) == cell.records(cell.truth(), 3)
    assert set(cell.records(cell.truth(), 3)) == set(cell.bands)


def test_every_cell_has_a_line_in_the_page():
    nothing = np.array([1.0, 0.0, 1.0])
    rows = [
        table.Line(cell=cell, key=key, band=band, result=judge(nothing, band))
        for cell in CELLS.values()
        for key, band in cell.bands.items()
    ]
    page = table.page(rows, full=False)
    assert page.count("\n| ") == len(rows) + len({cell.group for cell in CELLS.values()})
    assert all(cell.about in page for cell in CELLS.values())


@pytest.mark.slow
def test_real_texts_with_permuted_labels(shared_data):
    real = grid(shared_data)
    name = "real permuted labels"
    assert name in real
    features = cells.real_features(shared_data)
    assert len(features) == 9
    found = [real[name].records({}, seed) for seed in range(3)]
    assert all(set(one) == set(real[name].bands) for one in found)
    assert DISTANCE not in found[0]
