"""Fill the store with likelihoods that it lacks. The only step of this room that loads weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from transformers import PreTrainedTokenizerBase

from isogloss.activations.execution import Execution
from isogloss.activations.kernels import fast_linears
from isogloss.activations.store import write
from isogloss.behaviour.likelihood import check_head, text_bits
from isogloss.behaviour.reading import Likelihoods
from isogloss.errors import ModelError
from isogloss.models.adapters import use_checkpoint
from isogloss.models.fetch import group_by_weights
from isogloss.models.load import LoadedModel, load_model
from isogloss.models.prompts import Prompts, encode
from isogloss.progress import Track


def compute_missing(found: Mapping[str, Likelihoods], *, execution: Execution, track: Track) -> None:
    """Score the missing parts, one base model at a time, and write their shards.

    Raises:
        ModelError: see `load_model`, `check_head`, `use_checkpoint` and `text_bits`; or a likelihood is not finite.
        StoreError: the likelihoods cannot be written.
    """
    waiting = {role: one for role, one in found.items() if one.missing}
    total = sum(len(gap.rows) for one in waiting.values() for code in one.missing for gap in one.gaps(code))
    groups = group_by_weights({role: one.checkpoint for role, one in waiting.items()})
    with track("Reading likelihoods", total) as advance:
        for roles in groups:
            _compute_group([waiting[role] for role in roles], execution, advance)


def _compute_group(sharing: Sequence[Likelihoods], execution: Execution, advance: Callable[[int], None]) -> None:
    """Load the weights that these share; they are freed on return, before the next are loaded."""
    model = load_model(
        sharing[0].checkpoint, dtype=sharing[0].dtype, quantize=sharing[0].quantize, device=execution.device
    )
    check_head(model)
    for one in sharing:
        with use_checkpoint(model, one.checkpoint), fast_linears(model, execution):
            _compute(one, model, execution, advance)


def _compute(one: Likelihoods, model: LoadedModel, execution: Execution, advance: Callable[[int], None]) -> None:
    for code in one.missing:
        part = one.corpus.part(code)
        texts, text_ids = part["text"].to_list(), part["text_id"].to_list()
        prompts = encode(model.tokenizer, texts, max_tokens=one.max_tokens)
        characters = scored_characters(model.tokenizer, texts, prompts, one.max_tokens)
        for gap in one.gaps(code):
            bits = text_bits(model, [prompts.ids[row] for row in gap.rows], execution=execution, advance=advance)
            _check(bits, str(one.checkpoint.ref), [text_ids[row] for row in gap.rows])
            write(one.entries[code], gap.rows, {"bits": bits, "characters": characters[list(gap.rows)]})


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
