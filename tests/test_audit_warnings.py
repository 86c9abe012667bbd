"""Coded warnings that follow from the numbers."""

import pytest

from handmade import HERE, PROBE, estimate
from isogloss.analyses.matched.rows import _make_warnings
from isogloss.auditing.audit_warnings import (
    _warn_of_approximations,
    _warn_of_missing_scores,
    warnings_of_controls,
    warnings_of_verdicts,
)
from isogloss.auditing.compare import GREW, Compared
from isogloss.records import NAN, LanguageVerdict, Row
from isogloss.stats.effects import Retention

ACCURACY = PROBE | {"metric": "pair_accuracy"}

NAMES = ("length", "edit")


def probe(value, low, high, where=PROBE, model="aligned"):
    return Row(kind="score", language="sw", model=model, estimate=estimate(value, low, high), **where)


def control(name, value, low, high):
    return Row(kind="control", language="sw", metric=name, estimate=estimate(value, low, high))


def codes(*rows):
    return [warning.code for warning in warnings_of_controls("sw", rows)]


@pytest.mark.parametrize(("name", "code"), [("length", "S002"), ("ngram", "S003"), ("untrained", "S007")])
def test_a_control_that_the_probe_does_not_clearly_beat_is_warned_of(name, code):
    score, value = probe(0.9, 0.8, 0.95), control(f"{name}_auroc", 0.7, 0.6, 0.8)
    assert codes(score, value, control(f"probe_minus_{name}_auroc", 0.2, 0.0, 0.4)) == [code]
    assert codes(score, value, control(f"probe_minus_{name}_auroc", 0.2, 0.01, 0.4)) == []
    assert codes(score, value, control(f"probe_minus_{name}_auroc", 0.2, NAN, NAN)) == [code]
    assert codes(probe(0.9, 0.8, 0.95, model="reference"), control(f"probe_minus_{name}_auroc", 0.0, -0.1, 0.1)) == []


def test_the_warning_shows_both_scores():
    rows = [probe(0.9, 0.86, 0.94, ACCURACY), control("length_pair_accuracy", 0.09, 0.05, 0.15)]
    rows.append(control("probe_minus_length_pair_accuracy", -0.01, -0.06, 0.04))
    (warning,) = warnings_of_controls("sw", rows)
    assert (warning.code, warning.language, warning.detail) == ("S002", "sw", "pair accuracy 0.09, probe 0.90")


def test_permuted_labels_that_reach_the_lower_bound_of_the_probe_are_warned_of():
    assert codes(probe(0.9, 0.8, 0.95), control("permuted_labels_auroc", 0.5, 0.4, 0.8)) == ["S008"]
    assert codes(probe(0.9, 0.8, 0.95), control("permuted_labels_auroc", 0.5, 0.4, 0.79)) == []


def test_the_permuted_control_counts_upward_only():
    assert codes(probe(0.9, 0.8, 0.95), control("permuted_labels_auroc", 0.4, 0.1, 0.6)) == []


def test_a_probe_that_is_missing_is_not_compared():
    lacking = Row(kind="score", language="sw", model="aligned", estimate=estimate(NAN, reason="none"), **PROBE)
    assert codes(lacking, control("length_auroc", 0.9, 0.8, 1.0)) == []
    assert codes(control("length_auroc", 0.9, 0.8, 1.0)) == []


def of_verdicts(*verdicts):
    return [(warning.code, warning.language, warning.detail) for warning in warnings_of_verdicts(verdicts)]


def test_verdicts_that_metrics_dispute_are_warned_of():
    disputed = LanguageVerdict(language="sw", verdict="reached", disagree=True)
    assert of_verdicts(disputed) == [("S004", "sw", "verdict reached")]


def test_matching_that_changes_a_verdict_or_cannot_be_done_is_warned_of():
    def retention(low, high):
        return Retention(value=(low + high) / 2, low=low, high=high)

    compared = Compared(
        rows=(),
        retentions={"de": retention(0.9, 1.1), "am": retention(0.9, 1.1), "sw": retention(-1, 0.5)},
        gains={},
    )
    cross_checks = {"de": "reached", "am": "not reached"}
    found = [
        (warning.code, warning.language, warning.detail) for warning in _make_warnings(compared, cross_checks, NAMES)
    ]
    assert found == [
        ("S009", "am", "not reached when matched in length and edit"),
        ("S010", "sw", "fewer than 100 agree in length and edit"),
    ]


def test_an_unclear_pivot_is_warned_of_once():
    unclear = [LanguageVerdict(language=code, verdict="inconclusive", reason="why") for code in ("de", "sw")]
    assert of_verdicts(*unclear) == [("S006", None, "every verdict is inconclusive")]
    assert of_verdicts(LanguageVerdict(language="sw", verdict="inconclusive", low=0.1, high=1.2)) == []


def test_a_share_that_fell_alone_is_warned_of_for_its_language():
    fallen = LanguageVerdict(language="ru", verdict="inconclusive", low=-0.08, high=-0.02, reason=GREW)
    assert of_verdicts(fallen) == [("S014", "ru", "retention -0.08 to -0.02")]


def test_missing_scores_are_gathered_by_reason():
    def row(code, reason, model="aligned"):
        return Row(kind="score", language=code, model=model, estimate=estimate(NAN, reason=reason), **HERE)

    there = Row(kind="score", language="am", model="aligned", estimate=estimate(0.5), **HERE)
    lacking = [row("de", "few"), row("sw", "few"), row("sw", "few", "reference"), row("sw", "flat"), there]
    assert [warning.detail for warning in _warn_of_missing_scores(lacking)] == [
        "between_class_variance, 10 components: few, layer 4 (post-norm), in de sw",
        "between_class_variance, 10 components: flat, layer 4 (post-norm), in sw",
    ]
    assert next(warning.detail for warning in _warn_of_missing_scores(lacking[:3])).endswith("in all languages")
    assert {warning.code for warning in _warn_of_missing_scores(lacking)} == {"S001"}
    assert _warn_of_missing_scores([there]) == []


def test_approximate_intervals_are_gathered_by_reason():
    rows = [Row(kind="gain", language="sw", estimate=estimate(0.5, approximate="few texts"), **HERE)] * 2
    (warning,) = _warn_of_approximations([*rows, Row(kind="gain", language="de", estimate=estimate(0.5), **HERE)])
    assert (warning.code, warning.detail) == ("S011", "between_class_variance: few texts, in sw")
