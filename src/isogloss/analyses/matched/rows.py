"""The comparison repeated on samples of each language and the pivot that are matched with each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from isogloss.analyses.matched.matching import match
from isogloss.analyses.matched.request import Matched
from isogloss.auditing.analysis import Findings
from isogloss.auditing.compare import Change, Compared, Family, ScoreKey, compare, is_confounded
from isogloss.auditing.config import AuditConfig
from isogloss.auditing.measure import Measured
from isogloss.auditing.sample import Sample, edit_rates
from isogloss.auditing.score import score_all
from isogloss.data.corpus import Corpus
from isogloss.errors import UsageError
from isogloss.stats.thresholds import THRESHOLDS
from isogloss.warnings import CodedWarning

#: Features on which pairs (or texts) can be matched between languages.
FEATURES = ("length", "edit")


def check_matched(request: Matched, config: AuditConfig, corpus: Corpus) -> None:
    """Refuse unknown features, and edit rates of texts without pairs.

    Raises:
        UsageError: see above.
    """
    del config
    if unknown := set(request.match) - set(FEATURES):
        raise UsageError("--match", found=min(unknown), expected=f"any of {', '.join(FEATURES)}", do="correct it")
    if not request.match:
        raise UsageError("--match", found="no feature", expected=f"any of {', '.join(FEATURES)}", do="name one")
    if "edit" in request.match and not corpus.paired:
        raise UsageError("--match", found="edit for texts without pairs", expected="pairs", do="use --match length")


def matched_findings(measured: Measured, request: Matched) -> Findings:
    """Compare each language with the pivot on matched texts at the primary layer; nothing without a reference.

    The verdicts of the primary estimand on matched texts are cross-checks of those on all texts.
    """
    if measured.compared is None:
        return Findings()
    compared = compare_matched(measured, request.match)
    primary = compared.get(measured.primary)
    cross_checks = {
        language: retention.verdict for language, retention in (primary.retentions if primary else {}).items()
    }
    return Findings(
        rows=tuple(row for family in compared.values() for row in family.rows),
        warnings=tuple(_warnings(measured.compared, cross_checks, request.match)),
        cross_checks=cross_checks,
        judged=True,
        corrected=True,
    )


def _warnings(compared: Compared, cross_checks: Mapping[str, str], names: Sequence[str]) -> Iterator[CodedWarning]:
    """Warn of verdicts that do not survive matching, and of languages that could not be matched."""
    for language, retention in compared.retentions.items():
        cross_check = cross_checks.get(language)
        if cross_check is None:
            detail = f"fewer than {THRESHOLDS.fewest_matched} agree in {' and '.join(names)}"
            yield CodedWarning(code="S010", detail=detail, language=language)
        elif is_confounded(retention.verdict, cross_check):
            detail = f"{cross_check} when matched in {' and '.join(names)}"
            yield CodedWarning(code="S009", detail=detail, language=language)


def compare_matched(measured: Measured, names: Sequence[str]) -> dict[ScoreKey, Compared]:
    """Compare each language with the pivot on matched texts, at the primary layer.

    Languages with fewer than `THRESHOLDS.fewest_matched` matched pairs (or texts per class) are left out. Every
    language has a sample of the pivot's texts of its own.

    Args:
        measured: the audit.
        names: features to match on.

    Returns:
        What each metric says.
    """
    plan, config = measured.plan, measured.plan.config
    pivot = measured.samples[config.pivot]
    parts: list[Sample] = []
    for language, sample in measured.samples.items():
        if language == config.pivot:
            continue
        rows, pivot_rows = match_rows(sample, pivot, names)
        if len(rows) // 2 >= THRESHOLDS.fewest_matched:
            parts.append(sample.part(rows, config.permutations, config.seed))
            parts.append(pivot.part(pivot_rows, config.permutations, config.seed))
    layer = measured.primary.layer
    scored = score_all(
        plan, [(part, layer) for part in parts], measured.engine, measured.track, "Measuring matched texts"
    )
    changes: dict[ScoreKey, dict[str, Change]] = {}
    pivot_changes: dict[ScoreKey, dict[str, Change]] = {}
    for block, pivot_block in zip(scored[0::2], scored[1::2], strict=True):
        for cell, change in block.changes.items():
            changes.setdefault(cell, {})[block.sample.language] = change
            pivot_changes.setdefault(cell, {})[block.sample.language] = pivot_block.changes[cell]
    return {
        cell: compare(
            Family(
                changes=of_cell,
                pivots=pivot_changes[cell],
                pivot=config.pivot,
                layer=cell.layer,
                sample="matched",
                together=cell == measured.primary,
            ),
            config.seed,
        )
        for cell, of_cell in changes.items()
    }


def features(sample: Sample, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Features to match on: of a pair the edit share and the difference of log lengths, of a text its log length.

    Returns:
        float64 (units, names), and the rows of each unit, int (units, 2 or 1), the harmful one first.
    """
    harmful, partners = sample.draws.harmful, sample.partners
    lengths = np.log([len(text) for text in sample.texts])
    if partners is None:
        return lengths[:, None], np.arange(len(harmful))[:, None]
    first = np.flatnonzero(harmful)
    columns = {"length": lengths[first] - lengths[partners[first]]}
    if "edit" in names:
        columns["edit"] = edit_rates(sample)
    return np.column_stack([columns[name] for name in names]), np.column_stack([first, partners[first]])


def match_rows(sample: Sample, pivot: Sample, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of two languages whose units agree in the distribution of the features; empty if none do.

    Units are served in the order of their ids, which are hashes.
    """
    (own_features, own_rows), (pivot_features, pivot_rows) = features(sample, names), features(pivot, names)
    paired = sample.partners is not None
    matches = match(
        own_features,
        pivot_features,
        order=_order(sample, own_rows),
        pivot_order=_order(pivot, pivot_rows),
        strata=None if paired else sample.draws.harmful.astype(np.intp),
        pivot_strata=None if paired else pivot.draws.harmful.astype(np.intp),
    )
    return np.sort(own_rows[matches.rows].ravel()), np.sort(pivot_rows[matches.pivot_rows].ravel())


def _order(sample: Sample, rows: np.ndarray) -> np.ndarray:
    return np.asarray(sample.draws.units[sample.draws.unit_of_row[rows[:, 0]]])
