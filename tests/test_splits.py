"""Training and held-out parts: no pair is in both, and neither order nor company changes where a text goes."""

import polars as pl
import pytest

import isogloss
from conftest import parallel_rows
from isogloss.data.splits import split_corpus
from isogloss.errors import CorpusError, UsageError


def write(tmp_path, rows, name="pairs.csv"):
    path = tmp_path / name
    pl.DataFrame(rows).write_csv(path)
    return path


@pytest.fixture
def corpus(tmp_path):
    return isogloss.load_corpus(write(tmp_path, parallel_rows(n=80)))


def pairs(part):
    return set(zip(part.frame["language"], part.frame["pair_id"], strict=True))


def test_no_pair_is_in_both_parts_and_none_is_lost(corpus):
    training, held_out = split_corpus(corpus)
    assert not pairs(training) & pairs(held_out)
    assert len(training) + len(held_out) == len(corpus)
    assert 0.3 < len(held_out) / len(corpus) < 0.7
    assert set(training.frame["text_id"]) | set(held_out.frame["text_id"]) == set(corpus.frame["text_id"])


def test_neither_the_order_of_rows_nor_other_languages_move_a_text(corpus, tmp_path):
    rows = [row for row in parallel_rows(n=80) if row["language"] == "de"][::-1]
    alone = isogloss.load_corpus(write(tmp_path, rows, "de.csv"))
    _, among_others = split_corpus(corpus)
    _, by_itself = split_corpus(alone)
    assert list(by_itself.frame["text_id"]) == list(among_others.part("de")["text_id"])


def test_translations_of_an_item_are_on_one_side():
    training, held_out = split_corpus(isogloss.load_corpus("mini", languages=["en", "am", "zh"]))
    assert not set(training.frame["item_id"]) & set(held_out.frame["item_id"])
    assert training.parallel
    assert held_out.parallel


def test_a_text_without_a_pair_is_split_by_what_it_says(labelled_file, tmp_path):
    corpus = isogloss.load_corpus(labelled_file)
    _, held_out = split_corpus(corpus)
    renamed = pl.read_csv(labelled_file).with_columns(pl.col("text").str.to_uppercase())
    path = tmp_path / "again.csv"
    renamed.write_csv(path)
    _, again = split_corpus(isogloss.load_corpus(path))
    assert {text.upper() for text in held_out.frame["text"]} == set(again.frame["text"])


def test_the_seed_and_the_share_decide(corpus):
    first, second = (split_corpus(corpus, seed=seed)[1] for seed in (0, 1))
    assert pairs(first) != pairs(second)
    # A smaller held-out part lies in the larger one.
    small, large = (split_corpus(corpus, holdout=share)[1] for share in (0.4, 0.6))
    assert pairs(small) < pairs(large)
    assert split_corpus(corpus, holdout=0) == (corpus, None)


def test_too_few_pairs_and_no_share_are_refused(parallel_file, corpus):
    with pytest.raises(CorpusError, match="language de: found 30 texts of a class: too few to split"):
        split_corpus(isogloss.load_corpus(parallel_file))
    for share in (1, -0.1, float("nan")):
        with pytest.raises(UsageError, match="--holdout"):
            split_corpus(corpus, holdout=share)
