"""Stored hidden states -> an audit: scores, gains, gaps, retention, verdicts, controls, analyses, warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl

from isogloss.auditing.analysis import ANALYSIS_FAULTS, Analysis, Findings
from isogloss.auditing.audit_warnings import audit_warnings
from isogloss.auditing.cache_policy import kept_arrays, kept_file
from isogloss.auditing.compare import Change, Compared, Family, ScoreKey, compare, language_verdicts
from isogloss.auditing.controls import control_rows_of_language
from isogloss.auditing.plan import Plan
from isogloss.auditing.points import write_points
from isogloss.auditing.rows import RowKey, give_verdicts, score_row
from isogloss.auditing.sample import Sample, take_sample
from isogloss.auditing.score import ScoredBlock, map_side_by_side, score_all
from isogloss.engines.engine import LOCAL, Engine
from isogloss.errors import IsoglossError
from isogloss.hidden_states.spec import Layer
from isogloss.models.checkpoints import Checkpoint
from isogloss.progress import Track
from isogloss.records import LanguageVerdict, Row
from isogloss.results import Audit
from isogloss.stats.effects import false_discovery, max_p
from isogloss.stats.thresholds import THRESHOLDS
from isogloss.warnings import CodedWarning

LIBRARIES = ("isogloss", "numpy", "scikit-learn", "scipy", "torch", "transformers", "peft")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What analyses measure from.

    Attributes:
        plan: of the audit; all that it needs is in the cache.
        samples: language -> its texts.
        primary: the primary estimand.
        family: its change in every language; None where there is no reference.
        compared: what the family says; None where there is no reference.
        engine: maps functions over items; it changes no number.
        track: progress display.
    """

    plan: Plan
    samples: Mapping[str, Sample]
    primary: ScoreKey
    family: Family | None
    compared: Compared | None
    engine: Engine
    track: Track


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The result of measuring: the audit, tables of analyses by file name, and what is kept in place of states."""

    audit: Audit
    frames: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    kept: bytes | None = None


def measure(plan: Plan, track: Track, engine: Engine = LOCAL, *, points: Path | None = None) -> Measurement:
    """Score every language and layer of a plan whose hidden states are all in the cache.

    Args:
        plan: what is to be measured.
        track: progress display.
        engine: who measures; the numbers are the same.
        points: an empty folder for the points of pictures (see `write_points`); None makes none.
    """
    kept: dict[str, np.ndarray] = {}

    def look_at(scored: ScoredBlock) -> None:
        if points:
            write_points(plan, scored, points)
        if plan.config.cache_states != "all":
            kept.update(kept_arrays(scored))

    samples = draw_samples(plan)
    parts = [(samples[language], layer) for language in plan.languages for layer in plan.layers]
    scored = score_all(plan, parts, engine, track, "Measuring", each=look_at)
    controls = map_side_by_side(
        control_rows_of_language,
        [(plan.of_language(language), sample) for language, sample in samples.items()],
        engine,
        track,
        "Controls",
        workers=plan.config.workers,
    )
    primary = primary_cell(plan)
    families = _families(plan, scored, primary)
    compared = {cell: compare(family, plan.config.seed) for cell, family in families.items()}
    measured = Measured(
        plan=plan,
        samples=samples,
        primary=primary,
        family=families.get(primary),
        compared=compared.get(primary),
        engine=engine,
        track=track,
    )
    findings = _run_analyses(measured)
    verdicts = _verdicts(plan, primary, compared, findings)
    own_rows = [
        *_correct_family_wise(_score_rows(plan, scored), scored, primary),
        *(row for family in compared.values() for row in family.rows),
    ]
    rows = _join_rows(own_rows, [row for rows in controls for row in rows], findings, verdicts, primary)
    warnings = audit_warnings(plan, rows, verdicts, scored)
    audit = Audit(
        corpus=_corpus_record(plan),
        models=_model_record(plan),
        config=plan.settings,
        versions=library_versions(),
        pivot=plan.config.pivot,
        primary=plan.primary,
        rows=tuple(rows),
        verdicts=verdicts,
        warnings=(*warnings, *(warning for found in findings.values() for warning in found.warnings)),
        thresholds=THRESHOLDS,
    )
    frames = {name: frame for found in findings.values() for name, frame in found.frames.items()}
    return Measurement(audit=audit, frames=frames, kept=kept_file(plan, kept) if kept else None)


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that a result may depend on."""
    return {name: version(name) for name in LIBRARIES}


def primary_cell(plan: Plan) -> ScoreKey:
    """Return the primary estimand of a plan."""
    return ScoreKey(plan.primary_layer, plan.primary.metric, plan.primary.components)


def draw_samples(plan: Plan) -> dict[str, Sample]:
    """Draw what is random in the scores of each language."""
    config = plan.config
    return {
        language: take_sample(
            language,
            plan.corpus.part(language),
            paired=plan.corpus.paired,
            n_permutations=config.permutations,
            seed=config.seed,
        )
        for language in plan.languages
    }


def _run_analyses(measured: Measured) -> dict[str, Findings]:
    """Run every analysis that was asked for; the audit names those that fail and keeps the rest."""
    findings = {}
    for analysis, request in measured.plan.requests:
        try:
            findings[analysis.name] = analysis.rows(measured, request)
        except ANALYSIS_FAULTS as error:
            findings[analysis.name] = _failed(analysis, error)
    return findings


def _failed(analysis: Analysis, error: Exception) -> Findings:
    # Messages of our own errors hold no text of the corpus; those of libraries might.
    why = str(error) if isinstance(error, IsoglossError) else type(error).__name__
    return Findings(warnings=(CodedWarning(code="A001", detail=f"{analysis.name}: {why}"),))


def _verdicts(
    plan: Plan, primary: ScoreKey, compared: Mapping[ScoreKey, Compared], findings: Mapping[str, Findings]
) -> tuple[LanguageVerdict, ...]:
    if not compared:
        return ()
    cross_checks: dict[str, str] = {}
    for found in findings.values():
        cross_checks |= found.cross_checks
    probe = compared.get(ScoreKey(plan.primary_layer, "auroc", None))
    return language_verdicts(plan.languages, plan.config.pivot, compared[primary], probe, cross_checks)


def _join_rows(
    rows: Sequence[Row],
    controls: Sequence[Row],
    findings: Mapping[str, Findings],
    verdicts: Sequence[LanguageVerdict],
    primary: ScoreKey,
) -> list[Row]:
    """Put the rows of the audit and its analyses together, with false discovery rates and verdicts."""
    named = {
        name: [replace(row, analysis=name) for row in found.rows] for name, found in findings.items() if found.rows
    }
    together = [row for name, rows_of in named.items() if findings[name].corrected for row in rows_of]
    joined = give_verdicts([*_correct_exploration([*rows, *together], primary), *controls], verdicts)
    for name, rows_of in named.items():
        if not findings[name].corrected:
            joined += give_verdicts(rows_of, verdicts) if findings[name].judged else rows_of
    return joined


def _families(plan: Plan, scored: Sequence[ScoredBlock], primary: ScoreKey) -> dict[ScoreKey, Family]:
    """One family for each metric at each layer; none where there is no reference."""
    pivot = plan.config.pivot
    changes: dict[ScoreKey, dict[str, Change]] = {}
    for block in scored:
        for cell, change in block.changes.items():
            changes.setdefault(cell, {})[block.sample.language] = change
    return {
        cell: Family(
            changes=of_cell,
            pivots={language: of_cell[pivot] for language in of_cell if language != pivot},
            pivot=pivot,
            layer=cell.layer,
            together=cell == primary,
        )
        for cell, of_cell in changes.items()
    }


def _score_rows(plan: Plan, scored: Sequence[ScoredBlock]) -> list[Row]:
    return [
        score_row(
            score,
            role,
            RowKey(language=block.sample.language, layer=block.layer, n=block.n, seed=plan.config.seed),
        )
        for block in scored
        for role, scores in block.scores.items()
        for score in scores.scores
    ]


def _correct_family_wise(rows: Sequence[Row], scored: Sequence[ScoredBlock], primary: ScoreKey) -> list[Row]:
    """Correct the permutation p values of the primary estimand for all languages and models."""
    scores = [score for block in scored for of_model in block.scores.values() for score in of_model.scores]
    family = [i for i, row in enumerate(rows) if _cell(row) == primary and scores[i].jackknife is not None]
    corrected = list(rows)
    if family:
        observed = np.array([scores[i].plug_in for i in family])
        null = np.column_stack([scores[i].plug_in_null for i in family])
        for i, p_value in zip(family, max_p(observed, null), strict=True):
            corrected[i] = replace(rows[i], estimate=replace(rows[i].estimate, p_family=float(p_value)))
    return corrected


def _correct_exploration(rows: Sequence[Row], primary: ScoreKey) -> list[Row]:
    """Give what is not the primary estimand its false discovery rate, among rows of its kind."""
    corrected = list(rows)
    for kind in ("score", "gain", "gap"):
        family = [i for i, row in enumerate(rows) if row.kind == kind and _cell(row) != primary]
        rates = false_discovery(np.array([rows[i].estimate.p_value for i in family]))
        for i, rate in zip(family, rates, strict=True):
            corrected[i] = replace(rows[i], estimate=replace(rows[i].estimate, fdr=float(rate)))
    return corrected


def _cell(row: Row) -> ScoreKey:
    return ScoreKey(Layer(row.layer or 0, row.norm), row.metric, row.components)


def _corpus_record(plan: Plan) -> dict[str, object]:
    corpus = plan.corpus
    lists = {"left_out": plan.left_out, "quarantined": plan.quarantined}
    return {
        "name": corpus.name,
        "sha256": plan.corpus_sha256,
        "revision": corpus.revision,
        "licence": corpus.licence,
        "paired": corpus.paired,
        "parallel": corpus.parallel,
        "texts": len(corpus),
    } | {name: list(ids) for name, ids in lists.items() if ids}


def _model_record(plan: Plan) -> dict[str, object]:
    record: dict[str, object] = {"reference": None}
    for role, checkpoint in plan.checkpoints.items():
        # A local path is no name: what identifies the model is its hash.
        base = checkpoint.ref.base
        name = Path(base).name if Path(base).exists() else base
        record[role] = {
            "name": name + _adapter_name(checkpoint),
            "given": _pinned_reference(checkpoint),
            "revision": checkpoint.revision,
            **({"adapter_revision": checkpoint.adapter_revision} if checkpoint.adapter_revision else {}),
            "sha256": checkpoint.sha256,
        } | ({"drift": plan.activations[role].drift()} if plan.config.spec.rounded and role in plan.roles else {})
    return record


def _adapter_name(checkpoint: Checkpoint) -> str:
    if checkpoint.ref.adapter is None:
        return ""
    name = Path(checkpoint.ref.adapter).name
    return "+" + (name.partition("@")[0] if checkpoint.adapter_revision else name)


def _pinned_reference(checkpoint: Checkpoint) -> str | None:
    """Write a model as the command line reads it, pinned to the revision that was read; None for a local path."""
    ref = checkpoint.ref
    if any(Path(part).exists() for part in (ref.base, ref.adapter) if part):
        return None
    adapter = ref.adapter
    if adapter and checkpoint.adapter_revision:
        adapter = f"{adapter.partition('@')[0]}@{checkpoint.adapter_revision}"
    return str(replace(ref, revision=checkpoint.revision or ref.revision, adapter=adapter))
