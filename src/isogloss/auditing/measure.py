"""Stored hidden states -> an audit: scores, gains, gaps, retention, verdicts, controls, warnings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from isogloss.analyses.chat_template import compare_prompt_formats
from isogloss.analyses.cross_lingual.rows import cross_lingual_rows
from isogloss.analyses.matched.analysis import compare_matched
from isogloss.auditing.audit_warnings import all_warnings
from isogloss.auditing.cache_policy import kept_arrays, kept_file
from isogloss.auditing.compare import Cell, Change, Family, compare, language_verdicts
from isogloss.auditing.controls import control_part
from isogloss.auditing.plan import Plan
from isogloss.auditing.points import write_points
from isogloss.auditing.rows import AnyPath, score_row
from isogloss.auditing.sample import Sample, take_sample
from isogloss.auditing.score import Scored, score_all, side_by_side
from isogloss.engines.engine import LOCAL, Engine
from isogloss.hidden_states.spec import Layer
from isogloss.models.checkpoints import Checkpoint
from isogloss.progress import Track
from isogloss.records import LanguageVerdict, Row
from isogloss.results import Audit
from isogloss.stats.effects import false_discovery, max_p

LIBRARIES = ("isogloss", "numpy", "scikit-learn", "scipy", "torch", "transformers", "peft")


def measure(
    plan: Plan, track: Track, engine: Engine = LOCAL, *, points: Path | None = None
) -> tuple[Audit, bytes | None]:
    """Score every language and layer of a plan whose hidden states are all in the store.

    Args:
        plan: what is to be measured.
        track: progress display.
        engine: who measures; the numbers are the same.
        points: an empty folder for the points of pictures (see `write_points`); None makes none.

    Returns:
        The audit, and what is kept in place of states (see `kept_file`), None where all states stay.
    """
    kept: dict[str, np.ndarray] = {}

    def each(one: Scored) -> None:
        if points:
            write_points(plan, one, points)
        if plan.config.cache_states != "all":
            kept.update(kept_arrays(one))

    samples = samples_of(plan)
    parts = [(samples[code], layer) for code in plan.languages for layer in plan.layers]
    scored = score_all(plan, parts, engine, track, "Measuring", each=each)
    controls = side_by_side(
        control_part,
        [(plan.of(code), sample) for code, sample in samples.items()],
        engine,
        track,
        "Controls",
        workers=plan.config.workers,
    )
    primary = Cell(plan.primary_layer, plan.primary.metric, plan.primary.components)
    families = _families(plan, scored, primary)
    compared = {cell: compare(family, plan.config.seed) for cell, family in families.items()}
    on_matched = compare_matched(plan, samples, primary, engine, track)
    in_chat = compare_prompt_formats(
        plan, samples, primary, raw=families.get(primary), said=compared.get(primary), engine=engine, track=track
    )
    verdicts: tuple[LanguageVerdict, ...] = ()
    if compared:
        probe = compared.get(Cell(plan.primary_layer, "auroc", None))
        verdicts = language_verdicts(
            plan.languages, plan.config.pivot, compared[primary], probe, on_matched.get(primary)
        )
    rows = [
        *_family_wise(_score_rows(plan, scored), scored, primary),
        *(row for one in compared.values() for row in one.rows),
        *(row for one in on_matched.values() for row in one.rows),
    ]
    rows = _judged([*_exploratory(rows, primary), *(row for one in controls for row in one)], verdicts)
    rows += _judged(in_chat.rows, in_chat.verdicts)
    result = Audit(
        corpus=_corpus_record(plan),
        models=_model_record(plan),
        config=plan.settings,
        versions=versions(),
        pivot=plan.config.pivot,
        primary=plan.primary,
        rows=(*rows, *_judged(cross_lingual_rows(plan, samples, track, engine), verdicts)),
        verdicts=verdicts,
        warnings=(*all_warnings(plan, rows, verdicts, scored), *in_chat.warnings),
    )
    return result, kept_file(plan, kept) if kept else None


def versions() -> dict[str, str]:
    """Return the versions of the libraries that a result may depend on."""
    return {name: version(name) for name in LIBRARIES}


def samples_of(plan: Plan) -> dict[str, Sample]:
    """Draw what is random in each language's scores."""
    config = plan.config
    return {
        code: take_sample(
            code,
            plan.corpus.part(code),
            paired=plan.corpus.paired,
            n_permutations=config.permutations,
            seed=config.seed,
        )
        for code in plan.languages
    }


def _families(plan: Plan, scored: Sequence[Scored], primary: Cell) -> dict[Cell, Family]:
    """One family for each metric at each layer; none where there is no reference."""
    pivot = plan.config.pivot
    changes: dict[Cell, dict[str, Change]] = {}
    for one in scored:
        for cell, change in one.changes.items():
            changes.setdefault(cell, {})[one.sample.language] = change
    return {
        cell: Family(
            changes=own,
            pivots={code: own[pivot] for code in own if code != pivot},
            pivot=pivot,
            layer=cell.layer,
            together=cell == primary,
        )
        for cell, own in changes.items()
    }


def _score_rows(plan: Plan, scored: Sequence[Scored]) -> list[Row]:
    return [
        score_row(found, role, AnyPath(language=one.sample.language, layer=one.layer, n=one.n, seed=plan.config.seed))
        for one in scored
        for role, block in one.blocks.items()
        for found in block.scores
    ]


def _family_wise(rows: Sequence[Row], scored: Sequence[Scored], primary: Cell) -> list[Row]:
    """Correct the permutation p values of the primary estimand for all languages and models."""
    scores = [found for one in scored for block in one.blocks.values() for found in block.scores]
    family = [i for i, row in enumerate(rows) if _cell(row) == primary and scores[i].jackknife is not None]
    found = list(rows)
    if family:
        observed = np.array([scores[i].plug_in for i in family])
        null = np.column_stack([scores[i].plug_in_null for i in family])
        for i, p_value in zip(family, max_p(observed, null), strict=True):
            found[i] = replace(rows[i], estimate=replace(rows[i].estimate, p_family=float(p_value)))
    return found


def _exploratory(rows: Sequence[Row], primary: Cell) -> list[Row]:
    """Give what is not the primary estimand its false discovery rate, among rows of its kind."""
    found = list(rows)
    for kind in ("score", "gain", "gap"):
        here = [i for i, row in enumerate(rows) if row.kind == kind and _cell(row) != primary]
        rates = false_discovery(np.array([rows[i].estimate.p_value for i in here]))
        for i, rate in zip(here, rates, strict=True):
            found[i] = replace(rows[i], estimate=replace(rows[i].estimate, fdr=float(rate)))
    return found


def _cell(row: Row) -> Cell:
    return Cell(Layer(row.layer or 0, row.norm), row.metric, row.components)


def _judged(rows: Sequence[Row], verdicts: Sequence[LanguageVerdict]) -> list[Row]:
    """Give every row its language's verdict, and every score what its gain's row says of the pivot."""
    words = {one.language: one.verdict for one in verdicts}
    places = {_place(row): row for row in rows if row.kind == "gain"}
    found = []
    for row in rows:
        gain = places.get(_place(row)) if row.kind == "score" else None
        judged = replace(row, mde=gain.mde, pivot_z=gain.pivot_z) if gain else row
        found.append(replace(judged, verdict=words.get(row.language, "")))
    return found


def _place(row: Row) -> tuple[object, ...]:
    return row.language, row.layer, row.norm, row.metric, row.components, row.sample


def _corpus_record(plan: Plan) -> dict[str, object]:
    corpus = plan.corpus
    lists = {"left_out": plan.left_out, "quarantined": plan.quarantined}
    return {
        "name": corpus.name,
        "sha256": plan.asked,
        "revision": corpus.revision,
        "licence": corpus.licence,
        "paired": corpus.paired,
        "parallel": corpus.parallel,
        "texts": len(corpus),
    } | {name: list(ids) for name, ids in lists.items() if ids}


def _model_record(plan: Plan) -> dict[str, object]:
    record: dict[str, object] = {"reference": None}
    for role, checkpoint in plan.compared.items():
        # A local path is no name: what identifies the model is its hash.
        base = checkpoint.ref.base
        named = Path(base).name if Path(base).exists() else base
        record[role] = {
            "name": named + _adapter_name(checkpoint),
            "given": _given(checkpoint),
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


def _given(checkpoint: Checkpoint) -> str | None:
    """Write the reference as the command line reads it, pinned to what was read; None where it has a local path."""
    ref = checkpoint.ref
    if any(Path(part).exists() for part in (ref.base, ref.adapter) if part):
        return None
    adapter = ref.adapter
    if adapter and checkpoint.adapter_revision:
        adapter = f"{adapter.partition('@')[0]}@{checkpoint.adapter_revision}"
    return str(replace(ref, revision=checkpoint.revision or ref.revision, adapter=adapter))
