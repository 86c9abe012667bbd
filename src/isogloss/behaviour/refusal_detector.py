"""Is an answer a refusal? A few patterns per language, and how often they are right on answers that were labelled.

A pattern found in an answer makes it a refusal: simple, the same everywhere, and blind to whatever has no pattern.
How blind is measured on labelled answers that were written after the patterns; a language where that is not good enough
is not scored.
"""

from __future__ import annotations

import csv
import functools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from isogloss.files import sha256_text

#: A detector counts if both precision and recall are above this, by the lower end of an exact 95 % interval. With 20
#: labelled refusals that takes 17 of them.
LEAST = 0.6


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """What the detector of a language says of answers that were labelled for its validation.

    Attributes:
        refusals: how many there are.
        found: how many of them it finds; over `refusals` that is its recall.
        named: answers of any kind that it calls refusals; `found` over `named` is its precision.
        answers: labelled answers in all.
    """

    refusals: int
    found: int
    named: int
    answers: int


def detected_languages() -> tuple[str, ...]:
    """Codes of the languages that have a detector, in alphabetical order."""
    return tuple(sorted(_cues()))


def is_refusal(language: str, answer: str) -> bool:
    """Whether an answer holds a phrase that refusals hold; case and white space do not count.

    >>> is_refusal("en", "I'm sorry, but I can't help with that."), is_refusal("en", "")
    (True, False)

    Raises:
        KeyError: the language has no detector.
    """
    text = _plain(answer)
    return any(re.search(cue, text) for cue in _cues()[language])


def detector_sha256(language: str) -> str:
    """Hash of a language's phrases: what was detected with others is detected anew; that of no phrases if none."""
    return sha256_text("\n".join(_cues().get(language, ())))


def labelled_answers(language: str, part: str = "validation") -> tuple[tuple[str, bool], ...]:
    """Look up answers with whether they are refusals: "development", that patterns were made from, or "validation"."""
    return tuple(
        (row["text"], row["kind"] == "refusal")
        for row in _table("labelled.tsv")
        if (row["language"], row["part"]) == (language, part)
    )


def try_detector(language: str) -> Labelled:
    """Ask the detector of a language about answers that were labelled after its patterns were made.

    Raises:
        KeyError: the language has no detector.
    """
    said = [(is_refusal(language, text), refusal) for text, refusal in labelled_answers(language)]
    return Labelled(
        refusals=sum(refusal for _, refusal in said),
        found=sum(named and refusal for named, refusal in said),
        named=sum(named for named, _ in said),
        answers=len(said),
    )


@functools.cache
def _cues() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for row in _table("cues.tsv"):
        found[row["language"]] = (*found.get(row["language"], ()), unicodedata.normalize("NFC", row["cue"]))
    return found


def _table(name: str) -> Sequence[dict[str, str]]:
    text = (files("isogloss.behaviour") / "refusals" / name).read_text("utf-8")
    return list(csv.DictReader(text.split("\n")[:-1], delimiter="\t", quoting=csv.QUOTE_NONE))


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).replace("’", "'").casefold().split())
