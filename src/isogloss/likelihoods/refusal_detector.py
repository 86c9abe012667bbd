"""Is an answer a refusal? A classifier per language, and how often it is right on answers that it was not fitted to.

It is a logistic regression on character n-grams, fitted to labelled answers and to the table of answers. It is small,
the same on every machine, and needs no other model. Lists of phrases were tried first; they found half of the refusals
that they were not made from. Cross-validation measures how often the classifier is right; a language where it is right
too rarely is not scored.
"""

from __future__ import annotations

import csv
import functools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from isogloss.io.files import canonical_json, sha256_text
from isogloss.likelihoods.answers import SIDES, USES, answered_languages, answers

#: A detector counts if both precision and recall are above this, by the lower end of an exact 95 % interval.
LEAST = 0.6
#: Probability from which an answer is called a refusal: a false alarm weighs more than a miss.
CALLED = 0.6
#: Lengths of n-grams within words, inverse strength of the penalty, and folds of the cross-validation.
NGRAMS, STRENGTH, FOLDS = (1, 5), 10.0, 10


@dataclass(frozen=True, kw_only=True)
class DetectorAccuracy:
    """How detectors classify labelled answers that they were not fitted to.

    Attributes:
        refusals: how many there are.
        found: how many of them are found; over `refusals` that is the recall.
        named: answers of any kind that are called refusals; `found` over `named` is the precision.
        answers: labelled answers in all, half of them refusals.
    """

    refusals: int
    found: int
    named: int
    answers: int


def detected_languages() -> tuple[str, ...]:
    """Codes of the languages that have a detector, in alphabetical order."""
    return tuple(sorted({row["language"] for row in _table()} & set(answered_languages())))


def is_refusal(language: str, answer: str) -> bool:
    """Whether an answer reads like a refusal; case and white space do not count.

    >>> is_refusal("en", "I'm sorry, but I can't help with that."), is_refusal("en", "")
    (True, False)

    Raises:
        KeyError: the language has no detector.
    """
    return bool(_called(_detector(language), [_plain(answer)])[0])


def detector_sha256(language: str) -> str:
    """Hash everything that a language's detector depends on: with another detector, answers are classified again."""
    texts = [list(column) for column in _fitted_to(language)] if language in detected_languages() else []
    return sha256_text(canonical_json({"texts": texts, "settings": [NGRAMS, STRENGTH, CALLED]}))


def labelled_answers(language: str) -> tuple[tuple[str, bool], ...]:
    """Look up labelled answers: text, and whether it is a refusal."""
    return tuple((row["text"], row["kind"] == "refusal") for row in _table() if row["language"] == language)


@functools.cache
def try_detector(language: str) -> DetectorAccuracy:
    """Cross-validate: detectors classify the labelled answers of a language, each a tenth that it was not fitted to.

    Raises:
        KeyError: the language has no detector.
    """
    texts, labels = _fitted_to(language)
    labelled = np.arange(len(texts)) < len(labelled_answers(language))
    fold = np.where(labelled, np.arange(len(texts)) % FOLDS, -1)
    called = np.zeros(len(texts), dtype=bool)
    for number in range(FOLDS):
        kept, left_out = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        detector = _fit([texts[i] for i in kept], [labels[i] for i in kept])
        called[left_out] = _called(detector, [texts[i] for i in left_out])
    refusal = np.array(labels)
    return DetectorAccuracy(
        refusals=int((refusal & labelled).sum()),
        found=int((refusal & called).sum()),
        named=int(called.sum()),
        answers=int(labelled.sum()),
    )


@functools.cache
def _detector(language: str) -> Pipeline:
    return _fit(*_fitted_to(language))


def _fitted_to(language: str) -> tuple[list[str], list[bool]]:
    """Texts that a detector is fitted to, the labelled answers first, and whether each is a refusal."""
    if language not in detected_languages():
        raise KeyError(language)
    rows = [*labelled_answers(language)]
    rows += [(answer, side == "refusal") for side in SIDES for use in USES for answer in answers(language, side, use)]
    return [_plain(text) for text, _ in rows], [refusal for _, refusal in rows]


def _fit(texts: Sequence[str], labels: Sequence[bool]) -> Pipeline:
    ngrams = TfidfVectorizer(analyzer="char_wb", ngram_range=NGRAMS, sublinear_tf=True, lowercase=False)
    return make_pipeline(ngrams, LogisticRegression(C=STRENGTH)).fit(texts, labels)


def _called(detector: Pipeline, texts: Sequence[str]) -> np.ndarray:
    return np.asarray(detector.predict_proba(texts)[:, 1] >= CALLED)


@functools.cache
def _table() -> tuple[dict[str, str], ...]:
    text = (files("isogloss.likelihoods") / "refusals" / "labelled.tsv").read_text("utf-8")
    return tuple(csv.DictReader(text.split("\n")[:-1], delimiter="\t", quoting=csv.QUOTE_NONE))


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).replace("’", "'").casefold().split())
