"""The cells: what is simulated, how often, and the band where its numbers should lie.

A cell runs a simulation with a known truth again and again, a seed each time, and keeps a record of every run: 1 where
an interval held the truth (or a test rejected, or a verdict was wrong), else 0; or an estimate less its truth.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from pathlib import Path

import numpy as np
import scipy.stats

import populations as pop
from isogloss.stats import jackknife
from isogloss.stats.component_scores import component_scores
from isogloss.stats.effects import fieller, gain, gap, max_p, retentions
from isogloss.stats.jackknife import Jackknife, delete_one
from isogloss.stats.metrics import METRICS
from isogloss.stats.permutations import Draws, draw
from isogloss.stats.probe import cross_fitted_scores, ridge_probe
from isogloss.stats.probe_scores import logit, probe_scores
from isogloss.stats.thresholds import THRESHOLDS
from judge import Band
from populations import Population

SHARE, DISTANCE, SILHOUETTE = "between_class_variance", "bhattacharyya", "silhouette"
COMPONENT = (SHARE, DISTANCE, SILHOUETTE)
PROBE = ("auroc", "pair_accuracy")
PER_COMPONENT = METRICS[DISTANCE].per_component

#: Permutations for the null inside an interval, and at 2,500 pairs, where they are the larger part of the work.
PERMUTATIONS, FEW_PERMUTATIONS = 50, 20
#: Permutations of a permutation test: p <= .05 has probability .05 exactly.
TEST_PERMUTATIONS = 199
#: Draws of the multivariate t in the cells on wrong verdicts (the package takes 40,000): a quarter of the time.
BAND_DRAWS = 10_000

EXACT, AT_2500, CAUTIOUS = Band(low=93, high=97), Band(low=92, high=98), Band(low=93)
REPORTED = Band(judged=False)
SIZE, AT_MOST_5 = Band(low=3.5, high=6.5), Band(high=5)
UNBIASED = Band(low=0, high=0, kind="mean")

Truth = Mapping[str, float]
Records = dict[str, float]


def no_truth() -> Truth:
    """Stand for a truth that needs no computing."""
    return {}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One simulation.

    Attributes:
        name: unique; with the number of a run it seeds the run.
        group: which claim it belongs to.
        about: what is simulated.
        n: pairs, or texts a class.
        runs: in the reduced grid.
        runs_full: in the full grid.
        bands: where each number should lie.
        truth: computes what is true; slow ones are kept.
        run: (truth, generator, seed) -> records; a number that a run does not have is NaN.
        chunk: runs done at a time.
    """

    name: str
    group: str
    about: str
    n: int
    runs: int
    runs_full: int
    bands: Mapping[str, Band]
    truth: Callable[[], Truth] = no_truth
    run: Callable[[Truth, np.random.Generator, int], Records]
    chunk: int = 50

    def records(self, truth: Truth, seed: int) -> Records:
        """Run once."""
        return self.run(truth, np.random.default_rng([zlib.crc32(self.name.encode()), seed]), seed)


def covered(estimate: Jackknife | None, truth: float) -> float:
    """Whether the 95 % interval holds the truth; NaN where there is no interval."""
    if estimate is None:
        return float("nan")
    interval = estimate.interval(0.95)
    return float(interval.low <= truth <= interval.high)


def _texts(paired: bool) -> str:
    return "pairs" if paired else "texts without pairs"


def _seed_word(paired: bool) -> str:
    """Part of the name of a cell. Names seed the runs, so this word stays as it was when the grid was first run."""
    return "pairs" if paired else "texts without twins"


def band_of(metric: str, truth: float, n: int) -> Band:
    """Band for the coverage of a 95 % interval; degenerate and debiased statistics may cover more."""
    if metric == DISTANCE or truth == 0:
        return CAUTIOUS
    return EXACT if n < 2500 else AT_2500


@cache
def true_value(population: Population, metric: str, k: int) -> float:
    """Return the value of a metric in the population's own k components."""
    return float(getattr(population, metric)(k))


def is_null(population: Population, metric: str) -> bool:
    """Whether the true value is zero because the classes do not differ in what the metric sees."""
    return not any(population.shift) and (metric == SHARE or not population.spread)


def scored(x: np.ndarray, draws: Draws, wanted: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Jackknife | None]:
    """Score metrics in k components of the first k axes: nothing is fitted but a rotation."""
    found: dict[tuple[str, int], Jackknife | None] = {}
    for k in sorted({k for _, k in wanted}):
        names = [metric for metric, of in wanted if of == k]
        scores = component_scores(x[:, :k], draws, [METRICS[m] for m in names], (k,))
        found.update({(score.metric, k): score.jackknife for score in scores})
    return found


# 1. Coverage with as many components as axes


def _planes(population: Population, wanted: Sequence[tuple[str, int]]) -> Truth:
    """True values in the first k axes of a population, k being all the components there are."""
    truth = {}
    for metric, k in wanted:
        plane = population.plane(k)
        truth[f"{metric} k={k}"] = 0.0 if is_null(plane, metric) else true_value(plane, metric, k)
    return truth


def _coverage_run(
    population: Population,
    n: int,
    wanted: Sequence[tuple[str, int]],
    paired: bool,
    truth: Truth,
    rng: np.random.Generator,
    seed: int,
) -> Records:
    labels, partners = pop.labels_and_partners(n, paired=paired)
    draws = draw(labels, partners, n_permutations=PERMUTATIONS if n < 2500 else FEW_PERMUTATIONS, seed=seed)
    x = pop.sample(population, n, rng, paired=paired)
    found = scored(x, draws, wanted)
    return {f"{metric} k={k}": covered(score, truth[f"{metric} k={k}"]) for (metric, k), score in found.items()}


def _coverage_cells() -> Iterator[Cell]:
    for n, runs, full in ((50, 200, 2000), (200, 100, 1000), (2500, 10, 150)):
        for shape in pop.SHAPES:
            for paired in (True, False):
                if not paired and (shape != "gaussian" or n == 2500):
                    continue
                for share in (0.0, 0.1):
                    population = pop.planted(share, width=10, k=10, shape=shape)
                    distance = (DISTANCE, 10 if n >= 10 * PER_COMPONENT else 2)
                    wanted = [(SHARE, 10), distance, (SILHOUETTE, 10)]
                    if n == 2500 and (shape != "gaussian" or not share):
                        wanted.pop()  # seconds a run
                    bands = {}
                    for metric, k in wanted:
                        zero = is_null(population, metric)
                        bands[f"{metric} k={k}"] = band_of(metric, 0.0 if zero else 1.0, n)
                    kind = _texts(paired)
                    yield Cell(
                        name=f"coverage {shape} {_seed_word(paired)} share={share:g} n={n}",
                        group="1. Coverage of 95 % intervals, as many components as axes",
                        about=f"{shape}, {'difference planted' if share else 'means equal'}, {kind}",
                        n=n,
                        runs=runs,
                        runs_full=full,
                        bands=bands,
                        truth=partial(_planes, population, wanted),
                        run=partial(_coverage_run, population, n, wanted, paired),
                        chunk=50 if n < 2500 else 5,
                    )


# 2. Gain and gap

GAIN_METRICS = ((SHARE, 10), (DISTANCE, 2), (SILHOUETTE, 10))
#: Languages besides the pivot: parallel to it or not, its gain planted or none.
GAIN_LANGUAGES = ((False, False), (False, True), (True, False), (True, True))


def _gain_populations() -> tuple[Population, Population]:
    return pop.planted(0.05, width=10, k=10), pop.planted(0.15, width=10, k=10)


def _gain_truth() -> Truth:
    before, after = (_planes(population, GAIN_METRICS) for population in _gain_populations())
    return {name: after[name] - before[name] for name in before}


def _gain_run(n: int, truth: Truth, rng: np.random.Generator, seed: int) -> Records:
    before, after = _gain_populations()
    labels, partners = pop.labels_and_partners(n)
    clouds = pop.languages(rng, n, 10, tuple(parallel for parallel, _ in GAIN_LANGUAGES))
    gains = []
    for number, ((parallel, gains_too), (reference, aligned)) in enumerate(
        zip(((True, True), *GAIN_LANGUAGES), clouds, strict=True)
    ):
        file = "shared" if parallel else str(number)
        draws = draw(
            labels, partners, keys=[f"{file}/{row % n}" for row in range(2 * n)], n_permutations=PERMUTATIONS, seed=seed
        )
        ones = np.ones((2 * n, 1))
        both = [
            scored(pop.rows(population, cloud, ones), draws, GAIN_METRICS)
            for population, cloud in ((before, reference), (after if gains_too else before, aligned))
        ]
        gains.append({key: gain(both[0][key], both[1][key]) for key in both[0]})
    records = {}
    for key in gains[0]:
        name = f"{key[0]} k={key[1]}"
        planted = truth[name]
        records[f"{name}, gain planted"] = covered(gains[0][key], planted)
        records[f"{name}, gain zero"] = covered(gains[1][key], 0.0)
        for (parallel, gains_too), language in zip(GAIN_LANGUAGES, gains[1:], strict=True):
            kind = f"gap {'zero' if gains_too else 'planted'}, {'parallel' if parallel else 'independent'}"
            records[f"{name}, {kind}"] = covered(gap(gains[0][key], language[key]), 0.0 if gains_too else planted)
    return records


def _gain_cells() -> Iterator[Cell]:
    bands = {}
    for metric, k in GAIN_METRICS:
        for kind in (
            "gain planted",
            "gain zero",
            "gap planted, independent",
            "gap zero, independent",
            "gap planted, parallel",
            "gap zero, parallel",
        ):
            bands[f"{metric} k={k}, {kind}"] = CAUTIOUS if metric == DISTANCE else EXACT
    for n, runs, full in ((50, 200, 2000), (200, 100, 500)):
        yield Cell(
            name=f"gain n={n}",
            group="2. Coverage of 95 % intervals of gains and gaps",
            about="Gaussian; share of variance .05 before, .05 or .15 after",
            n=n,
            runs=runs,
            runs_full=full,
            bands=bands,
            truth=_gain_truth,
            run=partial(_gain_run, n),
            chunk=50 if n == 50 else 10,
        )


# 3. AUROC and pair accuracy


def _probe_truth(population: Population, n: int, runs: int) -> Truth:
    """Expected score of this probe at this number of pairs."""
    rng = np.random.default_rng([3, n, population.width])
    labels, partners = pop.labels_and_partners(n)
    values: dict[str, list[float]] = {name: [] for name in PROBE}
    for seed in range(runs):
        draws = draw(labels, partners, n_permutations=0, seed=1_000_000 + seed)
        probe = ridge_probe(pop.sample(population, n, rng))
        scores = cross_fitted_scores(probe, labels[None, :], draws.folds)
        for name in PROBE:
            values[name].append(float(METRICS[name].many(scores, labels[None, :], partners, draws.folds)[0]))
    return {name: float(logit(np.mean(column), n)) for name, column in values.items()}


def _probe_run(population: Population, n: int, truth: Truth, rng: np.random.Generator, seed: int) -> Records:
    labels, partners = pop.labels_and_partners(n)
    draws = draw(labels, partners, n_permutations=2, seed=seed)
    scores = probe_scores(ridge_probe(pop.sample(population, n, rng)), draws, [METRICS[name] for name in PROBE])
    return {score.metric: covered(score.jackknife, truth[score.metric]) for score in scores}


def _probe_cells() -> Iterator[Cell]:
    for n, runs, full, for_truth in ((50, 200, 1000, 4000), (200, 100, 700, 2000)):
        for width in (10, 100):
            for apart in (0.0, 0.8):
                population = pop.round_cloud(apart, width=width)
                yield Cell(
                    name=f"probe width={width} apart={apart:g} n={n}",
                    group="3. Coverage of 95 % intervals of AUROC and pair accuracy (expected score at this n)",
                    about=f"Gaussian, {width} axes, {'difference planted' if apart else 'no difference'}",
                    n=n,
                    runs=runs,
                    runs_full=full,
                    bands=dict.fromkeys(PROBE, CAUTIOUS),
                    truth=partial(_probe_truth, population, n, for_truth),
                    run=partial(_probe_run, population, n),
                )


# 4. Components fitted inside

WIDE = 64


_FITTED: tuple[tuple[pop.Where, tuple[int, ...]], ...] = (
    ("first", (2, 10)),
    ("nearly tied inside", (2,)),
    ("nearly tied inside", (10,)),
    ("at the edge", (2,)),
    ("at the edge", (10,)),
    ("outside", (2, 10)),
)


def _fitted_truth(of_k: Mapping[int, Population], wanted: Sequence[tuple[str, int]]) -> Truth:
    return {f"{metric} k={k}": true_value(of_k[k], metric, k) for metric, k in wanted}


def _fitted_run(
    population: Population,
    n: int,
    wanted: Sequence[tuple[str, int]],
    truth: Truth,
    rng: np.random.Generator,
    seed: int,
) -> Records:
    labels, partners = pop.labels_and_partners(n)
    draws = draw(labels, partners, n_permutations=PERMUTATIONS, seed=seed)
    ks = tuple(sorted({k for _, k in wanted}))
    scores = component_scores(pop.sample(population, n, rng), draws, [METRICS[m] for m in COMPONENT], ks)
    found = {(score.metric, score.components): score for score in scores}
    records: Records = {}
    for metric, k in wanted:
        name, score = f"{metric} k={k}", found[metric, k]
        hit = covered(score.jackknife, truth[name])
        if n < THRESHOLDS.few_texts:
            records[name] = hit
            continue
        warned = float(score.approximate is not None)
        records[f"{name}: covers, or is said to be approximate"] = max(hit, warned)
        records[f"{name}: covers"] = hit
        records[f"{name}: is said to be approximate"] = warned
    return records


def _fitted_bands(wanted: Sequence[tuple[str, int]], n: int) -> dict[str, Band]:
    bands = {}
    for metric, k in wanted:
        if n < THRESHOLDS.few_texts:
            bands[f"{metric} k={k}"] = REPORTED
            continue
        bands[f"{metric} k={k}: covers, or is said to be approximate"] = CAUTIOUS
        bands[f"{metric} k={k}: covers"] = REPORTED
        bands[f"{metric} k={k}: is said to be approximate"] = REPORTED
    return bands


def _fitted_cells() -> Iterator[Cell]:
    for n, runs, full in ((50, 200, 500), (200, 60, 300)):
        for where, ks in _FITTED:
            population = pop.on_axis(where, width=WIDE, k=ks[0])
            wanted = [(metric, k) for metric in COMPONENT for k in ks if metric != DISTANCE or n >= k * PER_COMPONENT]
            yield Cell(
                name=f"fitted {where} k={','.join(map(str, ks))} n={n}",
                group=f"4. Coverage of 95 % intervals, components fitted inside ({WIDE} axes, variances 1/i)",
                about=f"class axis {where}" + (f" of the first {ks[0]}" if len(ks) == 1 else ""),
                n=n,
                runs=runs,
                runs_full=full,
                bands=_fitted_bands(wanted, n),
                truth=partial(_fitted_truth, dict.fromkeys(ks, population), wanted),
                run=partial(_fitted_run, population, n, wanted),
                chunk=50 if n == 50 else 20,
            )


# 5. Retention


def _mean(values: np.ndarray, first_unit: int) -> Jackknife:
    n = len(values)
    left_out = (values.sum() - values) / (n - 1)
    return delete_one(float(values.mean()), left_out, np.arange(first_unit, first_unit + n))


def _heavy(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draws of t with 5 degrees of freedom, unit variance."""
    return np.asarray(rng.standard_t(pop.TAIL, shape) * np.sqrt((pop.TAIL - 2) / pop.TAIL))


def _retention_run(
    z: float,
    n: int,
    parallel: bool,
    truth: Truth,
    rng: np.random.Generator,
    seed: int,  # noqa: ARG001
) -> Records:
    pivot, language = _heavy(rng, (2, n))
    if parallel:
        language = pop.correlated(pivot, language, pop.LANGUAGES)
    truly = z / np.sqrt(n)
    gains = _mean(language + truth["retention"] * truly, 0 if parallel else n), _mean(pivot + truly, 0)
    critical = float(scipy.stats.t.ppf(0.975, n - 1))
    found = fieller(gains[0], gains[1], critical)
    none = np.isnan(found.low)
    difference = jackknife.combine((1.0, gains[0]), (-truth["retention"], gains[1]))
    return {
        "held, where estimable or not": float(none or found.low <= truth["retention"] <= found.high),
        "within the Fieller set": covered(difference, 0.0),
        "not estimable": float(none),
    }


def _half() -> Truth:
    return {"retention": 0.5}


def _retention_cells() -> Iterator[Cell]:
    for n in (50, 200):
        for parallel in (False, True):
            for z in (1.5, 2, 3, 5, 10, 20):
                kind = "parallel" if parallel else "independent"
                yield Cell(
                    name=f"retention {kind} z={z:g} n={n}",
                    group="5. Retention of one language (.5), by the strength z of the pivot's gain in standard errors",
                    about=f"{kind}, z = {z:g}, heavy tails",
                    n=n,
                    runs=1000,
                    runs_full=2000,
                    bands={
                        # Where it is unbounded the set covers by convention, so that coverage may exceed 97 %.
                        "held, where estimable or not": EXACT if z >= 5 else CAUTIOUS,
                        "within the Fieller set": EXACT,
                        "not estimable": REPORTED,
                    },
                    truth=_half,
                    run=partial(_retention_run, z, n, parallel),
                    chunk=500,
                )


# 6. Wrong verdicts

WRONG: Mapping[str, Callable[[float], bool]] = {
    "reached": lambda true: true <= 0.80,
    "weakened": lambda true: true >= 0.80 or true <= 0.25,
    "lagging": lambda true: true >= 0.80,
    "not reached": lambda true: true >= 0.25,
    "reversed": lambda true: true >= 0,
    "inconclusive": lambda true: False,  # noqa: ARG005 - nothing is claimed
}
OTHERS = 8


def _verdict_run(
    z: float, n: int, parallel: bool, retained: tuple[float, ...], truth: Truth, rng: np.random.Generator, seed: int
) -> Records:
    del truth, seed
    pivot = _heavy(rng, (n,))
    truly = z / np.sqrt(n)
    pivot_gain = _mean(pivot + truly, 0)
    gains = {}
    for number, share in enumerate(retained):
        language = _heavy(rng, (n,))
        if parallel:
            language = pop.correlated(pivot, language, pop.LANGUAGES)
        first_unit = 0 if parallel else (number + 1) * n
        gains[str(number)] = (_mean(language + share * truly, first_unit), pivot_gain)
    whole, jackknife.BAND_DRAWS = jackknife.BAND_DRAWS, BAND_DRAWS
    try:
        found = retentions(gains, 0.95, rng)
    finally:
        jackknife.BAND_DRAWS = whole
    verdicts = [found[str(number)].verdict for number in range(len(retained))]
    wrong = [WRONG[verdict](share) for verdict, share in zip(verdicts, retained, strict=True)]
    return {
        "any wrong verdict": float(any(wrong)),
        "some verdict": float(any(verdict != "inconclusive" for verdict in verdicts)),
    }


def _verdict_cells() -> Iterator[Cell]:
    n = 200
    for parallel in (False, True):
        for z in (3, 5, 10, 20):
            for shares in ((0.0,), (0.25,), (0.80,), (0.0, 0.25, 0.80)):
                retained = tuple(shares[number % len(shares)] for number in range(OTHERS))
                kind = "parallel" if parallel else "independent"
                at = ", ".join(f"{share:g}" for share in shares)
                yield Cell(
                    name=f"verdict {kind} z={z} at={at}",
                    group="6. Any wrong verdict, 8 languages with true retention at a boundary",
                    about=f"{kind}, z = {z}, retention {at}",
                    n=n,
                    runs=200,
                    runs_full=1000,
                    bands={"any wrong verdict": AT_MOST_5, "some verdict": REPORTED},
                    run=partial(_verdict_run, z, n, parallel, retained),
                    chunk=200,
                )


# 7. Permutation tests


def _p_value(values: np.ndarray) -> float:
    return float((1 + (values[1:] >= values[0]).sum()) / len(values))


def _permutation_run(n: int, paired: bool, truth: Truth, rng: np.random.Generator, seed: int) -> Records:
    del truth
    labels, partners = pop.labels_and_partners(n, paired=paired)
    draws = draw(labels, partners, n_permutations=TEST_PERMUTATIONS, seed=seed)
    x = pop.sample(pop.planted(0.0, width=10, k=10), n, rng, paired=paired)
    every = np.vstack([labels[None, :], draws.permutations])
    k = 10 if n >= 10 * PER_COMPONENT else 2
    found = {
        metric: METRICS[metric].many(x[:, :k] if metric == DISTANCE else x, every, partners, draws.folds)
        for metric in COMPONENT
    }
    scores = cross_fitted_scores(ridge_probe(x), every, draws.folds)
    for metric in PROBE if paired else PROBE[:1]:
        found[metric] = METRICS[metric].many(scores, every, partners, draws.folds)
    return {metric: float(_p_value(values) <= 0.05) for metric, values in found.items()}


def _family_run(n: int, parallel: bool, truth: Truth, rng: np.random.Generator, seed: int) -> Records:
    del truth
    labels, partners = pop.labels_and_partners(n)
    population = pop.planted(0.0, width=10, k=10)
    clouds = pop.languages(rng, n, 10, (parallel,) * OTHERS)
    columns: dict[str, list[np.ndarray]] = {SHARE: [], SILHOUETTE: []}
    for number, (cloud, _) in enumerate(clouds):
        file = "shared" if parallel else str(number)
        if number == 0 or not parallel:
            keys = [f"{file}/{row % n}" for row in range(2 * n)]
            draws = draw(labels, partners, keys=keys, n_permutations=TEST_PERMUTATIONS, seed=seed)
        x = pop.rows(population, cloud, np.ones((2 * n, 1)))
        every = np.vstack([labels[None, :], draws.permutations])
        for metric, column in columns.items():
            column.append(METRICS[metric].many(x, every, partners, draws.folds))
    found = {}
    for metric, column in columns.items():
        values = np.array(column).T
        found[f"{metric}, any of 9 languages"] = float(max_p(values[0], values[1:]).min() <= 0.05)
    return found


def _permutation_cells() -> Iterator[Cell]:
    for paired in (True, False):
        for n in (50, 200):
            bands = dict.fromkeys((*COMPONENT, "auroc"), SIZE)
            if paired:
                bands["pair_accuracy"] = Band(high=6.5)
            kind = _texts(paired)
            yield Cell(
                name=f"permutation {_seed_word(paired)} n={n}",
                group="7. Rejections at 5 % without any separation",
                about=f"{kind}, permutation p",
                n=n,
                runs=400,
                runs_full=4000 if n == 50 else 2000,
                bands=bands,
                run=partial(_permutation_run, n, paired),
                chunk=100,
            )
    for parallel in (False, True):
        kind = "parallel" if parallel else "independent"
        yield Cell(
            name=f"family {kind} n=50",
            group="7. Rejections at 5 % without any separation",
            about=f"9 {kind} languages, family-wise p",
            n=50,
            runs=200,
            runs_full=2000,
            bands={f"{metric}, any of 9 languages": AT_MOST_5 for metric in (SHARE, SILHOUETTE)},
            run=partial(_family_run, 50, parallel),
        )


# 8. Power


def _power_run(shape: pop.Shape, n: int, width: int, truth: Truth, rng: np.random.Generator, seed: int) -> Records:
    del truth
    before, after = (pop.planted(share, width=width, k=10, shape=shape) for share in (0.05, 0.15))
    labels, partners = pop.labels_and_partners(n)
    gains = []
    for number, gains_too in enumerate((True, False, True)):
        draws = draw(
            labels,
            partners,
            keys=[f"{number}/{row % n}" for row in range(2 * n)],
            n_permutations=PERMUTATIONS,
            seed=seed,
        )
        w = np.tile(pop.weights(rng, n, before), (2, 1))
        reference, fresh = pop.noise(rng, n, width), pop.noise(rng, n, width)
        aligned = pop.correlated(reference, fresh, pop.MODELS)
        both = [
            component_scores(pop.rows(population, cloud, w), draws, [METRICS[SHARE]], (10,))[0].jackknife
            for population, cloud in ((before, reference), (after if gains_too else before, aligned))
        ]
        gains.append(gain(both[0], both[1]))
    pivot, none, equal = gains
    others = {"none": (none, pivot), "equal": (equal, pivot)}
    # The other languages of the family count in the critical value only: copies that share no text.
    for number in range(OTHERS - len(others)):
        copy = _copy_units(equal, number)
        others[str(number)] = (copy, pivot)
    found = retentions(others, 0.95, rng)
    short = ("lagging", "not reached", "reversed")
    return {
        "no gain: lagging or worse": float(found["none"].verdict in short),
        "equal gain: weakened or worse": float(found["equal"].verdict in (*short, "weakened")),
        "equal gain: reached": float(found["equal"].verdict == "reached"),
    }


def _copy_units(found: Jackknife, number: int) -> Jackknife:
    units = found.units + np.uint64(number + 1)  # ids are hashes: no two meet
    order = np.argsort(units)
    return replace(found, influence=found.influence[order], units=units[order])


def _power_cells() -> Iterator[Cell]:
    for width, shapes, runs, full in ((10, pop.SHAPES, 60, 300), (WIDE, ("gaussian",), 12, 100)):
        for shape in shapes:
            yield Cell(
                name=f"power {shape} width={width}",
                group="8. Verdicts, the pivot's share of variance going from .05 to .15 in 10 components",
                about=f"{shape}, {width} axes" + (", components fitted" if width > 10 else ""),
                n=400,
                runs=runs,
                runs_full=full,
                bands={
                    "no gain: lagging or worse": Band(low=90),
                    "equal gain: weakened or worse": AT_MOST_5,
                    "equal gain: reached": REPORTED,
                },
                run=partial(_power_run, shape, 400, width),
                chunk=10,
            )


# 9. Bias


def _null_mean_run(
    wanted: tuple[str, int], n: int, paired: bool, truth: Truth, rng: np.random.Generator, seed: int
) -> Records:
    del truth
    labels, partners = pop.labels_and_partners(n, paired=paired)
    draws = draw(labels, partners, n_permutations=PERMUTATIONS, seed=seed)
    x = pop.sample(pop.planted(0.0, width=10, k=10), n, rng, paired=paired)
    found = scored(x, draws, [wanted])[wanted]
    return {f"{wanted[0]} k={wanted[1]}": found.value if found else float("nan")}


def _bias_truth(population: Population) -> Truth:
    return {DISTANCE: true_value(population, DISTANCE, population.width)}


def _bias_run(population: Population, n: int, truth: Truth, rng: np.random.Generator, seed: int) -> Records:
    labels, partners = pop.labels_and_partners(n)
    draws = draw(labels, partners, n_permutations=PERMUTATIONS, seed=seed)
    row = replace(METRICS[DISTANCE], per_component=0)
    scores = component_scores(pop.sample(population, n, rng), draws, [row], (population.width,))
    found = scores[0].jackknife
    return {"bias in per cent": 100 * (found.value / truth[DISTANCE] - 1) if found else float("nan")}


def _bias_cells() -> Iterator[Cell]:
    group = "9. Mean of the estimate without any separation, and bias of the Bhattacharyya distance"
    for paired in (True, False):
        for metric, k, n in ((SHARE, 10, 20), (SILHOUETTE, 10, 20), (DISTANCE, 2, 20), (DISTANCE, 10, 100)):
            kind = _texts(paired)
            yield Cell(
                name=f"null mean {_seed_word(paired)} {metric} k={k} n={n}",
                group=group,
                about=f"{kind}, no difference",
                n=n,
                runs=400,
                runs_full=2000,
                bands={f"{metric} k={k}": UNBIASED},
                run=partial(_null_mean_run, (metric, k), n, paired),
                chunk=200,
            )
    yield Cell(
        name="bias bhattacharyya n=50",
        group=group,
        about="Gaussian, distance 2 in 10 components",
        n=50,
        runs=200,
        runs_full=2000,
        bands={"bias in per cent": Band(low=-5, high=5, kind="mean")},
        truth=partial(_bias_truth, pop.distant(2.0, width=10)),
        run=partial(_bias_run, pop.distant(2.0, width=10), 50),
        chunk=200,
    )


# 10. Real texts

REAL_FILE, REAL_PAIRS, REAL_WIDTH = "parallel_multiparadetox.parquet", 200, 50


@lru_cache(maxsize=1)
def real_features(folder: Path) -> dict[str, np.ndarray]:
    """Stand-in for hidden states: kernel principal components of each language's n-grams, harmful texts first."""
    import polars as pl

    from isogloss.stats.text_controls import ngram_gram

    frame = pl.read_parquet(folder / REAL_FILE).filter(pl.col("toxic") != pl.col("neutral"))
    found = {}
    for (code,), part in sorted(frame.group_by("language")):
        pairs = part.sort("pair_id").head(REAL_PAIRS)
        gram = ngram_gram([*pairs["toxic"], *pairs["neutral"]])
        gram = gram - gram.mean(axis=0) - gram.mean(axis=1)[:, None] + gram.mean()
        values, vectors = np.linalg.eigh(gram)
        found[str(code)] = (vectors * np.sqrt(np.maximum(values, 0)))[:, ::-1][:, :REAL_WIDTH]
    return found


def _real_run(folder: Path, truth: Truth, rng: np.random.Generator, seed: int) -> Records:
    del truth, rng
    columns: dict[str, list[np.ndarray]] = {SHARE: [], "auroc": []}
    for code, x in real_features(folder).items():
        n = len(x) // 2
        labels, partners = pop.labels_and_partners(n)
        keys = [f"{code}/{row % n}" for row in range(2 * n)]
        draws = draw(labels, partners, keys=keys, n_permutations=1 + TEST_PERMUTATIONS, seed=seed)
        # The first permutation stands in for the labels, the others are its null.
        columns[SHARE].append(METRICS[SHARE].many(x[:, :10], draws.permutations, partners, draws.folds))
        scores = cross_fitted_scores(ridge_probe(x), draws.permutations, draws.folds)
        columns["auroc"].append(METRICS["auroc"].many(scores, draws.permutations, partners, draws.folds))
    found = {}
    for metric, column in columns.items():
        values = np.array(column).T
        found[f"{metric}, any language"] = float(max_p(values[0], values[1:]).min() <= 0.05)
    return found


def _real_cells(folder: Path) -> Iterator[Cell]:
    yield Cell(
        name="real permuted labels",
        group="10. Real texts (MultiParaDetox, n-gram features), labels permuted within pairs",
        about="9 languages, family-wise p",
        n=REAL_PAIRS,
        runs=100,
        runs_full=1000,
        bands={f"{metric}, any language": AT_MOST_5 for metric in (SHARE, "auroc")},
        run=partial(_real_run, folder),
        chunk=25,
    )


def grid(data: Path | None = None) -> dict[str, Cell]:
    """Return all cells by name; those on real texts only where their file is."""
    cells = [
        *_coverage_cells(),
        *_gain_cells(),
        *_probe_cells(),
        *_fitted_cells(),
        *_retention_cells(),
        *_verdict_cells(),
        *_permutation_cells(),
        *_power_cells(),
        *_bias_cells(),
    ]
    if data is not None and (data / REAL_FILE).is_file():
        cells += _real_cells(data)
    return {cell.name: cell for cell in cells}
