"""Stored hidden states -> an audit: scores, gains, gaps, retention, verdicts, controls, analyses, warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl

from isogloss.auditing.analysis import ANALYSIS_FAULTS, Analysis, Findings
from isogloss.auditing.audit_warnings import audit_warnings
from isogloss.auditing.cache_policy import kept_arrays, kept_file
from isogloss.auditing.compare import Change, Compared, Family, ScoreKey, compare, language_verdicts
from isogloss.auditing.config import DISTANCE
from isogloss.auditing.controls import control_rows_of_language
from isogloss.auditing.plan import Plan
from isogloss.auditing.points import write_points
from isogloss.auditing.record import library_versions, record_corpus, record_models
from isogloss.auditing.rows import RowKey, give_verdicts, score_row
from isogloss.auditing.sample import Sample, take_sample
from isogloss.auditing.score import ScoredBlock, map_side_by_side, score_blocks
from isogloss.engines.engine import LOCAL, Engine
from isogloss.errors import IsoglossError
from isogloss.hidden_states.spec import Layer
from isogloss.progress import Track
from isogloss.records import LanguageVerdict, Row
from isogloss.results import Audit
from isogloss.stats.effects import false_discovery, max_p
from isogloss.stats.metric import Score
from isogloss.stats.thresholds import THRESHOLDS
from isogloss.warnings import CodedWarning


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The measurements of the core that analyses start from.

    Attributes:
        plan: plan of the audit; everything that it needs is in the cache.
        samples: language -> its texts.
        primary: the primary estimand.
        family: its change in every language; None without a reference.
        compared: the comparison of the family; None without a reference.
        distance: the comparison of class distances at the same layer; None without a reference.
        engine: maps functions over work items; it changes no number.
        track: progress display.
    """

    plan: Plan
    samples: Mapping[str, Sample]
    primary: ScoreKey
    family: Family | None
    compared: Compared | None
    distance: Compared | None
    engine: Engine
    track: Track


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The result of measuring: the audit, tables of analyses by file name, and the file that replaces states."""

    audit: Audit
    frames: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    kept: bytes | None = None


def measure(plan: Plan, track: Track, engine: Engine = LOCAL, *, points: Path | None = None) -> Measurement:
    """Score every language and layer of a plan whose hidden states are all in the cache.

    Args:
        plan: plan of the audit.
        track: progress display.
        engine: where the work is done; it changes no number.
        points: an empty folder for the points of figures (see `write_points`); None writes none.
    """
    samples = draw_samples(plan)
    parts = [(samples[language], layer) for language in plan.languages for layer in plan.layers]
    scored: list[ScoredBlock] = []
    kept: dict[str, np.ndarray] = {}
    for block in score_blocks(plan, parts, engine, track, "Measuring"):
        if points:
            write_points(plan, block, points)
        if plan.config.cache_states != "all":
            kept |= kept_arrays(block)
        scored.append(block.without_texts())
    controls = map_side_by_side(
        control_rows_of_language,
        [(plan.of_language(language), sample) for language, sample in samples.items()],
        engine,
        track,
        "Controls",
        workers=plan.config.workers,
    )
    primary = primary_key(plan)
    families = _make_families(plan, scored, primary)
    compared = {key: compare(family, plan.config.seed) for key, family in families.items()}
    measured = Measured(
        plan=plan,
        samples=samples,
        primary=primary,
        family=families.get(primary),
        compared=compared.get(primary),
        distance=compared.get(distance_key(plan)),
        engine=engine,
        track=track,
    )
    findings = _run_analyses(measured)
    verdicts = _read_verdicts(plan, primary, compared, findings)
    audit_rows = [
        *_correct_family_wise(_write_score_rows(plan, scored), primary),
        *(row for family in compared.values() for row in family.rows),
    ]
    rows = _join_rows(audit_rows, [row for rows in controls for row in rows], findings, verdicts, primary)
    warnings = audit_warnings(plan, rows, verdicts, scored)
    audit = Audit(
        corpus=record_corpus(plan),
        models=record_models(plan),
        config=plan.settings,
        versions=library_versions(),
        pivot=plan.config.pivot,
        primary=plan.primary,
        rows=tuple(rows),
        verdicts=verdicts,
        warnings=(*warnings, *(warning for result in findings.values() for warning in result.warnings)),
        thresholds=THRESHOLDS,
    )
    frames = {name: frame for result in findings.values() for name, frame in result.frames.items()}
    return Measurement(audit=audit, frames=frames, kept=kept_file(plan, kept) if kept else None)


def primary_key(plan: Plan) -> ScoreKey:
    """Return the primary estimand of a plan."""
    return ScoreKey(plan.primary_layer, plan.primary.metric, plan.primary.components)


def distance_key(plan: Plan) -> ScoreKey:
    """Return the class distance at the layer that verdicts come from."""
    return ScoreKey(plan.primary_layer, DISTANCE, None)


def draw_samples(plan: Plan) -> dict[str, Sample]:
    """Draw the random part of each language's scores: permutations and folds."""
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
    """Run every requested analysis; the audit names those that fail and keeps the rest."""
    findings = {}
    for analysis, request in measured.plan.requests:
        try:
            findings[analysis.name] = analysis.rows(measured, request)
        except ANALYSIS_FAULTS as error:
            findings[analysis.name] = _report_failure(analysis, error)
    return findings


def _report_failure(analysis: Analysis, error: Exception) -> Findings:
    # Messages of our own errors hold no text of the corpus; those of libraries might.
    cause = str(error) if isinstance(error, IsoglossError) else type(error).__name__
    return Findings(warnings=(CodedWarning(code="A001", detail=f"{analysis.name}: {cause}"),))


def _read_verdicts(
    plan: Plan, primary: ScoreKey, compared: Mapping[ScoreKey, Compared], findings: Mapping[str, Findings]
) -> tuple[LanguageVerdict, ...]:
    if not compared:
        return ()
    cross_checks: dict[str, str] = {}
    for result in findings.values():
        cross_checks |= result.cross_checks
    probe, distance = compared.get(ScoreKey(plan.primary_layer, "auroc", None)), compared.get(distance_key(plan))
    return language_verdicts(
        plan.languages, plan.config.pivot, compared[primary], probe, cross_checks, distance=distance
    )


def _join_rows(
    rows: Sequence[Row],
    controls: Sequence[Row],
    findings: Mapping[str, Findings],
    verdicts: Sequence[LanguageVerdict],
    primary: ScoreKey,
) -> list[Row]:
    """Join the rows of the audit and its analyses, and add false discovery rates and verdicts."""
    named = {
        name: [replace(row, analysis=name) for row in result.rows] for name, result in findings.items() if result.rows
    }
    together = [row for name, rows_of in named.items() if findings[name].corrected for row in rows_of]
    joined = give_verdicts([*_correct_exploration([*rows, *together], primary), *controls], verdicts)
    for name, rows_of in named.items():
        if not findings[name].corrected:
            joined += give_verdicts(rows_of, verdicts) if findings[name].judged else rows_of
    return joined


def _make_families(plan: Plan, scored: Sequence[ScoredBlock], primary: ScoreKey) -> dict[ScoreKey, Family]:
    """Make one family for each metric at each layer; none without a reference."""
    pivot = plan.config.pivot
    changes: dict[ScoreKey, dict[str, Change]] = {}
    for block in scored:
        for key, change in block.changes.items():
            changes.setdefault(key, {})[block.sample.language] = change
    return {
        key: Family(
            changes=by_language,
            pivots={language: by_language[pivot] for language in by_language if language != pivot},
            pivot=pivot,
            layer=key.layer,
            together=key == primary,
        )
        for key, by_language in changes.items()
    }


def _write_score_rows(plan: Plan, scored: Sequence[ScoredBlock]) -> list[tuple[Row, Score]]:
    """Write every score as a row, and return each row with its score."""
    rows = []
    for block in scored:
        key = RowKey(language=block.sample.language, layer=block.layer, n=block.n, seed=plan.config.seed)
        for role, scores in block.scores.items():
            rows += [(score_row(score, role, key), score) for score in scores.scores]
    return rows


def _correct_family_wise(scored: Sequence[tuple[Row, Score]], primary: ScoreKey) -> list[Row]:
    """Correct the permutation p values of the primary estimand for all languages and models."""
    rows = [row for row, _ in scored]
    family = [i for i, (row, score) in enumerate(scored) if _score_key(row) == primary and score.jackknife is not None]
    if family:
        scores = [scored[i][1] for i in family]
        observed = np.array([score.plug_in for score in scores])
        null = np.column_stack([score.plug_in_null for score in scores])
        for i, p_value in zip(family, max_p(observed, null), strict=True):
            rows[i] = replace(rows[i], estimate=replace(rows[i].estimate, p_family=float(p_value)))
    return rows


def _correct_exploration(rows: Sequence[Row], primary: ScoreKey) -> list[Row]:
    """Add false discovery rates, among rows of one kind, to all rows but those of the primary estimand."""
    corrected = list(rows)
    for kind in ("score", "gain", "gap"):
        family = [i for i, row in enumerate(rows) if row.kind == kind and _score_key(row) != primary]
        rates = false_discovery(np.array([rows[i].estimate.p_value for i in family]))
        for i, rate in zip(family, rates, strict=True):
            corrected[i] = replace(rows[i], estimate=replace(rows[i].estimate, fdr=float(rate)))
    return corrected


def _score_key(row: Row) -> ScoreKey:
    return ScoreKey(Layer(row.layer or 0, row.norm), row.metric, row.components)
