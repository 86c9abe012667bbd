"""Texts as the token ids that a model is given."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from isogloss.errors import ModelError
from isogloss.hidden_states.units import StatesJob
from isogloss.models.checkpoints import Checkpoint
from isogloss.models.load import LoadedModel, load_tokenizer
from isogloss.models.prompts import Prompts, encode, fingerprint


def encode_texts(job: StatesJob, texts: Sequence[str], language: str) -> Prompts:
    """Turn texts into token ids as the job's model is given them; in chat prompt format one template serves all models.

    Raises:
        ModelError: see `encode` and `load_tokenizer`; or a model would be given tokens that are not its own.
    """
    spec, own = job.spec, _tokenizer(job.tokenizer)
    if spec.prompt_format == "raw":
        return encode(own, texts, max_tokens=spec.max_tokens)
    lent = _tokenizer(job.lender)
    if job.tokenizer.base_sha256 != job.lender.base_sha256:
        _same_tokens(job, texts, language)
    return encode(lent, texts, prompt_format="chat", max_tokens=spec.max_tokens, template=spec.chat_template)


def _same_tokens(job: StatesJob, texts: Sequence[str], language: str) -> None:
    mine, theirs = (
        encode(_tokenizer(one), texts, max_tokens=job.spec.max_tokens).ids for one in (job.tokenizer, job.lender)
    )
    if differ := sum(a != b for a, b in zip(mine, theirs, strict=True)):
        raise ModelError(
            f"tokenizers of {job.tokenizer.ref} and {job.lender.ref}",
            found=f"other tokens in {differ} of {len(texts)} {language} texts",
            expected="the same tokens for both models in chat prompt_format",
            do="use --prompt-format raw, or check that the aligned model descends from the reference",
        )


def tokenizer_fingerprint(job: StatesJob) -> str:
    """Fingerprint of the tokenizer of the job's model."""
    return fingerprint(_tokenizer(job.tokenizer))


@functools.lru_cache(maxsize=4)
def _tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerBase:
    return load_tokenizer(checkpoint)


def check_context(model: LoadedModel, rows: Sequence[tuple[int, ...]], name: str) -> None:
    """Refuse rows that are longer than what the model was made for: no position after that was ever trained.

    Raises:
        ModelError: a row is longer than the context that the model's configuration names, if it names one.
    """
    longest = max(map(len, rows))
    if model.context is not None and longest > model.context:
        raise ModelError(
            f"model {name}",
            found=f"a text of {longest} tokens",
            expected=f"at most {model.context}, its context",
            do=f"use --max-tokens {model.context}",
        )
