"""Slow and plain implementations that the tests of the separation room compare with, and made-up data for them."""

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA

from isogloss.stats.text_pairs import deal, partner_index, unit_codes

SPREAD = np.array([3.0, 2.0, 1.0, 0.7, 0.5, 0.4, 0.3, 0.3])


def labels_and_partners(n, *, paired, rng=None, harmless=None):
    """n harmful texts and as many harmless ones, or `harmless`, in random order if there is an rng."""
    harmless = n if harmless is None else harmless
    harmful = np.arange(n + harmless) < n
    pairs = np.arange(n + harmless) % n
    if rng is not None:
        order = rng.permutation(n + harmless)
        harmful, pairs = harmful[order], pairs[order]
    return harmful, partner_index(pairs, harmful) if paired else None


def states(rng, harmful, partners, *, apart, axis=0, spread=SPREAD):
    """Hidden states with a known class difference on one axis; partners have most of their content in common."""
    x = rng.normal(size=(len(harmful), len(spread)))
    if partners is not None:
        content = np.empty_like(x)
        content[harmful] = rng.normal(size=x[harmful].shape)
        content[~harmful] = content[partners[~harmful]]
        x = np.sqrt(0.8) * content + np.sqrt(0.2) * x
    x *= spread
    x[harmful, axis] += apart
    return x


def permuted(harmful, partners, n, rng):
    """n labelings: each pair swapped or not, or all labels permuted."""
    if partners is None:
        return np.array([rng.permutation(harmful) for _ in range(n)])
    swap = rng.random((n, len(harmful))) < 0.5
    swap = np.where(np.arange(len(harmful)) < partners, swap, swap[:, partners])
    return harmful ^ swap


def dealt(harmful, partners, n_parts, rng):
    return deal(rng.random(len(harmful))[unit_codes(len(harmful), partners)], harmful, partners, n_parts)


def kept(gone, partners):
    """Rows that stay and their partners, counted anew."""
    stays = ~gone
    if partners is None:
        return stays, None
    place = {row: number for number, row in enumerate(np.flatnonzero(stays))}
    return stays, np.array([place[partners[row]] for row in np.flatnonzero(stays)])


def fresh_pca(x, k):
    return PCA(n_components=k, svd_solver="full").fit_transform(x)


def share(z, harmful, partners=None):
    centre = z.mean(axis=0)
    between = sum(side.sum() * ((z[side].mean(axis=0) - centre) ** 2).sum() for side in (harmful, ~harmful))
    return between / ((z - centre) ** 2).sum()


def bhattacharyya(z, harmful, partners=None):
    first, second = (np.atleast_2d(np.cov(z[side], rowvar=False)) for side in (~harmful, harmful))
    middle, shift = (first + second) / 2, z[harmful].mean(axis=0) - z[~harmful].mean(axis=0)
    logs = [np.linalg.slogdet(matrix)[1] for matrix in (middle, first, second)]
    return shift @ np.linalg.inv(middle) @ shift / 8 + (logs[0] - (logs[1] + logs[2]) / 2) / 2


def silhouette(z, harmful, partners=None):
    distances, compared = cdist(z, z), ~np.eye(len(z), dtype=bool)
    if partners is not None:
        compared[np.arange(len(z)), partners] = False
    same = harmful[:, None] == harmful
    a, b = ((distances * part).sum(axis=1) / part.sum(axis=1) for part in (compared & same, compared & ~same))
    return np.mean(
        [(far - near) / max(near, far) if max(near, far) > 0 else 0.0 for near, far in zip(a, b, strict=True)]
    )


METRIC = {"between_class_variance": share, "bhattacharyya": bhattacharyya, "silhouette": silhouette}


def left_out(name, x, harmful, partners, unit_of_row, k, *, fit=True):
    """Value of a metric in k components without each unit; the components fitted without it, or those of all rows."""
    whole, values = fresh_pca(x, k), []
    for unit in range(unit_of_row.max() + 1):
        stays, left = kept(unit_of_row == unit, partners)
        z = fresh_pca(x[stays], k) if fit else whole[stays]
        values.append(METRIC[name](z, harmful[stays], left))
    return np.array(values)


def pseudo_mean(whole, left, strata=None):
    """The jackknife estimate as the mean of pseudo-values, class by class where units are single texts."""
    if strata is None:
        n = len(left)
        return np.mean([n * whole - (n - 1) * value for value in left])
    estimate = whole
    for side in (False, True):
        n = (strata == side).sum()
        estimate += np.mean([n * whole - (n - 1) * value for value in left[strata == side]]) - whole
    return estimate
