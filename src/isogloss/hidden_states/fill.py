"""Hidden states that the cache lacks: computed under its locks, and nothing else; torch is imported only for that."""

from __future__ import annotations

from collections.abc import Mapping

from isogloss.data.corpus import Corpus
from isogloss.engines.engine import LOCAL, Engine
from isogloss.hidden_states.activations import Activations, locate
from isogloss.hidden_states.execution import Execution, choose_execution
from isogloss.hidden_states.spec import ExtractSpec
from isogloss.hidden_states.store import filling
from isogloss.io.paths import AnyPath
from isogloss.models.pairs import ModelRef
from isogloss.progress import Track, silent


def fill(
    *located: Mapping[str, Activations],
    execution: Execution | None = None,
    engine: Engine = LOCAL,
    go_on: bool = False,
    track: Track = silent,
) -> int:
    """Compute what the store lacks, and count the models and languages for which something was computed.

    torch is imported, and weights are loaded, only if something is missing. Finished shards stay: after an
    interruption the same call continues with the next.

    Args:
        located: from `locate`, of the same models and texts, under specs that differ in prompt format, position and
            layers only. Positions and layers under the same prompts share their forward passes.
        execution: how to run forward passes; None is the rule for this machine.
        engine: what does the work.
        go_on: see `compute_missing`.
        track: progress display.

    Raises:
        ModelError: see `compute_missing`.
        StoreError: the store is broken or cannot be written.
    """
    wanted = [activations for models in located for activations in models.values()]
    if not any(activations.missing for activations in wanted):
        return 0
    with filling((entry for activations in wanted for entry in activations.entries.values()), track):
        # Counted again under the lock: another process may have computed some of it.
        n_missing = sum(len(activations.missing) for activations in wanted)
        if n_missing:
            from isogloss.hidden_states.compute import compute_missing  # noqa: PLC0415 - imports torch

            spec = wanted[0].spec
            execution = execution or choose_execution(dtype=spec.dtype, precision=spec.precision)
            compute_missing(located, execution=execution, track=track, engine=engine, go_on=go_on)
    return n_missing


def extract(
    model: ModelRef,
    corpus: Corpus,
    spec: ExtractSpec | None = None,
    *,
    store: AnyPath | str | None = None,
    device: str | None = None,
    track: Track = silent,
) -> Activations:
    """Run a corpus through a model and store the hidden states that `spec` asks for.

    A second call with the same model, spec and texts reads the store and loads no weights; one with more layers or
    texts computes only those.

    Raises:
        ModelError: the model cannot be loaded, or its states cannot be used.
        StoreError: the store is broken or cannot be written.
    """
    located = locate({"aligned": model}, corpus, spec or ExtractSpec(), store=store, track=track)
    if located["aligned"].missing:
        fill(
            located,
            execution=choose_execution(
                dtype=located["aligned"].spec.dtype, precision=located["aligned"].spec.precision, device=device
            ),
            track=track,
        )
    return located["aligned"]
