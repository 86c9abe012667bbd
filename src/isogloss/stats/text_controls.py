"""Controls: what else could explain a score, such as text length, n-grams or the edit rate. Texts in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

#: Scripts written without spaces between words; characters take the place of words there.
UNSEGMENTED = frozenset({"Han", "Japanese", "Khmer", "Lao", "Myanmar", "Thai", "Tibetan"})

#: Controls that the aligned model's probe is compared with.
COMPARED_CONTROLS = {"length": "text length", "ngram": "n-grams", "untrained": "an untrained model"}


def margin_name(control: str, metric: str) -> str:
    """Name the row that holds the probe's score minus a control's.

    >>> margin_name("length", "auroc")
    'probe_minus_length_auroc'
    """
    return f"probe_minus_{control}_{metric}"


@dataclass(frozen=True, kw_only=True)
class ControlRow:
    """One row of CONTROLS, a number per language.

    Attributes:
        about: what it measures, in one sentence.
        chance: value if the control does not separate the classes; a value far below separates them as well as one far
            above. None where the number is not a score.
    """

    name: str
    about: str
    chance: float | None


CONTROLS: dict[str, ControlRow] = {
    row.name: row
    for row in (
        ControlRow(name="length_auroc", about="AUROC of the number of characters", chance=0.5),
        ControlRow(
            name="length_pair_accuracy",
            about="share of pairs whose harmful text is longer (ties count half)",
            chance=0.5,
        ),
        ControlRow(name="ngram_auroc", about="AUROC of a probe on character 2- to 4-grams", chance=0.5),
        ControlRow(
            name="ngram_pair_accuracy",
            about="share of pairs whose harmful text scores higher by character 2- to 4-grams (ties count half)",
            chance=0.5,
        ),
        ControlRow(
            name="edit_rate",
            about="how much of a pair was rewritten: share of words that its two texts do not share (median)",
            chance=None,
        ),
        ControlRow(name="tokens_per_character", about="tokens per character, without BOS", chance=None),
        ControlRow(
            name="bits_per_character",
            about="how unexpected the texts are to the model: bits per character",
            chance=None,
        ),
        ControlRow(
            name="untrained_auroc",
            about="AUROC of the probe on an untrained model (same architecture, random initialisation)",
            chance=0.5,
        ),
        ControlRow(
            name="untrained_pair_accuracy",
            about="pair accuracy of the probe on an untrained model (same architecture, random initialisation)",
            chance=0.5,
        ),
        ControlRow(name="permuted_labels_auroc", about="AUROC of the probe under permuted labels", chance=0.5),
        *(
            ControlRow(
                name=margin_name(control, metric),
                about=f"{words} of the aligned model's probe minus that of {what}, on the same texts",
                chance=None,
            )
            for control, what in COMPARED_CONTROLS.items()
            for metric, words in (("auroc", "AUROC"), ("pair_accuracy", "pair accuracy"))
        ),
    )
}


def length_scores(texts: Sequence[str]) -> np.ndarray:
    """Characters per text, float64 (n,)."""
    return np.array([len(text) for text in texts], dtype=np.float64)


def ngram_gram(texts: Sequence[str]) -> np.ndarray:
    """Cosines between the tf-idf vectors of texts: character 2- to 4-grams within words, sublinear counts.

    Document frequencies are counted on all of `texts`, without labels.

    >>> ngram_gram(["ab", "AB", "xy"]).round(12).tolist()
    [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]

    Args:
        texts: n texts, not all of them blank.

    Returns:
        float64 (n, n), each from 0 to 1; equal texts have equal rows.
    """
    weighed = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True).fit_transform(texts)
    return np.asarray((weighed @ weighed.T).toarray())


def edit_rate(harmful: str, harmless: str, segmented: bool = True) -> float:  # noqa: FBT001, FBT002
    """Share of the words of two paired texts that are not part of their longest common subsequence.

    That is the least number of words to delete and insert, divided by the number of words in both texts. Words are
    separated by white space; case and punctuation count.

    >>> edit_rate("you utter fool", "you are wrong")  # "you" stays, two words go, two come: 4 of 6
    0.6666666666666666

    Args:
        harmful: one text.
        harmless: its partner; the order does not matter.
        segmented: False for a script in UNSEGMENTED: characters, without white space, take the place of words.

    Returns:
        0 (the same words in the same order) to 1 (no word in common).
    """
    first, second = harmful.split(), harmless.split()
    if not segmented:
        first, second = list("".join(first)), list("".join(second))
    total = len(first) + len(second)
    return (total - 2 * _common(first, second)) / total if total else 0.0


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence, a row of the dynamic programme a step (Hyyro, 2004)."""
    positions: dict[str, int] = {}
    for i, item in enumerate(first):
        positions[item] = positions.get(item, 0) | 1 << i
    everywhere = (1 << len(first)) - 1
    row = everywhere
    for item in second:
        met = row & positions.get(item, 0)
        row = ((row + met) | (row - met)) & everywhere
    return len(first) - row.bit_count()
