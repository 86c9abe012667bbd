"""Make sure that likelihoods are in the store: compute what is missing, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

from isogloss.activations.execution import Execution, choose_execution
from isogloss.activations.store import filling
from isogloss.behaviour.reading import Likelihoods
from isogloss.engines.engine import LOCAL, Engine
from isogloss.progress import Track, silent


def fill_bits(
    found: Mapping[str, Likelihoods],
    *,
    execution: Execution | None = None,
    engine: Engine = LOCAL,
    go_on: bool = False,
    track: Track = silent,
) -> int:
    """Compute what the store lacks, and count the (model, language) parts that were computed.

    torch is imported, and weights are loaded, only if something is missing.

    Args:
        found: from `locate_bits`.
        execution: how to run forward passes; None is the rule for this machine.
        engine: who does the work.
        go_on: see `compute_missing`.
        track: progress display.

    Raises:
        ModelError: see `load_model`, `check_head`, `use_checkpoint` and `text_bits`.
        StoreError: the store is broken or cannot be written.
    """
    if not any(one.missing for one in found.values()):
        return 0
    with filling((place for one in found.values() for place in one.entries.values()), track):
        # Asked again under the lock: another process may have been at it.
        n_missing = sum(len(one.missing) for one in found.values())
        if n_missing:
            from isogloss.behaviour.compute import compute_missing  # noqa: PLC0415 - imports torch

            how = execution or choose_execution(dtype=next(iter(found.values())).dtype, precision="exact")
            compute_missing(found, execution=how, track=track, engine=engine, go_on=go_on)
    return n_missing
