"""How the gains of every language changed between two aligned models, on texts that no adapter has seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.stats

from isogloss.auditing.compare import Cell
from isogloss.auditing.config import LEVEL, PRIMARY, AuditConfig
from isogloss.auditing.measure import draw_samples
from isogloss.auditing.plan import Plan, make_plan
from isogloss.auditing.run import run_audit
from isogloss.auditing.score import score_all
from isogloss.data.corpus import Corpus
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
    """What became of one language's gain: `change` is `after` minus `before`, with the interval from low to high."""

    language: str
    before: float
    after: float
    change: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class GainChange:
    """What became of all gains at the primary estimand of an audit.

    Attributes:
        pivot: code.
        texts: per language and class, none of which any adapter was trained on.
        languages: the pivot first; intervals of changes hold for all of them together (95 %).
        kept: the pivot's gain after tuning over that before (NaN if that is 0), and
        kept_low: its Fieller set of 95 %, NaN where
        kept_high: it is unbounded.
        gap: how the mean gap to the pivot over the weak languages changed; None without any.
        approximate: why the intervals are approximate, as in an audit; None if they are not.
    """

    pivot: str
    texts: int
    languages: tuple[LanguageChange, ...]
    kept: float
    kept_low: float
    kept_high: float
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
    """Measure what tuning did to the gain of every language of a corpus, tuned or not.

    Texts that an adapter of the three was trained on are left out, with their twins and translations.

    Args:
        reference: before alignment; gains are counted from it.
        before: aligned, before tuning.
        after: aligned, after tuning.
        corpus: texts to measure on.
        weak: languages whose mean gap to the pivot is compared.
        pivot: code.
        store: where hidden states are kept and looked for; None is the user's cache.
        device: a torch device; None takes a GPU if there is one.
        track: progress display.

    Raises:
        IsoglossError: see `audit`.
    """
    trained = trained_by([reference, before, after])
    unseen = leave_out_trained(corpus, trained)[0] if trained else corpus
    config = AuditConfig(metrics=(PRIMARY.metric,), controls=(), pivot=pivot)
    gains: list[dict[str, Jackknife]] = []
    reasons: list[str] = []
    for name, aligned in (("before", before), ("after", after)):
        pair = ModelPair(name=name, reference=reference, aligned=aligned, source="gain_change")
        found = run_audit(pair, unseen, config=config, store=store, device=device, track=track)
        rows = found.find(kind="gain", metric=PRIMARY.metric, components=PRIMARY.components)
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
    own, first = after[pivot], before[pivot]
    kept = fieller(own, first, float(scipy.stats.t.isf((1 - LEVEL) / 2, min(own.df, first.df))))
    return GainChange(
        pivot=pivot,
        texts=texts,
        languages=tuple(rows),
        kept=own.value / first.value if first.value else NAN,
        kept_low=kept.low,
        kept_high=kept.high,
        gap=gap_ratio(before, after, pivot=pivot, languages=weak, level=LEVEL) if weak else None,
    )


def primary_gains(plan: Plan) -> dict[str, Jackknife]:
    """Compute the gain of every language at the primary estimand, from states that are in the store.

    An audit keeps values and intervals; these keep how each pair moves a gain, so that two audits of the same pairs can
    be compared pair by pair (see `separation.mean_gap`).

    Args:
        plan: of a pair with a reference, whose states are stored.

    Returns:
        Language -> gain, the same number as in the audit.

    Raises:
        StoreError: states are missing or broken.
    """
    cell = Cell(plan.primary_layer, plan.primary.metric, plan.primary.components)
    parts = [(sample, plan.primary_layer) for sample in draw_samples(plan).values()]
    scored = score_all(plan, parts, LOCAL, silent, "Measuring")
    return {one.sample.language: one.changes[cell].gain for one in scored}
