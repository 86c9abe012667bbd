"""What else could explain a score: text length and character n-grams. Texts and numbers in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression

from isogloss.separation.metrics import METRICS


@dataclass(frozen=True, kw_only=True)
class ControlRow:
    """One row of CONTROLS; all are computed per language, from the texts alone."""

    name: str
    about: str
    chance: float | None


CONTROLS: dict[str, ControlRow] = {
    row.name: row
    for row in (
        ControlRow(name="length_auroc", about="AUROC of the number of characters", chance=0.5),
        ControlRow(
            name="length_twin_accuracy",
            about="share of pairs whose harmful text is longer (ties count half)",
            chance=0.5,
        ),
        ControlRow(name="ngram_auroc", about="AUROC of cross-fitted character 2- to 4-grams", chance=0.5),
        ControlRow(name="tokens_per_character", about="tokens per character, without BOS", chance=None),
    )
}


def length_scores(texts: Sequence[str]) -> np.ndarray:
    """Characters per text, float64 (n,)."""
    return np.array([len(text) for text in texts], dtype=np.float64)


def ngram_scores(texts: Sequence[str], harmful: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Cross-fitted log-odds of logistic regression (C = 10) on tf-idf of character 2- to 4-grams, float64 (n,).

    Counted once for all folds; n-grams that the training folds lack are left out, as if counted for each fold.
    """
    counts = CountVectorizer(analyzer="char_wb", ngram_range=(2, 4)).fit_transform(texts)
    scores = np.empty(len(texts))
    for fold in np.unique(folds):
        test = folds == fold
        known = np.asarray(counts[~test].sum(axis=0)).ravel() > 0
        weigh = TfidfTransformer(sublinear_tf=True)
        model = LogisticRegression(C=10, max_iter=1000)
        model.fit(weigh.fit_transform(counts[~test][:, known]), harmful[~test])
        scores[test] = model.decision_function(weigh.transform(counts[test][:, known]))
    return scores


def text_controls(
    texts: Sequence[str], harmful: np.ndarray, twins: np.ndarray | None, folds: np.ndarray
) -> dict[str, float]:
    """Compute the controls that need the texts only; own twins are left out as for the probe.

    Returns:
        Control name -> value; length_twin_accuracy only where there are twins.
    """
    labels, lengths = harmful[None, :], length_scores(texts)[None, :]
    one_fold = np.zeros_like(folds)
    grams = ngram_scores(texts, harmful, folds)[None, :]
    controls = {
        "length_auroc": float(METRICS["auroc"].many(lengths, labels, twins, one_fold)[0]),
        "ngram_auroc": float(METRICS["auroc"].many(grams, labels, twins, folds)[0]),
    }
    if twins is not None:
        controls["length_twin_accuracy"] = float(METRICS["twin_accuracy"].many(lengths, labels, twins, one_fold)[0])
    return controls
