"""Fill the store with likelihoods and answers that it lacks. The only step of this room that loads weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from transformers import PreTrainedTokenizerBase

from isogloss.activations.execution import Execution
from isogloss.activations.kernels import fast_linears
from isogloss.activations.store import write
from isogloss.activations.tokens import check_context
from isogloss.behaviour.answer_reading import NEW_TOKENS, SCORED, Answers, scored_answers
from isogloss.behaviour.generate import greedy
from isogloss.behaviour.likelihood import check_head, text_bits
from isogloss.behaviour.reading import Likelihoods
from isogloss.behaviour.refusal import answer_ids, answer_likelihoods
from isogloss.behaviour.refusal_detector import is_refusal
from isogloss.errors import ModelError
from isogloss.models.adapters import use_checkpoint
from isogloss.models.fetch import group_by_weights
from isogloss.models.load import LoadedModel, load_model, load_tokenizer
from isogloss.models.prompts import Prompts, encode
from isogloss.progress import Track

Wanted = Likelihoods | Answers


def compute_missing(wanted: Sequence[Wanted], *, execution: Execution, track: Track) -> None:
    """Compute the missing parts, one base model at a time, and write their shards.

    Raises:
        ModelError: see `load_model`, `check_head`, `use_checkpoint`, `text_bits` and `answer_ids`; or a likelihood is
            not finite.
        StoreError: the likelihoods cannot be written.
    """
    waiting = {number: one for number, one in enumerate(wanted) if one.missing}
    total = sum(_work(one, code) for one in waiting.values() for code in one.missing)
    groups = group_by_weights({number: one.checkpoint for number, one in waiting.items()})
    with track("Reading likelihoods", total) as advance:
        for numbers in groups:
            _compute_group([waiting[number] for number in numbers], execution, advance)


def _work(one: Wanted, code: str) -> int:
    """Rows that a model reads, for progress."""
    texts = sum(len(gap.rows) for gap in one.gaps(code))
    return texts * len(scored_answers(code)) if isinstance(one, Answers) and one.names == SCORED else texts


def _compute_group(sharing: Sequence[Wanted], execution: Execution, advance: Callable[[int], None]) -> None:
    """Load the weights that these share; they are freed on return, before the next are loaded."""
    first = sharing[0]
    dtype, quantize = (
        (first.spec.dtype, first.spec.quantize) if isinstance(first, Answers) else (first.dtype, first.quantize)
    )
    model = load_model(first.checkpoint, dtype=dtype, quantize=quantize, device=execution.device)
    check_head(model)
    for one in sharing:
        with use_checkpoint(model, one.checkpoint), fast_linears(model, execution):
            if isinstance(one, Likelihoods):
                _compute_bits(one, model, execution, advance)
            else:
                compute_answers(one, model, execution, advance)


def _compute_bits(one: Likelihoods, model: LoadedModel, execution: Execution, advance: Callable[[int], None]) -> None:
    for code in one.missing:
        part = one.corpus.part(code)
        texts, text_ids = part["text"].to_list(), part["text_id"].to_list()
        prompts = encode(model.tokenizer, texts, max_tokens=one.max_tokens)
        characters = scored_characters(model.tokenizer, texts, prompts, one.max_tokens)
        for gap in one.gaps(code):
            bits = text_bits(model, [prompts.ids[row] for row in gap.rows], execution=execution, advance=advance)
            _check(bits, str(one.checkpoint.ref), [text_ids[row] for row in gap.rows])
            write(one.entries[code], gap.rows, {"bits": bits, "characters": characters[list(gap.rows)]})


def compute_answers(one: Answers, model: LoadedModel, execution: Execution, advance: Callable[[int], None]) -> None:
    """Ask a loaded model for what `one` lacks, and write it: a model that was edited in memory may be asked too.

    Args:
        one: whose entries name the model; an edited one needs a name of its own (`Entry.model_sha256`).
        model: with the wanted adapter or edit active.
        execution: how to run.
        advance: called with the number of rows done.

    Raises:
        ModelError: the tokenizer joins texts and answers, a text is longer than the context, or a likelihood is not
            finite.
        StoreError: the numbers cannot be written.
    """
    spec = one.spec
    tokenizer = model.tokenizer if one.speaker == one.checkpoint else load_tokenizer(one.speaker)
    for code in one.missing:
        part = one.corpus.part(code)
        text_ids = part["text_id"].to_list()
        prompts = encode(
            tokenizer,
            part["text"].to_list(),
            rendering=spec.rendering,
            max_tokens=spec.max_tokens,
            template=spec.chat_template,
        )
        check_context(model, prompts.ids, str(one.checkpoint.ref))
        for gap in one.gaps(code):
            rows = [prompts.ids[row] for row in gap.rows]
            if one.names == SCORED:
                ids = answer_ids(tokenizer, scored_answers(code), raw=spec.rendering == "raw")
                found = answer_likelihoods(model, rows, ids, execution=execution, advance=advance)
                _check(found.total.sum(axis=1), str(one.checkpoint.ref), [text_ids[row] for row in gap.rows])
                tokens = np.tile(found.tokens.astype(np.int32), (len(rows), 1))
                arrays = dict(zip(SCORED, (found.total, found.first, tokens), strict=True))
            else:
                written = greedy(model, rows, new_tokens=NEW_TOKENS, advance=advance)
                arrays = {"refused": np.array([is_refusal(code, text) for text in written], dtype=np.uint8)}
            write(one.entries[code], gap.rows, arrays)


def _check(bits: np.ndarray, model: str, text_ids: Sequence[str]) -> None:
    if not (broken := np.flatnonzero(~np.isfinite(bits))).size:
        return
    raise ModelError(
        f"likelihoods of texts under {model}",
        found=f"infinite or undefined ones of {broken.size} of {len(bits)}; the first is text {text_ids[broken[0]]}",
        expected="finite numbers",
        do="use --dtype float32, and check that the weights are complete",
    )


def scored_characters(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], prompts: Prompts, max_tokens: int
) -> np.ndarray:
    """Count the characters (code points) of each text that its tokens after the first stand for: int32 (texts,).

    A text that was read whole after a BOS counts whole. Otherwise the scored tokens are decoded; a character of which
    only some bytes were scored counts as one to three there.
    """
    lengths = [
        len(text)
        if prompts.bos and len(row) < max_tokens
        else len(tokenizer.decode(row[1:], clean_up_tokenization_spaces=False))
        for text, row in zip(texts, prompts.ids, strict=True)
    ]
    return np.array(lengths, dtype=np.int32)
