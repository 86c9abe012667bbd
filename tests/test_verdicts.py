"""What the primary estimand says of each language."""

import math

import pytest

from isogloss.auditing.compare import Compared, language_verdicts
from isogloss.records import NAN
from isogloss.stats.effects import Retention
from isogloss.stats.jackknife import Interval

CODES = ("en", "de", "sw")
UNCLEAR = Retention(value=NAN, low=NAN, high=NAN, reason="the pivot's gain is not clear of zero")
SETS = {
    "reached": (0.85, 1.3),
    "weakened": (0.3, 0.7),
    "lagging": (0.1, 0.7),
    "not reached": (-0.1, 0.2),
    "reversed": (-0.5, -0.1),
    "inconclusive": (0.5, 1.2),
}


def kept(word):
    low, high = SETS[word]
    return Retention(value=(low + high) / 2, low=low, high=high)


def found(gains=None, **words):
    gains = {code: Interval(low=low, high=high) for code, (low, high) in (gains or {}).items()}
    retentions = {code: kept(word.replace("_", " ")) for code, word in words.items()}
    return Compared(rows=(), retentions=retentions, gains=gains)


def verdicts(*args):
    return {one.language: one for one in language_verdicts(CODES, "en", *args)}


@pytest.mark.parametrize("word", SETS)
def test_the_verdict_is_read_off_the_simultaneous_set(word):
    one = verdicts(found(de=word, sw="reached"), None, None)["de"]
    assert (one.verdict, one.low, one.high) == (word, *SETS[word])
    assert (one.cross_check, one.disagree, one.reason) == (None, False, None)


def test_the_pivot_has_no_verdict_but_a_place():
    one = verdicts(found(de="reached", sw="reached"), None, None)["en"]
    assert one.verdict == "pivot"
    assert math.isnan(one.low)


def test_a_language_without_retention_is_not_measured_and_says_why():
    one = verdicts(found(de="reached"), None, None)["sw"]
    assert (one.verdict, one.reason) == ("not measured", "a score of this language or of the pivot is missing")


def test_an_unclear_pivot_leaves_everything_inconclusive_with_the_reason():
    primary_family = Compared(rows=(), retentions={"de": UNCLEAR, "sw": UNCLEAR}, gains={})
    for code in ("de", "sw"):
        one = verdicts(primary_family, None, None)[code]
        assert (one.verdict, one.reason) == ("inconclusive", "the pivot's gain is not clear of zero")


@pytest.mark.parametrize(
    ("all_texts", "matched", "verdict"),
    [
        ("reached", "reached", "reached"),
        ("not reached", "not reached", "not reached"),
        ("reached", "not reached", "confounded"),
        ("not reached", "inconclusive", "confounded"),
        ("weakened", "lagging", "confounded"),
        ("inconclusive", "reached", "inconclusive"),
        ("inconclusive", "inconclusive", "inconclusive"),
    ],
)
def test_a_verdict_that_matched_texts_do_not_bear_out_is_confounded(all_texts, matched, verdict):
    found_ = verdicts(found(de=all_texts, sw="reached"), None, {"de": matched})
    assert (found_["de"].verdict, found_["de"].cross_check) == (verdict, matched)
    assert (found_["de"].low, found_["de"].high) == SETS[all_texts]  # of all texts
    assert (found_["sw"].verdict, found_["sw"].cross_check) == ("reached", None)  # could not be matched


@pytest.mark.parametrize(
    ("primary_family", "probe_family", "at_odds"),
    [
        ("reached", "not reached", True),
        ("lagging", "reached", True),
        ("reached", "inconclusive", False),
        ("weakened", "not reached", False),
        ("reached", "reached", False),
    ],
)
def test_metrics_disagree_when_one_says_reached_and_the_other_not(primary_family, probe_family, at_odds):
    assert verdicts(found(de=primary_family), found(de=probe_family), None)["de"].disagree is at_odds


def test_metrics_disagree_when_gains_are_clear_with_opposite_signs():
    one = verdicts(found({"de": (0.1, 0.3)}, de="inconclusive"), found({"de": (-2.0, -0.1)}), None)["de"]
    assert one.disagree
    assert not verdicts(found({"de": (0.1, 0.3)}, de="inconclusive"), found({"de": (-2.0, 0.1)}), None)["de"].disagree


def test_the_pivot_itself_can_disagree():
    assert verdicts(found({"en": (0.1, 0.3)}), found({"en": (-2.0, -0.1)}), None)["en"].disagree
