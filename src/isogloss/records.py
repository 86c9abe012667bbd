"""The records of a result: estimates, rows and verdicts. Every field carries the description of its column."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar

NAN = float("nan")


def _column(about: str, default: Any = MISSING) -> Any:  # noqa: ANN401 - the type of the field
    """Make a field with its description; the column dictionary is made of these descriptions."""
    return field(metadata={"about": about}) if default is MISSING else field(default=default, metadata={"about": about})


def _share_nan(record: Any, names: Iterable[str]) -> None:  # noqa: ANN401 - of any frozen record below
    """Use one NaN object, so that a record read from JSON equals the one written: a tuple compares objects first."""
    for name in names:
        if math.isnan(getattr(record, name)):
            object.__setattr__(record, name, NAN)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its interval, null and p values; unknown numbers are NaN. A NaN value has a `reason`."""

    value: float = _column("The estimate, debiased if the metric is.")
    n: int = _column("Texts per class; for a number about all languages, the number of languages.")
    seed: int = _column("Random seed for sampling, permutations and folds.")
    low: float = _column("Lower bound of the confidence interval.", NAN)
    high: float = _column("Upper bound of the confidence interval.", NAN)
    level: float = _column("Level of the interval, such as 0.95.", NAN)
    method: str | None = _column("How the interval was made, and whether it holds for all languages together.", None)
    plug_in: float = _column("The statistic before debiasing: the number that papers print.", NAN)
    null_mean: float = _column("Mean of the estimate under permuted labels.", NAN)
    null_low: float = _column("2.5th percentile of the estimate under permuted labels.", NAN)
    null_high: float = _column("97.5th percentile of the estimate under permuted labels.", NAN)
    p_value: float = _column(
        "Of a score: one-sided permutation p of no separation. Of a gain or gap: two-sided jackknife p of zero.", NAN
    )
    p_family: float = _column(
        "p corrected for all languages and models (max-p over permutations); primary estimand only.", NAN
    )
    fdr: float = _column("False discovery rate among all numbers that are not the primary estimand.", NAN)
    approximate: str | None = _column("Why the interval may cover less than its level; null where it does not.", None)
    reason: str | None = _column("Why there is no value; null where there is one.", None)

    def __post_init__(self) -> None:
        """Refuse a NaN without a reason."""
        if math.isnan(self.value) and not self.reason:
            raise ValueError("an Estimate without a value needs a reason")
        _share_nan(self, _floats(Estimate))


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number of a result with its unique key."""

    kind: str = _column(
        "What the number is: score, gain, gap, retention or control; each analysis adds kinds of its own."
    )
    language: str = _column("Language code; empty where a number is about all languages together.")
    metric: str = _column("Name of the metric, control or other quantity.")
    estimate: Estimate
    analysis: str = _column("Analysis that the row belongs to; empty for the audit itself.", "")
    model: str = _column("reference, aligned or another model of an analysis; empty for a comparison of models.", "")
    layer: int | None = _column("Layer, 0 for embeddings, k for the output of block k; null for controls.", None)
    norm: str = _column("pre or post the final norm, for the last layer; empty for all others.", "")
    basis: str = _column("Space of the metric: pca, probe, means, states or answers.", "")
    components: int | None = _column("Number of principal components; null where the metric reads none.", None)
    sample: str = _column(
        "all, matched (pairs that match the pivot's) or chat (chat template, where raw text was read as well).", "all"
    )
    scale: str = _column("logit where the number is a difference of log odds, else plain.", "plain")
    mde: float = _column("Minimum detectable gap to the pivot, at 90 % power.", NAN)
    pivot_z: float = _column("z of the pivot's gain: the gain over its standard error.", NAN)
    verdict: str = _column("Verdict of the language at the primary estimand.", "")
    other: str = _column("Second language of a number that compares two.", "")

    def __post_init__(self) -> None:
        """Use one NaN object."""
        _share_nan(self, _floats(Row))

    @property
    def layer_name(self) -> str:
        """The layer as options name it, such as 12 or 18-post; empty where there is none."""
        return "" if self.layer is None else f"{self.layer}-{self.norm}" if self.norm else str(self.layer)


@dataclass(frozen=True, kw_only=True)
class LanguageVerdict:
    """The verdict of a language at the primary estimand.

    Attributes:
        language: code.
        verdict: pivot, reached, weakened, lagging, not reached, reversed, confounded, inconclusive or not measured.
        low, high: the bounds of retention that give the verdict, simultaneous over languages.
        cross_check: verdict of the same estimand under the conditions of an analysis, such as matched texts; None if no
            analysis checked it. A definite verdict that the cross-check does not confirm is confounded.
        disagree: whether linear separability gives another verdict.
        reason: why the verdict is missing; None if there is one.
    """

    language: str
    verdict: str
    low: float = NAN
    high: float = NAN
    cross_check: str | None = None
    disagree: bool = False
    reason: str | None = None

    def __post_init__(self) -> None:
        """Use one NaN object."""
        _share_nan(self, _floats(LanguageVerdict))


@dataclass(frozen=True, kw_only=True)
class Primary:
    """The estimand that verdicts come from, fixed before the run; `layer` is a name such as "18-post" or "12"."""

    metric: str
    components: int
    layer: str


RecordT = TypeVar("RecordT", Estimate, Row, LanguageVerdict)


def read_record(record: type[RecordT], data: dict[str, Any]) -> RecordT:
    """Build a record from JSON, where a missing number is null."""
    numbers = set(_floats(record))
    values: dict[str, Any] = {name: NAN if value is None and name in numbers else value for name, value in data.items()}
    return record(**values)


def _floats(record: type[Any]) -> list[str]:
    return [field.name for field in fields(record) if field.type == "float"]


def column_dictionary() -> dict[str, str]:
    """Return the description of each column of results.parquet: name -> sentence.

    >>> column_dictionary()["n"]
    'Texts per class; for a number about all languages, the number of languages.'
    """
    leading = {
        "corpus": "Name of the corpus.",
        "position": "Read-out position of the hidden state.",
        "prompt_format": "raw text or chat template.",
    }
    columns = (column for column in (*fields(Row), *fields(Estimate)) if column.name != "estimate")
    return leading | {column.name: column.metadata["about"] for column in columns}
