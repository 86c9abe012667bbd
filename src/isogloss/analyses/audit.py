"""The public audit, which runs the core with every analysis, and the table of all metrics."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

import polars as pl

from isogloss.analyses.registry import ANALYSES as NAMES
from isogloss.auditing.analysis import Analysis, sections_of
from isogloss.auditing.config import AuditConfig, known_metrics
from isogloss.auditing.run import run_audit
from isogloss.data.corpus import Corpus
from isogloss.engines.config import EngineConfig
from isogloss.io.paths import AnyPath
from isogloss.models.pairs import ModelPair
from isogloss.progress import Track, silent
from isogloss.report.table import Section
from isogloss.results import Audit
from isogloss.stats.metric import Metric

#: All analyses, in the order in which they run and are shown.
ANALYSES: tuple[Analysis, ...] = tuple(import_module(f"isogloss.analyses.{name}.analysis").ANALYSIS for name in NAMES)
#: The metrics of the core and of all analyses.
METRICS: dict[str, Metric] = known_metrics(ANALYSES)


def audit_sections(audit: Audit, frames: Mapping[str, pl.DataFrame] | None = None) -> list[Section]:
    """Return the sections of all analyses for an audit.

    Args:
        audit: the result.
        frames: file name -> table that an analysis wrote into the run folder.
    """
    return sections_of(ANALYSES, audit, frames)


def audit(
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
) -> Audit:
    """Measure in each language how well harmful and harmless texts are separated before and after alignment.

    Args:
        pair: a row of MODEL_PAIRS, or your own; without a reference, only the aligned model is measured.
        corpus: from `load_corpus`; the audit draws equal numbers of texts per language and class.
        config: see `AuditConfig`; its `analyses` request further analyses.
        out: run folder to write (audit.json, results.parquet, points.parquet, report.html, figures/, run.json): a path,
            or a URL of any file system that fsspec supports, such as s3://bucket/run. `runs` and `store` accept the
            same.
        runs: folder in which to write a run folder named by corpus and settings. Without `out` and `runs`, nothing is
            written.
        store: cache of hidden states; None is the user's cache.
        device: a torch device; None takes a GPU if available.
        engine: where the work is done; None is this process. It changes no number.
        reuse: return the result in the run folder if it belongs to the same audit and library versions.
        track: progress display.

    Raises:
        IsoglossError: see the kinds in `isogloss.errors`. No partial files remain; computed states stay in the cache
            for the next call.
    """
    return run_audit(
        pair,
        corpus,
        config=config,
        out=out,
        runs=runs,
        store=store,
        device=device,
        engine=engine,
        reuse=reuse,
        track=track,
        analyses=ANALYSES,
    )
