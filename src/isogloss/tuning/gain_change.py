"""How the gains of every language changed between two aligned models, on texts that no adapter has seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.stats

from isogloss.auditing.compare import ScoreKey
from isogloss.auditing.config import LEVEL, PRIMARY, AuditConfig
from isogloss.auditing.measure import draw_samples
from isogloss.auditing.plan import Plan, make_plan
from isogloss.auditing.run import run_audit
from isogloss.auditing.score import score_all
from isogloss.data.corpus import Corpus
from isogloss.data.languages import known_code
from isogloss.engines.engine import LOCAL
from isogloss.io.paths import AnyPath
from isogloss.models.pairs import ModelPair, ModelRef
from isogloss.models.trained_texts import leave_out_trained, trained_by
from isogloss.progress import Track, silent
from isogloss.records import NAN
from isogloss.stats.effects import GapRatio, fieller, gap_ratio
from isogloss.stats.jackknife import Jackknife, combine, critical_value


@dataclass(frozen=True, kw_only=True)
class LanguageChange:
    """The gain of one language before and after tuning; `change` is the difference, with its interval."""

    language: str
    before: float
    after: float
    change: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class GainChange:
    """The change of all gains at the primary estimand of an audit.

    Attributes:
        pivot: language that the others are compared with.
        texts: texts per language and class; no adapter was trained on any of them.
        languages: the pivot first; 95 % intervals of the changes hold for all languages simultaneously.
        pivot_ratio: the pivot's gain after tuning over that before; NaN if the latter is 0.
        pivot_ratio_low: lower end of its Fieller interval (95 %); NaN if unbounded.
        pivot_ratio_high: upper end of the same interval.
        gap: change of the mean gap to the pivot over the weak languages; None without weak languages.
        approximate: why the intervals are approximate, as in an audit; None if they are not.
    """

    pivot: str
    texts: int
    languages: tuple[LanguageChange, ...]
    pivot_ratio: float
    pivot_ratio_low: float
    pivot_ratio_high: float
    gap: GapRatio | None
    approximate: str | None = None


def gain_change(
    reference: ModelRef,
    before: ModelRef,
    after: ModelRef,
    corpus: Corpus,
    *,
    weak: Sequence[str] = (),
    pivot: str = "en",
    store: AnyPath | str | None = None,
    device: str | None = None,
    track: Track = silent,
) -> GainChange:
    """Measure how tuning changed the gain of every language of a corpus, tuned or not.

    Texts that an adapter of the three models was trained on are left out, with their partners and translations.

    Args:
        reference: the model before alignment, which gains are measured from.
        before: the aligned model before tuning.
        after: the aligned model after tuning.
        corpus: texts to measure on.
        weak: languages whose mean gap to the pivot is compared.
        pivot: language that the others are compared with.
        store: cache of hidden states; None is the user's cache.
        device: a torch device; None takes a GPU if available.
        track: progress display.

    Returns:
        The change of all gains.

    Raises:
        IsoglossError: see `audit`.
    """
    pivot, weak = known_code(pivot), tuple(map(known_code, weak))
    trained = trained_by([reference, before, after])
    unseen = leave_out_trained(corpus, trained)[0] if trained else corpus
    config = AuditConfig(metrics=(PRIMARY.metric,), controls=(), pivot=pivot)
    gains: list[dict[str, Jackknife]] = []
    reasons: list[str] = []
    for name, aligned in (("before", before), ("after", after)):
        pair = ModelPair(name=name, reference=reference, aligned=aligned, source="gain_change")
        result = run_audit(pair, unseen, config=config, store=store, device=device, track=track)
        rows = result.find(kind="gain", metric=PRIMARY.metric, components=PRIMARY.components)
        reasons += [row.estimate.approximate for row in rows if row.estimate.approximate]
        plan = make_plan(pair, unseen, config, store, track)
        gains.append(primary_gains(plan))
    n = int(plan.corpus.part(pivot)["harmful"].sum())
    return replace(compare_gains(*gains, weak=weak, pivot=pivot, texts=n), approximate=next(iter(reasons), None))


def compare_gains(
    before: dict[str, Jackknife], after: dict[str, Jackknife], *, weak: Sequence[str], pivot: str, texts: int
) -> GainChange:
    """Compare gains of two aligned models on the same texts; see `GainChange`."""
    codes = [pivot, *(code for code in before if code != pivot)]
    changes = {code: combine((1.0, after[code]), (-1.0, before[code])) for code in codes}
    critical = critical_value(list(changes.values()), LEVEL, np.random.default_rng(0))
    rows = []
    for code, change in changes.items():
        interval = change.interval(critical=critical)
        values = {"before": before[code].value, "after": after[code].value, "change": change.value}
        rows.append(LanguageChange(language=code, **values, low=interval.low, high=interval.high))
    first, second = before[pivot], after[pivot]
    ratio = fieller(second, first, float(scipy.stats.t.isf((1 - LEVEL) / 2, min(second.df, first.df))))
    return GainChange(
        pivot=pivot,
        texts=texts,
        languages=tuple(rows),
        pivot_ratio=second.value / first.value if first.value else NAN,
        pivot_ratio_low=ratio.low,
        pivot_ratio_high=ratio.high,
        gap=gap_ratio(before, after, pivot=pivot, languages=weak, level=LEVEL) if weak else None,
    )


def primary_gains(plan: Plan) -> dict[str, Jackknife]:
    """Compute the gain of every language at the primary estimand, from cached hidden states.

    An audit stores values and intervals. These gains also hold their jackknife over pairs, so that two audits of the
    same pairs can be compared pair by pair (see `stats.effects.mean_gap`).

    Args:
        plan: plan of a pair with a reference whose hidden states are cached.

    Returns:
        Language -> gain, the same number as in the audit.

    Raises:
        StoreError: hidden states are missing or damaged.
    """
    cell = ScoreKey(plan.primary_layer, plan.primary.metric, plan.primary.components)
    samples = [(sample, plan.primary_layer) for sample in draw_samples(plan).values()]
    scored = score_all(plan, samples, LOCAL, silent, "Measuring")
    return {score.sample.language: score.changes[cell].gain for score in scored}
