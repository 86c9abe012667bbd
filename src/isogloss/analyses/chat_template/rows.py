"""The primary estimand once more in the chat template: model and prompt format, two by two, and what depends on which.

An aligned model that is read through a template which its reference never saw mixes alignment with formatting. Both
models are given the same tokens in either prompt format, and the difference of the two gains says what the template adds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from isogloss.auditing.compare import TOGETHER, Cell, Change, Compared, Family, compare, language_verdicts
from isogloss.auditing.config import LEVEL
from isogloss.auditing.plan import Plan
from isogloss.auditing.rows import AnyPath, difference_row, score_row
from isogloss.auditing.sample import Sample
from isogloss.auditing.score import score_all
from isogloss.engines.engine import Engine
from isogloss.progress import Track
from isogloss.records import LanguageVerdict, Row
from isogloss.stats.effects import gap
from isogloss.stats.jackknife import Interval, critical_value
from isogloss.stats.metrics import metric
from isogloss.warnings import CodedWarning

CHAT = "chat"


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """What the chat prompt format says: its rows (sample "chat"), its verdicts, and the warnings of where it disagrees."""

    rows: tuple[Row, ...] = ()
    verdicts: tuple[LanguageVerdict, ...] = ()
    warnings: tuple[CodedWarning, ...] = ()


def compare_prompt_formats(
    plan: Plan,
    samples: Mapping[str, Sample],
    primary: Cell,
    *,
    raw: Family | None,
    said: Compared | None,
    engine: Engine,
    track: Track,
) -> Rendered:
    """Score the primary estimand in the chat template, and compare each gain with that on raw text.

    Args:
        plan: nothing is done unless it asks for both prompt formats.
        samples: language -> its texts.
        primary: the estimand.
        raw: its changes on raw text; None where there is no reference.
        said: what they say.
        engine: who measures.
        track: progress display.
    """
    if not plan.chat:
        return Rendered()
    seed = plan.config.seed
    in_chat = replace(plan, activations=plan.chat, metrics=(metric(primary.metric),))
    parts = [(sample, primary.layer) for sample in samples.values()]
    scored = score_all(in_chat, parts, engine, track, "Measuring chat")
    rows = [
        score_row(found, role, AnyPath(language=one.sample.language, layer=one.layer, n=one.n, seed=seed, sample=CHAT))
        for one in scored
        for role, block in one.blocks.items()
        for found in block.scores
        if (found.metric, found.components) == (primary.metric, primary.components)
    ]
    if raw is None or said is None:
        return Rendered(rows=tuple(rows))
    changes = {one.sample.language: one.changes[primary] for one in scored}
    pivots = {code: changes[plan.config.pivot] for code in changes if code != plan.config.pivot}
    compared = compare(replace(raw, changes=changes, pivots=pivots, sample=CHAT), seed)
    verdicts = language_verdicts(plan.languages, plan.config.pivot, compared, None, None)
    before = language_verdicts(plan.languages, plan.config.pivot, said, None, None)
    return Rendered(
        rows=(*rows, *compared.rows, *_differences(raw.changes, changes, primary, seed)),
        verdicts=verdicts,
        warnings=tuple(_disagree(before, verdicts, said.gains, compared.gains)),
    )


def _differences(raw: Mapping[str, Change], chat: Mapping[str, Change], primary: Cell, seed: int) -> list[Row]:
    """Difference in differences: gain in the chat template minus gain on raw text, on the same texts."""
    found = {
        code: gap(change.gain, raw[code].gain)
        for code, change in chat.items()
        if not (change.reason or raw[code].reason)
    }
    if not found:
        return []
    critical = critical_value(list(found.values()), LEVEL, np.random.default_rng([seed, 2]))
    rows = []
    for code, difference in found.items():
        null = chat[code].null - raw[code].null if len(chat[code].null) == len(raw[code].null) else np.empty(0)
        place = AnyPath(language=code, layer=primary.layer, n=chat[code].n, seed=seed, sample=CHAT)
        method = f"{TOGETHER}, texts paired"
        rows.append(
            difference_row("prompt_format", chat[code].score, difference, null, place, critical=critical, method=method)
        )
    return rows


def _disagree(
    raw: tuple[LanguageVerdict, ...],
    chat: tuple[LanguageVerdict, ...],
    raw_gains: Mapping[str, Interval],
    chat_gains: Mapping[str, Interval],
) -> list[CodedWarning]:
    """Warn of languages whose verdict, or the sign of whose gain, is another in the other prompt format.

    Signs differ where both intervals are clear of zero, on either side of it.
    """
    found = []
    for one, other in zip(raw, chat, strict=True):
        code, details = one.language, []
        if one.verdict != other.verdict:
            details.append(f"{one.verdict} on raw text, {other.verdict} in the chat template")
        signs = [_sign(gains[code]) for gains in (raw_gains, chat_gains) if code in gains]
        if set(signs) == {-1, 1}:
            details.append("the gain changes its sign")
        if details:
            found.append(CodedWarning(code="S013", detail="; ".join(details), language=code))
    return found


def _sign(interval: Interval) -> int:
    return int(interval.low > 0) - int(interval.high < 0)
