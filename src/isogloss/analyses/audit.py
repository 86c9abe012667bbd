"""The public audit, which runs the core with every analysis, and the table of all metrics."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import overload

import polars as pl

from isogloss.analyses.registry import ANALYSES as NAMES
from isogloss.auditing.analysis import Analysis, sections_of
from isogloss.auditing.config import AuditConfig, known_metrics
from isogloss.auditing.run import run_audit
from isogloss.auditing.subjects import Model, Texts, given_back, make_pair, read_texts, suit_loaded
from isogloss.engines.config import EngineConfig
from isogloss.errors import UsageError
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


@overload
def audit(
    reference: Model | None,
    aligned: Model,
    corpus: Texts,
    *,
    config: AuditConfig | None = None,
    out: AnyPath | str | None = None,
    runs: AnyPath | str | None = None,
    store: AnyPath | str | None = None,
    device: str | None = None,
    engine: EngineConfig | None = None,
    reuse: bool = False,
    track: Track = silent,
) -> Audit: ...


@overload
def audit(
    reference: ModelPair,
    aligned: Texts,
    *,
    config: AuditConfig | None = None,
    out: AnyPath | str | None = None,
    runs: AnyPath | str | None = None,
    store: AnyPath | str | None = None,
    device: str | None = None,
    engine: EngineConfig | None = None,
    reuse: bool = False,
    track: Track = silent,
) -> Audit: ...


def audit(
    reference: Model | ModelPair | None,
    aligned: Model | Texts,
    corpus: Texts | None = None,
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

    A model is a string (a hub id, a folder, a .gguf file, or base+adapter), or a tuple of a loaded transformers model
    and its tokenizer; the two may be given differently. Loaded models are read where they are, in their own precision,
    and are left as they were. A `ModelPair` may stand in place of both: `audit(pair, corpus)`.

    Args:
        reference: the model before alignment; None measures the aligned model only.
        aligned: the model after alignment.
        corpus: what `load_corpus` reads, or what it returned; the audit draws equal numbers of texts per language and
            class.
        config: see `AuditConfig`; its `analyses` request further analyses.
        out: run folder to write (audit.json, results.parquet, points.parquet, report.html, figures/, run.json): a path,
            or a URL of any file system that fsspec supports, such as s3://bucket/run. `runs` and `store` accept the
            same.
        runs: folder in which to write a run folder named by corpus and settings. Without `out` and `runs`, nothing is
            written.
        store: cache of hidden states; None is the user's cache.
        device: a torch device; None takes a GPU if available, or the device of loaded models.
        engine: where the work is done; None is this process. It changes no number.
        reuse: return the result in the run folder if it belongs to the same audit and library versions.
        track: progress display.

    Raises:
        IsoglossError: see the kinds in `isogloss.errors`. No partial files remain; computed states stay in the cache
            for the next call.
    """
    if isinstance(reference, ModelPair):
        if corpus is not None:
            raise UsageError("audit", found="a pair and another model", expected="a pair and a corpus", do="drop one")
        pair, texts = reference, aligned
    else:
        if corpus is None:
            raise UsageError(
                "audit", found="no corpus", expected="reference, aligned and corpus", do="name all three, or a pair"
            )
        pair, texts = make_pair(reference, aligned), corpus
    chosen = suit_loaded(pair, config or AuditConfig(), engine, device)
    with given_back(pair):
        return run_audit(
            pair,
            read_texts(texts),
            config=chosen,
            out=out,
            runs=runs,
            store=store,
            device=device,
            engine=engine,
            reuse=reuse,
            track=track,
            analyses=ANALYSES,
        )
