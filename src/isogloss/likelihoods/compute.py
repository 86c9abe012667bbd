"""Units of texts -> likelihoods and answers in the cache: the only step of this room that loads weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerBase

from isogloss.engines.engine import LOCAL, Engine
from isogloss.engines.run_units import run_units
from isogloss.engines.work_units import Done, Job, Unit, Work
from isogloss.errors import ModelError, broken_texts
from isogloss.hidden_states.execution import Execution, check_execution
from isogloss.hidden_states.kernels import fast_linears
from isogloss.hidden_states.self_check import sample_rows
from isogloss.hidden_states.store import Entry, write
from isogloss.hidden_states.units import sample_corpus
from isogloss.likelihoods.cached import NEW_TOKENS, SCORED, Answers, Likelihoods, scored_answers
from isogloss.likelihoods.greedy_answers import greedy
from isogloss.likelihoods.lm_head import check_head, settle_head, text_bits
from isogloss.likelihoods.packed_answers import answer_ids, answer_likelihoods
from isogloss.likelihoods.refusal_detector import is_refusal
from isogloss.models.checkpoints import Checkpoint
from isogloss.models.load import LoadedModel, load_model, load_tokenizer
from isogloss.models.prompts import Prompts, check_context, check_vocabulary, encode
from isogloss.progress import Track

#: What is read with an LM head: the bits of the texts, the likelihoods of answers, or the model's own greedy answers.
What = Literal["bits", "answers", "greedy"]


@dataclass(frozen=True, kw_only=True)
class HeadJob(Job):
    """One model, and what to read from it.

    Attributes:
        prompter: gives the tokenizer and chat template of the prompts.
        sample: the texts on which the model is checked.
    """

    what: What
    prompter: Checkpoint
    prompt_format: Literal["raw", "chat"]
    template: str | None
    arguments: tuple[str, ...]
    max_tokens: int
    dtype: str
    quantize: str | None
    execution: Execution
    sample: tuple[str, ...]


class ReadyHead(NamedTuple):
    """The tokenizer of the prompts, and how a model is run after its check."""

    tokenizer: PreTrainedTokenizerBase
    execution: Execution


@dataclass(frozen=True, kw_only=True)
class HeadUnit(Unit):
    """Texts to read, and the entry that the numbers go to."""

    job: HeadJob
    entry: Entry


def compute_missing(
    wanted: Sequence[Likelihoods | Answers],
    *,
    execution: Execution,
    track: Track,
    engine: Engine = LOCAL,
    go_on: bool = False,
) -> None:
    """Compute the missing numbers, one base model at a time, and write their shards.

    Args:
        wanted: from `locate_bits`, `locate_answers` and `locate_greedy`.
        execution: how to run.
        track: progress display.
        engine: what does the work.
        go_on: leave out texts whose likelihood is not finite, and name all of them at the end.

    Raises:
        ModelError: see `load_model`, `check_head`, `use_checkpoint`, `text_bits` and `answer_ids`; or a text is longer
            than the context; or a likelihood is not finite (with `text_ids`).
        StoreError: the numbers cannot be written.
    """
    units: list[HeadUnit] = []
    for task in wanted:
        job = _job(task, execution, go_on=go_on)
        for code in task.missing:
            texts, entry = task.corpus.part(code), task.entries[code]
            for gap in task.gaps(code):
                rows = list(gap.rows)
                units.append(
                    HeadUnit(
                        number=len(units),
                        job=job,
                        language=code,
                        texts=tuple(texts["text"][rows]),
                        text_ids=tuple(texts["text_id"][rows]),
                        entry=replace(entry, texts=tuple(entry.texts[row] for row in rows)),
                    )
                )
    run_units(engine, LIKELIHOODS, units, name="Reading likelihoods", track=track)


def _job(wanted: Likelihoods | Answers, execution: Execution, *, go_on: bool) -> HeadJob:
    if isinstance(wanted, Likelihoods):
        return HeadJob(
            checkpoint=wanted.checkpoint,
            device=execution.device,
            go_on=go_on,
            what="bits",
            prompter=wanted.checkpoint,
            prompt_format="raw",
            template=None,
            arguments=(),
            max_tokens=wanted.max_tokens,
            dtype=wanted.dtype,
            quantize=wanted.quantize,
            execution=execution,
            sample=sample_corpus(wanted.corpus),
        )
    return HeadJob(
        checkpoint=wanted.checkpoint,
        device=execution.device,
        go_on=go_on,
        edit=wanted.edit,
        what="answers" if wanted.names == SCORED else "greedy",
        prompter=wanted.prompter,
        prompt_format=wanted.spec.prompt_format,
        template=wanted.spec.chat_template,
        arguments=wanted.spec.arguments,
        max_tokens=wanted.spec.max_tokens,
        dtype=wanted.spec.dtype,
        quantize=wanted.spec.quantize,
        execution=execution,
        sample=sample_corpus(wanted.corpus),
    )


def load(job: HeadJob) -> LoadedModel:
    """Load the base weights of a job, and refuse an LM head that is not understood."""
    model = load_model(job.checkpoint, dtype=job.dtype, quantize=job.quantize, device=job.device)
    check_head(model)
    return model


@contextmanager
def prepare(model: LoadedModel, job: HeadJob) -> Iterator[ReadyHead]:
    """Check the model as it will be run, keep its linear layers fast during the block, and hand out the tokenizer.

    Raises:
        UsageError: this machine cannot run it so.
        ModelError: see `settle_head` and `encode`.
    """
    check_execution(job.execution)
    tokenizer = model.tokenizer if job.prompter == job.checkpoint else load_tokenizer(job.prompter)
    rows = sample_rows(encode_prompts(tokenizer, job, job.sample)).ids
    few = [rows[i] for i in sorted({0, len(rows) // 2, len(rows) - 1})]
    execution = settle_head(model, few, execution=job.execution)
    with fast_linears(model, execution):
        yield ReadyHead(tokenizer, execution)


def encode_prompts(tokenizer: PreTrainedTokenizerBase, job: HeadJob, texts: Sequence[str]) -> Prompts:
    """Turn texts into the token ids that a job's model is given."""
    return encode(
        tokenizer,
        texts,
        prompt_format=job.prompt_format,
        max_tokens=job.max_tokens,
        template=job.template,
        arguments=job.arguments,
    )


def no_tokens(unit: HeadUnit) -> tuple[()]:
    """Encode nothing ahead: the texts are few, and characters are counted with the model's own tokenizer."""
    del unit
    return ()


def compute_unit(
    model: LoadedModel,
    ready: ReadyHead,
    unit: HeadUnit,
    tokens: tuple[()],
    advance: Callable[[int], None],
) -> Done:
    """Read the texts of a unit with the LM head, and write the numbers.

    Raises:
        ModelError: the tokenizer joins texts and answers, or a text is longer than the context; or a likelihood is not
            finite, and the job does not go on without it.
        StoreError: they cannot be written.
    """
    del tokens
    job = unit.job
    execution = replace(ready.execution, token_budget=ready.execution.token_budget >> unit.halvings)
    arrays = read_with_head(
        model, ready.tokenizer, job, unit.language, unit.texts, execution=execution, advance=advance
    )
    whole = np.ones(len(unit.texts), dtype=bool)
    for name in ("bits", "answer_total"):
        if name in arrays:
            whole &= np.isfinite(arrays[name].reshape(len(whole), -1)).all(axis=1)
    broken = None
    if not whole.all():
        broken = _broken(job, unit.text_ids, whole)
        if not job.go_on:
            raise broken
    if rows := np.flatnonzero(whole).tolist():
        write(unit.entry, rows, {name: array[whole] for name, array in arrays.items()})
    return Done(number=unit.number, broken=broken)


LIKELIHOODS: Work[HeadUnit] = Work(load=load, prepare=prepare, encode=no_tokens, compute=compute_unit)


def read_with_head(
    model: LoadedModel,
    tokenizer: PreTrainedTokenizerBase,
    job: HeadJob,
    language: str,
    texts: Sequence[str],
    *,
    execution: Execution,
    advance: Callable[[int], None] = lambda _: None,
) -> Mapping[str, np.ndarray]:
    """Read texts with the LM head of a loaded model, which may be edited in memory.

    Args:
        model: with the wanted adapter or edit active.
        tokenizer: that of the prompter.
        job: what to read.
        language: of the texts and answers.
        texts: one or more.
        execution: how to run.
        advance: called with the number of texts done.

    Returns:
        Name -> array (texts, ...): "bits" and "characters", or those of `SCORED`, or "refused".

    Raises:
        ModelError: the tokenizer joins texts and answers, or a text is longer than the context.
    """
    prompts = encode_prompts(tokenizer, job, texts)
    rows = list(prompts.ids)
    check_context(rows, model.context, job.name)
    check_vocabulary(rows, model.tokenizer, model.vocabulary, job.name)
    if job.what == "bits":
        bits = text_bits(model, rows, execution=execution, advance=advance)
        return {"bits": bits, "characters": scored_characters(tokenizer, texts, prompts, job.max_tokens)}
    if job.what == "greedy":
        written = greedy(model, rows, new_tokens=NEW_TOKENS, advance=advance)
        return {"refused": np.array([is_refusal(language, text) for text in written], dtype=np.uint8)}
    ids = answer_ids(tokenizer, scored_answers(language), raw=job.prompt_format == "raw")
    scored = answer_likelihoods(model, rows, ids, execution=execution, advance=_by_text(advance, len(ids)))
    counts = np.tile(scored.tokens.astype(np.int32), (len(rows), 1))
    return dict(zip(SCORED, (scored.total, scored.first, counts), strict=True))


def _by_text(advance: Callable[[int], None], rows_per_text: int) -> Callable[[int], None]:
    """Turn a count of rows into a count of texts: a text is done once all its rows are, in whatever order."""
    done = 0

    def count(rows: int) -> None:
        nonlocal done
        before = done // rows_per_text
        done += rows
        advance(done // rows_per_text - before)

    return count


def _broken(job: HeadJob, text_ids: Sequence[str], whole: np.ndarray) -> ModelError:
    ids = np.array(text_ids)[~whole].tolist()
    return broken_texts(
        f"likelihoods of texts under {job.name}",
        found=f"infinite or undefined ones of {len(ids)} of {len(whole)}; the first is text {ids[0]}",
        text_ids=ids,
        dtype=job.dtype,
    )


def scored_characters(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], prompts: Prompts, max_tokens: int
) -> np.ndarray:
    """Count the characters (code points) of each text that its tokens after the first stand for: int32 (texts,).

    A text that was read whole after a BOS counts whole. Otherwise the scored tokens are decoded; a character with only
    some of its bytes scored counts as one to three characters there.
    """
    lengths = [
        len(text)
        if prompts.bos and len(row) < max_tokens
        else len(tokenizer.decode(row[1:], clean_up_tokenization_spaces=False))
        for text, row in zip(texts, prompts.ids, strict=True)
    ]
    return np.array(lengths, dtype=np.int32)
