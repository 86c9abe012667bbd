"""Texts that an adapter of the pair was trained on: refused, left out, or scored with a mark on the run."""

from __future__ import annotations

from dataclasses import replace

from isogloss.data.corpus import Corpus
from isogloss.data.curate import balance
from isogloss.data.splits import take_split
from isogloss.errors import ModelError, UsageError
from isogloss.models.pairs import ModelPair
from isogloss.models.trained_texts import leave_out_trained, mark_trained, trained_by
from isogloss.models.tuning_record import TrainedTexts
from isogloss.warnings import CodedWarning

#: What can be done about them.
CHOICES = ("refuse", "drop", "allow")


def draw_sample(
    pair: ModelPair, corpus: Corpus, *, split: str, choice: str, per_class: int | None, seed: int
) -> tuple[Corpus, tuple[str, ...]]:
    """Draw the texts that will be scored (see `balance`), with regard to what the pair's adapters were trained on.

    Args:
        pair: its adapters say what they were trained on.
        corpus: the whole.
        split: all, training or held-out (see `take_split`).
        choice: refuse, drop (with partners and translations, and a warning C008) or allow (with a warning M008).
        per_class: as in `balance`.
        seed: as in `balance`.

    Returns:
        The sample, and the ids of texts that were left out.

    Raises:
        UsageError: there is no such choice or split.
        ModelError: see `trained_by`; or the sample holds texts that were trained on, and they are to be refused.
        CorpusError: see `balance`; or nothing is left.
    """
    if choice not in CHOICES:
        raise UsageError("--trained-texts", found=repr(choice), expected=", ".join(CHOICES), do="choose one")
    corpus = take_split(corpus, split)
    trained = trained_by(ref for ref in (pair.reference, pair.aligned) if ref)
    left_out: tuple[str, ...] = ()
    if choice == "drop" and trained:
        corpus, left_out = _drop(corpus, trained)
    sample = balance(corpus, per_class=per_class, seed=seed)
    n = int(mark_trained(sample, trained).sum()) if trained else 0
    if n and choice == "refuse":
        raise ModelError(
            "model pair",
            found=f"an adapter that was trained on {n} of the {len(sample)} texts of {sample.name} to be scored",
            expected="texts that it has never seen",
            do="leave them and their partners out with --trained-texts drop, or score them with --trained-texts allow, "
            "which marks the run",
        )
    return _noted(sample, "M008", f"{n} of {len(sample)} texts") if n else sample, left_out


def _drop(corpus: Corpus, trained: TrainedTexts) -> tuple[Corpus, tuple[str, ...]]:
    kept, left_out = leave_out_trained(corpus, trained)
    detail = f"{len(left_out)} of {len(corpus)} texts"
    return (_noted(kept, "C008", detail) if left_out else corpus), left_out


def _noted(corpus: Corpus, code: str, detail: str) -> Corpus:
    return replace(corpus, warnings=(*corpus.warnings, CodedWarning(code=code, detail=detail)))
