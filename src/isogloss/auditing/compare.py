"""One metric at one layer in all languages: gains, gaps, retention and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from isogloss.auditing.config import LEVEL
from isogloss.auditing.rows import RowKey, difference_row, missing_row, retention_row
from isogloss.hidden_states.spec import Layer
from isogloss.records import NAN, LanguageVerdict, Row
from isogloss.stats.effects import Retention, disagree, gain, gap, mde, retentions
from isogloss.stats.jackknife import Interval, Jackknife, critical_value
from isogloss.stats.metric import Score
from isogloss.stats.probe_scores import logit

POINTWISE = "jackknife t"
TOGETHER = "jackknife t, simultaneous over languages (max-t)"
FIELLER = "Fieller, simultaneous over languages (max-t)"


class ScoreKey(NamedTuple):
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
        key = RowKey(language=code, layer=family.layer, sample=family.sample, n=change.n, seed=seed)
        own = [_gain_row(change, gains.get(code), key, critical)]
        if code != family.pivot:
            judged = (gaps[code], found[code]) if code in gaps else None
            own += _against_pivot(change, family.pivots[code], judged, key, critical_gap)
        to_judge = gains.get(code) if code == family.pivot else against.get(code)
        rows += [_judged(row, gaps.get(code), to_judge) for row in own]
    return Compared(
        rows=tuple(rows),
        retentions=found,
        gains={code: one.interval(LEVEL, critical) for code, one in gains.items()},
    )


def _critical(found: Mapping[str, Jackknife], rng: np.random.Generator) -> float | None:
    return critical_value(list(found.values()), LEVEL, rng) if found else None


def _gain_row(change: Change, found: Jackknife | None, key: RowKey, critical: float | None) -> Row:
    if found is None:
        return missing_row("gain", change.aligned, str(change.reason), key)
    method = TOGETHER if critical else POINTWISE
    return difference_row("gain", change.score, found, change.null, key, critical=critical, method=method)


def _against_pivot(
    change: Change, pivot: Change, judged: tuple[Jackknife, Retention] | None, key: RowKey, critical: float | None
) -> list[Row]:
    if judged is None:
        reason = str(change.reason or pivot.reason)
        return [missing_row(kind, change.aligned, reason, key) for kind in ("gap", "retention")]
    found, kept = judged
    shared = np.isin(change.gain.units, pivot.gain.units).any()
    paired = "items paired" if shared else "independent samples"
    null = pivot.null - change.null if len(pivot.null) == len(change.null) else np.empty(0)
    method = f"{TOGETHER if critical else POINTWISE}, {paired}"
    score = change.score if change.score.approximate else pivot.score
    return [
        difference_row("gap", score, found, null, key, critical=critical, method=method),
        retention_row(score, kept, key, method=f"{FIELLER}, {paired}"),
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
    primary: Compared,
    probe: Compared | None = None,
    cross_checks: Mapping[str, str] | None = None,
) -> tuple[LanguageVerdict, ...]:
    """Read the verdicts off the primary family.

    Args:
        languages: in order.
        pivot: its code.
        primary: the family of the primary estimand.
        probe: AUROC at the same layer; verdicts note where it disagrees.
        cross_checks: language -> verdict of the primary family under other conditions, such as on matched texts.
    """
    verdicts = []
    for language in languages:
        disagrees = probe is not None and _disagrees(language, primary, probe)
        retention = primary.retentions.get(language)
        if language == pivot:
            verdicts.append(LanguageVerdict(language=language, verdict=PIVOT, disagree=disagrees))
        elif retention is None:
            reason = "a score of this language or of the pivot is missing"
            verdicts.append(LanguageVerdict(language=language, verdict="not measured", reason=reason))
        else:
            cross_check = (cross_checks or {}).get(language)
            verdicts.append(_verdict(language, retention, cross_check, disagrees=disagrees))
    return tuple(verdicts)


def is_confounded(verdict: str, cross_check: str | None) -> bool:
    """Whether a verdict is definite and its cross-check gives another: then it counts as none.

    >>> is_confounded("reached", "weakened"), is_confounded("inconclusive", "weakened"), is_confounded("reached", None)
    (True, False, False)
    """
    return cross_check is not None and verdict not in {"inconclusive", cross_check}


def _verdict(language: str, retention: Retention, cross_check: str | None, *, disagrees: bool) -> LanguageVerdict:
    confounded = is_confounded(retention.verdict, cross_check)
    return LanguageVerdict(
        language=language,
        verdict="confounded" if confounded else retention.verdict,
        low=retention.low,
        high=retention.high,
        cross_check=cross_check,
        disagree=disagrees,
        reason=retention.reason,
    )


def _disagrees(language: str, primary: Compared, probe: Compared) -> bool:
    unknown = Interval(low=NAN, high=NAN)
    none = Retention(value=NAN, low=NAN, high=NAN)
    by_components, by_probe = (
        (family.retentions.get(language, none).verdict, family.gains.get(language, unknown))
        for family in (primary, probe)
    )
    return disagree(by_components, by_probe)
