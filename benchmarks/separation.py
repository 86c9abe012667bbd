"""Our statistics beside the plain loop over scikit-learn and numpy: jackknife, null and gain of three paper metrics.

One language, two models, 10 components, every unit left out once (jackknife) and 1,000 permutations, then the gain
and its gap to another language. The plain loop calls silhouette_score, or a numpy formula for the other two metrics,
for each unit left out and each permutation. It runs for some units and permutations only, and its time is scaled to all
of them. It does less than ours: it does not fit the components without each unit, and takes no jackknife estimate of
each permutation.

Ours runs as in the audit, one block (a model) a worker thread with BLAS limited to one thread, and alone in a process,
whose peak memory is read. The loop may use all threads that BLAS and scikit-learn take.

    python benchmarks/separation.py [--pairs] [--texts 5000] [--permutations 1000] [--repeats 6]
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import pairwise_distances, silhouette_score
from threadpoolctl import threadpool_limits

from isogloss.stats import leave_one_out
from isogloss.stats.component_scores import component_scores
from isogloss.stats.components import open_space, pca
from isogloss.stats.effects import gain, gap
from isogloss.stats.jackknife import Jackknife
from isogloss.stats.leave_one_out import LEADING, leave_out, rows_of_units
from isogloss.stats.metric import Score
from isogloss.stats.metrics import METRICS
from isogloss.stats.permutations import Draws, draw
from isogloss.stats.silhouette import open_silhouette

K = 10
NAMES = ("between_class_variance", "bhattacharyya", "silhouette")
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Job:
    """Hidden states of both models for one language, and what is drawn for it."""

    reference: np.ndarray
    aligned: np.ndarray
    draws: Draws


@dataclass(frozen=True)
class Timed:
    """What our side came to: scores of both models, gaps, seconds and peak memory in bytes."""

    reference: list[Score]
    aligned: list[Score]
    gaps: list[Jackknife]
    seconds: float
    before: int
    peak: int


def make_job(n: int, permutations: int, *, paired: bool, seed: int) -> Job:
    rng = np.random.default_rng(seed)
    content = rng.normal(size=(n, K))
    harmful, partners = np.arange(n) < n // 2, None
    if paired:
        partners = np.roll(np.arange(n), n // 2)
        content = np.sqrt(0.8) * content[np.minimum(np.arange(n), partners)] + np.sqrt(0.2) * content
    keys = [f"{seed}:{i if partners is None else min(i, partners[i])}" for i in range(n)]
    states = []
    for apart in (0.5, 1.0):
        x = (content + 0.3 * rng.normal(size=(n, K))) * np.geomspace(2, 0.5, K)
        x[harmful, 0] += apart
        states.append(x)
    return Job(*states, draw(harmful, partners, keys=keys, n_permutations=permutations, seed=seed))


def score(x: np.ndarray, draws: Draws) -> list[Score]:
    return component_scores(x, draws, [METRICS[name] for name in NAMES], (K,))


def gains(reference: list[Score], aligned: list[Score]) -> list[Jackknife]:
    changes = []
    for before, after in zip(reference, aligned, strict=True):
        assert before.jackknife is not None and after.jackknife is not None  # noqa: PT018
        changes.append(gain(before.jackknife, after.jackknife))
    return changes


def ours(job: Job, other: Job, results: multiprocessing.SimpleQueue[Timed]) -> None:
    """Score both models, then the gain, and the gap to the gain of another language; runs in its own process."""
    with threadpool_limits(1), ThreadPoolExecutor(2) as workers:
        elsewhere = gains(score(other.reference, other.draws), score(other.aligned, other.draws))
        before = peak_memory()
        start = time.perf_counter()
        reference, aligned = workers.map(score, (job.reference, job.aligned), (job.draws, job.draws))
        gaps = [gap(pivot, change) for pivot, change in zip(elsewhere, gains(reference, aligned), strict=True)]
        for difference in gaps:
            difference.interval()
        seconds = time.perf_counter() - start
    results.put(Timed(reference, aligned, gaps, seconds, before, peak_memory()))


def peak_memory() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


# The plain loop


def plain_share(z: np.ndarray, harmful: np.ndarray, partners: np.ndarray | None) -> float:
    del partners
    shift = z[harmful].mean(axis=0) - z[~harmful].mean(axis=0)
    weight = harmful.sum() * (~harmful).sum() / len(z)
    return float(weight * shift @ shift / ((z - z.mean(axis=0)) ** 2).sum())


def plain_bhattacharyya(z: np.ndarray, harmful: np.ndarray, partners: np.ndarray | None) -> float:
    del partners
    first, second = (np.cov(z[side], rowvar=False) for side in (~harmful, harmful))
    pooled, shift = (first + second) / 2, z[harmful].mean(axis=0) - z[~harmful].mean(axis=0)
    logs = [np.linalg.slogdet(matrix)[1] for matrix in (pooled, first, second)]
    return float(shift @ np.linalg.solve(pooled, shift) / 8 + (logs[0] - (logs[1] + logs[2]) / 2) / 2)


def plain_silhouette(z: np.ndarray, harmful: np.ndarray, partners: np.ndarray | None) -> float:
    if partners is None:
        return float(silhouette_score(z, harmful))
    distances, n = pairwise_distances(z), len(z) // 2
    same = np.where(harmful, distances @ harmful, distances @ ~harmful) / (n - 1)
    other = np.where(harmful, distances @ ~harmful, distances @ harmful)
    other = (other - distances[np.arange(2 * n), partners]) / (n - 1)
    return float(((other - same) / np.maximum(same, other)).mean())


PLAIN = dict(zip(NAMES, (plain_share, plain_bhattacharyya, plain_silhouette), strict=True))


def without(draws: Draws, unit: int) -> tuple[np.ndarray, np.ndarray | None]:
    kept = draws.unit_of_row != unit
    return kept, None if draws.partners is None else (np.cumsum(kept) - 1)[draws.partners[kept]]


def plain_values(
    name: str, x: np.ndarray, draws: Draws, units: np.ndarray, permutations: range
) -> tuple[list[float], ...]:
    """Values of a metric without each of some units, and under some permutations."""
    left = []
    for unit in units:
        kept, partners = without(draws, unit)
        left.append(PLAIN[name](x[kept], draws.harmful[kept], partners))
    null = [PLAIN[name](x, draws.permutations[number], draws.partners) for number in permutations]
    return left, null


# The comparison


def our_left_out(x: np.ndarray, draws: Draws, units: np.ndarray) -> dict[str, np.ndarray]:
    """Our values of each metric without some units."""
    space, removed = open_space(x, K + LEADING), rows_of_units(draws.unit_of_row)
    opened = open_silhouette(space, draws.harmful, draws.partners, removed, K)
    (part,) = leave_out(space, removed[units], K)
    return {
        "between_class_variance": leave_one_out.between_class_variance(space, part, draws.harmful[None, :], K)[:, 0],
        "bhattacharyya": leave_one_out.bhattacharyya(space, part, draws.harmful, K),
        "silhouette": opened.held[units],  # with 10 dimensions and 10 components nothing is fitted
    }


def moves(score: Score, draws: Draws, units: np.ndarray) -> np.ndarray:
    """Left-out values of units (of one class) less that of the first of them, read off the timed jackknife."""
    assert score.jackknife is not None
    influence = score.jackknife.influence[np.searchsorted(score.jackknife.units, draws.units[units])]
    n = len(draws.units) if draws.partners is not None else int(draws.harmful.sum())
    return (influence[0] - influence) / np.sqrt((n - 1) / n)


def check(name: str, ours: np.ndarray, plain: np.ndarray) -> float:
    error = float(np.abs(np.asarray(ours) - np.asarray(plain)).max())
    assert error < TOLERANCE, f"{name}: the two disagree by {error:.1e}"
    return error


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compare(job: Job, timed: Timed, repeats: int) -> float:
    """Check that both sides agree, and return how long the plain loop takes for everything."""
    draws, total = job.draws, 0.0
    units = np.flatnonzero(draws.harmful)[:: len(draws.harmful) // (2 * repeats)][:repeats]
    units, permutations, worst = draws.unit_of_row[units], range(repeats), 0.0
    for x, scores in ((job.reference, timed.reference), (job.aligned, timed.aligned)):
        left_out = our_left_out(x, draws, units)
        for ours in scores:
            left, null = plain_values(ours.metric, x, draws, units, permutations)
            worst = max(
                worst,
                check(ours.metric, ours.plug_in, PLAIN[ours.metric](x, draws.harmful, draws.partners)),
                check(f"{ours.metric} without units", left_out[ours.metric], left),
                check(f"{ours.metric} of the jackknife", moves(ours, draws, units), np.array(left) - left[0]),
                check(f"{ours.metric} under permutations", ours.plug_in_null[:repeats], null),
            )
    projecting = seconds(lambda: pca(job.reference, K))
    print(
        f"  both agree to {worst:.0e} on {repeats} units left out and {repeats} permutations of each metric and model"
    )
    calls = 1 + len(draws.units) + len(draws.packed)
    for name in NAMES:
        rounds = repeats if name == "silhouette" else 20 * repeats
        one = seconds(
            lambda name=name, rounds=rounds: [
                plain_values(
                    name, job.aligned, draws, units[: 1 + i % repeats][-1:], range(i % repeats, 1 + i % repeats)
                )
                for i in range(rounds)
            ]
        ) / (2 * rounds)
        total += 2 * calls * one
        print(f"  plain {name}: {one * 1e3:.2f} ms a call, timed on {2 * rounds} of {2 * calls:,} calls")
    return total + 2 * projecting


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", action="store_true", help="the texts are pairs")
    parser.add_argument("--texts", type=int, default=5000)
    parser.add_argument("--permutations", type=int, default=1000)
    parser.add_argument(
        "--repeats", type=int, default=6, help="silhouettes of each kind that the plain loop is timed on"
    )
    wanted = parser.parse_args()
    job = make_job(wanted.texts, wanted.permutations, paired=wanted.pairs, seed=0)
    other = make_job(600, 20, paired=wanted.pairs, seed=1)
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    process = context.Process(target=ours, args=(job, other, results))
    process.start()
    timed = results.get()
    process.join()
    kind = f"{wanted.texts // 2:,} pairs" if wanted.pairs else f"{wanted.texts // 2:,} texts a class"
    print(
        f"{kind}, {K} components, 2 models, {wanted.permutations:,} permutations, "
        f"{len(job.draws.units):,} units left out"
    )
    print(
        f"  isogloss: {timed.seconds:.1f} s, peak memory {timed.peak / 1e9:.2f} GB (start: {timed.before / 1e9:.2f} GB)"
    )
    loop = compare(job, timed, wanted.repeats)
    print(f"  plain loop: {loop:,.0f} s, scaled up from the calls above, not run in full")
    print(f"  ratio {loop / timed.seconds:,.0f}")


if __name__ == "__main__":
    main()
