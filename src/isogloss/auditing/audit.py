"""The main job: run a corpus through a reference and an aligned model, and compare how far the classes lie apart.

The steps: settle a plan, fill the store with the hidden states that it lacks, measure, write the run folder. torch is
imported only if states are missing.
"""

from __future__ import annotations

import time
from pathlib import Path

from isogloss.activations.fill import fill
from isogloss.auditing.measure import measure
from isogloss.auditing.plan import AuditConfig, make_plan
from isogloss.auditing.run_folder import check_out, write_run
from isogloss.behaviour.fill import fill_bits
from isogloss.corpora.corpus import Corpus
from isogloss.models.pairs import ModelPair
from isogloss.progress import Track, silent
from isogloss.results import Audit, folder_in


def audit(
    pair: ModelPair,
    corpus: Corpus,
    *,
    config: AuditConfig | None = None,
    out: Path | str | None = None,
    runs: Path | str | None = None,
    store: Path | str | None = None,
    device: str | None = None,
    track: Track = silent,
) -> Audit:
    """Measure per language how far harmful and harmless text lie apart before and after alignment.

    Args:
        pair: a row of MODEL_PAIRS, or your own; without a reference only the aligned side is measured.
        corpus: from `load_corpus`; cut to equal numbers per language and class here.
        config: see `AuditConfig`.
        out: run folder to write (audit.json, results.parquet, points.parquet, report.html, figures/, run.json).
        runs: write a run folder inside this one, named by corpus and settings; with neither, nothing is written.
        store: where hidden states are kept and looked for; None is the user's cache.
        device: a torch device; None takes a GPU if there is one.
        track: progress display.

    Raises:
        IsoglossError: see the kinds in `isogloss.errors`; nothing half-written stays behind.
    """
    started = time.time()
    plan = make_plan(pair, corpus, config or AuditConfig(), store, track)
    folder = Path(out) if out else folder_in(Path(runs), plan.identity) if runs else None
    if folder:
        check_out(folder, plan.identity)
    computed = fill(plan.activations, device=device, track=track)
    if plan.likelihoods:
        computed += fill_bits({"before": plan.likelihoods}, device=device, track=track)
    result, points = measure(plan, track)
    if folder:
        write_run(folder, result, points, seconds=time.time() - started, computed=computed)
    return result
