"""Fill the store with hidden states that it lacks. The only step of an audit that loads weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from isogloss.activations.activations import Activations
from isogloss.activations.batching import Plan
from isogloss.activations.drift import sample_rows, settle
from isogloss.activations.execution import Execution
from isogloss.activations.extract import Wanted, check_states, hidden_states, plan_rows
from isogloss.activations.kernels import fast_linears
from isogloss.activations.spec import Layer, Position
from isogloss.activations.store import write
from isogloss.activations.tokens import Tokens, check_context, start_encoding
from isogloss.models.adapters import use_checkpoint
from isogloss.models.fetch import group_by_weights
from isogloss.models.load import LoadedModel, load_model
from isogloss.models.prompts import Prompts
from isogloss.progress import Track


class Pass(NamedTuple):
    """Texts of a language that a model is run on once, and who lacks which arrays of them."""

    language: str
    rows: tuple[int, ...]
    lacking: tuple[tuple[Activations, tuple[str, ...]], ...]


class Task(NamedTuple):
    """What one model is to be run on under the same prompts; `one` stands for all that it is run for."""

    one: Activations
    passes: tuple[Pass, ...]


@dataclass(frozen=True, kw_only=True)
class Work:
    """What the models of an audit have in common: tokens and batches are made once for all of them."""

    tokens: Tokens
    execution: Execution
    advance: Callable[[int], None]
    plans: dict[tuple[object, ...], Plan] = field(default_factory=dict)

    def plan(self, prompts: Prompts, rows: tuple[int, ...], wanted: Wanted) -> Plan:
        """Plan the batches of some texts of a language."""
        key = id(prompts), rows, tuple(wanted)
        if key not in self.plans:
            self.plans[key] = plan_rows(
                [prompts.ids[i] for i in rows],
                self.execution,
                wanted.keys(),
                text_ends=[prompts.text_ends[i] for i in rows],
            )
        return self.plans[key]


def compute_missing(founds: Sequence[Mapping[str, Activations]], *, execution: Execution, track: Track) -> None:
    """Run the missing parts forward, one base model at a time, and write their shards.

    Models that share their base weights are loaded once, and their adapters switched; positions and layers that are
    read under the same prompts share their forward passes. Tokens are computed once where the models' tokenizers agree;
    in chat rendering they must.

    Args:
        founds: from `locate`, of the same models and texts under one spec or several that differ in rendering,
            position and layers only.
        execution: how to run.
        track: progress display.

    Raises:
        ModelError: see `load_model`, `use_checkpoint` and `encode`; or the tokenizers disagree in chat rendering; or a
            text is longer than a model's context; or a hidden state is not finite, or is all zeros.
        StoreError: the states cannot be written.
    """
    waiting: dict[tuple[object, ...], list[Activations]] = {}
    for one in (one for found in founds for one in found.values() if one.missing):
        waiting.setdefault((one.checkpoint.sha256, one.spec.prompts), []).append(one)
    tasks = [Task(alike[0], _passes(alike)) for alike in waiting.values()]
    passes = [found for task in tasks for found in task.passes]
    # The sample that checks a model is of the corpus's first language, whatever is missing.
    first = founds[0]["aligned"].corpus.languages[0]
    with ThreadPoolExecutor(1) as pool:
        tokens = start_encoding(founds, dict.fromkeys([first, *(one.language for one in passes)]), pool, track)
        with track("Reading hidden states", sum(len(one.rows) for one in passes)) as advance:
            work = Work(tokens=tokens, execution=execution, advance=advance)
            try:
                for sharing in group_by_weights({number: task.one.checkpoint for number, task in enumerate(tasks)}):
                    _compute_group([tasks[number] for number in sharing], work)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


def _passes(alike: Sequence[Activations]) -> tuple[Pass, ...]:
    """Put together what the same model lacks of the same texts under the same prompts."""
    found: dict[tuple[str, tuple[int, ...]], list[tuple[Activations, tuple[str, ...]]]] = {}
    for one in alike:
        for code in one.missing:
            for gap in one.gaps(code):
                found.setdefault((code, gap.rows), []).append((one, gap.names))
    return tuple(Pass(code, rows, tuple(lacking)) for (code, rows), lacking in found.items())


def _union(wanted: Iterable[tuple[Activations, Sequence[Layer]]]) -> dict[Position, tuple[Layer, ...]]:
    found: dict[Position, tuple[Layer, ...]] = {}
    for one, layers in wanted:
        found[one.spec.position] = tuple(dict.fromkeys((*found.get(one.spec.position, ()), *layers)))
    return found


def _compute_group(sharing: Sequence[Task], work: Work) -> None:
    """Load the weights that these share; they are freed on return, before the next are loaded."""
    first = sharing[0].one
    model = load_model(
        first.checkpoint, dtype=first.spec.dtype, quantize=first.spec.quantize, device=work.execution.device
    )
    for task in sharing:
        with use_checkpoint(model, task.one.checkpoint):
            _compute(task, model, work)


def _compute(task: Task, model: LoadedModel, work: Work) -> None:
    one, spec, name = task.one, task.one.spec, str(task.one.checkpoint.ref)
    sample = sample_rows(work.tokens.of(one, one.corpus.languages[0]))
    everything = _union((asker, asker.layers) for found in task.passes for asker, _ in found.lacking)
    execution, drift = settle(model, sample, everything, execution=work.execution, spec=spec)
    about = {
        "execution": asdict(execution) | {"threads": torch.get_num_threads()},
        "drift": asdict(drift),
        "versions": {"torch": torch.__version__},
        "tokenizer": work.tokens.fingerprint(one),
    }
    with fast_linears(model, execution, spec.precision):
        for language, rows, lacking in task.passes:
            prompts = work.tokens.of(one, language)
            wanted = _union(
                (asker, [layer for layer in asker.layers if layer.name in names]) for asker, names in lacking
            )
            check_context(model, prompts.ids, name)
            states = hidden_states(
                model,
                work.plan(prompts, rows, wanted),
                wanted,
                execution=execution,
                bos=prompts.bos,
                advance=work.advance,
            )
            text_ids = one.corpus.part(language)["text_id"].to_list()
            for found in states.values():
                check_states(found, name, [text_ids[i] for i in rows])
            counts = {
                "token_counts": np.array([len(row) - prompts.bos for row in prompts.ids], dtype=np.int32)[list(rows)],
                "cut": np.array(prompts.cut)[list(rows)],
            }
            for asker, names in lacking:
                arrays = {layer.name: state for layer, state in states[asker.spec.position].items()} | counts
                write(asker.entries[language], rows, {each: arrays[each] for each in names}, about=about)
