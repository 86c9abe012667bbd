"""Checks of a result that comes from a file of anybody: its fields, its numbers, and whether they fit each other.

A run folder may be edited, cut or made by another program. What these checks let through is a result that an audit of
this version could have written; they cannot prove that one did.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, get_args

from isogloss.errors import StoreError
from isogloss.record_checks import (
    GAIN,
    GAP,
    LANGUAGE,
    LARGEST_SEED,
    NOT_MEASURED,
    PIVOT,
    RETENTION,
    ROUNDING,
    SCORE,
    VERDICTS,
    WORD,
    is_count,
    kind_faults,
    row_faults,
)
from isogloss.records import Estimate, LanguageVerdict, Primary, Row
from isogloss.stats.effects import Verdict, read_verdict
from isogloss.stats.jackknife import Interval
from isogloss.stats.thresholds import Thresholds
from isogloss.warnings import CodedWarning

LAYER = re.compile(r"[0-9]{1,6}(-(pre|post))?")
LISTS = ("layers", "metrics", "controls")
VERDICT_WORDS = get_args(Verdict)


class Result(Protocol):
    """What the checks read of an audit, whose class stands above this module."""

    @property
    def corpus(self) -> dict[str, Any]: ...  # noqa: D102 - as in Audit

    @property
    def models(self) -> dict[str, Any]: ...  # noqa: D102 - as in Audit

    @property
    def config(self) -> dict[str, Any]: ...  # noqa: D102 - as in Audit

    @property
    def versions(self) -> dict[str, str]: ...  # noqa: D102 - as in Audit

    @property
    def pivot(self) -> str: ...  # noqa: D102 - as in Audit

    @property
    def primary(self) -> Primary: ...  # noqa: D102 - as in Audit

    @property
    def rows(self) -> tuple[Row, ...]: ...  # noqa: D102 - as in Audit

    @property
    def verdicts(self) -> tuple[LanguageVerdict, ...]: ...  # noqa: D102 - as in Audit

    @property
    def warnings(self) -> tuple[CodedWarning, ...]: ...  # noqa: D102 - as in Audit

    @property
    def thresholds(self) -> Thresholds: ...  # noqa: D102 - as in Audit


#: (kind, language, model, sample) -> the number at the primary estimand.
Primaries = Mapping[tuple[str, str, str, str], Estimate]


def refuse_unsound(audit: Result) -> None:
    """Stop if a result is not one that an audit writes: a field, a number, or a contradiction between numbers.

    Raises:
        StoreError: a field is missing or of another kind; a word is unknown; a number is not finite, out of range,
            outside its interval, missing or there twice; or a verdict does not follow from its interval.
    """
    for fault in _faults(audit):
        raise StoreError(
            "audit.json",
            found=fault,
            expected="what an audit of this version of isogloss writes",
            do="run the audit again, or read it with the isogloss that wrote it",
        )


def _faults(audit: Result) -> Iterator[str]:
    # In this order: later checks rely on the kinds and words that earlier ones have checked.
    yield from _header_faults(audit)
    for record in (audit.primary, audit.thresholds, *audit.verdicts, *audit.warnings, *audit.rows):
        yield from kind_faults(record)
    yield from _threshold_faults(audit.thresholds)
    yield from _primary_faults(audit)
    roles = _roles(audit)
    for row in audit.rows:
        yield from kind_faults(row.estimate)
        yield from row_faults(row, roles, audit.config)
    key = ("analysis", "kind", "language", "other", "model", "layer", "norm", "basis", "components", "metric", "sample")
    keys = Counter(tuple(getattr(row, name) for name in key) for row in audit.rows)
    if twice := [key for key, times in keys.items() if times > 1]:
        yield f"one number twice ({' '.join(str(part) for part in twice[0] if part)})"
    yield from _language_faults(audit)
    yield from _warning_faults(audit)
    primaries = _find_primaries(audit)
    for verdict in audit.verdicts:
        yield from _verdict_faults(audit, verdict, primaries)
    for language in sorted(_scored(audit)):
        yield from _comparison_faults(audit, language, primaries)


def _find_primaries(audit: Result) -> Primaries:
    primary = audit.primary
    return {
        (row.kind, row.language, row.model, row.sample): row.estimate
        for row in audit.rows
        if (row.metric, row.components, row.layer_name) == (primary.metric, primary.components, primary.layer)
    }


def _scored(audit: Result) -> set[str]:
    return {row.language for row in audit.rows if row.kind == SCORE and row.analysis == ""}


def _roles(audit: Result) -> list[str]:
    return [role for role in ("reference", "aligned") if audit.models.get(role) is not None]


def _header_faults(audit: Result) -> Iterator[str]:
    models: Any = audit.models  # as JSON had it
    models = models if isinstance(models, Mapping) else {}
    records = {"corpus": audit.corpus, "aligned model": models.get("aligned")}
    records |= {f"{role} model": model for role, model in models.items() if model is not None}
    for what, record in records.items():
        if not (isinstance(record, Mapping) and all(isinstance(record.get(key), str) for key in ("name", "sha256"))):
            yield f"no name or hash of the {what}"
    config: Any = audit.config
    if not (isinstance(config, Mapping) and isinstance(audit.versions, Mapping) and isinstance(audit.pivot, str)):
        yield "no settings, versions or pivot"
        return
    if not all(isinstance(version, str) for version in audit.versions.values()):
        yield "a version that is no text"
    yield from _config_faults(config)
    if config.get("pivot", audit.pivot) != audit.pivot:
        yield f"the pivot {audit.pivot!r}, and {config['pivot']!r} in the settings"
    left_out = audit.corpus.get("left_out") if isinstance(audit.corpus, Mapping) else None
    if left_out is not None and not _words(left_out):
        yield "left_out that is no list of words"


def _config_faults(config: Mapping[str, Any]) -> Iterator[str]:
    level = config.get("level")
    if not (isinstance(level, float) and 0 < level < 1):
        yield f"the level of confidence {level!r}"
    if not all(isinstance(config.get(name), str) for name in ("position", "prompt_format")):
        yield "no position or prompt format"
    if not is_count(config.get("seed"), LARGEST_SEED):
        yield f"the seed {config.get('seed')!r}"
    if not isinstance(config.get("layers"), list):
        yield "no layers"
    for name in ("permutations", "max_tokens", "per_class"):
        if config.get(name) is not None and not is_count(config[name]):
            yield f"{name} {config[name]!r}"
    analyses = config.get("analyses", {})
    if not (isinstance(analyses, Mapping) and all(isinstance(each, Mapping) for each in analyses.values())):
        yield "analyses that are no settings"
    for name in LISTS:
        if config.get(name) is not None and not _words(config[name]):
            yield f"{name} that are no list of words"


def _words(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _threshold_faults(thresholds: Thresholds) -> Iterator[str]:
    if not 0 < thresholds.not_reached < thresholds.reached <= 1:
        yield f"the thresholds {thresholds.not_reached:g} and {thresholds.reached:g} of retention"
    for name in ("mde_standard_errors", "component_edge", "tied_eigenvalues"):
        if not getattr(thresholds, name) > 0:
            yield f"the threshold {name} {getattr(thresholds, name):g}"


def _primary_faults(audit: Result) -> Iterator[str]:
    primary, config = audit.primary, audit.config
    if not LAYER.fullmatch(primary.layer):
        yield f"the layer {primary.layer!r}"
        return
    if not WORD.fullmatch(primary.metric):
        yield f"the metric {primary.metric!r}"
    if primary.components < 1:
        yield f"{primary.components} components"
    if primary.layer not in config["layers"]:
        yield f"the primary layer {primary.layer}, which was not read"
    recorded = {"metric": primary.metric, "components": primary.components, "layer": primary.layer}
    if config.get("primary", recorded) != recorded:
        yield "two primary estimands"


def _language_faults(audit: Result) -> Iterator[str]:
    if not LANGUAGE.fullmatch(audit.pivot):
        yield f"the pivot {audit.pivot!r}"
    scored, has_reference = _scored(audit), "reference" in _roles(audit)
    if audit.pivot not in scored:
        yield f"no score of the pivot {audit.pivot!r}"
    if missing := {row.language for row in audit.rows if row.language} - scored:
        yield f"rows of {min(missing)!r}, which has no score"
    if missing := {row.other for row in audit.rows if row.other} - scored:
        yield f"rows that compare with {min(missing)!r}, which has no score"
    judged = Counter(verdict.language for verdict in audit.verdicts)
    if twice := [language for language, times in judged.items() if times > 1]:
        yield f"two verdicts of {twice[0]!r}"
    expected = scored if has_reference else set()
    if missing := expected - set(judged):
        yield f"no verdict of {min(missing)!r}"
    if extra := set(judged) - expected:
        yield f"a verdict of {min(extra)!r}, which {'has no score' if has_reference else 'has no reference'}"
    words = {verdict.language: verdict.verdict for verdict in audit.verdicts}
    for row in audit.rows:
        if row.verdict and row.language and row.verdict != words.get(row.language):
            yield f"two verdicts of {row.language!r}"


def _warning_faults(audit: Result) -> Iterator[str]:
    for warning in audit.warnings:
        if warning.language is not None and not LANGUAGE.fullmatch(warning.language):
            yield f"a warning about the language {warning.language!r}"


def _verdict_faults(audit: Result, verdict: LanguageVerdict, primaries: Primaries) -> Iterator[str]:
    language = verdict.language
    if verdict.verdict not in VERDICTS:
        yield f"the verdict {verdict.verdict!r} of {language}"
    if (language == audit.pivot) != (verdict.verdict == PIVOT):
        yield f"the verdict {verdict.verdict!r} of {language}, with {audit.pivot} as pivot"
    if language == audit.pivot:
        if not (math.isnan(verdict.low) and math.isnan(verdict.high)) or verdict.cross_check is not None:
            yield "a retention of the pivot"
        return
    retention = primaries.get((RETENTION, language, "", "all"))
    if retention is None:
        yield f"no retention of {language} at the primary estimand"
        return
    if not _same((verdict.low, verdict.high), (retention.low, retention.high)):
        yield f"two intervals of retention of {language}"
    matched = primaries.get((RETENTION, language, "", "matched"))
    if (
        matched is not None
        and verdict.cross_check != (checked := _read(matched, audit))
        and not (verdict.cross_check is None and checked == "inconclusive")
    ):
        yield f"the cross-check {verdict.cross_check!r} of {language} for {checked!r}"
    if verdict.cross_check is not None and verdict.cross_check not in VERDICT_WORDS:
        yield f"the cross-check {verdict.cross_check!r} of {language}"
    plain = _read_language(retention, audit, language)
    expected = plain if verdict.cross_check in {None, plain} or plain == "inconclusive" else "confounded"
    unmeasured = verdict.verdict == NOT_MEASURED and math.isnan(retention.value)
    if verdict.verdict != expected and not unmeasured:
        yield f"the verdict {verdict.verdict!r} of {language} for {expected!r}"


def _read(retention: Estimate, audit: Result) -> str:
    return read_verdict(Interval(low=retention.low, high=retention.high), audit.thresholds)


def _read_language(retention: Estimate, audit: Result, language: str) -> str:
    verdict = _read(retention, audit)
    return "inconclusive" if verdict == "reversed" and not _fell(audit, language) else verdict


def _fell(audit: Result, language: str) -> bool:
    """Whether the classes came closer to each other, without which no language is reversed; true if it is not known."""
    gains = [
        row.estimate
        for row in audit.rows
        if (row.kind, row.metric, row.language, row.sample) == (GAIN, "class_distance", language, "all")
        and row.layer_name == audit.primary.layer
    ]
    return not gains or gains[0].high < 0


def _same(numbers: tuple[float, ...], others: tuple[float, ...]) -> bool:
    pairs = zip(numbers, others, strict=True)
    return all(math.isclose(a, b, rel_tol=1e-12) or (math.isnan(a) and math.isnan(b)) for a, b in pairs)


def _comparison_faults(audit: Result, language: str, primaries: Primaries) -> Iterator[str]:
    """Check that the numbers of the primary estimand are there, and that gain, gap and retention follow from them."""
    roles = _roles(audit)
    scores = [primaries.get((SCORE, language, role, "all")) for role in roles]
    if any(score is None for score in scores):
        yield f"no score of {language} at the primary estimand"
    if "reference" not in roles:
        return
    gain, pivot_gain = (primaries.get((GAIN, code, "", "all")) for code in (language, audit.pivot))
    if gain is None or pivot_gain is None:
        yield f"no gain of {language} at the primary estimand"
        return
    before, after = (math.nan if score is None else score.value for score in scores)
    values = {
        GAIN: after - before,
        GAP: pivot_gain.value - gain.value,
        RETENTION: gain.value / pivot_gain.value if pivot_gain.value else math.nan,
    }
    for kind, value in values.items():
        estimate = primaries.get((kind, language, "", "all"))
        if estimate is None or math.isnan(estimate.value):
            continue
        if not math.isclose(estimate.value, value, rel_tol=ROUNDING, abs_tol=ROUNDING):
            yield f"the {kind} {estimate.value:g} of {language} where the other numbers give {value:g}"
