"""Units of texts -> hidden states in the cache: work that any engine maps, and the only step that loads weights."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from isogloss.engines.engine import LOCAL, Engine
from isogloss.engines.run_units import run_units
from isogloss.engines.work_units import Done, Work
from isogloss.errors import ModelError
from isogloss.hidden_states.activations import Activations
from isogloss.hidden_states.batching import BatchPlan
from isogloss.hidden_states.drift import plan_sample
from isogloss.hidden_states.execution import Execution, check_execution
from isogloss.hidden_states.extract import broken_rows, check_states, hidden_states, plan_rows
from isogloss.hidden_states.kernels import fast_linears, usual_linears
from isogloss.hidden_states.self_check import sample_rows, settle, settle_beginning
from isogloss.hidden_states.shard import text_key
from isogloss.hidden_states.store import write
from isogloss.hidden_states.units import StatesJob, StatesUnit, units_of, wanted_of
from isogloss.models.chat_prompts import prompt_end
from isogloss.models.checkpoints import Checkpoint
from isogloss.models.load import LoadedModel, load_model, load_tokenizer
from isogloss.models.prompts import Prompts, check_context, check_vocabulary, encode, fingerprint
from isogloss.progress import Track


@dataclass(frozen=True, kw_only=True)
class Ready:
    """How a model is run after its self-check, and what its shards record about that.

    Attributes:
        execution: how to run.
        about: what the shards record.
        beginnings: shared beginning -> how to run texts that share it, for those that were checked.
        notes: lines for people that no unit has carried yet.
    """

    execution: Execution
    about: Mapping[str, Any]
    beginnings: dict[tuple[int, ...], Execution]
    notes: list[str]


def compute_missing(
    located: Sequence[Mapping[str, Activations]],
    *,
    execution: Execution,
    track: Track,
    engine: Engine = LOCAL,
    go_on: bool = False,
) -> None:
    """Run the texts with missing states forward and write their shards.

    Models that share their base weights are loaded once, and their adapters switched. Positions and layers under the
    same prompts share their forward passes. Tokens are computed once for models that share a tokenizer; with chat
    prompts, the tokenizers must agree.

    Args:
        located: from `locate`, of the same models and texts under one spec or several that differ in prompt format,
            position and layers only.
        execution: how to run.
        track: progress display.
        engine: what does the work.
        go_on: leave out texts that give no finite states, and name all of them at the end.

    Raises:
        ModelError: see `load_model`, `use_checkpoint`, `encode` and `settle`; or the tokenizers disagree on chat
            prompts; or a text is longer than a model's context; or a hidden state is not finite, or is all zeros (with
            `text_ids`).
        StoreError: the states cannot be written.
    """
    units = units_of(located, execution, go_on=go_on)
    run_units(engine, EXTRACTION, units, name="Reading hidden states", track=track)


def load(job: StatesJob) -> LoadedModel:
    """Load the base weights of a job."""
    return load_model(job.checkpoint, dtype=job.spec.dtype, quantize=job.spec.quantize, device=job.device)


@contextmanager
def prepare(model: LoadedModel, job: StatesJob) -> Iterator[Ready]:
    """Check that a model gives its own numbers as it will be run, and keep its fast kernels during the block.

    Raises:
        UsageError: this machine cannot run it so.
        ModelError: see `settle`.
    """
    check_execution(job.execution)
    sample = sample_rows(encode_texts(job, job.sample, "sample"))
    execution, drift = settle(model, sample, job.everything, execution=job.execution, spec=job.spec)
    beginning = plan_sample(sample, execution, job.everything).beginning
    about = {
        "drift": asdict(drift),
        "versions": {"torch": torch.__version__},
        "tokenizer": tokenizer_fingerprint(job),
        **_describe_prompt(job),
    }
    with fast_linears(model, execution, job.spec.precision):
        notes = [f"{job.name} is run without {off}" for off in execution.off]
        yield Ready(execution=execution, about=about, beginnings={beginning: execution}, notes=notes)


def _describe_prompt(job: StatesJob) -> dict[str, Any]:
    """Return the end of the prompts in the chat template, for the manifest."""
    if job.spec.prompt_format == "raw":
        return {}
    tokens, thought = prompt_end(_tokenizer(job.lender), job.spec.chat_template, job.spec.arguments)
    return {"prompt_end": list(tokens), "open_thought": thought}


def encode_unit(unit: StatesUnit) -> Prompts:
    """Turn the texts of a unit into token ids."""
    return encode_texts(unit.job, unit.texts, unit.language)


def compute_unit(
    model: LoadedModel, ready: Ready, unit: StatesUnit, prompts: Prompts, advance: Callable[[int], None]
) -> Done:
    """Run the texts of a unit forward and write what was asked for; its batches depend on these texts alone.

    Raises:
        ModelError: a text is longer than the model's context; or states are not finite, and the job does not go on
            without these texts.
        StoreError: the states cannot be written.
    """
    name, wanted = unit.job.name, wanted_of(unit)
    execution = replace(ready.execution, token_budget=ready.execution.token_budget >> unit.halvings)
    check_context(prompts.ids, model.context, name)
    check_vocabulary(prompts.ids, model.tokenizer, model.vocabulary, name)
    plan = plan_rows(prompts.ids, execution, wanted.keys(), text_ends=prompts.text_ends)
    if plan.prefix:
        checked = _check_beginning(model, ready, unit.job, prompts, plan)
        execution = replace(execution, shortcuts=checked.shortcuts, off=checked.off)
        plan = plan_rows(prompts.ids, execution, wanted.keys(), text_ends=prompts.text_ends)
    states = hidden_states(model, plan, wanted, execution=execution, bos=prompts.bos, advance=advance)
    whole = np.ones(len(unit.texts), dtype=bool)
    broken = None
    try:
        for of_position in states.values():
            check_states(of_position, name, unit.text_ids, unit.job.spec.dtype)
    except ModelError as error:
        if not unit.job.go_on:
            raise
        broken = error
        whole &= ~np.any(
            [broken_rows(state) for of_position in states.values() for state in of_position.values()], axis=0
        )
        error.text_ids = tuple(np.array(unit.text_ids)[~whole].tolist())
    counts = {
        "token_counts": np.array([len(row) - prompts.bos for row in prompts.ids], dtype=np.int32),
        "cut": np.array(prompts.cut),
    }
    how = execution.to_dict() | {"threads": torch.get_num_threads()}
    # Named in the manifest, so that texts without control tokens have the files that they always had.
    spelt = [text_key(text) for text, control in zip(unit.texts, prompts.controls, strict=True) if control]
    about = {**ready.about, "execution": how} | ({"control_tokens": spelt} if spelt else {})
    rows = np.flatnonzero(whole).tolist()
    for output in unit.outputs if rows else ():
        arrays = {layer.name: state for layer, state in states[output.position].items()} | counts
        kept = {array: arrays[array][whole] for array in output.names}
        write(output.entry, rows, kept, about=about)
    notes = tuple(ready.notes)
    ready.notes.clear()
    return Done(number=unit.number, broken=broken, notes=notes)


def _check_beginning(model: LoadedModel, ready: Ready, job: StatesJob, prompts: Prompts, plan: BatchPlan) -> Execution:
    """Check a shared beginning once, on some of the texts that share it; return how to run them."""
    if plan.beginning not in ready.beginnings:
        with usual_linears(model) if job.spec.precision == "fast" else nullcontext():
            execution = settle_beginning(
                model, sample_rows(prompts), job.everything, execution=ready.execution, spec=job.spec
            )
        ready.beginnings[plan.beginning] = execution
        ready.notes.extend(f"{job.name} is run without {off}" for off in execution.off[len(ready.execution.off) :])
    return ready.beginnings[plan.beginning]


EXTRACTION: Work[StatesUnit] = Work(load=load, prepare=prepare, encode=encode_unit, compute=compute_unit)


def encode_texts(job: StatesJob, texts: Sequence[str], language: str) -> Prompts:
    """Turn texts into the token ids that the job's model is given; one chat template serves all models.

    Raises:
        ModelError: see `encode` and `load_tokenizer`; or the model would be given tokens of another tokenizer.
    """
    spec, tokenizer = job.spec, _tokenizer(job.tokenizer)
    if spec.prompt_format == "raw":
        return encode(tokenizer, texts, max_tokens=spec.max_tokens)
    lender = _tokenizer(job.lender)
    if job.tokenizer.tokenizer_sha256 != job.lender.tokenizer_sha256:
        _same_tokens(job, texts, language)
    return encode(
        lender,
        texts,
        prompt_format="chat",
        max_tokens=spec.max_tokens,
        template=spec.chat_template,
        arguments=spec.arguments,
    )


def _same_tokens(job: StatesJob, texts: Sequence[str], language: str) -> None:
    ids, lender_ids = (
        encode(_tokenizer(checkpoint), texts, max_tokens=job.spec.max_tokens).ids
        for checkpoint in (job.tokenizer, job.lender)
    )
    if differ := sum(a != b for a, b in zip(ids, lender_ids, strict=True)):
        raise ModelError(
            f"tokenizers of {job.tokenizer.ref} and {job.lender.ref}",
            found=f"other tokens in {differ} of {len(texts)} {language} texts",
            expected="the same tokens for both models with chat prompts",
            do="use --prompt-format raw, or check that the aligned model descends from the reference",
        )


def tokenizer_fingerprint(job: StatesJob) -> str:
    """Hash how the tokenizer of the job's model reads sample texts."""
    return fingerprint(_tokenizer(job.tokenizer))


@functools.lru_cache(maxsize=4)
def _tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerBase:
    return load_tokenizer(checkpoint)
