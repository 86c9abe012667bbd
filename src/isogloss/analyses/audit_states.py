"""The public audit of hidden states that were extracted elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from isogloss.analyses.audit import ANALYSES
from isogloss.auditing.config import AuditConfig
from isogloss.auditing.given_states import make_corpus, make_layers, plan_states, read_states
from isogloss.auditing.measure import measure
from isogloss.auditing.plan import Plan
from isogloss.auditing.run_folder import open_run, write_run
from isogloss.errors import ModelError
from isogloss.io.paths import AnyPath, parse_path
from isogloss.progress import Track, silent
from isogloss.results import Audit, folder_in


def audit_states(
    reference: Any,  # noqa: ANN401 - a NumPy array or a torch tensor
    aligned: Any,  # noqa: ANN401
    labels: Any,  # noqa: ANN401
    languages: str | Sequence[str],
    *,
    pairs: Sequence[object] | None = None,
    items: Sequence[object] | None = None,
    ids: Sequence[object] | None = None,
    layers: Sequence[int] | None = None,
    pivot: str = "en",
    name: str = "states",
    config: AuditConfig | None = None,
    out: AnyPath | str | None = None,
    runs: AnyPath | str | None = None,
    track: Track = silent,
) -> Audit:
    """Audit hidden states that were extracted elsewhere, such as with vLLM, nnsight or TransformerLens.

    No model is run and no text is read, so controls that need texts or models are left out.

    Args:
        reference: hidden states before alignment, (texts, width) or (texts, layers, width): a NumPy array or a torch
            tensor of floating point numbers; None measures the aligned model only.
        aligned: those after alignment, of the same texts and layers; the width may differ.
        labels: (texts,), True or 1 for harmful, False or 0 for harmless.
        languages: (texts,), a language code for each text, or one for all.
        pairs: (texts,), the same id for a harmful text and its harmless partner; None for texts without pairs.
        items: (texts,), the same id for translations of a text, so that languages are compared item by item.
        ids: (texts,), an id for each text; single texts are sampled by it. The default numbers the rows.
        layers: (layers,), rising numbers of the arrays' layers: 0 for embeddings, k for the output of block k. The
            default is 1, 2, ...; verdicts come from the last layer unless `config.primary` names another.
        pivot: language that the others are compared with.
        name: what reports call the texts.
        config: see `AuditConfig`; its spec, pivot and controls do not apply.
        out: run folder to write, with the files of `isogloss.audit`.
        runs: folder in which to write a run folder named by `name` and settings. Without `out` and `runs`, nothing is
            written.
        track: progress display.

    Raises:
        CorpusError: labels, languages, pairs or items that cannot be audited, or too few texts.
        ModelError: hidden states of another shape, not finite, or the same for both models.
        UsageError: settings that need texts or models.
        StoreError: the run folder cannot be written.
    """
    corpus = make_corpus(name, labels, languages, pairs=pairs, items=items, ids=ids)
    given = {"reference": reference, "aligned": aligned}
    states = {role: read_states(of_role, len(corpus), role) for role, of_role in given.items() if of_role is not None}
    if "aligned" not in states:
        raise ModelError("aligned states", found="none", expected="an array or tensor", do="give reference as None")
    depths = {role: hidden.shape[1] for role, hidden in states.items()}
    if len(set(depths.values())) > 1:
        found = ", ".join(f"{depth} layers in the {role} states" for role, depth in depths.items())
        raise ModelError("states", found=found, expected="the same layers", do="give states of the same layers")
    chosen = replace(config or AuditConfig(), pivot=pivot)
    plan = plan_states(states, corpus, chosen, make_layers(layers, depths["aligned"]), ANALYSES)
    folder = parse_path(out) if out else folder_in(parse_path(runs), plan.identity) if runs else None
    return measure(plan, track).audit if folder is None else _write(plan, folder, track)


def _write(plan: Plan, folder: AnyPath, track: Track) -> Audit:
    started = time.time()
    with open_run(folder, plan.identity), TemporaryDirectory(prefix="isogloss") as scratch:
        measurement = measure(plan, track, points=Path(scratch))
        seconds = {"all": time.time() - started}
        write_run(folder, measurement, Path(scratch), analyses=ANALYSES, seconds=seconds, computed=0, states={})
    return measurement.audit
