"""Populations whose true scores are known, and samples from them.

A text is class mean + scale * noise. The noise of the texts of a pair is correlated .8, that of the two models of a
language .7 text by text, and that of parallel languages .5. Shapes: Gaussian; heavy-tailed (elliptical t with 5 degrees
of freedom and unit variance, one weight a pair); unequal covariance (the harmful class has other variances than the
harmless one).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
import scipy.optimize
import scipy.spatial.distance

Shape = Literal["gaussian", "heavy", "unequal"]
SHAPES: tuple[Shape, ...] = ("gaussian", "heavy", "unequal")

PAIRS = 0.8
MODELS = 0.7
LANGUAGES = 0.5
#: Degrees of freedom of the heavy tails.
TAIL = 5
#: Spread of the harmful over the harmless class, first to last axis, where covariances are unequal.
UNEQUAL = (1.5, 0.7)

#: Sample per class and number of samples of the Monte Carlo that gives the true silhouette.
SILHOUETTE_SIZE, SILHOUETTE_SAMPLES = 1000, 120


@dataclass(frozen=True, kw_only=True)
class Population:
    """Two classes of equal size.

    Attributes:
        variances: of the harmless class along the axes.
        shift: mean of the harmful class less mean of the harmless class.
        spread: standard deviations of the harmful class, as multiples of those of the harmless class; empty for equal.
        heavy: whether the tails are.
    """

    variances: tuple[float, ...]
    shift: tuple[float, ...]
    spread: tuple[float, ...] = ()
    heavy: bool = False

    @property
    def width(self) -> int:
        """Number of axes."""
        return len(self.variances)

    @property
    def harmful_variances(self) -> np.ndarray:
        """Variances of the harmful class along the axes."""
        return np.asarray(self.variances) * np.asarray(self.spread or (1.0,) * self.width) ** 2

    def plane(self, k: int) -> Population:
        """Return the first k axes alone."""
        return replace(self, variances=self.variances[:k], shift=self.shift[:k], spread=self.spread[:k])

    def components(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the first k principal axes (width, k) of both classes together, and all eigenvalues, largest first."""
        shift = np.asarray(self.shift)
        within = np.diag((self.harmful_variances + np.asarray(self.variances)) / 2)
        values, axes = np.linalg.eigh(within + np.outer(shift, shift) / 4)
        return axes[:, ::-1][:, :k], values[::-1]

    def between_class_variance(self, k: int) -> float:
        """Return the between-class share of variance in the k components of the population."""
        axes, values = self.components(k)
        return float(((axes.T @ self.shift) ** 2).sum() / 4 / values[:k].sum())

    def bhattacharyya(self, k: int) -> float:
        """Return the distance of Gaussians with the moments of the classes, in the k components of the population."""
        axes, _ = self.components(k)
        shift = axes.T @ self.shift
        one, other = ((axes.T * v) @ axes for v in (self.harmful_variances, np.asarray(self.variances)))
        middle = (one + other) / 2
        logs = [float(np.linalg.slogdet(matrix)[1]) for matrix in (middle, one, other)]
        return float(shift @ np.linalg.inv(middle) @ shift / 8 + (logs[0] - (logs[1] + logs[2]) / 2) / 2)

    def silhouette(self, k: int) -> float:
        """Return the mean silhouette in the k components of the population, from a large Monte Carlo."""
        axes, _ = self.components(k)
        if not self.spread and np.allclose(axes.T @ self.shift, 0):
            return 0.0
        rng = np.random.default_rng(1)
        return float(np.mean([_silhouette(self, axes, rng) for _ in range(SILHOUETTE_SAMPLES)]))


def _silhouette(population: Population, axes: np.ndarray, rng: np.random.Generator) -> float:
    n = SILHOUETTE_SIZE
    z = rows(population, noise(rng, n, population.width, within=0.0), weights(rng, 2 * n, population)) @ axes
    distances = scipy.spatial.distance.cdist(z, z)
    to_harmful, to_harmless = distances[:, :n].sum(axis=1), distances[:, n:].sum(axis=1)
    same = np.concatenate([to_harmful[:n], to_harmless[n:]]) / (n - 1)
    other = np.concatenate([to_harmless[:n], to_harmful[n:]]) / n
    return float(((other - same) / np.maximum(other, same)).mean())


# Samples: harmful texts first, then their partners in the same order


def noise(rng: np.random.Generator, n: int, width: int, *, within: float = PAIRS) -> np.ndarray:
    """Gaussian noise of n pairs, unit variance, correlated by `within` within a pair: (2 n, width)."""
    shared = rng.standard_normal((n, width))
    alone = rng.standard_normal((2 * n, width))
    return np.sqrt(within) * np.concatenate([shared, shared]) + np.sqrt(1 - within) * alone


def correlated(noise_: np.ndarray, fresh: np.ndarray, correlation: float) -> np.ndarray:
    """Noise that is correlated with other noise, entry by entry."""
    return np.asarray(correlation * noise_ + np.sqrt(1 - correlation**2) * fresh)


def weights(rng: np.random.Generator, n: int, population: Population) -> np.ndarray:
    """Weights that make the tails of n texts or pairs heavy: (n, 1), mean square 1."""
    if not population.heavy:
        return np.ones((n, 1))
    return np.asarray(np.sqrt((TAIL - 2) / rng.chisquare(TAIL, (n, 1))))


def rows(population: Population, noise_: np.ndarray, weights_: np.ndarray) -> np.ndarray:
    """Hidden states of a sample: (2 n, width)."""
    n = len(noise_) // 2
    x = noise_ * weights_
    x[:n] = x[:n] * np.sqrt(population.harmful_variances) + np.asarray(population.shift)
    x[n:] = x[n:] * np.sqrt(np.asarray(population.variances))
    return x


def sample(population: Population, n: int, rng: np.random.Generator, *, paired: bool = True) -> np.ndarray:
    """Draw n pairs, or n unrelated texts a class: (2 n, width)."""
    w = weights(rng, n if paired else 2 * n, population)
    return rows(
        population,
        noise(rng, n, population.width, within=PAIRS if paired else 0.0),
        np.concatenate([w, w]) if paired else w,
    )


def labels_and_partners(n: int, *, paired: bool = True) -> tuple[np.ndarray, np.ndarray | None]:
    """Labels bool (2 n,) and the row of each text's partner."""
    return np.arange(2 * n) < n, (np.arange(2 * n) + n) % (2 * n) if paired else None


def languages(
    rng: np.random.Generator, n: int, width: int, parallel: tuple[bool, ...]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Noise of the reference and the aligned model, for a pivot and some more languages.

    Args:
        rng: of everything.
        n: pairs.
        width: axes.
        parallel: for each language besides the pivot, whether it holds the pivot's items in translation.
    """
    clouds = []
    pivot = noise(rng, n, width), noise(rng, n, width)
    for shares in (None, *parallel):
        fresh = pivot if shares is None else (noise(rng, n, width), noise(rng, n, width))
        if shares:
            fresh = tuple(correlated(a, b, LANGUAGES) for a, b in zip(pivot, fresh, strict=True))
        clouds.append((fresh[0], correlated(fresh[0], fresh[1], MODELS)))
    return clouds


# Populations


def spectrum(width: int) -> np.ndarray:
    """Variances 1, 1/2, 1/3, ..."""
    return 1 / np.arange(1, width + 1)


@cache
def planted(share: float, *, width: int, k: int, shape: Shape = "gaussian") -> Population:
    """Build a population with this between-class share of variance in k components; the difference is on three axes."""
    variances = spectrum(width)
    direction = np.where(np.arange(width) < 3, np.sqrt(variances), 0.0)

    def of(size: float) -> Population:
        shift = tuple((size * direction).tolist())
        return Population(
            variances=tuple(variances.tolist()),
            shift=shift,
            spread=tuple(np.linspace(*UNEQUAL, width).tolist()) if shape == "unequal" else (),
            heavy=shape == "heavy",
        )

    if share == 0:
        return of(0.0)
    return of(scipy.optimize.brentq(lambda size: of(size).between_class_variance(k) - share, 1e-6, 20.0))


def distant(distance: float, *, width: int) -> Population:
    """Build a population with this Bhattacharyya distance in all its components."""
    near = planted(0.1, width=width, k=width)
    scale = np.sqrt(distance / near.bhattacharyya(width))  # with equal covariances it goes with the square of the shift
    return replace(near, shift=tuple((scale * np.asarray(near.shift)).tolist()))


Where = Literal["first", "nearly tied inside", "at the edge", "outside"]


def on_axis(where: Where, *, width: int, k: int) -> Population:
    """Build a population by where its class axis is: first, nearly tied with component k, component k, or outside.

    A class axis that is nearly tied has 1.03 of the variance of component k, so that it is component k - 1; one at the
    edge is component k itself. In both a quarter of its variance lies between the classes, and component k + 1 has
    1 / 1.15 of the variance of component k.
    """
    variances, shift = spectrum(width), np.zeros(width)
    if where == "first":
        shift[0] = 1.0
    elif where == "outside":
        shift[40] = 0.15
    else:
        axis, total = (k - 1, 1 / k) if where == "at the edge" else (k - 2, 1.03 / k)
        variances[axis], shift[axis] = 0.75 * total, np.sqrt(total)  # a quarter of the squared shift is the variance
        variances[k] = 1 / k / 1.15
    return Population(variances=tuple(variances.tolist()), shift=tuple(shift.tolist()))


def round_cloud(apart: float, *, width: int) -> Population:
    """Build a population with equal variances and a difference on one axis, for the probe."""
    return Population(variances=(1.0,) * width, shift=(apart,) + (0.0,) * (width - 1))
