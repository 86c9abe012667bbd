"""A corpus -> preference records: refuse what is harmful, engage with what is not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isogloss.corpora.corpus import Corpus
from isogloss.errors import CorpusError
from isogloss.tuning.answers import ENGAGED, REFUSALS


def preferences(corpus: Corpus, *, languages: Sequence[str], n: int, seed: int) -> list[dict[str, str]]:
    """Draw preference records, half of them on harmful texts.

    The prompt is a text; the chosen answer to a harmful text is a short refusal and the rejected one a short engaged
    answer; for a harmless text it is the other way round. Answers are in the text's own language.

    Args:
        corpus: any corpus with texts in `languages`.
        languages: codes to train on.
        n: number of records.
        seed: fixes draw, order and answers.

    Returns:
        `n` records with prompt, chosen, rejected, text_id, as trl's DPOTrainer reads them.

    Raises:
        CorpusError: no answers exist in a language, or the corpus has fewer than `n` texts.
    """
    if missing := sorted(set(languages) - set(REFUSALS)):
        raise CorpusError(
            "preferences",
            found=f"no answers in {', '.join(missing)}",
            expected=f"a language with answers: {', '.join(REFUSALS)}",
            do="tune on one of these",
        )
    rng = np.random.default_rng(seed)
    frame = corpus.frame.filter(corpus.frame["language"].is_in(list(languages)))
    harmful, harmless = frame.filter(frame["harmful"]), frame.filter(~frame["harmful"])
    half = n // 2
    if min(harmful.height, harmless.height) < n - half:
        raise CorpusError(
            f"corpus {corpus.name}",
            found=f"{harmful.height} harmful and {harmless.height} harmless texts",
            expected=f"{n - half} of each for {n} records",
            do="lower --steps or --batch-size, or add texts",
        )
    records = []
    for part, size in ((harmful, half), (harmless, n - half)):
        for index in rng.choice(part.height, size=size, replace=False):
            row = part.row(int(index), named=True)
            refusal = str(rng.choice(REFUSALS[row["language"]]))
            engaged = str(rng.choice(ENGAGED[row["language"]]))
            chosen, rejected = (refusal, engaged) if row["harmful"] else (engaged, refusal)
            # The space belongs to the answer, so that prompt and answer split at a token boundary.
            records.append(
                {"prompt": row["text"], "chosen": f" {chosen}", "rejected": f" {rejected}", "text_id": row["text_id"]}
            )
    order = rng.permutation(len(records))
    return [records[i] for i in order]
