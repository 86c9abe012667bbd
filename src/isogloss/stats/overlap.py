"""The Bhattacharyya distance of two Gaussians, and its jackknife estimate under many labelings.

Removing a unit is a rank-one or rank-two downdate of the class covariances, so no matrix is factored per unit.
Quadratic forms of the rows suffice, and these are matrix products with the second-order features of the rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: A covariance with a smaller ratio of extreme eigenvalues is singular.
SINGULAR = 1e-12
#: A class whose determinant falls to less than this share of itself without a unit is singular without it.
LOST = 1e-10
#: Numbers held at once, per chunk of labelings.
CHUNK = 8_000_000


def gaussian_overlap(shift: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Bhattacharyya distance of Gaussians: 1/8 d'S^-1 d + 1/2 ln(det S / sqrt(det S0 det S1)), S = (S0 + S1) / 2.

    Args:
        shift: (..., k), difference of the means.
        first: (..., k, k), covariance of one class.
        second: (..., k, k), covariance of the other.

    Returns:
        (...,); NaN where a covariance is singular.
    """
    pooled = (first + second) / 2
    spectra = [np.linalg.eigvalsh(c) for c in (first, second, pooled)]
    sound = np.all([s[..., 0] > SINGULAR * s[..., -1] for s in spectra], axis=0)
    value = np.full(shift.shape[:-1], np.nan)
    if sound.any():
        logs = [np.log(s[sound]).sum(axis=-1) for s in spectra]
        solved = np.linalg.solve(pooled[sound], shift[sound][..., None])[..., 0]
        value[sound] = (shift[sound] * solved).sum(axis=-1) / 8 + (logs[2] - (logs[0] + logs[1]) / 2) / 2
    return value


def bhattacharyya_estimates(z: np.ndarray, labels: np.ndarray, partners: np.ndarray | None) -> np.ndarray:
    """Jackknife estimate of the Bhattacharyya distance for each labeling, the components held.

    Args:
        z: float64 (n, k), principal components.
        labels: bool (B, n).
        partners: int (n,) or None; with partners the units are pairs.

    Returns:
        (B,); NaN where a covariance is singular, or would be without some unit.
    """
    z = z - z.mean(axis=0)
    step = max(1, CHUNK // (len(z) * 8))
    parts = [_estimates(z, labels[i : i + step], partners) for i in range(0, len(labels), step)]
    return np.concatenate(parts)


def _estimates(z: np.ndarray, labels: np.ndarray, partners: np.ndarray | None) -> np.ndarray:
    classes = [_Class.of(z, side) for side in (~labels, labels)]
    sound = np.all([members.sound for members in classes], axis=0)
    estimates = np.full(len(labels), np.nan)
    if sound.any():
        first, second = (members.where(sound) for members in classes)
        whole = gaussian_overlap(second.mean - first.mean, first.covariance, second.covariance)
        bias = _bias_by_texts if partners is None else _bias_by_pairs
        estimates[sound] = whole - bias(_Labeled(z, labels[sound], partners, first, second), whole)
    return estimates


class _Class(NamedTuple):
    """Size (B,), mean (B, k) and covariance (B, k, k) of one class under B labelings."""

    size: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(cls, z: np.ndarray, side: np.ndarray) -> _Class:
        weights = side.astype(np.float64)
        size = weights.sum(axis=1)
        mean = weights @ z / size[:, None]
        second = (weights @ _products(z, z)).reshape(len(side), z.shape[1], z.shape[1])
        outer = mean[:, :, None] * mean[:, None, :] * size[:, None, None]
        return cls(size, mean, (second - outer) / (size - 1)[:, None, None])

    @property
    def sound(self) -> np.ndarray:
        spectrum = np.linalg.eigvalsh(self.covariance)
        return np.asarray(spectrum[:, 0] > SINGULAR * spectrum[:, -1])

    def where(self, chosen: np.ndarray) -> _Class:
        return _Class(*(part[chosen] for part in self))


class _Labeled(NamedTuple):
    """Rows (n, k), labels (B, n), partners, and the two classes under each labeling."""

    z: np.ndarray
    labels: np.ndarray
    partners: np.ndarray | None
    harmless: _Class
    harmful: _Class


def _products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Second-order features: (n, k * k)."""
    return np.asarray((a[:, :, None] * b[:, None, :]).reshape(len(a), -1))


class _Form(NamedTuple):
    """Inverse matrices (B, k, k) and log determinants (B,), for quadratic forms of rows about centres."""

    inverse: np.ndarray
    logdet: np.ndarray

    @classmethod
    def of(cls, matrix: np.ndarray) -> _Form:
        return cls(np.linalg.inv(matrix), np.linalg.slogdet(matrix)[1])

    def squares(self, z: np.ndarray, centre: np.ndarray) -> np.ndarray:
        """(z - c)' M^-1 (z - c): (B, n) for rows z (n, k) and centres (B, k)."""
        return self.crossed(z, centre, z, centre)

    def crossed(self, a: np.ndarray, centre_a: np.ndarray, b: np.ndarray, centre_b: np.ndarray) -> np.ndarray:
        """(a - c)' M^-1 (b - d): (B, n)."""
        flat = self.inverse.reshape(len(self.inverse), -1) @ _products(a, b).T
        to_b, to_a = self.times(centre_b), self.times(centre_a)
        return np.asarray(flat - to_b @ a.T - to_a @ b.T + (centre_a * to_b).sum(axis=1)[:, None])

    def times(self, vector: np.ndarray) -> np.ndarray:
        """M^-1 v: (B, k)."""
        return np.asarray((self.inverse @ vector[:, :, None])[:, :, 0])


def _value(shift2: np.ndarray, pooled: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.asarray(shift2 / 8 + (pooled - (first + second) / 2) / 2)


def _log_left(share: np.ndarray) -> np.ndarray:
    """Log of the share of a determinant that remains without a unit; NaN where the class varies in that unit only."""
    return np.asarray(np.log(np.where(share > LOST, share, np.nan)))


def _bias_by_pairs(data: _Labeled, whole: np.ndarray) -> np.ndarray:
    """Jackknife bias, a pair (one row of each class) left out at a time: (B,)."""
    z, labels, partners, first, second = data
    assert partners is not None  # noqa: S101 - for the type checker: chosen by the caller
    k = z.shape[1]
    left = np.flatnonzero(np.arange(len(z)) < partners)
    right = partners[left]
    swapped = labels[:, right]  # else the left row of the pair is the harmful one
    n = float(len(left))
    grow, shrink = (n - 1) / (n - 2), n / ((n - 1) * (n - 2))
    pooled = _Form.of((first.covariance + second.covariance) / 2)

    def of_class(form: _Form, members: _Class, *, harmful: bool) -> np.ndarray:
        on_left, on_right = form.squares(z[left], members.mean), form.squares(z[right], members.mean)
        return np.asarray(np.where(swapped == harmful, on_right, on_left))

    logdets = []
    for members, harmful in ((first, False), (second, True)):
        form = _Form.of(members.covariance)
        inside = of_class(form, members, harmful=harmful)
        logdets.append(k * np.log(grow) + form.logdet[:, None] + _log_left(1 - shrink / grow * inside))
    # Pooled covariance without the pair: grow * (pooled - c (u0 u0' + u1 u1')), a rank-two downdate (Woodbury).
    c = shrink / grow / 2
    p0, p1 = of_class(pooled, first, harmful=False), of_class(pooled, second, harmful=True)
    p10 = np.where(
        swapped,
        pooled.crossed(z[right], second.mean, z[left], first.mean),
        pooled.crossed(z[left], second.mean, z[right], first.mean),
    )
    determinant = (1 - c * p1) * (1 - c * p0) - (c * p10) ** 2
    shift = second.mean - first.mean
    solved = pooled.times(shift)
    along = solved @ z.T
    d1 = np.where(swapped, along[:, right], along[:, left]) - (solved * second.mean).sum(axis=1)[:, None]
    d0 = np.where(swapped, along[:, left], along[:, right]) - (solved * first.mean).sum(axis=1)[:, None]
    dd = (shift * solved).sum(axis=1)[:, None]
    # The new difference of means is shift - (u1 - u0) / (n - 1).
    e1, e0 = d1 - (p1 - p10) / (n - 1), d0 - (p10 - p0) / (n - 1)
    ee = dd - 2 * (d1 - d0) / (n - 1) + (p1 - 2 * p10 + p0) / (n - 1) ** 2
    correction = c * ((1 - c * p0) * e1**2 + 2 * c * p10 * e1 * e0 + (1 - c * p1) * e0**2) / determinant
    log_pooled = k * np.log(grow) + pooled.logdet[:, None] + np.log(determinant)
    left_out = _value((ee + correction) / grow, log_pooled, logdets[0], logdets[1])
    return np.asarray((n - 1) * (left_out.mean(axis=1) - whole))


def _bias_by_texts(data: _Labeled, whole: np.ndarray) -> np.ndarray:
    """Jackknife bias, a single text left out at a time, summed over the classes: (B,)."""
    z, labels, _, first, second = data
    k = z.shape[1]
    pooled = (first.covariance + second.covariance) / 2
    shift = second.mean - first.mean
    bias = np.zeros(len(labels))
    for members, others, side, sign in ((first, second, ~labels, -1.0), (second, first, labels, 1.0)):
        n = members.size[:, None]
        grow, shrink = (n - 1) / (n - 2), n / ((n - 1) * (n - 2))
        form = _Form.of(members.covariance)
        inside = np.where(side, form.squares(z, members.mean), 0.0)
        logdet = k * np.log(grow) + form.logdet[:, None] + _log_left(1 - shrink / grow * inside)
        other_logdet = np.linalg.slogdet(others.covariance)[1][:, None]
        # Pooled covariance without the text: grown - shrink / 2 * u u', a rank-one downdate.
        grown = _Form.of(pooled + members.covariance / (2 * (n - 2))[:, :, None])
        c = shrink / 2
        uu = np.where(side, grown.squares(z, members.mean), 0.0)
        solved = grown.times(shift)
        du = solved @ z.T - (solved * members.mean).sum(axis=1)[:, None]
        dd = (shift * solved).sum(axis=1)[:, None]
        moved = sign / (n - 1)  # the new difference of means is shift - moved * u
        eu, ee = du - moved * uu, dd - 2 * moved * du + moved**2 * uu
        left_out = _value(
            ee + c * eu**2 / (1 - c * uu), grown.logdet[:, None] + np.log1p(-c * uu), logdet, other_logdet
        )
        mean = np.where(side, left_out, 0.0).sum(axis=1) / members.size
        bias += (members.size - 1) * (mean - whole)
    return bias
