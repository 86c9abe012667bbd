"""Harm directions of all languages: cosines, shares along the direction of the pivot, and their reliability."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise, permutations

import numpy as np

from isogloss.analyses.cross_lingual.shared_folds import LinkedTexts, group_names, n_groups
from isogloss.auditing.rows import RowKey, jackknife_estimate
from isogloss.records import NAN, Estimate, Row
from isogloss.stats.effects import gain
from isogloss.stats.jackknife import Jackknife, delete_one

CORRECTED = "delete-group jackknife of products between different items"
NOT_CLEAR = "the harm direction of {} is not clear of noise"


def direction_rows(directions: Mapping[str, Directions], keys: Mapping[str, RowKey], pivot: str) -> list[Row]:
    """Write rows for each model, and for how far alignment changed the cosines.

    Args:
        directions: role -> the directions of that model.
        keys: language -> where its rows belong.
        pivot: the language along whose direction shares are taken.
    """
    rows = [row for role, of_role in directions.items() for row in _of_model(role, of_role, keys, pivot)]
    if "reference" in directions:
        rows += _changes(directions["reference"], directions["aligned"], keys)
    return rows


def _of_model(role: str, directions: Directions, keys: Mapping[str, RowKey], pivot: str) -> list[Row]:
    codes, known, nulls = directions.languages, directions.known, directions.null_cosines
    rows = []
    for i, code in enumerate(codes):
        reliability = jackknife_estimate(directions.reliability(i), keys[code], method=CORRECTED)
        rows.append(_row("reliability", role, keys[code], "", reliability))
    for i, j in permutations(range(len(codes)), 2):
        key, other = keys[codes[i]], codes[j]
        reason = next((NOT_CLEAR.format(codes[k]) for k in (i, j) if not known[k]), None)
        plain = float(directions.plain_cosines[i, j])
        null = nulls[:, i, j]
        cosine = jackknife_estimate(
            directions.cosine(i, j), key, method=CORRECTED, plug_in=plain, null=null, reason=reason, test=True
        )
        value = NAN if reason else directions.ceiling(i, j)
        ceiling = Estimate(value=value, n=key.n, seed=key.seed, reason=reason)
        rows += [_row("cosine", role, key, other, cosine), _row("ceiling", role, key, other, ceiling)]
        if other == pivot:
            share = jackknife_estimate(
                directions.share(i, j), key, method=CORRECTED, plug_in=plain**2, null=null**2, reason=reason
            )
            rows.append(_row("share", role, key, other, share))
    return rows


def _changes(before: Directions, after: Directions, keys: Mapping[str, RowKey]) -> list[Row]:
    known = before.known & after.known
    rows = []
    for i, j in permutations(range(len(before.languages)), 2):
        key = keys[before.languages[i]]
        reason = None if known[[i, j]].all() else "a harm direction is not clear of noise in one of the models"
        moved = gain(before.cosine(i, j), after.cosine(i, j))
        changed = jackknife_estimate(moved, key, method=CORRECTED, reason=reason, test=True)
        rows.append(_row("cosine", "", key, before.languages[j], changed))
    return rows


def _row(kind: str, role: str, key: RowKey, other: str, estimate: Estimate) -> Row:
    return Row(
        kind=kind,
        model=role,
        language=key.language,
        other=other,
        layer=key.layer.index,
        norm=key.layer.norm,
        basis="means",
        metric="harm_direction",
        estimate=estimate,
    )


#: Numbers held at once for the permutations of a language.
CHUNK = 8_000_000


@dataclass(frozen=True, kw_only=True)
class Directions:
    """Inner products of the harm directions of all languages, in the order of `languages`.

    Attributes:
        plain: float64 (L, L), of the estimated directions.
        products: float64 (L, L), of the true ones: between different items only.
        left: float64 (groups, L, L), `products` without each jackknife group.
        null: float64 (B, L, L), `products` under permuted labels.
        names: uint64 (groups,), ids of the groups.
    """

    languages: tuple[str, ...]
    plain: np.ndarray
    products: np.ndarray
    left: np.ndarray
    null: np.ndarray
    names: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """Whether the direction is clear of noise, (L,): the 95 % interval of its squared length lies above 0."""
        lengths = [
            delete_one(self.products[i, i], self.left[:, i, i], self.names).interval().low
            for i in range(len(self.languages))
        ]
        return np.array(lengths) > 0

    @property
    def cosines(self) -> np.ndarray:
        """Cosines of the true directions, (L, L); beyond 1 by noise, NaN where a squared length is not above 0."""
        return _cosines(self.products, self.products)

    @property
    def plain_cosines(self) -> np.ndarray:
        """Cosines of the estimated directions, (L, L)."""
        return _cosines(self.plain, self.plain)

    @property
    def null_cosines(self) -> np.ndarray:
        """Inner products under permuted labels, over the lengths of the true directions: (B, L, L)."""
        return _cosines(self.null, self.products)

    def reliability(self, i: int) -> Jackknife:
        """Share of the squared length of the estimated direction of a language that is not noise."""
        # To first order only the length moves: without a group the noise grows by the share of texts of that group.
        noise = self.plain[i, i] - self.products[i, i]
        left = self.left[:, i, i] / (self.left[:, i, i] + noise)
        whole = float(self.products[i, i] / self.plain[i, i])
        return replace(delete_one(whole, left, self.names), value=whole)

    def ceiling(self, i: int, j: int) -> float:
        """The cosine that two estimated directions would show if the true ones were the same; NaN if they are noise."""
        shares = [self.products[k, k] / self.plain[k, k] for k in (i, j)]
        return float(np.sqrt(shares[0] * shares[1])) if min(shares) > 0 else float("nan")

    def cosine(self, i: int, j: int) -> Jackknife:
        """Cosine of the true directions of two languages."""
        left = np.array([_cosines(products, products)[i, j] for products in self.left])
        return delete_one(float(self.cosines[i, j]), left, self.names)

    def share(self, i: int, j: int) -> Jackknife:
        """Share of the squared distance of one language's class means that lies along another's direction."""
        left = np.array([_cosines(products, products)[i, j] ** 2 for products in self.left])
        return delete_one(float(self.cosines[i, j]) ** 2, left, self.names)


def _cosines(products: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    squares = np.diagonal(lengths)
    scale = np.sqrt(np.where(squares > 0, squares, np.nan))
    return np.asarray(products / scale[:, None] / scale)


def harm_directions(hidden: Mapping[str, np.ndarray], parts: Mapping[str, LinkedTexts]) -> Directions:
    """Find the inner products of the harm directions of all languages of one model and layer.

    Args:
        hidden: language -> float (n, d), of equal width.
        parts: the same languages, with folds that they share.
    """
    codes = tuple(parts)
    names = group_names(list(parts.values()))
    every = {code: np.ones(len(parts[code].items), dtype=bool) for code in codes}
    plain, products = _products(hidden, parts, every)
    left = [
        _products(hidden, parts, {code: texts.groups != group for code, texts in parts.items()})[1]
        for group in range(n_groups(list(parts.values())))
    ]
    return Directions(
        languages=codes, plain=plain, products=products, left=np.array(left), null=_null(hidden, parts), names=names
    )


def _products(
    hidden: Mapping[str, np.ndarray], parts: Mapping[str, LinkedTexts], kept: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Inner products of the directions from some rows: with the noise of shared items, and without it."""
    directions = [_noise(hidden[code][kept[code]], parts[code], kept[code]) for code in parts]
    shift = np.array([direction[0] for direction in directions])
    plain = shift @ shift.T
    common = np.empty_like(plain)
    for i, (_, items, noise) in enumerate(directions):
        for j, (_, other_items, other_noise) in enumerate(directions[: i + 1]):
            _, rows, others = np.intersect1d(items, other_items, assume_unique=True, return_indices=True)
            common[i, j] = common[j, i] = float(np.einsum("nd,nd->", noise[rows], other_noise[others]))
    return plain, plain - common


def _noise(x: np.ndarray, texts: LinkedTexts, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Difference of the class means (d,); items (m,); and the noise that each item adds to the difference (m, d)."""
    x = x.astype(np.float64)
    harmful = texts.harmful[kept]
    moved = np.empty_like(x)
    shift = np.zeros(x.shape[1])
    for side, sign in ((harmful, 1), (~harmful, -1)):
        n, mean = int(side.sum()), x[side].mean(axis=0)
        shift += sign * mean
        # n - 1: the mean was taken from these very texts.
        moved[side] = sign * (x[side] - mean) / np.sqrt(n * (n - 1))
    items, row = np.unique(texts.items[kept], return_inverse=True)
    order = np.argsort(row, kind="stable")
    noise = np.add.reduceat(moved[order], np.flatnonzero(np.diff(row[order], prepend=-1)), axis=0)
    return shift, items, noise


def _null(hidden: Mapping[str, np.ndarray], parts: Mapping[str, LinkedTexts]) -> np.ndarray:
    """`products` under permuted labels: (B, L, L). Languages with the same items share their permutations."""
    codes = list(parts)
    centred = {code: hidden[code].astype(np.float64) - hidden[code].mean(axis=0, dtype=np.float64) for code in codes}
    weights = {code: _weights(texts.draws.permutations) for code, texts in parts.items()}
    n_permutations = min(len(of_text) for of_text in weights.values())
    null = np.empty((n_permutations, len(codes), len(codes)))
    common = {
        (i, j): _common(centred[codes[i]], centred[codes[j]], parts[codes[i]], parts[codes[j]])
        for i in range(len(codes))
        for j in range(i + 1)
    }
    step = max(1, CHUNK // sum(x.shape[1] for x in centred.values()))
    for start, stop in pairwise([*range(0, n_permutations, step), n_permutations]):
        shifts = [weights[code][start:stop] @ centred[code] for code in codes]
        for (i, j), (rows, others, products) in common.items():
            both = weights[codes[i]][start:stop, rows] * weights[codes[j]][start:stop, others]
            value = np.einsum("bd,bd->b", shifts[i], shifts[j]) - both @ products
            null[start:stop, i, j] = null[start:stop, j, i] = value
    return null


def _weights(labels: np.ndarray) -> np.ndarray:
    """Weight of each text in the difference of the class means: (B, n)."""
    harmful = labels.sum(axis=1, keepdims=True)
    return np.asarray(np.where(labels, 1 / np.maximum(harmful, 1), -1 / np.maximum(labels.shape[1] - harmful, 1)))


def _common(
    x: np.ndarray, other: np.ndarray, texts: LinkedTexts, other_texts: LinkedTexts
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of two languages that belong to one item, each with each, and their inner products."""
    rows, others = np.nonzero(texts.items[:, None] == other_texts.items[None, :])
    step = max(1, CHUNK // x.shape[1])
    products = [
        np.einsum("nd,nd->n", x[rows[i : i + step]], other[others[i : i + step]]) for i in range(0, len(rows), step)
    ]
    return rows, others, np.concatenate(products) if products else np.empty(0)
