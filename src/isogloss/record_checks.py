"""Checks of single records that come from a file of anybody: kinds of fields, words, ranges and intervals."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from typing import Any, get_args

from isogloss.records import Estimate, Row
from isogloss.stats.effects import Verdict
from isogloss.stats.metrics import METRICS
from isogloss.stats.text_controls import CONTROLS

#: What JSON may hold for a field of a record, by the field's annotation; True is no number.
KINDS: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (float, int), "bool": (bool,)}
#: Names of kinds, metrics, models and analyses.
WORD = re.compile(r"[a-z0-9][a-z0-9_]{0,63}")
LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,6}")
#: Kinds of rows of the audit itself that belong to a layer; a control belongs to none.
SCORE, CONTROL, GAIN, GAP, RETENTION = "score", "control", "gain", "gap", "retention"
COMPARISONS = (GAIN, GAP, RETENTION)
LAYERED = (SCORE, *COMPARISONS)
#: Whole numbers of a table lie below this; a seed may be larger.
LARGEST_COUNT = 2**53
LARGEST_SEED = 2**63 - 1
PIVOT, NOT_MEASURED = "pivot", "not measured"
VERDICTS = (*get_args(Verdict), NOT_MEASURED, PIVOT)
NORMS = ("", "pre", "post")
SAMPLES = ("all", "matched", "chat")
SCALES = ("plain", "logit")
#: Ends the name of a metric that is a share of 1.
SHARES = ("auroc", "pair_accuracy", "_rate")
#: Methods whose interval holds quantiles of other numbers, which need not lie around the value.
QUANTILES = ("permuted labels", "random halves")
#: Rounding error of numbers that are computed from each other.
ROUNDING = 1e-6


def is_count(value: object, largest: int = LARGEST_COUNT) -> bool:
    """Whether a value is a whole number from 0 to the largest."""
    return type(value) is int and 0 <= value <= largest


def kind_faults(record: Any) -> Iterator[str]:  # noqa: ANN401 - of any record below
    """List the fields of a record that hold another kind of value than its class says, or a number without end."""
    for column in fields(record):
        kinds = str(column.type).split(" | ")
        if kinds[0] not in KINDS:
            continue
        value = getattr(record, column.name)
        if value is None and "None" in kinds:
            continue
        if type(value) not in KINDS[kinds[0]]:
            yield f"{column.name} {str(value)[:40]!r}"
        elif kinds[0] == "float" and math.isinf(value):
            yield f"{column.name} without end"
        elif kinds[0] == "int" and not is_count(value, LARGEST_SEED if column.name == "seed" else LARGEST_COUNT):
            yield f"{column.name} {value}"


def row_faults(row: Row, roles: Collection[str], config: Mapping[str, Any]) -> Iterator[str]:
    """List what is wrong with a row by itself.

    Args:
        row: its fields are of the right kinds.
        roles: the models that were compared.
        config: settings of the audit.
    """
    for fault in (*_word_faults(row, roles, config), *_estimate_faults(row, float(config["level"]))):
        where = f" in {row.language}" if row.language else ""
        yield f"{fault} in the {row.kind} {row.metric}{where}"


def _word_faults(row: Row, roles: Collection[str], config: Mapping[str, Any]) -> Iterator[str]:
    words = {"kind": (row.kind,), "metric": (row.metric,), "model": (row.model,), "analysis": (row.analysis,)}
    for name, (word,) in words.items():
        if not WORD.fullmatch(word) and (word or name in {"kind", "metric"}):
            yield f"the {name} {word!r}"
    for name, word, known in (
        ("norm", row.norm, NORMS),
        ("sample", row.sample, SAMPLES),
        ("scale", row.scale, SCALES),
        ("verdict", row.verdict, ("", *VERDICTS)),
    ):
        if word not in known:
            yield f"the {name} {word!r}"
    for code in (row.language, row.other):
        if code and not LANGUAGE.fullmatch(code):
            yield f"the language {code!r}"
    if row.components is not None and row.components < 1:
        yield f"{row.components} components"
    if row.mde < 0:
        yield f"the minimum detectable gap {row.mde:g}"
    if row.analysis == "":
        yield from _audit_row_faults(row, roles, config)


def _audit_row_faults(row: Row, roles: Collection[str], config: Mapping[str, Any]) -> Iterator[str]:
    """Check a row of the audit itself; analyses have kinds, models and layers of their own."""
    if row.kind not in (*LAYERED, CONTROL):
        yield f"the kind {row.kind!r}"
        return
    if not row.language:
        yield "no language"
    if row.kind == CONTROL:
        if row.metric not in CONTROLS:
            yield f"the control {row.metric!r}"
        return
    if row.layer is None:
        yield "a number without a layer"
    elif row.layer_name not in config["layers"]:
        yield f"the layer {row.layer_name}, which was not read,"
    metrics = config.get("metrics")
    if metrics is not None and row.metric not in metrics:
        yield "a metric that was not computed"
    if row.model not in (roles if row.kind == SCORE else [""]):
        yield f"the model {row.model!r}"


def _estimate_faults(row: Row, level: float) -> Iterator[str]:
    number = row.estimate
    if not math.isnan(number.level) and number.level != level:
        yield f"the level {number.level:g}"
    yield from _interval_faults(number)
    if number.null_low > number.null_high:
        yield f"the null {number.null_low:g} to {number.null_high:g}"
    for name in ("p_value", "p_family", "fdr"):
        if not (math.isnan(share := getattr(number, name)) or 0 <= share <= 1):
            yield f"{name} {share:g}"
    for name, lowest, highest in _ranges(row):
        value = getattr(number, name)
        if not math.isnan(value) and not lowest - ROUNDING <= value <= highest + ROUNDING:
            yield f"the {name.replace('_', ' ')} {value:g}"
    if number.n < 1 and row.kind in LAYERED:
        yield f"{number.n} texts"


def _interval_faults(number: Estimate) -> Iterator[str]:
    if math.isnan(number.low) != math.isnan(number.high):
        yield "one bound alone"
    if math.isnan(number.low) or math.isnan(number.high):
        return
    slack = ROUNDING * max(1.0, abs(number.low), abs(number.high))
    if math.isnan(number.level):
        yield "an interval without a level"
    if number.low > number.high:
        yield f"the interval {number.low:g} to {number.high:g}"
    elif math.isnan(number.value):
        yield "an interval without a value"
    elif not number.low - slack <= number.value <= number.high + slack and not _of_quantiles(number):
        yield f"the value {number.value:g} outside its interval {number.low:g} to {number.high:g}"


def _of_quantiles(number: Estimate) -> bool:
    return (number.method or "").startswith(QUANTILES)


def _ranges(row: Row) -> Iterator[tuple[str, float, float]]:
    """Name the numbers of a row that have a range of their own: shares, and scores before debiasing."""
    of_one_model = row.scale == "plain" and row.kind not in COMPARISONS and (row.model or row.kind == CONTROL)
    if not of_one_model:
        return
    if row.kind == CONTROL and CONTROLS[row.metric].chance is None and not row.metric.endswith("_rate"):
        if row.metric.endswith("_per_character"):
            yield "value", 0.0, math.inf
    elif row.metric.endswith(SHARES):
        for name in ("value", "low", "high", "plug_in", "null_mean", "null_low", "null_high"):
            yield name, 0.0, 1.0
    elif row.kind == SCORE and row.metric in METRICS:
        yield "plug_in", METRICS[row.metric].low, METRICS[row.metric].high
