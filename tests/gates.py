"""Runs for the gate, made by hand: intervals with the methods that audits write."""

from dataclasses import replace

from handmade import HERE, PRIMARY, PROBE, estimate, make_audit
from isogloss.auditing.compare import FIELLER, POINTWISE, TOGETHER
from isogloss.records import NAN, Estimate, LanguageVerdict, Row
from isogloss.stats.effects import read_verdict
from isogloss.stats.jackknife import Interval

METHODS = {"gain": TOGETHER, "retention": f"{FIELLER}, items paired"}
WIDE_GAIN = (0.25, 0.2, 0.3)
#: A class distance that clearly fell, so that retention alone decides about a reversal.
FALL = (-0.2, -0.3, -0.1)
DISTANCE_HERE = HERE | {"basis": "means", "metric": "class_distance", "components": None}


def number(kind, code, interval, *, sample="all", method=None, place=HERE, **more):
    """A gain or retention with its interval; None for one that does not exist."""
    found = (
        Estimate(value=NAN, n=84, seed=0, reason="the pivot's gain is not clear of zero")
        if interval is None
        else estimate(*interval, method=method or METHODS[kind], **more)
    )
    return Row(kind=kind, language=code, estimate=found, sample=sample, **place)


def score(code, value=0.3, model="aligned"):
    return Row(kind="score", language=code, model=model, estimate=estimate(value, value - 0.05, value + 0.05), **HERE)


def run_of(kept, *, verdicts=None, matched=None, gains=None, distance=FALL, more=(), name="org/base-it", **changes):
    """A run in which languages other than en keep these intervals of retention.

    Args:
        kept: language -> (value, low, high) or None.
        verdicts: language -> word; "lagging" where it says nothing.
        matched: language -> interval of retention on matched texts.
        gains: language -> interval of the gain.
        distance: interval of every language's gain in class distance.
        more: further rows.
        name: of the aligned model, which decides its hash.
    """
    rows = [score("en"), number("gain", "en", WIDE_GAIN)]
    for code, interval in kept.items():
        rows += [score(code), number("gain", code, (gains or {}).get(code, WIDE_GAIN))]
        rows.append(number("retention", code, interval))
        rows.append(number("gain", code, distance, method=POINTWISE, place=DISTANCE_HERE))
    rows += [number("retention", code, one, sample="matched") for code, one in (matched or {}).items()]
    words = {code: (verdicts or {}).get(code, "lagging") for code in kept}
    said = [LanguageVerdict(language="en", verdict="pivot")]
    said += [LanguageVerdict(language=code, verdict=word) for code, word in words.items()]
    models = {
        "reference": {"name": "org/base", "revision": "r0", "sha256": "a0"},
        "aligned": {"name": name, "revision": "r1", "sha256": f"hash of {name}"},
    }
    return make_audit([*rows, *more], said, **{"models": models} | changes)


def control(code, metric):
    return Row(kind="control", language=code, metric=metric, estimate=estimate(0.6, 0.5, 0.7))


def sound(kept, **changes):
    """A run as an audit would write it: gains, scores and verdicts follow from retention in languages other than en."""
    gains = {code: tuple(WIDE_GAIN[0] * bound for bound in interval) for code, interval in kept.items()}
    words = {code: read_verdict(Interval(low=low, high=high)) for code, (_, low, high) in kept.items()}
    run = run_of(kept, gains=gains, verdicts=words, **changes)
    reference = [score(code, 0.3 - gain[0], "reference") for code, gain in ({"en": WIDE_GAIN} | gains).items()]
    verdicts = [
        replace(verdict, low=kept[verdict.language][1], high=kept[verdict.language][2])
        if verdict.language in kept
        else verdict
        for verdict in run.verdicts
    ]
    return replace(run, rows=(*run.rows, *reference), verdicts=tuple(verdicts))


def with_method(run, method):
    """The same run with all intervals made by another method."""
    return replace(run, rows=tuple(replace(row, estimate=replace(row.estimate, method=method)) for row in run.rows))


def alone(run):
    """The same run of an aligned model without a reference."""
    rows = tuple(row for row in run.rows if row.kind in {"score", "control"})
    return replace(run, rows=rows, verdicts=(), models={"reference": None, "aligned": run.models["aligned"]})


__all__ = [
    "HERE",
    "METHODS",
    "POINTWISE",
    "PRIMARY",
    "PROBE",
    "alone",
    "control",
    "number",
    "run_of",
    "score",
    "sound",
    "with_method",
]
