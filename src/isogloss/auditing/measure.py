"""Stored hidden states -> the rows of an audit: scores, gains, gaps, retention, controls, readings."""

from __future__ import annotations

import math
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from isogloss.activations.spec import Layer
from isogloss.auditing.plan import COMPONENTS, LEVEL, PRIMARY, Plan
from isogloss.auditing.warn import notices_of_language, notices_of_models, notices_of_run
from isogloss.corpora.corpus import Corpus
from isogloss.files import sha256_text
from isogloss.progress import Track
from isogloss.results import NAN, Audit, Estimate, Reading, Row
from isogloss.separation.compare import Gain, gain, gain_interval, read_gain, retention
from isogloss.separation.controls import text_controls
from isogloss.separation.metrics import METRICS
from isogloss.separation.pairs import twin_index
from isogloss.separation.resample import jackknife_interval
from isogloss.separation.score import BlockScores, Draws, Score, draw, score_block

JACKKNIFE = "delete-group jackknife, PCA refitted"
LIBRARIES = ("isogloss", "numpy", "scikit-learn", "scipy", "torch", "transformers", "peft")

GainKey = tuple[str, Layer, str, int | None]


def measure(plan: Plan, track: Track) -> tuple[Audit, pl.DataFrame]:
    """Score every language and layer of a plan whose hidden states are all in the store.

    Returns:
        The audit, and the points of its pictures (first two components of every text, model and layer).
    """
    rows: list[Row] = []
    notices = [*plan.corpus.notices, *notices_of_models(one.checkpoint for one in plan.activations.values())]
    points: list[pl.DataFrame] = []
    gains: dict[GainKey, Gain] = {}
    with track("Measuring", len(plan.languages) * len(plan.layers)) as advance:
        for code in plan.languages:
            part = plan.corpus.part(code)
            draws = _draws(plan, code, part)
            controls = _control_rows(plan, code, part, draws)
            for layer in plan.layers:
                blocks = {role: _score(plan, role, code, layer, draws) for role in plan.activations}
                scored = [
                    _score_row(plan, (role, code, layer), score, draws)
                    for role, block in blocks.items()
                    for score in block.scores
                ]
                rows += scored
                points += [_points(part, role, layer, block) for role, block in blocks.items()]
                if "reference" in blocks:
                    for before, after in zip(blocks["reference"].scores, blocks["aligned"].scores, strict=True):
                        gains[code, layer, before.metric, before.components] = gain(before, after)
                advance(1)
            rows += controls
            projection = blocks["aligned"].projection  # of the last layer, which is the primary one
            notices += notices_of_language(
                code,
                [*scored, *controls],
                projection,
                cut=plan.activations["aligned"].cut(code),
                max_tokens=plan.config.spec.max_tokens,
            )
    rows += _comparison_rows(plan, gains)
    notices += notices_of_run(
        rows, plan.layers[-1], PRIMARY, has_reference="reference" in plan.activations, pivot=plan.config.pivot
    )
    result = Audit(
        corpus=_corpus_record(plan.corpus),
        models=_model_record(plan),
        config=plan.settings,
        versions={name: version(name) for name in LIBRARIES},
        pivot=plan.config.pivot,
        primary=PRIMARY,
        rows=tuple(rows),
        readings=_readings(plan, gains),
        notices=tuple(notices),
    )
    return result, pl.concat(points)


def _draws(plan: Plan, code: str, part: pl.DataFrame) -> Draws:
    harmful = part["harmful"].to_numpy()
    twins = twin_index(part["pair_id"].to_list(), harmful) if plan.corpus.twins else None
    # Seeded by language too: adding a language changes nothing for the others.
    rng = np.random.default_rng([plan.config.seed, int(sha256_text(code)[:8], 16)])
    return draw(harmful, twins, plan.config.shuffles, rng)


def _score(plan: Plan, role: str, code: str, layer: Layer, draws: Draws) -> BlockScores:
    return score_block(plan.activations[role].block(code, layer).hidden, draws, plan.metrics, COMPONENTS)


def _score_row(plan: Plan, where: tuple[str, str, Layer], score: Score, draws: Draws) -> Row:
    role, code, layer = where
    with_interval = len(score.left_out) > 0 and not math.isnan(score.value) and not np.isnan(score.left_out).any()
    interval = jackknife_interval(score.value, score.left_out, LEVEL) if with_interval else None
    null = score.null[~np.isnan(score.null)]
    exceed = int((null >= score.value).sum())
    return Row(
        kind="score",
        model=role,
        language=code,
        layer=layer.index,
        norm=layer.norm,
        basis=METRICS[score.metric].basis,
        components=score.components,
        metric=score.metric,
        estimate=Estimate(
            value=score.value,
            low=interval.low if interval else NAN,
            high=interval.high if interval else NAN,
            level=LEVEL if interval else NAN,
            method=JACKKNIFE if interval else None,
            null_mean=float(null.mean()) if len(null) else NAN,
            null_low=float(np.quantile(null, 0.025)) if len(null) else NAN,
            null_high=float(np.quantile(null, 0.975)) if len(null) else NAN,
            p_value=NAN if math.isnan(score.value) else (1 + exceed) / (1 + len(null)),
            n=draws.per_class,
            seed=plan.config.seed,
            reason=score.reason,
        ),
    )


def _points(part: pl.DataFrame, role: str, layer: Layer, block: BlockScores) -> pl.DataFrame:
    scores = block.projection.scores
    empty = np.full(len(part), np.nan)
    return part.select("text_id", "pair_id", "language", "harmful").with_columns(
        model=pl.lit(role),
        layer=pl.lit(layer.index),
        norm=pl.lit(layer.norm),
        pc1=pl.Series(scores[:, 0] if scores.shape[1] > 0 else empty).fill_nan(None),
        pc2=pl.Series(scores[:, 1] if scores.shape[1] > 1 else empty).fill_nan(None),
    )


def _control_rows(plan: Plan, code: str, part: pl.DataFrame, draws: Draws) -> list[Row]:
    texts = part["text"].to_list()
    values = text_controls(texts, draws.harmful, draws.twins, draws.folds)
    counts = plan.activations["aligned"].token_counts(code)
    values["tokens_per_character"] = float(counts.sum() / sum(len(text) for text in texts))
    return [
        Row(
            kind="control",
            language=code,
            metric=name,
            estimate=Estimate(value=value, n=draws.per_class, seed=plan.config.seed),
        )
        for name, value in values.items()
    ]


def _comparison_rows(plan: Plan, gains: dict[GainKey, Gain]) -> list[Row]:
    rows = []
    for (code, layer, name, components), found in gains.items():
        pivot = gains[plan.config.pivot, layer, name, components]
        ratio, reason = retention(found.value, pivot.value)
        undefined = "the score of one model is missing" if math.isnan(found.value) else None
        level = _simultaneous_level(plan) if code != plan.config.pivot else LEVEL
        interval = gain_interval(found, level)
        bounded = not math.isnan(interval.low)
        shared: dict[str, Any] = {
            "language": code,
            "layer": layer.index,
            "norm": layer.norm,
            "basis": METRICS[name].basis,
            "components": components,
            "metric": name,
        }
        common: dict[str, Any] = {"n": _per_class(plan, code), "seed": plan.config.seed}
        rows.append(
            Row(
                kind="gain",
                estimate=Estimate(
                    value=found.value,
                    low=interval.low,
                    high=interval.high,
                    level=level if bounded else NAN,
                    method=JACKKNIFE if bounded else None,
                    null_mean=found.null_mean,
                    reason=undefined,
                    **common,
                ),
                **shared,
            )
        )
        if code != plan.config.pivot:
            gap = Estimate(value=pivot.value - found.value, reason=undefined or reason, **common)
            kept = Estimate(value=ratio, reason=undefined or reason, **common)
            rows += [Row(kind="gap", estimate=gap, **shared), Row(kind="retention", estimate=kept, **shared)]
    return rows


def _simultaneous_level(plan: Plan) -> float:
    """Bonferroni: all languages but the pivot are covered together at LEVEL."""
    return 1 - (1 - LEVEL) / max(1, len(plan.languages) - 1)


def _readings(plan: Plan, gains: dict[GainKey, Gain]) -> tuple[Reading, ...]:
    readings = []
    for code in plan.languages if gains else ():
        level = LEVEL if code == plan.config.pivot else _simultaneous_level(plan)
        found = gains[code, plan.layers[-1], PRIMARY.metric, PRIMARY.components]
        readings.append(Reading(language=code, reading=read_gain(gain_interval(found, level))))
    return tuple(readings)


def _per_class(plan: Plan, code: str) -> int:
    return int(plan.corpus.part(code)["harmful"].sum())


def _corpus_record(corpus: Corpus) -> dict[str, object]:
    return {
        "name": corpus.name,
        "sha256": corpus.sha256,
        "revision": corpus.revision,
        "licence": corpus.licence,
        "twins": corpus.twins,
        "parallel": corpus.parallel,
        "texts": len(corpus),
    }


def _model_record(plan: Plan) -> dict[str, object]:
    record: dict[str, object] = {"reference": None}
    for role, activations in plan.activations.items():
        checkpoint = activations.checkpoint
        # A local path is no name: what identifies the model is its hash.
        base = checkpoint.ref.base
        named = Path(base).name if Path(base).exists() else base
        record[role] = {
            "name": named + (f"+{Path(checkpoint.ref.adapter).name}" if checkpoint.ref.adapter else ""),
            "revision": checkpoint.revision,
            "sha256": checkpoint.sha256,
        }
    return record
