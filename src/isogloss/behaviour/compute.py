"""Units of texts -> likelihoods in the store: the only step of this room that loads weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from transformers import PreTrainedTokenizerBase

from isogloss.activations.execution import Execution, check_execution
from isogloss.activations.kernels import fast_linears
from isogloss.activations.store import Entry, write
from isogloss.behaviour.likelihood import check_head, text_bits
from isogloss.behaviour.reading import Likelihoods
from isogloss.engines.engine import LOCAL, Engine
from isogloss.engines.run import run_units
from isogloss.engines.work import Done, Job, Unit, Work
from isogloss.errors import broken_texts
from isogloss.models.load import LoadedModel, load_model
from isogloss.models.prompts import Prompts, encode
from isogloss.progress import Track


@dataclass(frozen=True, kw_only=True)
class BitsJob(Job):
    """One model, and how it is loaded and run."""

    max_tokens: int
    dtype: str
    quantize: str | None
    execution: Execution


@dataclass(frozen=True, kw_only=True)
class BitsUnit(Unit):
    """Texts to score, and the entry that they go to."""

    job: BitsJob
    entry: Entry


def compute_missing(
    found: Mapping[str, Likelihoods],
    *,
    execution: Execution,
    track: Track,
    engine: Engine = LOCAL,
    go_on: bool = False,
) -> None:
    """Score the missing parts, one base model at a time, and write their shards.

    Args:
        found: from `locate_bits`.
        execution: how to run.
        track: progress display.
        engine: who does the work.
        go_on: leave out texts whose likelihood is not finite, and name all of them at the end.

    Raises:
        ModelError: see `load_model`, `check_head`, `use_checkpoint` and `text_bits`; or a likelihood is not finite
            (with `text_ids`).
        StoreError: the likelihoods cannot be written.
    """
    units: list[BitsUnit] = []
    for one in found.values():
        job = BitsJob(
            checkpoint=one.checkpoint,
            device=execution.device,
            go_on=go_on,
            max_tokens=one.max_tokens,
            dtype=one.dtype,
            quantize=one.quantize,
            execution=execution,
        )
        for code in one.missing:
            part, entry = one.corpus.part(code), one.entries[code]
            for gap in one.gaps(code):
                rows = list(gap.rows)
                unit = BitsUnit(
                    number=len(units),
                    job=job,
                    language=code,
                    texts=tuple(part["text"][rows]),
                    text_ids=tuple(part["text_id"][rows]),
                    entry=replace(entry, texts=tuple(entry.texts[row] for row in rows)),
                )
                units.append(unit)
    run_units(engine, LIKELIHOODS, units, name="Reading likelihoods", track=track)


def load(job: BitsJob) -> LoadedModel:
    """Load the base weights of a job, and refuse an LM head that is not understood."""
    model = load_model(job.checkpoint, dtype=job.dtype, quantize=job.quantize, device=job.device)
    check_head(model)
    return model


@contextmanager
def prepare(model: LoadedModel, job: BitsJob) -> Iterator[PreTrainedTokenizerBase]:
    """Keep the linear layers fast during the block, and hand out the tokenizer."""
    check_execution(job.execution)
    with fast_linears(model, job.execution):
        yield model.tokenizer


def no_tokens(unit: BitsUnit) -> tuple[()]:
    """Nothing is made ahead: the texts are few, and characters are counted with the model's own tokenizer."""
    del unit
    return ()


def compute_unit(
    model: LoadedModel,
    tokenizer: PreTrainedTokenizerBase,
    unit: BitsUnit,
    tokens: tuple[()],
    advance: Callable[[int], None],
) -> Done:
    """Score the texts of a unit and write their bits and characters.

    Raises:
        ModelError: a likelihood is not finite, and the job does not go on without it.
        StoreError: they cannot be written.
    """
    del tokens
    job, texts = unit.job, list(unit.texts)
    prompts = encode(tokenizer, texts, max_tokens=job.max_tokens)
    characters = scored_characters(tokenizer, texts, prompts, job.max_tokens)
    execution = replace(job.execution, token_budget=job.execution.token_budget >> unit.halvings)
    bits = text_bits(model, list(prompts.ids), execution=execution, advance=advance)
    whole = np.isfinite(bits)
    broken = None
    if not whole.all():
        ids = np.array(unit.text_ids)[~whole].tolist()
        broken = broken_texts(
            f"likelihoods of texts under {job.name}",
            found=f"infinite or undefined ones of {len(ids)} of {len(bits)}; the first is text {ids[0]}",
            text_ids=ids,
        )
        if not job.go_on:
            raise broken
    if rows := np.flatnonzero(whole).tolist():
        write(unit.entry, rows, {"bits": bits[whole], "characters": characters[whole]})
    return Done(number=unit.number, broken=broken)


LIKELIHOODS: Work[BitsUnit] = Work(load=load, prepare=prepare, encode=no_tokens, compute=compute_unit)


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
