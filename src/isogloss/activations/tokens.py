"""A corpus as the token ids that each model is given: made once, on the way, and shared where tokenizers agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from isogloss.activations.activations import Activations
from isogloss.errors import ModelError
from isogloss.models.fetch import Checkpoint
from isogloss.models.load import LoadedModel, load_tokenizer
from isogloss.models.pairs import ModelRef
from isogloss.models.prompts import Prompts, encode, fingerprint
from isogloss.progress import Track

#: Hash of a base model -> its name and tokenizer.
Tokenizers = Mapping[str, tuple[ModelRef, PreTrainedTokenizerBase]]


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Token ids of texts, on their way: a thread turns one language into tokens while another is run forward.

    Models whose tokens are equal share one `Prompts`.
    """

    encoded: Mapping[tuple[object, str], Future[Mapping[str, Prompts]]]
    fingerprints: Mapping[str, str]

    def of(self, one: Activations, language: str) -> Prompts:
        """Tokens of a language's texts as a model is given them.

        Raises:
            ModelError: see `encode`; or a model would be given tokens that are not its own.
        """
        return self.encoded[one.spec.prompts, language].result()[one.checkpoint.base_sha256]

    def fingerprint(self, one: Activations) -> str:
        """Fingerprint of a model's tokenizer."""
        return self.fingerprints[one.checkpoint.base_sha256]


def start_encoding(
    founds: Sequence[Mapping[str, Activations]], languages: Iterable[str], pool: Executor, track: Track
) -> Tokens:
    """Load the tokenizers and hand the texts of these languages to the pool.

    Args:
        founds: from `locate`, of the same models and texts under one spec or several.
        languages: codes, in the order in which they will be asked for.
        pool: of one thread.
        track: progress display.

    Raises:
        ModelError: a tokenizer cannot be loaded.
    """
    tokenizers = _tokenizers(founds[0], track)
    by_prompts = {found["aligned"].spec.prompts: found["aligned"] for found in founds}
    codes = list(languages)
    return Tokens(
        encoded={
            (prompts, code): pool.submit(_encode, aligned, tokenizers, code)
            for prompts, aligned in by_prompts.items()
            for code in codes
        },
        fingerprints={base: fingerprint(tokenizer) for base, (_, tokenizer) in tokenizers.items()},
    )


def _tokenizers(found: Mapping[str, Activations], track: Track) -> Tokenizers:
    """Load one tokenizer of each base, that of "aligned" first: a random model has the tokenizer of its base."""
    checkpoints: dict[str, Checkpoint] = {}
    for one in (found["aligned"], *found.values()):
        checkpoints.setdefault(one.checkpoint.base_sha256, one.checkpoint)
    return {base: (one.ref, load_tokenizer(one, track)) for base, one in checkpoints.items()}


def _encode(aligned: Activations, tokenizers: Tokenizers, code: str) -> Mapping[str, Prompts]:
    """Turn a language into token ids for each base; a chat template is the aligned model's, so its tokens serve all."""
    spec, base, texts = aligned.spec, aligned.checkpoint.base_sha256, aligned.corpus.part(code)["text"].to_list()

    def raw(tokenizer: PreTrainedTokenizerBase) -> Prompts:
        return encode(tokenizer, texts, max_tokens=spec.max_tokens)

    if spec.rendering == "raw":
        mine = raw(tokenizers[base][1])
        others = {other: raw(tokenizer) for other, (_, tokenizer) in tokenizers.items() if other != base}
        # Equal tokens are one object, so that their batches are planned once.
        return {base: mine} | {other: mine if theirs == mine else theirs for other, theirs in others.items()}
    for ref, tokenizer in list(tokenizers.values())[1:]:
        rows = list(zip(raw(tokenizer).ids, raw(tokenizers[base][1]).ids, strict=True))
        if differ := sum(a != b for a, b in rows):
            raise ModelError(
                f"tokenizers of {ref} and {aligned.checkpoint.ref}",
                found=f"other tokens in {differ} of {len(rows)} {code} texts",
                expected="the same tokens for both models in chat rendering",
                do="use --rendering raw, or check that the aligned model descends from the reference",
            )
    rendered = encode(
        tokenizers[base][1], texts, rendering="chat", max_tokens=spec.max_tokens, template=spec.chat_template
    )
    return dict.fromkeys(tokenizers, rendered)


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
