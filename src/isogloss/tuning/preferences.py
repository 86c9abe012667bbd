"""Preference records from a corpus, and the order in which training reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from isogloss.data.corpus import Corpus, content_key
from isogloss.data.languages import known_code
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

    The prompt is a text. For a harmful text, the chosen answer is a short refusal and the rejected one a short engaged
    answer; for a harmless text it is the reverse. Answers are training answers in the language of the text. Records
    come in couples: a harmful text, a harmless one (its partner if the corpus has pairs), and the same two answers for
    both. So the model learns when to give an answer, not which answer is more likely.

    Args:
        corpus: a parallel or labelled corpus with texts in `languages`.
        languages: codes to train on.
        n: number of records.
        seed: random seed for the draw, the order and the answers.
        shares: language -> its share of the records (see `record_shares`); None gives equal shares.
        passes: how often a text may be used; a second pass begins when all texts of a language have been used.
        shuffle_labels: swap the labels of a pair (or the label of a text without a partner) by a coin toss that `seed`
            and the pair (or text) determine. Half of the labels are then wrong.

    Returns:
        `n` records with prompt, chosen, rejected, text_id, content (`content_key`), language and label (harmful or
        harmless). The harmful text of a couple comes first; couples are in random order.

    Raises:
        CorpusError: a language has no preferences (no answers, no texts, or one class only), or too few texts.
    """
    codes = tuple(dict.fromkeys(map(known_code, languages)))
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
    # The space belongs to the answer, so that the prompt ends at a token boundary.
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
    """Toss a coin for a pair, or for a single text, of a language."""
    unit = row["pair_id"] if row["pair_id"] is not None else row["text_id"]
    return int(sha256_text(f"{seed}:{row['language']}:{unit}")[:8], 16) % 2 == 1


def _draw(
    corpus: Corpus, code: str, wanted: int, passes: int, rng: np.random.Generator
) -> list[tuple[dict[str, str | bool], ...]]:
    """Draw `wanted` couples of a harmful and a harmless text; in a corpus with pairs, a couple is a pair."""
    texts = corpus.part(code)
    harmful, harmless = texts.filter(pl.col("harmful")), texts.filter(~pl.col("harmful"))
    if corpus.paired:
        harmful, harmless = harmful.sort("pair_id"), harmless.sort("pair_id")
    sizes = harmful.height, harmless.height
    _check(corpus.name, code, wanted, passes, sizes)
    harmful_rows = _rounds(rng, harmful.height, wanted)
    harmless_rows = harmful_rows if corpus.paired else _rounds(rng, harmless.height, wanted)
    return [
        (harmful.row(first, named=True), harmless.row(second, named=True))
        for first, second in zip(harmful_rows, harmless_rows, strict=True)
    ]


def _rounds(rng: np.random.Generator, size: int, wanted: int) -> list[int]:
    """Return `wanted` numbers below `size`: random permutations, one after the other."""
    numbers: list[int] = []
    while len(numbers) < wanted:
        numbers += rng.permutation(size).tolist()
    return numbers[:wanted]


def _check(name: str, code: str, wanted: int, passes: int, sizes: tuple[int, int]) -> None:
    harmful, harmless = sizes
    if code not in answered_languages():
        raise CorpusError(
            "preferences",
            found=f"no answers in {code}",
            expected=f"a language with answers: {', '.join(answered_languages())}",
            do="tune in one of these",
        )
    if not harmful or not harmless:
        raise CorpusError(
            f"preferences in {code}",
            found=f"{harmful} harmful and {harmless} harmless texts in corpus {name}",
            expected="both classes, because the model must keep answering harmless texts",
            do="add texts (--corpus may be repeated), or leave the language out",
        )
    if min(harmful, harmless) * passes < wanted:
        raise CorpusError(
            f"corpus {name}, language {code}",
            found=f"{harmful} harmful and {harmless} harmless texts to train on",
            expected=f"{-(-wanted // passes)} of each for {2 * wanted} records, each used at most {passes} times",
            do="lower --steps or --batch-size, raise --passes, lower --holdout, or add texts",
        )


#: Texts of a couple.
COUPLE = 2
#: Number of batches within which records are sorted by length: more saves padding, fewer keeps the order more random.
WINDOW = 8


def in_couples(lengths: Sequence[int], batch_size: int, seed: int) -> list[int]:
    """Order records that come in couples, so that batches hold couples of similar length.

    Args:
        lengths: tokens of each record; the two records of a couple are adjacent.
        batch_size: records per forward pass; if it is odd, couples are separated at its ends.
        seed: random seed for the order of batches.

    Returns:
        Indices of the records, each once.

    >>> in_couples([9, 8, 1, 2, 7, 9, 2, 1], batch_size=4, seed=0)
    [2, 3, 6, 7, 0, 1, 4, 5]
    """
    couples = [max(lengths[first : first + COUPLE]) for first in range(0, len(lengths) - 1, COUPLE)]
    order = batches_of_similar_length(couples, max(1, batch_size // COUPLE), seed)
    single = [len(lengths) - 1] if len(lengths) % COUPLE else []
    return [COUPLE * couple + side for couple in order for side in range(COUPLE)] + single


def batches_of_similar_length(lengths: Sequence[int], batch_size: int, seed: int) -> list[int]:
    """Order records so that each batch holds records of similar length, with batches in random order.

    Records move only within windows of WINDOW batches, so early and late records stay as random as before.

    Args:
        lengths: tokens of each record, in random order.
        batch_size: records per forward pass.
        seed: random seed for the order of batches.

    Returns:
        Indices of the records, each once.

    >>> order = batches_of_similar_length([9, 1, 8, 2], batch_size=2, seed=0)
    >>> sorted(order[:2]), sorted(order[2:])
    ([1, 3], [0, 2])
    """
    rng = np.random.default_rng(seed)
    order: list[int] = []
    for start in range(0, len(lengths), WINDOW * batch_size):
        stop = min(start + WINDOW * batch_size, len(lengths))
        sorted_rows = sorted(range(start, stop), key=lambda row: (lengths[row], row))
        # An incomplete batch comes last; otherwise later batches would straddle two windows.
        whole = (stop - start) // batch_size
        for number in (*rng.permutation(whole), whole):
            order += sorted_rows[number * batch_size : (number + 1) * batch_size]
    return order
