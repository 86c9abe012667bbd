"""Preferences: the right answer is chosen, in the right language, and the budget is kept."""

import json
from collections import Counter

import polars as pl
import pytest

import isogloss
from conftest import parallel_rows
from isogloss.data.corpus import content_key
from isogloss.errors import CorpusError, UsageError
from isogloss.likelihoods.answers import answers
from isogloss.tuning.config import TuneConfig, deal, record_shares
from isogloss.tuning.preferences import preferences


@pytest.fixture
def corpus(parallel_file):
    return isogloss.load_corpus(parallel_file)


def test_harmful_texts_prefer_a_refusal_and_harmless_ones_an_engaged_answer(corpus):
    records = preferences(corpus, languages=["en", "de"], n=40, seed=0)
    texts = {row.text: row for row in corpus}
    for record in records:
        text = texts[record["prompt"]]
        refusal, engaged = record["chosen"], record["rejected"]
        if not text.harmful:
            refusal, engaged = engaged, refusal
        assert refusal.strip() in answers(text.language, "refusal", "train")
        assert engaged.strip() in answers(text.language, "engaged", "train")
        assert record["language"] == text.language
        assert record["label"] == ("harmful" if text.harmful else "harmless")
        assert (record["text_id"], record["content"]) == (text.text_id, content_key(text.text))
    assert Counter(record["label"] for record in records) == {"harmful": 20, "harmless": 20}
    assert Counter(record["language"] for record in records) == {"en": 20, "de": 20}
    assert len({record["text_id"] for record in records}) == 40


@pytest.mark.parametrize("shuffle_labels", [False, True])
def test_couples_have_the_same_answers_the_other_way_round(corpus, shuffle_labels):
    records = preferences(corpus, languages=["en", "de"], n=80, seed=0, shuffle_labels=shuffle_labels)
    pairs = {row.text_id: row.pair_id for row in corpus}
    for one, other in zip(records[::2], records[1::2], strict=True):
        assert pairs[one["text_id"]] == pairs[other["text_id"]]
        assert (one["chosen"], one["rejected"]) == (other["rejected"], other["chosen"])
    assert len({one["chosen"] for one in records}) > 8
    assert [one["language"] for one in records] != sorted(one["language"] for one in records)


def test_both_pairs_of_a_pair_are_drawn(corpus):
    records = preferences(corpus, languages=["en"], n=20, seed=0)
    pairs = {row.text_id: row.pair_id for row in corpus}
    assert set(Counter(pairs[record["text_id"]] for record in records).values()) == {2}


def test_labelled_texts_are_drawn_from_both_classes(labelled_file):
    records = preferences(isogloss.load_corpus(labelled_file), languages=["en"], n=31, seed=0)
    assert len(records) == 31
    assert 15 <= sum(record["label"] == "harmful" for record in records) <= 16


def test_the_draw_is_seeded(corpus):
    draws = [preferences(corpus, languages=["en"], n=20, seed=seed) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_every_text_is_used_before_any_is_used_again(corpus):
    records = preferences(corpus, languages=["en"], n=90, seed=0, passes=2)
    counts = Counter(record["text_id"] for record in records)
    assert set(counts.values()) == {1, 2}
    assert len(counts) == 60


def test_shares_decide_how_many_records_a_language_gets(corpus):
    records = preferences(corpus, languages=["en", "de"], n=40, seed=0, shares={"en": 0.25, "de": 0.75})
    assert Counter(record["language"] for record in records) == {"en": 10, "de": 30}


def test_languages_without_preferences_are_refused(corpus, labelled_file, tmp_path):
    with pytest.raises(CorpusError, match="30 harmful and 30 harmless texts to train on; expected 50 of each for 100"):
        preferences(corpus, languages=["en"], n=100, seed=0)
    with pytest.raises(CorpusError, match="no answers in ko"):
        preferences(corpus, languages=["en", "ko"], n=20, seed=0)
    with pytest.raises(CorpusError, match="preferences in fr: found 0 harmful and 0 harmless texts"):
        preferences(corpus, languages=["en", "fr"], n=20, seed=0)
    path = tmp_path / "harmful.csv"
    pl.read_csv(labelled_file).filter(pl.col("label") == 1).write_csv(path)
    with pytest.raises(CorpusError, match="60 harmful and 0 harmless"):
        preferences(isogloss.load_corpus(path), languages=["en"], n=20, seed=0)


def test_mixtures_choose_languages():
    codes = {
        mixture: TuneConfig(languages=("hi", "en", "am", "hi"), mixture=mixture).trained_languages
        for mixture in ("mixed", "target-only", "pivot-only")
    }
    assert codes == {"mixed": ("en", "hi", "am"), "target-only": ("hi", "am"), "pivot-only": ("en",)}
    assert TuneConfig().trained_languages == ("en",)


def test_need_gives_more_to_a_language_that_lacks_more_and_the_pivot_the_mean():
    config = TuneConfig(languages=("hi", "am"), budget="need", needs={"hi": 0.5, "am": 1.0})
    assert config.weights == {"en": 0.75, "hi": 0.5, "am": 1.0}
    assert TuneConfig(languages=("hi", "am")).weights == {"en": 1, "hi": 1, "am": 1}
    # A record of am has twice the tokens, so half as many cost the same.
    assert record_shares({"hi": 1.0, "am": 1.0}, {"hi": 10.0, "am": 20.0}) == pytest.approx({"hi": 2 / 3, "am": 1 / 3})


@pytest.mark.parametrize(
    ("total", "shares"), [(7, (0.5, 0.5)), (100, (1 / 3, 1 / 3, 1 / 3)), (1, (0.2, 0.8)), (0, (1,))]
)
def test_dealing_loses_nothing(total, shares):
    dealt = deal(total, dict(enumerate(shares)))
    assert sum(dealt.values()) == total
    assert all(abs(n - total * share) < 1 for n, share in zip(dealt.values(), shares, strict=True))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mixture": "all"}, "--mixture: found 'all'"),
        ({"loss": "ppo"}, "--loss"),
        ({"budget": "much"}, "--budget"),
        ({"unit": "words"}, "--budget-unit"),
        ({"steps": 0}, "--steps"),
        ({"learning_rate": 0.0}, "--learning-rate"),
        ({"learning_rate": float("nan")}, "--learning-rate"),
        ({"loss": "kto", "batch_size": 1}, "1 with --loss kto"),
        ({"languages": ("en",), "mixture": "target-only"}, "no language but the pivot en"),
        ({"languages": ("hi",), "budget": "need"}, "no need for hi"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(settings, words):
    with pytest.raises(UsageError, match=words):
        TuneConfig(**settings)


def test_rows_of_the_same_file_in_another_order_give_the_same_records(tmp_path):
    rows = parallel_rows()
    for name, some in (("a", rows), ("b", rows[::-1])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(json.dumps(row) for row in some), encoding="utf-8")
    one, other = (
        preferences(isogloss.load_corpus(tmp_path / f"{name}.jsonl"), languages=["en", "de"], n=40, seed=0)
        for name in "ab"
    )
    assert one == other


def test_permuted_labels_swap_whole_pairs_by_a_coin_that_the_pair_decides(parallel_file):
    corpus = isogloss.load_corpus(parallel_file)
    true, permuted = (
        preferences(corpus, languages=["en"], n=90, seed=0, passes=2, shuffle_labels=shuffle)
        for shuffle in (False, True)
    )
    labels = {one["text_id"]: one["label"] for one in true}
    assert [one["text_id"] for one in permuted] == [one["text_id"] for one in true]  # the same texts, in the same order
    wrong = {one["text_id"] for one in permuted if one["label"] != labels[one["text_id"]]}
    right = {one["text_id"] for one in permuted if one["label"] == labels[one["text_id"]]}
    assert not wrong & right  # in both passes alike
    assert 0.25 < len(wrong) / len(labels) < 0.75
    pairs = dict(corpus.part("en").select("text_id", "pair_id").iter_rows())
    assert not {pairs[one] for one in wrong} & {pairs[one] for one in right}
    for one in permuted:
        refuses = one["chosen"].strip() in answers("en", "refusal", "train")
        assert refuses == (one["label"] == "harmful")
