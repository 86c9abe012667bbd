"""The primary estimand in the chat template as well: model by prompt format, two by two, and their interaction.

If the reference was never trained on the template, a gain in the template mixes alignment with formatting. Both models
read the same tokens in each prompt format, and the difference of the two gains is the effect of the template.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, cast

import numpy as np

from isogloss.analyses.chat_template.request import ChatTemplate
from isogloss.auditing.analysis import CostFacts, Findings, ForwardPasses, Lookup, Needs
from isogloss.auditing.compare import TOGETHER, Change, Compared, Family, compare, language_verdicts
from isogloss.auditing.config import DISTANCE, LEVEL, AuditConfig
from isogloss.auditing.measure import Measured, distance_key
from isogloss.auditing.plan import Plan
from isogloss.auditing.rows import RowKey, difference_row, give_verdicts, score_row
from isogloss.auditing.score import ScoredBlock, score_all
from isogloss.data.corpus import Corpus
from isogloss.errors import UsageError
from isogloss.hidden_states.activations import locate
from isogloss.hidden_states.spec import ExtractSpec
from isogloss.records import LanguageVerdict, Row
from isogloss.stats.effects import gap
from isogloss.stats.jackknife import Interval, critical_value
from isogloss.stats.metrics import metric
from isogloss.warnings import CodedWarning

CHAT = "chat"
#: Option value of a read-out in the chat template -> position in `ExtractSpec`.
POSITIONS = {"last_prompt_token": "last", "last_instruction_token": "last_instruction_token", "mean": "mean"}


def chat_spec(request: ChatTemplate, raw: ExtractSpec) -> ExtractSpec:
    """Return the spec for the template: that of raw text with another prompt format and position."""
    position = POSITIONS[request.chat_position] if request.chat_position else raw.position
    return replace(
        raw,
        prompt_format="chat",
        position=cast("Literal['last', 'mean', 'last_instruction_token']", position),
        chat_template=request.chat_template,
        template_args=request.template_args,
    )


def check_chat_template(request: ChatTemplate, config: AuditConfig, corpus: Corpus) -> None:
    """Refuse unknown positions, and audits that read the chat template anyway.

    Raises:
        UsageError: the position is unknown, or the audit reads the chat template anyway.
    """
    del corpus
    if config.spec.prompt_format != "raw":
        raise UsageError(
            "--compare-chat",
            found=f"--prompt-format {config.spec.prompt_format}",
            expected="raw text, which the chat template is compared with",
            do="drop one of them",
        )
    if request.chat_position not in {None, *POSITIONS}:
        raise UsageError(
            "--chat-position", found=repr(request.chat_position), expected=", ".join(POSITIONS), do="choose one"
        )


def chat_template_needs(plan: Plan, request: ChatTemplate, source: Lookup) -> Needs:
    """Locate the states of both models in the chat template, at the primary layer."""
    spec = chat_spec(request, plan.config.spec)
    models = {"reference": source.pair.reference, "aligned": source.pair.aligned}
    states = locate(
        {role: ref for role, ref in models.items() if ref},
        plan.corpus,
        replace(spec, layers=(plan.primary_layer.option,)),
        store=source.cache,
        track=source.track,
    )
    template_settings = states["aligned"].template_settings
    record = template_settings.record if template_settings else {}
    return Needs(states={CHAT: states}, settings=spec.settings | record, inputs=states)


def chat_template_cost(facts: CostFacts, request: ChatTemplate) -> list[ForwardPasses]:
    """Count a forward pass of each model; the states depend on the aligned model's template."""
    # Only the primary layer is read.
    spec = replace(chat_spec(request, facts.config.spec), layers=(facts.config.primary.layer or "final",))
    models = [ref for ref in (facts.pair.reference, facts.pair.aligned) if ref]
    return [ForwardPasses(model=ref, key=("states",), states=spec, template_of=facts.pair.aligned) for ref in models]


def chat_template_findings(measured: Measured, request: ChatTemplate) -> Findings:
    """Score the primary estimand in the chat template, and compare each gain with the gain on raw text."""
    del request
    plan, primary, seed = measured.plan, measured.primary, measured.plan.config.seed
    states = plan.needs["chat_template"].inputs
    in_chat = replace(plan, activations=states, metrics=(metric(primary.metric), metric(DISTANCE)))
    parts = [(sample, primary.layer) for sample in measured.samples.values()]
    scored = score_all(in_chat, parts, measured.engine, measured.track, "Measuring chat")
    rows = [
        score_row(score, role, _make_key(block, seed))
        for block in scored
        for role, scores in block.scores.items()
        for score in scores.scores
        if (score.metric, score.components) == (primary.metric, primary.components)
    ]
    if measured.family is None or measured.compared is None:
        return Findings(rows=tuple(give_verdicts(rows, ())))
    pivot = plan.config.pivot
    changes = {block.sample.language: block.changes[primary] for block in scored}
    compared = _compare_in_chat(changes, measured.family, seed)
    distances = {block.sample.language: block.changes[distance_key(plan)] for block in scored}
    distance = _compare_in_chat(distances, replace(measured.family, together=False), seed)
    in_template = language_verdicts(plan.languages, pivot, compared, distance=distance)
    on_raw_text = language_verdicts(plan.languages, pivot, measured.compared, distance=measured.distance)
    differences = _compare_gains(measured.family.changes, changes, measured, seed)
    return Findings(
        rows=tuple(give_verdicts([*rows, *compared.rows, *differences], in_template)),
        warnings=tuple(_warn_of_disagreement(on_raw_text, in_template, measured.compared.gains, compared.gains)),
    )


def _compare_in_chat(changes: Mapping[str, Change], family: Family, seed: int) -> Compared:
    pivots = {language: changes[family.pivot] for language in changes if language != family.pivot}
    return compare(replace(family, changes=changes, pivots=pivots, sample=CHAT), seed)


def _make_key(block: ScoredBlock, seed: int) -> RowKey:
    return RowKey(language=block.sample.language, layer=block.layer, n=block.n, seed=seed, sample=CHAT)


def _compare_gains(raw: Mapping[str, Change], chat: Mapping[str, Change], measured: Measured, seed: int) -> list[Row]:
    """Difference in differences: gain in the chat template minus gain on raw text, on the same texts."""
    differences = {
        language: gap(change.gain, raw[language].gain)
        for language, change in chat.items()
        if not (change.reason or raw[language].reason)
    }
    if not differences:
        return []
    critical = critical_value(list(differences.values()), LEVEL, np.random.default_rng([seed, 2]))
    rows = []
    for language, difference in differences.items():
        in_chat, on_raw = chat[language], raw[language]
        null = in_chat.null - on_raw.null if len(in_chat.null) == len(on_raw.null) else np.empty(0)
        key = RowKey(language=language, layer=measured.primary.layer, n=in_chat.n, seed=seed, sample=CHAT)
        method = f"{TOGETHER}, texts paired"
        rows.append(
            difference_row("prompt_format", in_chat.score, difference, null, key, critical=critical, method=method)
        )
    return rows


def _warn_of_disagreement(
    raw: tuple[LanguageVerdict, ...],
    chat: tuple[LanguageVerdict, ...],
    raw_gains: Mapping[str, Interval],
    chat_gains: Mapping[str, Interval],
) -> list[CodedWarning]:
    """Warn of languages whose verdict, or the sign of whose gain, differs between the prompt formats.

    Signs differ if the two intervals lie on opposite sides of zero.
    """
    warnings = []
    for on_raw, in_chat in zip(raw, chat, strict=True):
        language, details = on_raw.language, []
        if on_raw.verdict != in_chat.verdict:
            details.append(f"{on_raw.verdict} on raw text, {in_chat.verdict} in the chat template")
        signs = [_find_sign(gains[language]) for gains in (raw_gains, chat_gains) if language in gains]
        if set(signs) == {-1, 1}:
            details.append("the gain changes its sign")
        if details:
            warnings.append(CodedWarning(code="S013", detail="; ".join(details), language=language))
    return warnings


def _find_sign(interval: Interval) -> int:
    return int(interval.low > 0) - int(interval.high < 0)
