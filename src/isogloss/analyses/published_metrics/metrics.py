"""The PUBLISHED table: metrics that others print, as they define them, so that numbers can be compared with theirs.

They are plug-in values: nothing is debiased, and no verdict comes from them. The null beside each says what its formula
gives where there is no difference; for some of them that is a large number.
"""

from __future__ import annotations

import numpy as np

from isogloss.analyses.published_metrics.scores import score_published
from isogloss.stats.metric import GROUPS, Metric

#: Weight of the Xie-Beni term in AQI.
LAMBDA = 0.5
#: Bins of equal counts in which the Jensen-Shannon divergence is taken.
BINS = 10


def _scatter(x: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squared distance of the class means, sums of squares within and between the classes: (B,) each."""
    centred = x - x.mean(axis=0)
    harmful = labels.sum(axis=1)
    harmless = labels.shape[1] - harmful
    sums = labels.astype(np.float64) @ centred  # the other class has the opposite sum
    apart = (sums**2).sum(axis=1) * (1 / harmful + 1 / harmless) ** 2
    between = apart * harmful * harmless / labels.shape[1]
    return apart, (centred**2).sum() - between, between


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Quotient; NaN where the divisor is not above 0."""
    return np.asarray(np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0))


def xie_beni(x: np.ndarray, labels: np.ndarray, partners: object = None, folds: object = None) -> np.ndarray:
    """Mean squared distance to the mean of the class, over the squared distance of the class means (AQI's XBI): (B,).

    >>> xie_beni(np.array([[0.0], [2.0], [4.0], [6.0]]), np.array([[False, False, True, True]])).tolist()
    [0.0625]
    """
    del partners, folds
    apart, within, _ = _scatter(x, labels)
    return _ratio(within / labels.shape[1], apart)


def calinski_harabasz(x: np.ndarray, labels: np.ndarray, partners: object = None, folds: object = None) -> np.ndarray:
    """Variance between the classes over that within them, n - 2 and 1 degrees of freedom (AQI's CHI): (B,)."""
    del partners, folds
    _, within, between = _scatter(x, labels)
    return _ratio(between * (labels.shape[1] - 2), within)


def aqi(x: np.ndarray, labels: np.ndarray, partners: object = None, folds: object = None) -> np.ndarray:
    """AQI = lambda / XBI + (1 - lambda) CHI', lambda = 1/2, CHI' = CHI / (CHI + n - 2) in [0, 1]: (B,).

    AQI calibrates the scale of the second term over models that one audit does not have. Here the second term is the
    between-class share of variance.
    """
    del partners, folds
    apart, within, between = _scatter(x, labels)
    first = _ratio(apart * labels.shape[1], within)
    return np.asarray(LAMBDA * first + (1 - LAMBDA) * _ratio(between, within + between))


def davies_bouldin(x: np.ndarray, labels: np.ndarray, partners: object = None, folds: object = None) -> np.ndarray:
    """Mean distances to the mean of the class, summed over the classes, over the distance of the means: (B,)."""
    del partners, folds
    values = np.empty(len(labels))
    for b, side in enumerate(labels):
        means = [x[side].mean(axis=0), x[~side].mean(axis=0)]
        spread = [
            np.linalg.norm(x[rows] - mean, axis=1).mean() for rows, mean in zip((side, ~side), means, strict=True)
        ]
        apart = np.linalg.norm(means[0] - means[1])
        values[b] = sum(spread) / apart if apart > 0 else np.nan
    return values


def jensen_shannon(scores: np.ndarray, labels: np.ndarray, partners: object, folds: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence, in bits, of the cross-fitted scores of the two classes: (B,), in [0, 1].

    Scores are comparable within a fold only, so each fold is brought to mean 0 and spread 1 without looking at labels.
    The classes are then counted in `BINS` bins of equal counts of all texts. Its bias without any difference is about
    (BINS - 1) / (2 n ln 2) for n texts of both classes; the null shows it.
    """
    del partners
    level = np.empty_like(scores)
    for fold in np.unique(folds):
        test = folds == fold
        of_fold = scores[:, test]
        spread = of_fold.std(axis=1, keepdims=True)
        level[:, test] = (of_fold - of_fold.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    values = np.empty(len(labels))
    for b, (row, side) in enumerate(zip(level, labels, strict=True)):
        edges = np.unique(np.quantile(row, np.arange(1, BINS) / BINS))
        bins = np.searchsorted(edges, row, side="right")
        first, second = (np.bincount(bins[rows], minlength=len(edges) + 1) / rows.sum() for rows in (side, ~side))
        middle = (first + second) / 2
        values[b] = sum(_divergence(shares, middle) for shares in (first, second)) / 2
    return values


def _divergence(shares: np.ndarray, middle: np.ndarray) -> float:
    """Kullback-Leibler divergence in bits."""
    present = shares > 0
    return float((shares[present] * np.log2(shares[present] / middle[present])).sum())


def ams_sigma(x: np.ndarray, labels: np.ndarray, partners: object = None, folds: object = None) -> np.ndarray:
    """Distance of the class means over the pooled standard deviation along it, on the texts of the fit: (B,).

    As AMS prints it: the direction is fitted on the very texts that it is then scored on.
    """
    del partners, folds
    centred = x - x.mean(axis=0)
    return _sigma(_along(centred, labels) @ centred.T, labels)


def ams_sigma_cross_fitted(x: np.ndarray, labels: np.ndarray, partners: object, folds: np.ndarray) -> np.ndarray:
    """AMS's sigma with the direction from other texts, mean over folds: (B,); 0 where there is no difference."""
    del partners
    centred = x - x.mean(axis=0)
    values = []
    for fold in np.unique(folds):
        test = folds == fold
        values.append(_sigma(_along(centred[~test], labels[:, ~test]) @ centred[test].T, labels[:, test]))
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0))


def _along(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Unit vectors from the harmless to the harmful mean: (B, d)."""
    side = labels.astype(np.float64)
    harmful = side.sum(axis=1, keepdims=True)
    shift = side @ x / harmful - (1 - side) @ x / (labels.shape[1] - harmful)
    length = np.linalg.norm(shift, axis=1, keepdims=True)
    return np.asarray(shift / np.where(length > 0, length, 1.0))


def _sigma(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Difference of the class means over the pooled spread of scores (B, n); NaN below two texts a class."""
    means, squares, sizes = [], [], []
    for side in (labels, ~labels):
        size = side.sum(axis=1)
        mean = np.where(side, scores, 0.0).sum(axis=1) / np.maximum(size, 1)
        means.append(mean)
        squares.append(np.where(side, (scores - mean[:, None]) ** 2, 0.0).sum(axis=1))
        sizes.append(size)
    spread = np.sqrt((squares[0] + squares[1]) / np.maximum(sizes[0] + sizes[1] - 2, 1))
    sigma = _ratio(means[0] - means[1], spread)
    return np.where(np.minimum(*sizes) > 1, sigma, np.nan)


_AQI = "AQI (arXiv 2506.13901)"
_AMS = "AMS (Messenger, IEEE Access 2026; arXiv 2608.05578)"
_INFINITE = float("inf")
_ROWS = (
    Metric(
        name="xie_beni",
        basis="pca",
        family="published",
        low=0.0,
        high=_INFINITE,
        chance=_INFINITE,
        about="mean squared distance to the mean of the class over that of the two means, in k principal components",
        source=f"{_AQI}; Xie and Beni (1991)",
        many=xie_beni,
        method=GROUPS,
        scorer=score_published,
        decreasing=True,
    ),
    Metric(
        name="calinski_harabasz",
        basis="pca",
        family="published",
        low=0.0,
        high=_INFINITE,
        chance=1.0,
        about="variance between the classes over that within them, in k principal components",
        source=f"{_AQI}; Calinski and Harabasz (1974)",
        many=calinski_harabasz,
        method=GROUPS,
        scorer=score_published,
    ),
    Metric(
        name="aqi",
        basis="pca",
        family="published",
        low=0.0,
        high=_INFINITE,
        chance=0.0,
        about="half of 1 / xie_beni and half of the between-class share, in k principal components",
        source=_AQI,
        many=aqi,
        method=GROUPS,
        scorer=score_published,
    ),
    Metric(
        name="davies_bouldin",
        basis="pca",
        family="published",
        low=0.0,
        high=_INFINITE,
        chance=_INFINITE,
        about="mean distances to the mean of the class over the distance of the two means, in k principal components",
        source=f"{_AQI}; Davies and Bouldin (1979)",
        many=davies_bouldin,
        method=GROUPS,
        scorer=score_published,
        decreasing=True,
    ),
    Metric(
        name="jensen_shannon",
        basis="probe",
        family="published",
        low=0.0,
        high=1.0,
        chance=0.0,
        about="Jensen-Shannon divergence, in bits, of the two classes' cross-fitted scores in ten bins of equal counts",
        source="N-GLARE (arXiv 2511.14195); Lin (1991)",
        many=jensen_shannon,
        method=GROUPS,
        scorer=score_published,
    ),
    Metric(
        name="ams_sigma",
        basis="means",
        family="published",
        low=0.0,
        high=_INFINITE,
        chance=0.0,
        about="distance of the class means in standard deviations along it, fitted and scored on the same texts",
        source=_AMS,
        many=ams_sigma,
        method=GROUPS,
        scorer=score_published,
    ),
    Metric(
        name="ams_sigma_cross_fitted",
        basis="means",
        family="published",
        low=-_INFINITE,
        high=_INFINITE,
        chance=0.0,
        about="the same with the direction from other texts",
        source=f"{_AMS}, cross-fitted here",
        many=ams_sigma_cross_fitted,
        method=GROUPS,
        scorer=score_published,
    ),
)

#: Metrics of others, by name.
PUBLISHED: dict[str, Metric] = {row.name: row for row in _ROWS}
