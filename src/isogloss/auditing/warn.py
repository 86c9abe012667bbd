"""Coded warnings that follow from the numbers of an audit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from isogloss.activations.spec import Layer
from isogloss.models.fetch import Checkpoint
from isogloss.notices import Notice
from isogloss.results import Primary, Row
from isogloss.separation.projection import Projection

#: A length-only AUROC this far from .5 says that length alone tells the classes apart.
LENGTH_MARGIN = 0.15
TIED = 1.1


def notices_of_language(
    code: str, rows: Sequence[Row], projection: Projection, *, cut: int, max_tokens: int
) -> list[Notice]:
    """Warn of one language's confounders, at the layer of `projection`.

    Args:
        code: language.
        rows: its scores at the primary layer, and its controls.
        projection: of the aligned model at the primary layer.
        cut: texts that lost their end.
        max_tokens: the limit that cut them.
    """
    controls = {row.metric: row.estimate.value for row in rows if row.kind == "control"}
    found = []
    if cut:
        found.append(Notice(code="M001", detail=f"{cut} texts at {max_tokens} tokens", language=code))
    if abs(controls["length_auroc"] - 0.5) > LENGTH_MARGIN:
        found.append(Notice(code="S002", detail=f"AUROC {controls['length_auroc']:.2f}", language=code))
    probe = [row.estimate.value for row in rows if row.metric == "auroc" and row.model == "aligned"]
    if probe and controls["ngram_auroc"] >= probe[0]:
        detail = f"n-grams {controls['ngram_auroc']:.2f}, probe {probe[0]:.2f}"
        found.append(Notice(code="S003", detail=detail, language=code))
    gap = projection.eigen_gap(2)
    if gap < TIED:
        found.append(Notice(code="S005", detail=f"eigenvalue ratio {gap:.2f}", language=code))
    return found


def notices_of_models(checkpoints: Iterable[Checkpoint]) -> list[Notice]:
    """Warn of an adapter on other weights than its own (a quantised copy, or another model of the same shape)."""
    return [
        Notice(code="M003", detail=str(one.ref))
        for one in checkpoints
        if one.trained_on is not None and one.trained_on != one.base_sha256
    ]


def _not_computed(rows: Sequence[Row]) -> list[Notice]:
    """One warning for each score that is missing, with the languages that lack it."""
    reasons: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        if row.kind == "score" and row.estimate.reason:
            what = f"{row.metric}, {row.components} components: {row.estimate.reason}"
            reasons.setdefault((what, f"layer {row.layer}"), {})[row.language] = None
    languages = {row.language for row in rows}
    return [
        Notice(
            code="S001",
            detail=f"{what}, {place}, in {'all languages' if len(lacking) == len(languages) else ' '.join(lacking)}",
        )
        for (what, place), lacking in reasons.items()
    ]


def notices_of_run(
    rows: Sequence[Row], layer: Layer, primary: Primary, *, has_reference: bool, pivot: str
) -> list[Notice]:
    """Warn of what concerns the comparison of the two models at the primary layer."""
    found = _not_computed(rows)
    if not has_reference:
        return [*found, Notice(code="M002", detail="scores of the aligned model only")]
    gains = {
        (row.metric, row.language): row.estimate
        for row in rows
        if row.kind == "gain"
        and (row.layer, row.norm) == (layer.index, layer.norm)
        and row.components in {primary.components, None}
    }
    pivot_gain = gains[primary.metric, pivot].value
    if not math.isnan(pivot_gain) and pivot_gain <= 0:
        found.append(Notice(code="S006", detail=f"gain {pivot_gain:.3f}", language=pivot))
    for (name, code), salience in gains.items():
        probe = gains.get(("auroc", code))
        # Only a clear salience gain can disagree; its interval excludes zero then.
        clear = salience.low > 0 or salience.high < 0
        if name == primary.metric and probe and clear and salience.value * probe.value < 0:
            detail = f"gains {salience.value:+.3f} and {probe.value:+.3f}"
            found.append(Notice(code="S004", detail=detail, language=code))
    return found
