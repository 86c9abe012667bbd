"""An audit: run a corpus through a reference and an aligned model, and compare the separation of the classes.

The steps: make a plan, fill the store with missing hidden states, measure, write the run folder. torch is imported only
if states are missing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from isogloss.auditing.analysis import Analysis
from isogloss.auditing.cache_policy import KEPT, thin
from isogloss.auditing.config import AuditConfig
from isogloss.auditing.measure import measure
from isogloss.auditing.plan import Plan, make_plan, with_follow_ups
from isogloss.auditing.quarantine import quarantine
from isogloss.auditing.record import library_versions
from isogloss.auditing.run_folder import finished_run, open_run, record_execution, record_kept, write_run
from isogloss.data.corpus import Corpus
from isogloss.engines.config import EngineConfig
from isogloss.engines.engine import Engine, open_engine
from isogloss.errors import ModelError, UsageError
from isogloss.hidden_states.execution import Execution, check_execution, choose_execution
from isogloss.hidden_states.fill import fill
from isogloss.hidden_states.store import default_store, in_use
from isogloss.io.paths import AnyPath, names, parse_path
from isogloss.likelihoods.fill import fill_bits
from isogloss.models.devices import check_device
from isogloss.models.pairs import ModelPair
from isogloss.progress import Track, silent
from isogloss.results import Audit, folder_in


def run_audit(
    pair: ModelPair,
    corpus: Corpus,
    *,
    config: AuditConfig | None = None,
    out: AnyPath | str | None = None,
    runs: AnyPath | str | None = None,
    store: AnyPath | str | None = None,
    device: str | None = None,
    engine: EngineConfig | None = None,
    reuse: bool = False,
    track: Track = silent,
    analyses: Sequence[Analysis] = (),
) -> Audit:
    """Run an audit with the analyses that it requests; see `isogloss.analyses.audit.audit` for the other arguments.

    Args:
        pair: models.
        corpus: texts.
        config: the choices of the audit.
        out: run folder.
        runs: folder in which a run folder is named automatically.
        store: cache of hidden states.
        device: a torch device.
        engine: where the work is done.
        reuse: whether to return a finished run.
        track: progress display.
        analyses: all known analyses.

    Raises:
        IsoglossError: as in `audit`.
    """
    started = time.time()
    if device is not None and (engine or EngineConfig()).engine == "local":
        check_device(device)
    root = _resolve_store(store)
    plan = make_plan(pair, corpus, config or AuditConfig(), root, track, analyses=analyses)
    folder = parse_path(out) if out else folder_in(parse_path(runs), plan.identity) if runs else None
    thinned = _check_cache_policy(plan, folder)
    if folder and (reuse or thinned) and (finished := _reuse_finished(folder, plan, root)):
        return finished
    with (
        open_engine(engine or EngineConfig()) as workers,
        open_run(folder, plan.identity) if folder else nullcontext() as recorded,
        in_use(root, track),
        TemporaryDirectory(prefix="isogloss") as scratch,
    ):
        computed = 0
        plan = with_follow_ups(plan)
        if plan.missing:
            references = [states.checkpoint.ref for states in plan.states]
            held = next((ref.loaded.device for ref in references if ref.loaded), None)
            execution = _settle_execution(recorded, plan.config, device, workers, held)
            if folder:
                record_execution(folder, plan.identity, execution)
            plan, computed = _fill_store(plan, execution, workers, root, track)
        filled = time.time()
        measurement = measure(plan, track, workers, points=Path(scratch) if folder else None)
        if folder:
            seconds = {"all": time.time() - started, "filling the store": filled - started}
            write_run(
                folder,
                measurement,
                Path(scratch),
                analyses=analyses,
                seconds=seconds,
                computed=computed,
                states=_record_computation(plan),
            )
    if thinned and folder:
        record_kept(folder, thin(plan, root))
    return measurement.audit


def _check_cache_policy(plan: Plan, folder: AnyPath | None) -> bool:
    """Whether states are removed after the audit; that needs a folder for what replaces them."""
    thinned = plan.config.cache_states != "all"
    if thinned and folder is None:
        raise UsageError(
            f"--cache-states {plan.config.cache_states}",
            found="no run folder",
            expected="a folder for the file that replaces the states",
            do="name an `out`",
        )
    return thinned


def _reuse_finished(folder: AnyPath, plan: Plan, root: AnyPath) -> Audit | None:
    audit = finished_run(folder, plan.identity, library_versions())
    if audit is None or plan.config.cache_states == "all":
        return audit
    if KEPT not in names(folder):
        return None
    # The earlier process was killed before it removed all states, or they were in use.
    record_kept(folder, thin(with_follow_ups(plan), root))
    return audit


def _record_computation(plan: Plan) -> dict[str, list[dict[str, Any]]]:
    records = {role: states.computed_how() for role, states in plan.activations.items()}
    for needs in plan.needs.values():
        for group, by_role in needs.states.items():
            records |= {f"{role}, {group}": states.computed_how() for role, states in by_role.items()}
    return records


def _resolve_store(store: AnyPath | str | None) -> AnyPath:
    """Resolve the store. Other machines read and write it too, so a local path is made absolute."""
    root = parse_path(store) if store else default_store()
    return root.absolute() if isinstance(root, Path) else root


def _fill_store(plan: Plan, execution: Execution, engine: Engine, root: AnyPath, track: Track) -> tuple[Plan, int]:
    """Compute what is missing. Texts without finite numbers raise an error or are quarantined, as configured.

    Edits of models follow from their states, so a second round computes the states of edited models.
    """
    computed, go_on = 0, plan.config.quarantine
    while plan.missing:
        try:
            computed += fill(*plan.state_groups, execution=execution, engine=engine, go_on=go_on, track=track)
            computed += fill_bits(plan.head_reads, execution=execution, engine=engine, go_on=go_on, track=track)
        except ModelError as error:
            if not (go_on and error.text_ids):
                raise
            plan = with_follow_ups(quarantine(plan, error.text_ids, root))
        else:
            before, plan = plan, with_follow_ups(plan)
            if plan is before:
                break
    return plan, computed


def _settle_execution(
    recorded: Execution | None, config: AuditConfig, device: str | None, engine: Engine, held: str | None
) -> Execution:
    """Continue as the interrupted run in this folder began, or choose for the machine that runs the models.

    `held` is the device of models that are in memory already; None where there are none.
    """
    if recorded is None:
        execution = engine.call(
            choose_execution,
            dtype=config.spec.dtype,
            precision=config.spec.precision,
            device=held or device or engine.device,
        )
        # Packed weights would take the place of those of the caller's model.
        return replace(execution, kernel="plain") if held else execution
    if device not in {None, recorded.device}:
        raise UsageError(
            "--device",
            found=f"{device} for a run begun with {recorded.device}",
            expected="the same device",
            do="leave it out, or choose another --out",
        )
    engine.call(check_execution, execution=recorded)
    return recorded
