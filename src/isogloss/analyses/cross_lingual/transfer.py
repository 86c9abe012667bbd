"""Cross-lingual transfer: a probe fitted on one language and scored on another.

Cross-fitted over folds that separate no translations: the texts that are scored, and everything linked with them, are
left out of the fit, also in the other language. So the fit has the same size for every language that is scored, and the
score of its own language is the usual one. Features are standardised as in the language of the fit.

The interval is that of the delete-group jackknife: a group of items is left out of both languages and the probes are
refitted, which includes the variance from the choice of training texts. Scale, t quantile and null (labels permuted in
both languages, probes refitted) are those of the AUROC of one language.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import scipy.linalg

from isogloss.analyses.cross_lingual.shared_folds import LinkedTexts, group_names, n_groups
from isogloss.stats.jackknife import delete_one
from isogloss.stats.metric import Score, missing
from isogloss.stats.metrics import METRICS
from isogloss.stats.probe import DECIMALS, bordered_inverse, ledoit_wolf_ridge, standardised
from isogloss.stats.probe_scores import SHARED_TRAINING, logit

AUROC = METRICS["auroc"]


def transfer_scores(hidden: Mapping[str, np.ndarray], parts: Mapping[str, LinkedTexts]) -> dict[tuple[str, str], Score]:
    """Score the probe of every language on every language.

    Args:
        hidden: language -> float (n, d), of one model and layer.
        parts: the same languages, with folds that they share.

    Returns:
        (language of the fit, language that is scored) -> its AUROC.
    """
    names = group_names(list(parts.values()))
    scores = {}
    for fitted, fitted_texts in parts.items():
        probes = _fit(hidden[fitted], fitted_texts, n_groups(list(parts.values())))
        for code, texts in parts.items():
            scores[fitted, code] = _score(probes.products(hidden[code]), probes, texts, names)
    return scores


class _Probes(NamedTuple):
    """The probes of one language, one a fold, for all labelings and without each group.

    `weights` are float64 (folds, n + 1, 1 + B), of the standardised rows `z` with mean `mean` and spread `spread`, the
    intercept last; `left` are those for the true labels without each group, (folds, n + 1, groups).
    """

    z: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    weights: np.ndarray
    left: np.ndarray

    def products(self, x: np.ndarray) -> np.ndarray:
        """Inner products of other rows with those of the fit, in the fit's units, and a one each: (m, n + 1)."""
        products = (x.astype(np.float64) - self.mean) / self.spread @ self.z.T
        return np.column_stack([products, np.ones(len(x))])


def _fit(x: np.ndarray, texts: LinkedTexts, groups: int) -> _Probes:
    z, mean, spread = standardised(x)
    gram = z @ z.T
    inverse = bordered_inverse(gram, ledoit_wolf_ridge(gram, x.shape[1]))
    folds = range(int(texts.folds.max()) + 1)
    true = texts.harmful[None, :]
    weights = [_weights(z, inverse, texts.labels, texts.folds == fold) for fold in folds]
    left = [
        np.column_stack(
            [_weights(z, inverse, true, (texts.folds == fold) | (texts.groups == group)) for group in range(groups)]
        )
        for fold in folds
    ]
    return _Probes(z, mean, spread, np.array(weights), np.array(left))


def _weights(z: np.ndarray, inverse: np.ndarray, labels: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """Dual weights of the ridge regression without some rows, 0 where gone, and its intercept: (n + 1, B)."""
    targets = labels.T.astype(np.float64)
    targets = targets - targets[~gone].mean(axis=0)
    targets[gone] = 0.0
    weights = inverse @ targets
    if gone.any():
        weights -= inverse[:, gone] @ scipy.linalg.solve(inverse[np.ix_(gone, gone)], weights[gone], assume_a="pos")
        weights[gone] = 0.0
    # The residuals of the rows that are left sum to zero, so the intercept cancels the mean of their scores.
    intercept = -(z[~gone].mean(axis=0) @ z.T) @ weights
    return np.vstack([weights, intercept])


def _score(products: np.ndarray, probes: _Probes, texts: LinkedTexts, names: np.ndarray) -> Score:
    """AUROC of the probes on one language."""
    scores = np.empty(texts.labels.shape)
    without = np.empty((len(names), len(texts.harmful)))
    for fold in range(len(probes.weights)):
        test = texts.folds == fold
        scores[:, test] = (products[test] @ probes.weights[fold]).T
        without[:, test] = (products[test] @ probes.left[fold]).T
    scores, without = (np.round(values, DECIMALS) + 0.0 for values in (scores, without))
    partners = texts.draws.partners
    plug_in, *null = AUROC.many(scores, texts.labels, partners, texts.folds)
    left = _left_out(without, texts)
    if np.isnan([plug_in, *left]).any():
        return missing(AUROC, None, "too few texts to compare within the folds of the probe")
    n = texts.draws.per_class
    estimate = delete_one(float(logit(plug_in, n)), logit(left, n), names)
    return Score(
        row=AUROC,
        components=None,
        plug_in=float(plug_in),
        jackknife=replace(estimate, value=float(logit(plug_in, n))),
        plug_in_null=np.array(null),
        null=np.array(null),
        effective_n=n / SHARED_TRAINING,
        approximate=None if estimate.se > 0 else "no text moves the score",
    )


def _left_out(scores: np.ndarray, texts: LinkedTexts) -> np.ndarray:
    """AUROC without each jackknife group, from its own scores: float64 (groups, n) -> (groups,)."""
    values = []
    for fold in np.unique(texts.folds):
        first, second = (np.flatnonzero((texts.folds == fold) & side) for side in (texts.harmful, ~texts.harmful))
        counted = np.ones((len(first), len(second)), dtype=bool)
        if texts.draws.partners is not None:
            counted = texts.draws.partners[first][:, None] != second[None, :]
        shares = []
        for group, row in enumerate(scores):
            kept = counted & (texts.groups[first] != group)[:, None] & (texts.groups[second] != group)
            wins = (np.sign(row[first][:, None] - row[second]) + 1) / 2
            shares.append((wins * kept).sum() / kept.sum() if kept.any() else np.nan)
        values.append(shares)
    # As in the AUROC of all texts, the mean is taken over the folds that have both classes.
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.asarray(np.divide(total, known.sum(axis=0), out=np.full(len(total), np.nan), where=known.any(axis=0)))
