"""The table of short answers in sixteen languages: refusals and engaged answers, to train on or to score with."""

from __future__ import annotations

import csv
import functools
from importlib.resources import files
from typing import Literal

from isogloss.errors import CorpusError

Side = Literal["refusal", "engaged"]
Use = Literal["train", "score"]

SIDES: tuple[Side, ...] = ("refusal", "engaged")
USES: tuple[Use, ...] = ("train", "score")


@functools.cache
def _table() -> dict[tuple[str, str, str], tuple[str, ...]]:
    text = (files("isogloss.likelihoods") / "answers_table" / "answers.tsv").read_text("utf-8")
    table: dict[tuple[str, str, str], tuple[str, ...]] = {}
    for row in csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE):
        key = row["language"], row["side"], row["use"]
        table[key] = (*table.get(key, ()), row["text"])
    return table


def answered_languages() -> tuple[str, ...]:
    """Codes of the languages that have answers, in alphabetical order."""
    return tuple(sorted({code for code, _, _ in _table()}))


def answers(language: str, side: Side, use: Use) -> tuple[str, ...]:
    """Look up the answers of one side in a language.

    Answers for scoring never occur among those for training, so that a model is not scored on words that it was
    trained to say.

    >>> answers("en", "refusal", "train")[0]
    "I won't take part in insults."

    Raises:
        CorpusError: there are no answers in this language.
    """
    if (language, side, use) not in _table():
        raise CorpusError(
            "answers",
            found=f"no answers in {language}",
            expected=f"a language with answers: {', '.join(answered_languages())}",
            do="leave this language out",
        )
    return _table()[language, side, use]
