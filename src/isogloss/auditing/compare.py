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
    """A metric at a layer: the score that languages are compared on."""

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
        """Why there is no gain; None if there is one."""
        missing = [score.reason for score in (self.reference, self.aligned) if score.jackknife is None]
        return f"the score of a model is missing: {missing[0]}" if missing else None

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
        """The score whose reservations apply to the gain: the approximate one, if either is approximate."""
        return self.reference if self.reference.approximate else self.aligned


@dataclass(frozen=True, kw_only=True)
class Family:
    """The changes of one metric at one layer, to be compared between languages.

    Attributes:
        changes: language -> its change; it includes the pivot unless the sample is matched.
        pivots: language other than the pivot -> the change of the pivot to compare it with.
        pivot: code of the pivot.
        layer, sample: the source of the scores.
        together: whether intervals are simultaneous over languages (the primary estimand) or pointwise.
    """

    changes: Mapping[str, Change]
    pivots: Mapping[str, Change]
    pivot: str
    layer: Layer
    sample: str = "all"
    together: bool = False


@dataclass(frozen=True, kw_only=True)
class Compared:
    """The comparison of a family: its rows, and retention and gain interval by language."""

    rows: tuple[Row, ...]
    retentions: dict[str, Retention]
    gains: dict[str, Interval]


def compare(family: Family, seed: int) -> Compared:
    """Compare the languages of a family."""
    rng = np.random.default_rng([seed, 1])
    gains = {language: change.gain for language, change in family.changes.items() if not change.reason}
    pivots: dict[int, Jackknife] = {}
    for language, change in family.pivots.items():
        if language in gains and not change.reason:
            pivots.setdefault(id(change), change.gain)  # one column for each sample of the pivot
    against = {
        language: pivots[id(change)]
        for language, change in family.pivots.items()
        if language in gains and id(change) in pivots
    }
    retained = retentions({language: (gains[language], pivot) for language, pivot in against.items()}, LEVEL, rng)
    gaps = {language: gap(pivot, gains[language]) for language, pivot in against.items()}
    critical = _find_critical_value(gains, rng) if family.together else None
    critical_gap = _find_critical_value(gaps, rng) if family.together else None
    rows: list[Row] = []
    for language, change in family.changes.items():
        key = RowKey(language=language, layer=family.layer, sample=family.sample, n=change.n, seed=seed)
        rows_of_language = [_make_gain_row(change, gains.get(language), key, critical)]
        if language != family.pivot:
            effects = (gaps[language], retained[language]) if language in gaps else None
            rows_of_language += _compare_with_pivot(change, family.pivots[language], effects, key, critical_gap)
        pivot_gain = gains.get(language) if language == family.pivot else against.get(language)
        rows += [_add_sensitivity(row, gaps.get(language), pivot_gain) for row in rows_of_language]
    return Compared(
        rows=tuple(rows),
        retentions=retained,
        gains={language: jackknife.interval(LEVEL, critical) for language, jackknife in gains.items()},
    )


def _find_critical_value(jackknives: Mapping[str, Jackknife], rng: np.random.Generator) -> float | None:
    return critical_value(list(jackknives.values()), LEVEL, rng) if jackknives else None


def _make_gain_row(change: Change, jackknife: Jackknife | None, key: RowKey, critical: float | None) -> Row:
    if jackknife is None:
        return missing_row("gain", change.aligned, str(change.reason), key)
    method = TOGETHER if critical else POINTWISE
    return difference_row("gain", change.score, jackknife, change.null, key, critical=critical, method=method)


def _compare_with_pivot(
    change: Change, pivot: Change, effects: tuple[Jackknife, Retention] | None, key: RowKey, critical: float | None
) -> list[Row]:
    if effects is None:
        reason = str(change.reason or pivot.reason)
        return [missing_row(kind, change.aligned, reason, key) for kind in ("gap", "retention")]
    gap_jackknife, retention = effects
    shared = np.isin(change.gain.units, pivot.gain.units).any()
    paired = "items paired" if shared else "independent samples"
    null = pivot.null - change.null if len(pivot.null) == len(change.null) else np.empty(0)
    method = f"{TOGETHER if critical else POINTWISE}, {paired}"
    score = change.score if change.score.approximate else pivot.score
    return [
        difference_row("gap", score, gap_jackknife, null, key, critical=critical, method=method),
        retention_row(score, retention, key, method=f"{FIELLER}, {paired}"),
    ]


def _add_sensitivity(row: Row, gap_jackknife: Jackknife | None, pivot_gain: Jackknife | None) -> Row:
    """Add the minimum detectable gap and the z of the pivot's gain to a row."""
    return replace(
        row,
        mde=mde(gap_jackknife) if gap_jackknife else float("nan"),
        pivot_z=pivot_gain.t if pivot_gain else float("nan"),
    )


PIVOT = "pivot"
#: The metric that has to confirm a reversal.
#: Why a negative gain in a share of variance is not yet a reversal.
GREW = "separation fell, but the distance between the classes did not: the spread of all texts grew"


def language_verdicts(
    languages: Sequence[str],
    pivot: str,
    primary: Compared,
    probe: Compared | None = None,
    cross_checks: Mapping[str, str] | None = None,
    *,
    distance: Compared | None = None,
) -> tuple[LanguageVerdict, ...]:
    """Read the verdict of each language off the primary family.

    Args:
        languages: codes, in the order of the result.
        pivot: code of the pivot.
        primary: the family of the primary estimand.
        probe: AUROC at the same layer; verdicts note where it disagrees.
        distance: class distance at the same layer; a language is reversed only if it fell as well.
        cross_checks: language -> verdict of the primary family under other conditions, such as on matched texts.
    """
    verdicts = []
    for language in languages:
        disagrees = probe is not None and _probe_disagrees(language, primary, probe)
        retention = primary.retentions.get(language)
        if language == pivot:
            verdicts.append(LanguageVerdict(language=language, verdict=PIVOT, disagree=disagrees))
        elif retention is None:
            reason = "a score of this language or of the pivot is missing"
            verdicts.append(LanguageVerdict(language=language, verdict="not measured", reason=reason))
        else:
            cross_check = (cross_checks or {}).get(language)
            fell = distance is None or _fell(language, distance)
            verdicts.append(_read_verdict(language, retention, cross_check, disagrees=disagrees, fell=fell))
    return tuple(verdicts)


def is_confounded(verdict: str, cross_check: str | None) -> bool:
    """Whether a definite verdict is contradicted by its cross-check, so that it does not count.

    >>> is_confounded("reached", "weakened"), is_confounded("inconclusive", "weakened"), is_confounded("reached", None)
    (True, False, False)
    """
    return cross_check is not None and verdict not in {"inconclusive", cross_check}


def _read_verdict(
    language: str, retention: Retention, cross_check: str | None, *, disagrees: bool, fell: bool
) -> LanguageVerdict:
    verdict, reason = retention.verdict, retention.reason
    if verdict == "reversed" and not fell:
        verdict, reason = "inconclusive", GREW
    confounded = is_confounded(verdict, cross_check)
    return LanguageVerdict(
        language=language,
        verdict="confounded" if confounded else verdict,
        low=retention.low,
        high=retention.high,
        cross_check=cross_check,
        disagree=disagrees,
        reason=reason,
    )


def _fell(language: str, distance: Compared) -> bool:
    """Whether the distance between the classes is clearly smaller in the aligned model; False where it is missing."""
    interval = distance.gains.get(language)
    return interval is not None and interval.high < 0


def _probe_disagrees(language: str, primary: Compared, probe: Compared) -> bool:
    unknown = Interval(low=NAN, high=NAN)
    none = Retention(value=NAN, low=NAN, high=NAN)
    by_components, by_probe = (
        (family.retentions.get(language, none).verdict, family.gains.get(language, unknown))
        for family in (primary, probe)
    )
    return disagree(by_components, by_probe)
