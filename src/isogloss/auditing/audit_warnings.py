"""Coded warnings that follow from the numbers of an audit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from isogloss.auditing.compare import GREW
from isogloss.auditing.config import PRIMARY
from isogloss.auditing.plan import Plan
from isogloss.auditing.score import ScoredBlock
from isogloss.models.checkpoints import Checkpoint
from isogloss.models.pairs import EMBEDDED
from isogloss.records import LanguageVerdict, Row
from isogloss.stats.text_controls import margin_name
from isogloss.stats.thresholds import THRESHOLDS
from isogloss.warnings import CodedWarning

#: Control -> code of the warning that the control may explain the probe's score.
EXPLAINS = {"length": "S002", "ngram": "S003", "untrained": "S007"}


def audit_warnings(
    plan: Plan, rows: Sequence[Row], verdicts: Sequence[LanguageVerdict], scored: Sequence[ScoredBlock]
) -> list[CodedWarning]:
    """Collect every warning of an audit: corpus, models, languages, then the run as a whole."""
    warnings = [*plan.corpus.warnings, *warnings_of_models(plan.activations[role].checkpoint for role in plan.roles)]
    warnings += _warn_of_different_models(plan)
    warnings += _warn_of_quantisation(plan)
    warnings += _warn_of_prompts(plan)
    spec = plan.config.spec
    if spec.rounded:
        code = "M004" if spec.precision == "fast" else "M007"
        warnings += [_warn_of_drift(code, role, plan.activations[role].drift()) for role in plan.roles]
    for language in plan.languages:
        if cut := plan.activations["aligned"].cut(language):
            detail = f"{cut} texts at {spec.max_tokens} tokens"
            warnings.append(CodedWarning(code="M001", detail=detail, language=language))
        if spelt := plan.activations["aligned"].control_texts(language):
            detail = f"{spelt} texts; they were read as plain text"
            warnings.append(CodedWarning(code="M011", detail=detail, language=language))
        warnings += warnings_of_controls(language, _select_primary_layer(plan, rows, language))
    warnings += _warn_of_ties(plan, scored)
    warnings += _warn_of_outlier_dimensions(plan, scored)
    warnings += _warn_of_missing_scores(rows)
    warnings += _warn_of_approximations(_select_primary(plan, rows))
    warnings += warnings_of_verdicts(verdicts)
    if plan.config.primary != PRIMARY or plan.config.scaling != "none":
        detail = f"{plan.primary.metric}, {plan.primary.components} components, layer {plan.primary.layer}"
        detail += "" if plan.config.scaling == "none" else f", scaling {plan.config.scaling}"
        warnings.append(CodedWarning(code="S012", detail=detail))
    if "reference" not in plan.activations:
        warnings.append(CodedWarning(code="M002", detail="scores of the aligned model only"))
    return warnings


def _warn_of_prompts(plan: Plan) -> list[CodedWarning]:
    """Warn of an adapter's tokenizer that adds tokens, and of prompts that end inside of a thought."""
    warnings = [
        CodedWarning(code="M013", detail=f"{role}: {added} added tokens")
        for role in plan.roles
        if (added := count_added_tokens(plan.activations[role].checkpoint))
    ]
    thoughts = [states.prompt_end()[1] for states in plan.states if states.template_settings is not None]
    if opening := next(filter(None, thoughts), None):
        warnings.append(CodedWarning(code="M012", detail=f"opened by {opening}"))
    return warnings


def count_added_tokens(checkpoint: Checkpoint) -> int:
    """Count the tokens that an adapter's own tokenizer adds to the base's; 0 if it brings none."""
    if checkpoint.tokenizer_folder is None:
        return 0
    from isogloss.models.load import added_tokens  # noqa: PLC0415 - imports torch, and few adapters bring a tokenizer

    return added_tokens(checkpoint) or 0


def _select_primary_layer(plan: Plan, rows: Sequence[Row], language: str) -> list[Row]:
    layer = plan.primary_layer
    return [
        row
        for row in rows
        if row.language == language
        and row.sample == "all"
        and (row.kind == "control" or (row.layer, row.norm) == (layer.index, layer.norm))
    ]


def _select_primary(plan: Plan, rows: Sequence[Row]) -> list[Row]:
    chosen = (plan.primary.metric, plan.primary.components)
    return [
        row
        for language in plan.languages
        for row in _select_primary_layer(plan, rows, language)
        if (row.metric, row.components) == chosen
    ]


def warnings_of_controls(language: str, rows: Sequence[Row]) -> list[CodedWarning]:
    """Warn where a control may separate the classes as well as the aligned model's probe does on the same texts.

    That is where the interval of their paired difference does not lie above zero.

    Args:
        language: code of the language.
        rows: its controls, and its scores at the primary layer.
    """
    controls = {row.metric: row.estimate for row in rows if row.kind == "control"}
    warnings = []
    for metric in ("auroc", "pair_accuracy"):
        scores = [row.estimate for row in rows if (row.kind, row.metric, row.model) == ("score", metric, "aligned")]
        if not scores or scores[0].reason:
            continue
        score = scores[0]
        for control, code_of_control in EXPLAINS.items():
            difference = controls.get(margin_name(control, metric))
            if difference is not None and not difference.reason and not difference.low > 0:
                value = controls[f"{control}_{metric}"].value
                detail = f"{metric.replace('_', ' ')} {value:.2f}, probe {score.value:.2f}"
                warnings.append(CodedWarning(code=code_of_control, detail=detail, language=language))
        permuted = controls.get(f"permuted_labels_{metric}")
        if permuted is not None and permuted.high >= score.low:
            detail = f"{metric} {score.value:.2f}, from {score.low:.2f}; null 97.5% {permuted.high:.2f}"
            warnings.append(CodedWarning(code="S008", detail=detail, language=language))
    return warnings


def _warn_of_quantisation(plan: Plan) -> list[CodedWarning]:
    """Warn of weights of fewer bits: requested, or dequantised from a GGUF file."""
    roles_by_cause: dict[str, list[str]] = {}
    for role in plan.roles:
        ref = plan.activations[role].checkpoint.ref
        if ref.loaded is not None and ref.loaded.quantized:
            roles_by_cause.setdefault("quantised weights in memory", []).append(role)
        elif plan.config.spec.quantize:
            roles_by_cause.setdefault(plan.config.spec.quantize, []).append(role)
        elif ref.base.endswith(".gguf") or ref.base.startswith(EMBEDDED):
            roles_by_cause.setdefault("dequantised from a GGUF file", []).append(role)
    return [
        CodedWarning(code="M006", detail=f"{' and '.join(roles)}: {cause}") for cause, roles in roles_by_cause.items()
    ]


def warnings_of_models(checkpoints: Iterable[Checkpoint]) -> list[CodedWarning]:
    """Warn of an adapter on weights that it was not trained on: a quantised copy, or a model of the same shape."""
    return [
        CodedWarning(code="M003", detail=str(checkpoint.ref))
        for checkpoint in checkpoints
        if checkpoint.trained_on is not None and checkpoint.trained_on != checkpoint.base_sha256
    ]


def _warn_of_different_models(plan: Plan) -> list[CodedWarning]:
    """Warn of a pair whose models differ in tokens or width; metrics in each model's own basis remain comparable."""
    if "reference" not in plan.roles:
        return []
    before, after = (plan.activations[role] for role in plan.roles)
    pivot, layer = plan.config.pivot, plan.primary_layer
    widths = [states.block(pivot, layer).hidden.shape[1] for states in (before, after)]
    known = bool(before.tokenizers and after.tokenizers)
    details = []
    if known and before.tokenizers != after.tokenizers:
        details.append("other tokens")
    if widths[0] != widths[1]:
        details.append(f"widths {widths[0]} and {widths[1]}")
    return [CodedWarning(code="M005", detail=", ".join(details))] if details else []


def _warn_of_drift(code: str, role: str, drift: Mapping[str, float]) -> CodedWarning:
    moved = f"{drift['mean']:.2%} of their length on average and {drift['max']:.2%} at most"
    return CodedWarning(code=code, detail=f"{role}: states lie off by {moved}, in {drift['texts']} texts")


def warnings_of_verdicts(verdicts: Sequence[LanguageVerdict]) -> list[CodedWarning]:
    """Warn of metrics that disagree, of a fall in the share alone, and of a pivot whose gain is not clear of zero."""
    warnings = [
        CodedWarning(code="S004", detail=f"verdict {verdict.verdict}", language=verdict.language)
        for verdict in verdicts
        if verdict.disagree
    ]
    warnings += [
        CodedWarning(
            code="S014", detail=f"retention {verdict.low:.2f} to {verdict.high:.2f}", language=verdict.language
        )
        for verdict in verdicts
        if verdict.reason == GREW
    ]
    if any(verdict.verdict == "inconclusive" and verdict.reason and math.isnan(verdict.low) for verdict in verdicts):
        warnings.append(CodedWarning(code="S006", detail="every verdict is inconclusive"))
    return warnings


def _warn_of_ties(plan: Plan, scored: Sequence[ScoredBlock]) -> list[CodedWarning]:
    warnings = []
    for block in scored:
        ratio = block.scores["aligned"].projection.eigen_gap(2)
        if block.layer == plan.primary_layer and ratio < THRESHOLDS.tied_eigenvalues:
            detail = f"eigenvalue ratio {ratio:.2f}"
            warnings.append(CodedWarning(code="S005", detail=detail, language=block.sample.language))
    return warnings


def _warn_of_outlier_dimensions(plan: Plan, scored: Sequence[ScoredBlock]) -> list[CodedWarning]:
    """Warn where one dimension of the unscaled states carries much of their variance, in either model."""
    warnings = []
    for block in scored:
        if block.layer != plan.primary_layer:
            continue
        largest = {role: scores.largest for role, scores in block.scores.items()}
        # Not "above the threshold": states that do not vary have no share, and are no outliers either.
        large = {role: pair for role, pair in largest.items() if pair[1] > THRESHOLDS.outlier_dimension}
        if large:
            shares = ", ".join(f"dimension {index} {share:.0%} ({role})" for role, (index, share) in large.items())
            scaled = "" if plan.config.scaling == "none" else f"; scaled: {plan.config.scaling}"
            warnings.append(CodedWarning(code="S015", detail=f"{shares}{scaled}", language=block.sample.language))
    return warnings


def _warn_of_missing_scores(rows: Sequence[Row]) -> list[CodedWarning]:
    """Warn of each missing score once, with the languages that lack it."""
    reasons: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.kind == "score" and row.estimate.reason:
            components = f", {row.components} components" if row.components else ""
            layer = f"layer {row.layer}" + (f" ({row.norm}-norm)" if row.norm else "")
            reason = f"{row.metric}{components}: {row.estimate.reason}, {layer}"
            reasons.setdefault(reason, {})[row.language] = None
    return _warn_by_reason("S001", reasons, rows)


def _warn_of_approximations(rows: Sequence[Row]) -> list[CodedWarning]:
    """Warn once for each reason why an interval of the primary estimand is approximate."""
    reasons: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.estimate.approximate:
            reasons.setdefault(f"{row.metric}: {row.estimate.approximate}", {})[row.language] = None
    return _warn_by_reason("S011", reasons, rows)


def _warn_by_reason(code: str, reasons: dict[str, dict[str, None]], rows: Sequence[Row]) -> list[CodedWarning]:
    languages = {row.language for row in rows} - {""}
    return [
        CodedWarning(
            code=code,
            detail=f"{reason}, in {'all languages' if len(affected) == len(languages) else ' '.join(affected)}",
        )
        for reason, affected in reasons.items()
    ]
