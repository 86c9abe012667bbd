"""Likelihoods and answers as the cache holds them, one language at a time. No torch here.

Bits per character say whether a model reads a language at all. They can be compared between models and within a
language, but not between languages: a character of Chinese carries more than one of English.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from isogloss.data.corpus import Corpus
from isogloss.engines.work_units import ModelEdit
from isogloss.hidden_states.activations import prompts_key, template_settings_of
from isogloss.hidden_states.shard import text_key
from isogloss.hidden_states.spec import ExtractSpec
from isogloss.hidden_states.store import Entry, Gap, default_store, gaps, read
from isogloss.io.files import canonical_json, sha256_text
from isogloss.io.paths import AnyPath, parse_path
from isogloss.likelihoods.answers import SIDES, Side, answers
from isogloss.likelihoods.refusal_detector import detector_sha256
from isogloss.models.checkpoints import Checkpoint


@dataclass(frozen=True, kw_only=True)
class Likelihoods:
    """The bits and characters of the raw texts of one corpus under one model; they stay on disk until they are read."""

    checkpoint: Checkpoint
    corpus: Corpus
    max_tokens: int
    dtype: str
    quantize: str | None
    entries: Mapping[str, Entry]

    @property
    def missing(self) -> tuple[str, ...]:
        """Languages of which some likelihoods are not in the store."""
        return tuple(code for code in self.entries if self.gaps(code))

    def gaps(self, language: str) -> list[Gap]:
        """List the texts that have no likelihood yet."""
        return gaps(self.entries[language], ("bits", "characters"))

    def on(self, languages: Collection[str]) -> Likelihoods:
        """Take those of some of the languages."""
        frame = self.corpus.frame.filter(pl.col("language").is_in(list(languages)))
        entries = {code: entry for code, entry in self.entries.items() if code in languages}
        return replace(self, corpus=replace(self.corpus, frame=frame), entries=entries)

    def bits(self, language: str) -> np.ndarray:
        """Read the bits of each text, in the order of `corpus.part(language)`: float64 (texts,).

        Raises:
            StoreError: they are missing or broken.
        """
        return read(self.entries[language], "bits")

    def characters(self, language: str) -> np.ndarray:
        """Read how many characters (code points) of each text those bits stand for: int32 (texts,).

        All of them, with two exceptions: a text that lost its end at the token limit, and a model without BOS, whose
        first token is not scored. For these it is the length of what the scored tokens decode to.

        Raises:
            StoreError: they are missing or broken.
        """
        return read(self.entries[language], "characters")

    def bits_per_character(self, language: str) -> float:
        """Divide all bits of a language by all its characters; NaN if no character was scored."""
        characters = int(self.characters(language).sum())
        return float(self.bits(language).sum()) / characters if characters else float("nan")


def locate_bits(
    checkpoints: Mapping[str, Checkpoint],
    corpus: Corpus,
    *,
    max_tokens: int = 512,
    dtype: str = "float32",
    quantize: str | None = None,
    store: AnyPath | str | None = None,
) -> dict[str, Likelihoods]:
    """Locate the likelihoods of some models, which may not exist yet; nothing is loaded.

    Args:
        checkpoints: role -> model.
        corpus: the texts to score; the stored numbers may cover others as well.
        max_tokens: longer texts lose their end.
        dtype: of weights and computation.
        quantize: as in `ExtractSpec`.
        store: root of the store; None is the user's cache.
    """
    settings = {"what": "likelihood", "prompt_format": "raw", "max_tokens": max_tokens, "dtype": dtype}
    settings |= {"quantize": quantize} if quantize else {}
    settings_of = {
        role: settings | ({"prompts": key} if (key := prompts_key(checkpoint, checkpoints, None)) else {})
        for role, checkpoint in checkpoints.items()
    }
    texts = {code: tuple(map(text_key, corpus.part(code)["text"])) for code in corpus.languages}
    return {
        role: Likelihoods(
            checkpoint=checkpoint,
            corpus=corpus,
            max_tokens=max_tokens,
            dtype=dtype,
            quantize=quantize,
            entries={
                code: Entry(
                    root=parse_path(store) if store else default_store(),
                    model_sha256=checkpoint.sha256,
                    settings_sha256=sha256_text(canonical_json(settings_of[role])),
                    language=code,
                    texts=texts[code],
                    about={"model": str(checkpoint.ref), "settings": settings_of[role]},
                )
                for code in corpus.languages
            },
        )
        for role, checkpoint in checkpoints.items()
    }


#: What is kept of each text: ln p of every answer and of its first token, and how many tokens each answer has.
SCORED = ("answer_total", "answer_first", "answer_tokens")
#: Whether the model's own greedy answer is a refusal: 0 or 1.
GREEDY = ("refused",)
#: Tokens of a greedy answer: enough for the beginning of a refusal.
NEW_TOKENS = 24


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What one model gives for answers to the texts of a corpus; the numbers stay on disk until they are read.

    Attributes:
        checkpoint: of the model.
        prompter: the checkpoint whose tokenizer and chat template make the prompts: the model itself on raw text, the
            aligned model with chat prompts, so that all models get the same tokens.
        corpus: texts.
        spec: prompt format, chat template, token limit, dtype and quantisation; its layers and position are not used.
        names: SCORED, or GREEDY.
        entries: language -> where its numbers are.
        edit: of the model, if it is edited.
    """

    checkpoint: Checkpoint
    prompter: Checkpoint
    corpus: Corpus
    spec: ExtractSpec
    names: tuple[str, ...]
    entries: Mapping[str, Entry]
    edit: ModelEdit | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """Languages of which some numbers are not in the store."""
        return tuple(code for code in self.entries if self.gaps(code))

    def gaps(self, language: str) -> list[Gap]:
        """List the texts that have no numbers yet."""
        return gaps(self.entries[language], self.names)

    def on(self, corpus: Corpus) -> Answers:
        """Take those to some of the texts."""
        entries = {code: self.entries[code].of(corpus.part(code)["text"]) for code in corpus.languages}
        return replace(self, corpus=corpus, entries=entries)

    def under(self, edit: ModelEdit) -> Answers:
        """Locate the numbers of the model under an edit."""
        hashed = edit.sha256(self.checkpoint.sha256)
        return replace(self, entries={code: entry.edited(hashed) for code, entry in self.entries.items()}, edit=edit)

    def read(self, language: str, name: str) -> np.ndarray:
        """Read one of `names`, in the order of `corpus.part(language)`: (texts,) or (texts, answers).

        Raises:
            StoreError: it is missing or broken.
        """
        return read(self.entries[language], name)

    def side(self, language: str, name: str, side: Side) -> np.ndarray:
        """Read one of SCORED for the answers of one side: (texts, answers of that side).

        Raises:
            StoreError: it is missing or broken.
        """
        n_refusals = len(answers(language, "refusal", "score"))
        columns = slice(n_refusals) if side == "refusal" else slice(n_refusals, None)
        return self.read(language, name)[:, columns]


def scored_answers(language: str) -> tuple[str, ...]:
    """Return the answers that are scored: refusals first, then engaged ones; never those for training.

    Raises:
        CorpusError: there are no answers in this language.
    """
    return tuple(answer for side in SIDES for answer in answers(language, side, "score"))


def locate_answers(
    checkpoints: Mapping[str, Checkpoint], corpus: Corpus, spec: ExtractSpec, *, store: AnyPath | str | None = None
) -> dict[str, Answers]:
    """Locate the log-likelihoods of the answers for scoring, which may not exist yet; nothing is loaded.

    Args:
        checkpoints: role -> model, "aligned" among them.
        corpus: texts, in languages that have answers.
        spec: prompt format, chat template, token limit, dtype and quantisation.
        store: root of the store; None is the user's cache.

    Raises:
        CorpusError: a language has no answers.
    """
    hashes = {code: sha256_text("\n".join(scored_answers(code))) for code in corpus.languages}
    return _locate(checkpoints, corpus, spec, names=SCORED, what={"what": "answers"}, hashes=hashes, store=store)


def locate_greedy(
    checkpoints: Mapping[str, Checkpoint], corpus: Corpus, spec: ExtractSpec, *, store: AnyPath | str | None = None
) -> dict[str, Answers]:
    """Locate whether greedy answers are refusals; see `locate_answers`."""
    hashes = {code: detector_sha256(code) for code in corpus.languages}
    what: dict[str, object] = {"what": "greedy", "tokens": NEW_TOKENS}
    return _locate(checkpoints, corpus, spec, names=GREEDY, what=what, hashes=hashes, store=store)


def _locate(
    checkpoints: Mapping[str, Checkpoint],
    corpus: Corpus,
    spec: ExtractSpec,
    *,
    names: tuple[str, ...],
    what: dict[str, object],
    hashes: Mapping[str, str],
    store: AnyPath | str | None,
) -> dict[str, Answers]:
    aligned = checkpoints["aligned"]
    # Layers, position and precision do not matter: likelihoods are always read exactly.
    decides = {name: value for name, value in spec.settings.items() if name not in {"position", "precision"}} | what
    template_settings = template_settings_of(checkpoints, spec)
    decides_of = {
        role: decides | ({"prompts": key} if (key := prompts_key(checkpoint, checkpoints, template_settings)) else {})
        for role, checkpoint in checkpoints.items()
    }
    texts = {code: tuple(map(text_key, corpus.part(code)["text"])) for code in corpus.languages}
    return {
        role: Answers(
            checkpoint=checkpoint,
            prompter=aligned if spec.prompt_format == "chat" else checkpoint,
            corpus=corpus,
            spec=spec,
            names=names,
            entries={
                code: Entry(
                    root=parse_path(store) if store else default_store(),
                    model_sha256=checkpoint.sha256,
                    settings_sha256=sha256_text(canonical_json({**decides_of[role], "answers": hashes[code]})),
                    language=code,
                    texts=texts[code],
                    about={"model": str(checkpoint.ref), "settings": {**decides_of[role], "answers": hashes[code]}},
                )
                for code in corpus.languages
            },
        )
        for role, checkpoint in checkpoints.items()
    }
