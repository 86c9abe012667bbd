"""Coded warnings that follow from the numbers of an audit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from isogloss.auditing.config import PRIMARY
from isogloss.auditing.plan import Plan
from isogloss.auditing.score import Scored
from isogloss.models.checkpoints import Checkpoint
from isogloss.models.pairs import EMBEDDED
from isogloss.records import Estimate, LanguageVerdict, Row
from isogloss.stats.thresholds import THRESHOLDS
from isogloss.warnings import CodedWarning

#: Control -> the code that says it may explain the probe's score.
EXPLAINS = {"length": "S002", "ngram": "S003", "untrained": "S007"}


def all_warnings(
    plan: Plan, rows: Sequence[Row], verdicts: Sequence[LanguageVerdict], scored: Sequence[Scored]
) -> list[CodedWarning]:
    """Collect every warning of an audit: corpus, models, languages, then the run as a whole."""
    found = [*plan.corpus.warnings, *warnings_of_models(plan.activations[role].checkpoint for role in plan.roles)]
    found += _different(plan)
    found += _quantised(plan)
    spec = plan.config.spec
    if spec.rounded:
        code = "M004" if spec.precision == "fast" else "M007"
        found += [_drift(code, role, plan.activations[role].drift()) for role in plan.roles]
    for code in plan.languages:
        if cut := plan.activations["aligned"].cut(code):
            found.append(CodedWarning(code="M001", detail=f"{cut} texts at {spec.max_tokens} tokens", language=code))
        found += warnings_of_controls(code, _at_primary(plan, rows, code))
    found += _tied(plan, scored)
    found += _not_computed(rows)
    found += _approximate(_of_primary(plan, rows))
    found += warnings_of_verdicts(verdicts, plan.config.match)
    if plan.config.primary != PRIMARY:
        detail = f"{plan.primary.metric}, {plan.primary.components} components, layer {plan.primary.layer}"
        found.append(CodedWarning(code="S012", detail=detail))
    if "reference" not in plan.activations:
        found.append(CodedWarning(code="M002", detail="scores of the aligned model only"))
    return found


def _at_primary(plan: Plan, rows: Sequence[Row], code: str) -> list[Row]:
    layer = plan.primary_layer
    return [
        row
        for row in rows
        if row.language == code
        and row.sample == "all"
        and (row.kind == "control" or (row.layer, row.norm) == (layer.index, layer.norm))
    ]


def _of_primary(plan: Plan, rows: Sequence[Row]) -> list[Row]:
    chosen = (plan.primary.metric, plan.primary.components)
    return [
        row
        for code in plan.languages
        for row in _at_primary(plan, rows, code)
        if (row.metric, row.components) == chosen
    ]


def warnings_of_controls(code: str, rows: Sequence[Row]) -> list[CodedWarning]:
    """Warn where a control's upper bound reaches the lower bound of the aligned model's probe.

    Args:
        code: language.
        rows: its controls, and its scores at the primary layer.
    """
    controls = {row.metric: row.estimate for row in rows if row.kind == "control"}
    found = []
    for metric in ("auroc", "pair_accuracy"):
        scores = [row.estimate for row in rows if (row.kind, row.metric, row.model) == ("score", metric, "aligned")]
        if not scores or scores[0].reason:
            continue
        score = scores[0]
        for control, warning in EXPLAINS.items():
            other = controls.get(f"{control}_{metric}")
            if other is not None and _upper(other) >= score.low:
                detail = f"{metric.replace('_', ' ')} {other.value:.2f}, probe {score.value:.2f}"
                found.append(CodedWarning(code=warning, detail=detail, language=code))
        permuted = controls.get(f"permuted_labels_{metric}")
        if permuted is not None and permuted.high >= score.low:
            detail = f"{metric} {score.value:.2f}, from {score.low:.2f}; null 97.5% {permuted.high:.2f}"
            found.append(CodedWarning(code="S008", detail=detail, language=code))
    return found


def _upper(control: Estimate) -> float:
    """Upper bound of how well a control separates: below one half it separates as well as above."""
    return max(control.high, 1 - control.low)


def _quantised(plan: Plan) -> list[CodedWarning]:
    """Warn of weights of fewer bits: asked for, or dequantised from a GGUF file."""
    found: dict[str, list[str]] = {}
    for role in plan.roles:
        ref = plan.activations[role].checkpoint.ref
        if plan.config.spec.quantize:
            found.setdefault(plan.config.spec.quantize, []).append(role)
        elif ref.base.endswith(".gguf") or ref.base.startswith(EMBEDDED):
            found.setdefault("dequantised from a GGUF file", []).append(role)
    return [CodedWarning(code="M006", detail=f"{' and '.join(roles)}: {what}") for what, roles in found.items()]


def warnings_of_models(checkpoints: Iterable[Checkpoint]) -> list[CodedWarning]:
    """Warn of an adapter on other weights than its own (a quantised copy, or another model of the same shape)."""
    return [
        CodedWarning(code="M003", detail=str(one.ref))
        for one in checkpoints
        if one.trained_on is not None and one.trained_on != one.base_sha256
    ]


def _different(plan: Plan) -> list[CodedWarning]:
    """Warn of a pair whose models read other tokens or have other widths: their own bases can still be compared."""
    if "reference" not in plan.roles:
        return []
    before, after = (plan.activations[role] for role in plan.roles)
    code, layer = plan.config.pivot, plan.primary_layer
    widths = [one.block(code, layer).hidden.shape[1] for one in (before, after)]
    known = bool(before.tokenizers and after.tokenizers)
    details = []
    if known and before.tokenizers != after.tokenizers:
        details.append("other tokens")
    if widths[0] != widths[1]:
        details.append(f"widths {widths[0]} and {widths[1]}")
    return [CodedWarning(code="M005", detail=", ".join(details))] if details else []


def _drift(code: str, role: str, drift: Mapping[str, float]) -> CodedWarning:
    moved = f"{drift['mean']:.2%} of their length on average and {drift['max']:.2%} at most"
    return CodedWarning(code=code, detail=f"{role}: states lie off by {moved}, in {drift['texts']} texts")


def warnings_of_verdicts(verdicts: Sequence[LanguageVerdict], match: Sequence[str]) -> list[CodedWarning]:
    """Warn of what weakens the verdicts."""
    found = [
        CodedWarning(code="S004", detail=f"verdict {one.verdict}", language=one.language)
        for one in verdicts
        if one.disagree
    ]
    for one in verdicts:
        if one.verdict == "confounded":
            detail = f"{one.cross_check} when matched in {' and '.join(match)}"
            found.append(CodedWarning(code="S009", detail=detail, language=one.language))
        elif match and one.cross_check is None and one.verdict not in {"pivot", "not measured"}:
            detail = f"fewer than {THRESHOLDS.fewest_matched} agree in {' and '.join(match)}"
            found.append(CodedWarning(code="S010", detail=detail, language=one.language))
    if any(one.verdict == "inconclusive" and one.reason for one in verdicts):
        found.append(CodedWarning(code="S006", detail="every verdict is inconclusive"))
    return found


def _tied(plan: Plan, scored: Sequence[Scored]) -> list[CodedWarning]:
    found = []
    for one in scored:
        gap = one.blocks["aligned"].projection.eigen_gap(2)
        if one.layer == plan.primary_layer and gap < THRESHOLDS.tied_eigenvalues:
            found.append(CodedWarning(code="S005", detail=f"eigenvalue ratio {gap:.2f}", language=one.sample.language))
    return found


def _not_computed(rows: Sequence[Row]) -> list[CodedWarning]:
    """One warning for each score that is missing, with the languages that lack it."""
    reasons: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.kind == "score" and row.estimate.reason:
            components = f", {row.components} components" if row.components else ""
            layer = f"layer {row.layer}" + (f" ({row.norm}-norm)" if row.norm else "")
            what = f"{row.metric}{components}: {row.estimate.reason}, {layer}"
            reasons.setdefault(what, {})[row.language] = None
    return _by_languages("S001", reasons, rows)


def _approximate(rows: Sequence[Row]) -> list[CodedWarning]:
    """One warning for each reason why an interval of the primary estimand is approximate."""
    reasons: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.estimate.approximate:
            reasons.setdefault(f"{row.metric}: {row.estimate.approximate}", {})[row.language] = None
    return _by_languages("S011", reasons, rows)


def _by_languages(code: str, reasons: dict[str, dict[str, None]], rows: Sequence[Row]) -> list[CodedWarning]:
    languages = {row.language for row in rows}
    return [
        CodedWarning(
            code=code, detail=f"{what}, in {'all languages' if len(lacking) == len(languages) else ' '.join(lacking)}"
        )
        for what, lacking in reasons.items()
    ]
