"""Gains, gaps and retention of several languages, from scores written by hand."""

import math

import numpy as np
import pytest
import scipy.stats

from isogloss.auditing.compare import FIELLER, POINTWISE, TOGETHER, Change, Family, compare
from isogloss.hidden_states.spec import Layer
from isogloss.stats.jackknife import Jackknife
from isogloss.stats.metric import Score, missing
from isogloss.stats.metrics import METRICS
from isogloss.stats.probe_scores import logit
from isogloss.stats.text_pairs import unit_ids

N = 40
LAYER = Layer(4, "post")
SALIENT = "between_class_variance"


def jackknife(value, se, *, code, seed=0):
    """An estimate with this standard error from the units of a language."""
    influence = np.random.default_rng(seed).normal(size=N)
    influence -= influence.mean()
    units = unit_ids([f"{code} {i}" for i in range(N)])
    order = np.argsort(units)
    influence *= se / np.sqrt((influence**2).sum())
    return Jackknife(value=value, influence=influence[order], units=units[order], df=N - 1)


def score(value, se, *, code, seed=0, metric=SALIENT, null=(0.0, 0.1), approximate=None):
    return Score(
        row=METRICS[metric],
        components=None if metric == "auroc" else 10,
        plug_in=value,
        jackknife=jackknife(value, se, code=code, seed=seed),
        plug_in_null=np.array(null),
        null=np.array(null),
        approximate=approximate,
    )


def change(gain, se=0.01, *, code, items=None, seed=None, **more):
    """A change of `gain` whose reference is known exactly."""
    seed = seed if seed is not None else sum(code.encode())
    place = items or code
    before = score(0.05, 0.0 * se + 1e-9, code=place, seed=seed, **more)
    return Change(reference=before, aligned=score(0.05 + gain, se, code=place, seed=seed, **more), n=N)


def family(changes, *, together=True, pivots=None, **more):
    others = {code: changes["en"] for code in changes if code != "en"} if pivots is None else pivots
    return Family(changes=changes, pivots=others, pivot="en", layer=LAYER, together=together, **more)


def row(found, kind, code):
    (one,) = [row for row in found.rows if (row.kind, row.language) == (kind, code)]
    return one


def three(**more):
    gains = {"en": 0.2, "de": 0.18, "sw": 0.02}
    return {code: change(gain, code=code, **more) for code, gain in gains.items()}


def test_gain_gap_and_retention_are_differences_and_ratio_of_the_estimates():
    found = compare(family(three()), seed=0)
    assert {(row.kind, row.language) for row in found.rows} == {
        ("gain", "en"),
        *((kind, code) for kind in ("gain", "gap", "retention") for code in ("de", "sw")),
    }
    assert row(found, "gain", "sw").estimate.value == pytest.approx(0.02)
    assert row(found, "gap", "sw").estimate.value == pytest.approx(0.18)
    assert row(found, "retention", "sw").estimate.value == pytest.approx(0.1)
    assert found.retentions["sw"].verdict == "not reached"
    for one in found.rows:
        assert (one.layer, one.norm, one.sample, one.components) == (4, "post", "all", 10)
        assert (one.estimate.n, one.estimate.seed, one.estimate.level) == (N, 0, 0.95)


def test_intervals_of_the_primary_family_hold_together_and_others_one_by_one():
    together, alone = compare(family(three()), seed=0), compare(family(three(), together=False), seed=0)
    t = scipy.stats.t.ppf(0.975, N - 1)
    for code in ("en", "de", "sw"):
        wide, narrow = row(together, "gain", code).estimate, row(alone, "gain", code).estimate
        assert narrow.high - narrow.low == pytest.approx(2 * t * 0.01, rel=1e-6)
        assert wide.high - wide.low > 1.1 * (narrow.high - narrow.low)
        assert (wide.method, narrow.method) == (TOGETHER, POINTWISE)
        assert together.gains[code].low == wide.low
        assert alone.gains[code].high == narrow.high
        assert wide.p_value == narrow.p_value
    for code in ("de", "sw"):
        wide, narrow = row(together, "gap", code).estimate, row(alone, "gap", code).estimate
        assert wide.high - wide.low > 1.05 * (narrow.high - narrow.low)
        assert row(together, "retention", code).estimate.method.startswith(FIELLER)


def test_one_language_alone_has_its_own_t():
    found = compare(family({"en": change(0.2, code="en")}), seed=0)
    (gain,) = found.rows
    half = scipy.stats.t.ppf(0.975, N - 1) * 0.01
    assert gain.estimate.high - gain.estimate.low == pytest.approx(2 * half, rel=1e-6)
    assert found.retentions == {}
    assert math.isnan(gain.mde)
    assert gain.pivot_z == pytest.approx(20, rel=1e-6)


def test_shared_items_are_paired_and_others_are_independent():
    """The same numbers, in one case from the same items: equal noise cancels in the gap."""
    apart = compare(family({"en": change(0.2, code="en", seed=1), "de": change(0.1, code="de", seed=1)}), seed=0)
    paired = compare(
        family(
            {"en": change(0.2, code="en", items="i", seed=1), "de": change(0.1, 0.0099, code="de", items="i", seed=1)}
        ),
        seed=0,
    )
    widths = {}
    for name, found in (("independent samples", apart), ("items paired", paired)):
        for kind in ("gap", "retention"):
            one = row(found, kind, "de").estimate
            assert one.method.endswith(name)
            widths[name, kind] = one.high - one.low
    assert widths["items paired", "gap"] == pytest.approx(2 * scipy.stats.t.ppf(0.975, N - 1) * 0.0001, rel=1e-6)
    se = math.hypot(0.01, 0.01)
    assert widths["independent samples", "gap"] == pytest.approx(2 * scipy.stats.t.ppf(0.975, N - 1) * se, rel=1e-6)
    assert widths["items paired", "retention"] < widths["independent samples", "retention"]


def test_rows_say_what_gap_would_have_been_seen_and_how_clear_the_pivot_is():
    found = compare(family(three()), seed=0)
    for kind in ("gain", "gap", "retention"):
        one = row(found, kind, "sw")
        assert one.mde == pytest.approx(3.24 * math.hypot(0.01, 0.01), rel=1e-6)
        assert one.pivot_z == pytest.approx(20, rel=1e-6)
    assert row(found, "gap", "sw").estimate.value > row(found, "gap", "sw").mde


def test_a_language_without_a_score_gets_reasons_and_stops_no_other():
    changes = three()
    lacking = missing(changes["sw"].aligned.row, 10, "the texts vary in 3 directions only")
    changes["sw"] = Change(reference=changes["sw"].reference, aligned=lacking, n=N)
    found = compare(family(changes), seed=0)
    for kind in ("gain", "gap", "retention"):
        one = row(found, kind, "sw")
        assert math.isnan(one.estimate.value)
        assert one.estimate.reason == "the score of a model is missing: the texts vary in 3 directions only"
        assert math.isnan(one.mde)
        assert not math.isnan(row(found, kind, "de").estimate.value)
    assert set(found.retentions) == {"de"}
    assert set(found.gains) == {"en", "de"}


def test_without_the_pivots_score_there_are_gains_but_no_comparison():
    changes = three()
    lacking = missing(changes["en"].aligned.row, 10, "too few")
    changes["en"] = Change(reference=lacking, aligned=changes["en"].aligned, n=N)
    found = compare(family(changes), seed=0)
    assert found.retentions == {}
    assert row(found, "gain", "en").estimate.reason == "the score of a model is missing: too few"
    for code in ("de", "sw"):
        assert row(found, "gain", code).estimate.value > 0
        assert row(found, "retention", code).estimate.reason == "the score of a model is missing: too few"
        assert math.isnan(row(found, "gain", code).pivot_z)  # not the language's own


def test_a_pivot_without_effect_leaves_everything_inconclusive():
    changes = {"en": change(0.001, 0.01, code="en"), "de": change(0.2, code="de")}
    found = compare(family(changes), seed=0)
    assert found.retentions["de"].verdict == "inconclusive"
    kept = row(found, "retention", "de").estimate
    assert math.isnan(kept.value)
    assert kept.reason == "the pivot's gain is not clear of zero"
    assert (kept.method, math.isnan(kept.level)) == (None, True)


def test_models_that_are_the_same_have_no_gain_and_no_verdict():
    """Layer 0, say: no unit moves the gain, so there is no standard error."""
    same = {
        code: Change(reference=score(0.3, 0.01, code=code), aligned=score(0.3, 0.01, code=code), n=N)
        for code in ("en", "de")
    }
    found = compare(family(same), seed=0)
    gain = row(found, "gain", "de").estimate
    assert gain.value == 0.0
    assert math.isnan(gain.low)
    assert math.isnan(gain.high)
    assert gain.approximate == "no text moves it"
    assert math.isnan(gain.p_value)
    assert math.isnan(row(found, "gain", "de").pivot_z)
    assert found.retentions["de"].verdict == "inconclusive"


def test_probe_gains_are_differences_of_log_odds_with_their_null():
    def side(value):
        return Score(
            row=METRICS["auroc"],
            components=None,
            plug_in=value,
            jackknife=jackknife(float(logit(value, N)), 0.1, code="en"),
            plug_in_null=np.array([0.4, 0.6]),
            null=np.array([0.4, 0.6]),
        )

    found = compare(family({"en": Change(reference=side(0.5), aligned=side(0.9), n=N)}, together=False), seed=0)
    (gain,) = found.rows
    assert gain.scale == "logit"
    assert gain.estimate.value == pytest.approx(math.log(9))
    assert gain.estimate.null_mean == 0
    one = Change(reference=side(0.5), aligned=side(0.9), n=N)
    moved = Change(reference=one.reference, aligned=Score(**{**vars(one.aligned), "null": np.array([0.5, 0.9])}), n=N)
    assert moved.null == pytest.approx([math.log(0.5 / 0.4 * 0.6 / 0.5), math.log(9 / 1.5)])


def test_an_approximate_score_marks_all_that_is_made_of_it():
    changes = three(approximate="few texts")
    changes["de"] = Change(
        reference=changes["de"].reference, aligned=score(0.23, 0.01, code="de", seed=sum(b"de")), n=N
    )
    found = compare(family(changes), seed=0)
    assert {row.estimate.approximate for row in found.rows} == {"few texts"}


def test_what_is_compared_with_an_approximate_pivot_is_approximate():
    exact = three()
    found = compare(family(exact | {"en": change(0.2, code="en", approximate="few texts")}), seed=0)
    marked = {(row.kind, row.language) for row in found.rows if row.estimate.approximate}
    assert marked == {("gain", "en"), *((kind, code) for kind in ("gap", "retention") for code in ("de", "sw"))}


def test_matched_languages_are_compared_with_their_own_part_of_the_pivot():
    own = {"de": change(0.1, code="de"), "sw": change(0.1, code="sw")}
    pivots = {"de": change(0.1, code="en"), "sw": change(0.4, code="en")}
    found = compare(family(own, pivots=pivots, sample="matched"), seed=0)
    assert row(found, "retention", "de").estimate.value == pytest.approx(1)
    assert row(found, "retention", "sw").estimate.value == pytest.approx(0.25)
    assert {row.sample for row in found.rows} == {"matched"}
    assert row(found, "gain", "sw").pivot_z == pytest.approx(40, rel=1e-6)
    assert "en" not in {row.language for row in found.rows}


def test_the_same_seed_gives_the_same_numbers():
    assert compare(family(three()), seed=3).rows == compare(family(three()), seed=3).rows
    assert compare(family(three()), seed=3).gains != compare(family(three()), seed=4).gains
