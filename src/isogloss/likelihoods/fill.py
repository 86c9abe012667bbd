"""Likelihoods and answers that the cache lacks: computed under its locks, and nothing else; torch is imported only then."""

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
    """Compute what the store lacks, and count the (model, language) parts that were computed.

    torch is imported, and weights are loaded, only if something is missing. Models that share their base are loaded
    once for all that is wanted of them.

    Args:
        wanted: from `locate_bits`, `locate_answers` and `locate_spoken`, of one dtype and quantisation.
        execution: how to run forward passes; None is the rule for this machine.
        engine: who does the work.
        go_on: see `compute_missing`.
        track: progress display.

    Raises:
        ModelError: see `compute_missing`.
        StoreError: the store is broken or cannot be written.
    """
    asked = list(wanted)
    if not any(one.missing for one in asked):
        return 0
    with filling((place for one in asked for place in one.entries.values()), track):
        # Asked again under the lock: another process may have been at it.
        n_missing = sum(len(one.missing) for one in asked)
        if n_missing:
            from isogloss.likelihoods.compute import compute_missing  # noqa: PLC0415 - imports torch

            first = asked[0]
            dtype = first.spec.dtype if isinstance(first, Answers) else first.dtype
            how = execution or choose_execution(dtype=dtype, precision="exact")
            compute_missing(asked, execution=how, track=track, engine=engine, go_on=go_on)
    return n_missing
