"""Preference pairs from a corpus, and the order in which training sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from isogloss.data.corpus import Corpus, content_key
from isogloss.errors import CorpusError
from isogloss.io.files import sha256_text
from isogloss.likelihoods.answers import answered_languages, answers
from isogloss.tuning.config import deal


def preferences(
    corpus: Corpus,
    *,
    languages: Sequence[str],
    n: int,
    seed: int,
    shares: Mapping[str, float] | None = None,
    passes: int = 1,
    shuffle_labels: bool = False,
) -> list[dict[str, str]]:
    """Draw preference records, half of them on harmful texts.

    The prompt is a text; the chosen answer to a harmful text is a short refusal and the rejected one a short engaged
    answer; for a harmless text it is the other way round. Answers are those of the text's own language that are for
    training. Records come in couples: a harmful text, a harmless one (its twin if there are twins), and the same two
    answers for both, so that what is learnt is when to give them and not which of them is likelier.

    Args:
        corpus: any corpus with texts in `languages`: parallel or labelled.
        languages: codes to train on.
        n: number of records.
        seed: fixes draw, order and answers.
        shares: language -> its share of the records (see `record_shares`); None gives each the same.
        passes: most times that one text is used; a second pass begins when all texts of a language have been used.
        shuffle_labels: swap the labels of a pair, or the label of a text without twin, by the toss of a coin that
            `seed` and the pair (or text) decide: half of what is learnt is then wrong.

    Returns:
        `n` records with prompt, chosen, rejected, text_id, content (`content_key`), language and label (harmful or
        harmless): the harmful text of a couple and then the harmless one, couples in random order.

    Raises:
        CorpusError: a language has no preferences (no answers, no texts, or one class only), or too few texts.
    """
    codes = tuple(dict.fromkeys(languages))
    wanted = deal((n + 1) // 2, shares or dict.fromkeys(codes, 1 / len(codes)))
    rng = np.random.default_rng(seed)
    couples = []
    for code in codes:
        for texts in _draw(corpus, code, wanted[code], passes, rng):
            refusal = str(rng.choice(answers(code, "refusal", "train")))
            engaged = str(rng.choice(answers(code, "engaged", "train")))
            couples.append(
                [
                    _record(row, refusal, engaged, harmful=row["harmful"] != (shuffle_labels and _swapped(row, seed)))
                    for row in texts
                ]
            )
    return [record for i in rng.permutation(len(couples)) for record in couples[i]][:n]


def _record(row: Mapping[str, object], refusal: str, engaged: str, *, harmful: bool) -> dict[str, str]:
    chosen, rejected = (refusal, engaged) if harmful else (engaged, refusal)
    # The space belongs to the answer, so that prompt and answer split at a token boundary.
    return {
        "prompt": str(row["text"]),
        "chosen": f" {chosen}",
        "rejected": f" {rejected}",
        "text_id": str(row["text_id"]),
        "content": content_key(str(row["text"])),
        "language": str(row["language"]),
        "label": "harmful" if harmful else "harmless",
    }


def _swapped(row: Mapping[str, object], seed: int) -> bool:
    """Toss a coin for a pair or a single text of a language."""
    unit = row["pair_id"] if row["pair_id"] is not None else row["text_id"]
    return int(sha256_text(f"{seed}:{row['language']}:{unit}")[:8], 16) % 2 == 1


def _draw(
    corpus: Corpus, code: str, wanted: int, passes: int, rng: np.random.Generator
) -> list[tuple[dict[str, str | bool], ...]]:
    """Draw `wanted` couples of a harmful and a harmless text of a language, twins where there are twins."""
    part = corpus.part(code)
    harmful, harmless = part.filter(pl.col("harmful")), part.filter(~pl.col("harmful"))
    if corpus.paired:
        harmful, harmless = harmful.sort("pair_id"), harmless.sort("pair_id")
    sizes = harmful.height, harmless.height
    _check(corpus.name, code, wanted, passes, sizes)
    rows = _rounds(rng, harmful.height, wanted)
    others = rows if corpus.paired else _rounds(rng, harmless.height, wanted)
    return [
        (harmful.row(one, named=True), harmless.row(other, named=True)) for one, other in zip(rows, others, strict=True)
    ]


def _rounds(rng: np.random.Generator, size: int, wanted: int) -> list[int]:
    """Deal numbers below `size` in random order, again and again, until there are `wanted`."""
    found: list[int] = []
    while len(found) < wanted:
        found += [int(one) for one in rng.permutation(size)]
    return found[:wanted]


def _check(name: str, code: str, wanted: int, passes: int, sizes: tuple[int, int]) -> None:
    harmful, harmless = sizes
    if code not in answered_languages():
        raise CorpusError(
            "preferences",
            found=f"no answers in {code}",
            expected=f"a language with answers: {', '.join(answered_languages())}",
            do="tune on one of these",
        )
    if not harmful or not harmless:
        raise CorpusError(
            f"preferences in {code}",
            found=f"{harmful} harmful and {harmless} harmless texts in corpus {name}",
            expected="both classes: harmless texts must go on being answered",
            do="add texts (--corpus can be given twice), or leave the language out",
        )
    if min(harmful, harmless) * passes < wanted:
        raise CorpusError(
            f"corpus {name}, language {code}",
            found=f"{harmful} harmful and {harmless} harmless texts to train on",
            expected=f"{-(-wanted // passes)} of each for {2 * wanted} records, each used {passes} times at most",
            do="lower --steps or --batch-size, raise --passes, lower --holdout, or add texts",
        )


#: Texts of a couple.
TWO = 2
#: Batches that are made of the same records: more save more padding, fewer keep the order more random.
WINDOW = 8


def in_couples(lengths: Sequence[int], batch_size: int, seed: int) -> list[int]:
    """Order records that come in couples.

    Args:
        lengths: tokens of each record; those of a couple stand beside each other.
        batch_size: records in a forward pass; if it is odd, couples are parted at its ends.
        seed: of the order of batches.

    Returns:
        Numbers of the records, each once.

    >>> in_couples([9, 8, 1, 2, 7, 9, 2, 1], batch_size=4, seed=0)
    [2, 3, 6, 7, 0, 1, 4, 5]
    """
    couples = [max(lengths[first : first + TWO]) for first in range(0, len(lengths) - 1, TWO)]
    order = batches_of_like_length(couples, max(1, batch_size // TWO), seed)
    alone = [len(lengths) - 1] if len(lengths) % TWO else []
    return [TWO * couple + side for couple in order for side in range(TWO)] + alone


def batches_of_like_length(lengths: Sequence[int], batch_size: int, seed: int) -> list[int]:
    """Order records so that each batch holds records of like length, and batches come in random order.

    Records move within windows of WINDOW batches only, so what is trained on early and late is as random as before.

    Args:
        lengths: tokens of each record, in random order.
        batch_size: records in a forward pass.
        seed: of the order of batches.

    Returns:
        Numbers of the records, each once.

    >>> order = batches_of_like_length([9, 1, 8, 2], batch_size=2, seed=0)
    >>> sorted(order[:2]), sorted(order[2:])
    ([1, 3], [0, 2])
    """
    rng = np.random.default_rng(seed)
    found: list[int] = []
    for start in range(0, len(lengths), WINDOW * batch_size):
        stop = min(start + WINDOW * batch_size, len(lengths))
        sorted_rows = sorted(range(start, stop), key=lambda row: (lengths[row], row))
        # A batch that is not whole comes last, or those after it would be put together across windows.
        whole = (stop - start) // batch_size
        for number in (*rng.permutation(whole), whole):
            found += sorted_rows[number * batch_size : (number + 1) * batch_size]
    return found
