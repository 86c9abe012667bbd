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
    *founds: Mapping[str, Activations],
    execution: Execution | None = None,
    engine: Engine = LOCAL,
    go_on: bool = False,
    track: Track = silent,
) -> int:
    """Compute what the store lacks, and count the (model, language) parts that were computed.

    torch is imported, and weights are loaded, only if something is missing. Every shard that is done stays: after an
    interruption the same call goes on with the next.

    Args:
        founds: from `locate`, of the same models and texts under one spec or several that differ in prompt format, position
            and layers only. What is read under the same prompts is read in the same forward passes.
        execution: how to run forward passes; None is the rule for this machine.
        engine: who does the work.
        go_on: see `compute_missing`.
        track: progress display.

    Raises:
        ModelError: see `compute_missing`.
        StoreError: the store is broken or cannot be written.
    """
    asked = [activations for found in founds for activations in found.values()]
    if not any(one.missing for one in asked):
        return 0
    with filling((place for one in asked for place in one.entries.values()), track):
        # Asked again under the lock: another process may have been at it.
        n_missing = sum(len(one.missing) for one in asked)
        if n_missing:
            from isogloss.hidden_states.compute import compute_missing  # noqa: PLC0415 - imports torch

            spec = asked[0].spec
            how = execution or choose_execution(dtype=spec.dtype, precision=spec.precision)
            compute_missing(founds, execution=how, track=track, engine=engine, go_on=go_on)
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
    """Run a corpus through a model and keep the hidden states that `spec` asks for.

    A second call with the same model, spec and texts reads the store and loads no weights; one with more layers or
    texts computes only those.

    Raises:
        ModelError: the model cannot be loaded, or its states cannot be used.
        StoreError: the store is broken or cannot be written.
    """
    found = locate({"aligned": model}, corpus, spec or ExtractSpec(), store=store, track=track)
    if found["aligned"].missing:
        fill(
            found,
            execution=choose_execution(
                dtype=found["aligned"].spec.dtype, precision=found["aligned"].spec.precision, device=device
            ),
            track=track,
        )
    return found["aligned"]
