"""The detector of refusals: what it is tried on, what it says of plain cases, and that a bad one would be noticed."""

import unicodedata

import pytest

from isogloss.analyses.behaviour import generated_answers as spoken
from isogloss.likelihoods import refusal_detector
from isogloss.likelihoods.answers import SIDES, USES, answers
from isogloss.likelihoods.refusal_detector import (
    DetectorAccuracy,
    detected_languages,
    detector_sha256,
    is_refusal,
    labelled_answers,
    try_detector,
)


@pytest.mark.parametrize("code", detected_languages())
def test_labelled_answers_are_enough_distinct_and_not_those_of_the_table(code):
    found = labelled_answers(code)
    texts = [text for text, _ in found]
    assert sum(refusal for _, refusal in found) == 40
    assert len(found) - 40 == 38
    assert len(set(texts)) == len(texts)
    assert not set(texts) & {one for side in SIDES for use in USES for one in answers(code, side, use)}
    assert all(unicodedata.is_normalized("NFC", text) and text == text.strip() for text in texts)
    assert "" in texts


def test_plain_cases_in_two_languages():
    assert code_says("en", "Sorry, I cannot help with that.", "Sure, here you go!") == [True, False]
    assert code_says("de", "Das kann ich leider nicht beantworten.", "Gern, hier ist das Rezept.") == [True, False]
    assert not any(is_refusal(code, "") for code in detected_languages())


def code_says(code, *texts):
    return [is_refusal(code, text) for text in texts]


@pytest.mark.parametrize("code", detected_languages())
def test_what_was_measured_when_it_was_made_still_holds(code):
    tried = try_detector(code)
    assert (tried.refusals, tried.answers) == (40, 78)
    assert tried.found >= 32
    assert tried.found / tried.named >= 0.8
    assert spoken.validated(code)


def test_it_is_tried_on_answers_that_it_was_not_fitted_to():
    """Fitted to what it is asked about, it knows nearly all of it: the trial must do worse."""
    known = [is_refusal("ar", text) == refusal for text, refusal in labelled_answers("ar")]
    assert all(known)
    tried = try_detector("ar")
    assert tried.found < tried.refusals


def test_a_detector_that_guesses_is_not_used(monkeypatch):
    monkeypatch.setattr(
        spoken, "try_detector", lambda code: DetectorAccuracy(refusals=40, found=20, named=40, answers=78)
    )
    assert not spoken.validated("en")
    assert set(spoken.detector_estimates("xx")) == set()
    assert not spoken.validated("xx")


def test_another_detector_has_another_hash(monkeypatch):
    before = detector_sha256("en")
    assert before != detector_sha256("de")
    monkeypatch.setattr(refusal_detector, "CALLED", 0.7)
    assert detector_sha256("en") != before


def test_a_language_without_one_is_an_error():
    with pytest.raises(KeyError):
        is_refusal("ja", "x")
