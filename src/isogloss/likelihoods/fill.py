"""Likelihoods and answers that the cache lacks: computed under its locks, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable

from isogloss.engines.engine import LOCAL, Engine
from isogloss.hidden_states.execution import Execution, choose_execution
from isogloss.hidden_states.store import filling
from isogloss.likelihoods.cached import Answers, Likelihoods
from isogloss.progress import Track, silent


def fill_bits(
    wanted: Iterable[Likelihoods | Answers],
    *,
    execution: Execution | None = None,
    engine: Engine = LOCAL,
    go_on: bool = False,
    track: Track = silent,
) -> int:
    """Compute what the store lacks, and count the models and languages for which something was computed.

    torch is imported, and weights are loaded, only if something is missing. Models that share their base are loaded
    once for all that is wanted of them.

    Args:
        wanted: from `locate_bits`, `locate_answers` and `locate_greedy`, of one dtype and quantisation.
        execution: how to run forward passes; None is the rule for this machine.
        engine: what does the work.
        go_on: see `compute_missing`.
        track: progress display.

    Raises:
        ModelError: see `compute_missing`.
        StoreError: the store is broken or cannot be written.
    """
    tasks = list(wanted)
    if not any(task.missing for task in tasks):
        return 0
    with filling((entry for task in tasks for entry in task.entries.values()), track):
        # Counted again under the lock: another process may have computed some of it.
        n_missing = sum(len(task.missing) for task in tasks)
        if n_missing:
            from isogloss.likelihoods.compute import compute_missing  # noqa: PLC0415 - imports torch

            first = tasks[0]
            dtype = first.spec.dtype if isinstance(first, Answers) else first.dtype
            execution = execution or choose_execution(dtype=dtype, precision="exact")
            compute_missing(tasks, execution=execution, track=track, engine=engine, go_on=go_on)
    return n_missing
