"""One metric at one layer in all languages: gains, gaps, retention and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from isogloss.auditing.config import LEVEL
from isogloss.auditing.rows import AnyPath, difference_row, missing_row, retention_row
from isogloss.hidden_states.spec import Layer
from isogloss.records import NAN, LanguageVerdict, Row
from isogloss.stats.effects import Retention, disagree, gain, gap, mde, retentions
from isogloss.stats.jackknife import Interval, Jackknife, critical_value
from isogloss.stats.metric import Score
from isogloss.stats.probe_scores import logit

POINTWISE = "jackknife t"
TOGETHER = "jackknife t, simultaneous over languages (max-t)"
FIELLER = "Fieller, simultaneous over languages (max-t)"


class Cell(NamedTuple):
    """A metric at a layer: what is compared between languages."""

    layer: Layer
    metric: str
    components: int | None


@dataclass(frozen=True, kw_only=True)
class Change:
    """A metric of one language before and after alignment."""

    reference: Score
    aligned: Score
    n: int

    @property
    def reason(self) -> str | None:
        """Why there is no gain, or None."""
        lacking = [score.reason for score in (self.reference, self.aligned) if score.jackknife is None]
        return f"the score of a model is missing: {lacking[0]}" if lacking else None

    @property
    def gain(self) -> Jackknife:
        """Aligned minus reference, on the metric's scale."""
        before, after = self.reference.jackknife, self.aligned.jackknife
        assert before is not None and after is not None  # noqa: S101, PT018 - see `reason`
        return gain(before, after)

    @property
    def null(self) -> np.ndarray:
        """The gain under permuted labels: (B,)."""
        before, after = self.reference.null, self.aligned.null
        if self.aligned.row.scale == "logit":
            before, after = logit(before, self.n), logit(after, self.n)
        return np.asarray(after - before)

    @property
    def score(self) -> Score:
        """The score whose remarks go with the gain: the one that is only approximate, if one is."""
        return self.reference if self.reference.approximate else self.aligned


@dataclass(frozen=True, kw_only=True)
class Family:
    """The changes of one metric at one layer that are compared with each other.

    Attributes:
        changes: language -> its change; the pivot among them unless the sample is matched.
        pivots: language other than the pivot -> the pivot's change to compare with.
        pivot: its code.
        layer, sample: where the scores come from.
        together: whether intervals hold for all languages at once (the primary estimand) or one by one.
    """

    changes: Mapping[str, Change]
    pivots: Mapping[str, Change]
    pivot: str
    layer: Layer
    sample: str = "all"
    together: bool = False


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What a family says: its rows, retention and gain interval by language, and the pivot's gain over its error."""

    rows: tuple[Row, ...]
    retentions: dict[str, Retention]
    gains: dict[str, Interval]


def compare(family: Family, seed: int) -> Compared:
    """Compare the languages of a family."""
    rng = np.random.default_rng([seed, 1])
    gains = {code: change.gain for code, change in family.changes.items() if not change.reason}
    pivots: dict[int, Jackknife] = {}
    for code, change in family.pivots.items():
        if code in gains and not change.reason:
            pivots.setdefault(id(change), change.gain)  # one column for one pivot sample
    against = {
        code: pivots[id(change)] for code, change in family.pivots.items() if code in gains and id(change) in pivots
    }
    found = retentions({code: (gains[code], pivot) for code, pivot in against.items()}, LEVEL, rng)
    gaps = {code: gap(pivot, gains[code]) for code, pivot in against.items()}
    critical = _critical(gains, rng) if family.together else None
    critical_gap = _critical(gaps, rng) if family.together else None
    rows: list[Row] = []
    for code, change in family.changes.items():
        place = AnyPath(language=code, layer=family.layer, sample=family.sample, n=change.n, seed=seed)
        own = [_gain_row(change, gains.get(code), place, critical)]
        if code != family.pivot:
            judged = (gaps[code], found[code]) if code in gaps else None
            own += _against_pivot(change, family.pivots[code], judged, place, critical_gap)
        to_judge = gains.get(code) if code == family.pivot else against.get(code)
        rows += [_judged(row, gaps.get(code), to_judge) for row in own]
    return Compared(
        rows=tuple(rows),
        retentions=found,
        gains={code: one.interval(LEVEL, critical) for code, one in gains.items()},
    )


def _critical(found: Mapping[str, Jackknife], rng: np.random.Generator) -> float | None:
    return critical_value(list(found.values()), LEVEL, rng) if found else None


def _gain_row(change: Change, found: Jackknife | None, place: AnyPath, critical: float | None) -> Row:
    if found is None:
        return missing_row("gain", change.aligned, str(change.reason), place)
    method = TOGETHER if critical else POINTWISE
    return difference_row("gain", change.score, found, change.null, place, critical=critical, method=method)


def _against_pivot(
    change: Change, pivot: Change, judged: tuple[Jackknife, Retention] | None, place: AnyPath, critical: float | None
) -> list[Row]:
    if judged is None:
        reason = str(change.reason or pivot.reason)
        return [missing_row(kind, change.aligned, reason, place) for kind in ("gap", "retention")]
    found, kept = judged
    shared = np.isin(change.gain.units, pivot.gain.units).any()
    paired = "items paired" if shared else "independent samples"
    null = pivot.null - change.null if len(pivot.null) == len(change.null) else np.empty(0)
    method = f"{TOGETHER if critical else POINTWISE}, {paired}"
    score = change.score if change.score.approximate else pivot.score
    return [
        difference_row("gap", score, found, null, place, critical=critical, method=method),
        retention_row(score, kept, place, method=f"{FIELLER}, {paired}"),
    ]


def _judged(row: Row, gap_found: Jackknife | None, pivot: Jackknife | None) -> Row:
    """Say with a row how large a gap would have been seen, and how clear the pivot's gain is."""
    return replace(
        row,
        mde=mde(gap_found) if gap_found else float("nan"),
        pivot_z=pivot.t if pivot else float("nan"),
    )


PIVOT = "pivot"


def language_verdicts(
    languages: Sequence[str],
    pivot: str,
    primary_family: Compared,
    probe_family: Compared | None,
    matched: Compared | None,
) -> tuple[LanguageVerdict, ...]:
    """Read the verdicts off the primary family.

    Args:
        languages: in order.
        pivot: its code.
        class variance share: the primary family.
        linear separability: AUROC at the same layer.
        matched: the primary family on matched samples, where that was asked for.
    """
    found = []
    for code in languages:
        at_odds = probe_family is not None and _at_odds(code, primary_family, probe_family)
        if code == pivot:
            found.append(LanguageVerdict(language=code, verdict=PIVOT, disagree=at_odds))
            continue
        kept = primary_family.retentions.get(code)
        if kept is None:
            reason = "a score of this language or of the pivot is missing"
            found.append(LanguageVerdict(language=code, verdict="not measured", reason=reason))
            continue
        other = matched.retentions.get(code) if matched else None
        found.append(_verdict(code, kept, other, at_odds=at_odds))
    return tuple(found)


def _verdict(code: str, kept: Retention, matched: Retention | None, *, at_odds: bool) -> LanguageVerdict:
    verdict: str = kept.verdict
    # A definite verdict that matched samples do not bear out counts as none.
    if matched is not None and verdict not in {"inconclusive", matched.verdict}:
        verdict = "confounded"
    return LanguageVerdict(
        language=code,
        verdict=verdict,
        low=kept.low,
        high=kept.high,
        cross_check=matched.verdict if matched else None,
        disagree=at_odds,
        reason=kept.reason,
    )


def _at_odds(code: str, primary_family: Compared, probe_family: Compared) -> bool:
    unknown = Interval(low=NAN, high=NAN)
    none = Retention(value=NAN, low=NAN, high=NAN)
    one, other = (
        (family.retentions.get(code, none).verdict, family.gains.get(code, unknown))
        for family in (primary_family, probe_family)
    )
    return disagree(one, other)
