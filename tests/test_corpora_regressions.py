"""Faults that once were in the corpora room, errors, files and results: each test failed before its mend."""

import copy
import json
import pickle

import polars as pl
import pytest

from isogloss.data.curate import balance
from isogloss.data.load import load_corpus
from isogloss.errors import CorpusError, StoreError
from isogloss.results import Audit


def labelled(path, rows):
    pl.DataFrame(rows).write_csv(path)
    return path


def jsonl(path, rows):
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path


def pairs(word, n=25, **more):
    return [{"language": "en", "toxic": f"bad {word} {i}", "neutral": f"good {word} {i}"} | more for i in range(n)]


ROWS = [{"text": f"t{i}", "label": i % 2, "language": "en"} for i in range(50)]


# 1 A: str.splitlines() also cuts at U+2028, U+2029 and U+0085, which JSON allows inside a string.
@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85"])
def test_jsonl_text_may_hold_unicode_line_separators(tmp_path, mark):
    path = jsonl(tmp_path / "a.jsonl", [ROWS[0] | {"text": f"a{mark}b"}])
    assert [row.text for row in load_corpus(path)] == [f"a{mark}b"]


# 2 A: every corpus without ids numbers its pairs 1, 2, ...; two of them collide (so do paradetox+multiparadetox).
def test_parallel_corpora_without_ids_are_put_together(tmp_path):
    both = load_corpus([jsonl(tmp_path / "a.jsonl", pairs("x")), jsonl(tmp_path / "b.jsonl", pairs("y"))])
    assert both.counts().rows() == [("en", 50, 50)]


# 3 A: balance draws each class alone, so a pair whose harmless twin is not drawn is torn apart.
def test_pairs_and_single_texts_can_be_balanced(tmp_path):
    fine = [{"text": f"fine {i}", "label": 0, "language": "en"} for i in range(60)]
    corpus = load_corpus([jsonl(tmp_path / "a.jsonl", pairs("x")), labelled(tmp_path / "b.csv", fine)])
    assert balance(corpus).counts().rows() == [("en", 25, 25)]


# 4 A: a single text that a later pair repeats is not removed.
def test_text_shared_by_single_rows_and_pairs_is_removed(tmp_path):
    single = labelled(tmp_path / "b.csv", [{"text": "bad x 3", "label": 1, "language": "en"}])
    corpus = load_corpus([single, jsonl(tmp_path / "a.jsonl", pairs("x"))])
    assert corpus.frame["text"].n_unique() == len(corpus)


# 5 A: the same pairs twice are all dropped, as "equal twins" (C003), and the corpus is empty.
def test_language_or_file_given_twice_changes_nothing(tmp_path):
    assert load_corpus("mini", languages=["en", "en"]).sha256 == load_corpus("mini", languages=["en"]).sha256


def test_parallel_file_given_twice_is_read_once(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", pairs("x"))
    assert len(load_corpus([path, path])) == 50


# 6 A: an empty corpus passes, then min() of nothing raises ValueError.
def test_corpus_of_which_nothing_is_left_is_refused(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", [row | {"neutral": row["toxic"]} for row in pairs("x")])
    with pytest.raises(CorpusError):
        balance(load_corpus(path))


# 7 A: a column of ours, named in another's file.
def test_column_called_row_is_ignored(tmp_path):
    assert len(load_corpus(labelled(tmp_path / "a.csv", [row | {"row": "x"} for row in ROWS]))) == 50


# 8 A: casts of list and binary columns fail outside the try.
@pytest.mark.parametrize("extra", [["a", "b"], b"\xff"])
def test_columns_that_are_no_text_are_ignored_or_refused_politely(tmp_path, extra):
    path = tmp_path / "a.parquet"
    pl.DataFrame([row | {"tags": extra} for row in ROWS]).write_parquet(path)
    assert len(load_corpus(path)) == 50


# 9 A: lone surrogate in JSON: UnicodeEncodeError.
def test_lone_surrogate_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "\\ud800", "label": 1, "language": "en"}')
    with pytest.raises(CorpusError):
        load_corpus(path)


# 10 B: `source` holds the file name and is hashed, so the hash depends on it, and formats differ.
def test_hash_does_not_depend_on_the_file_name(tmp_path):
    one = load_corpus(labelled(tmp_path / "a.csv", ROWS))
    two = load_corpus(jsonl(tmp_path / "b.jsonl", ROWS))
    assert one.sha256 == two.sha256


# 11 B: messages. Each JSONL line is parsed alone, so the message always says line 1.
def test_broken_jsonl_names_its_line(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n{"text": "b"}\n{"text": oops}\n')
    with pytest.raises(CorpusError, match="line 3"):
        load_corpus(path)


def test_unknown_language_of_a_file_names_file_row_and_column(tmp_path):
    path = labelled(tmp_path / "a.csv", [*ROWS, ROWS[0] | {"text": "z", "language": "hi-Latin"}])
    with pytest.raises(CorpusError, match=r"a\.csv, row 51, column language.*hi-Latin.*hi-Latn"):
        load_corpus(path)


# 12 B: swaps and chains of names drop the column that another name needs.
def test_columns_can_be_swapped(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", pairs("x", pair_id=None))
    corpus = load_corpus(path, columns={"toxic": "neutral", "neutral": "toxic"})
    assert all(row.harmful == row.text.startswith("good") for row in corpus)


def test_column_renamed_away_can_be_replaced(tmp_path):
    rows = [{"text": row["label"], "comment": row["text"], "language": "en"} for row in ROWS]
    path = labelled(tmp_path / "a.csv", rows)
    assert len(load_corpus(path, columns={"text": "comment", "label": "text"})) == 50


def test_one_column_may_serve_two_names(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", [row | {"id": f"i{i}"} for i, row in enumerate(pairs("x"))])
    corpus = load_corpus(path, columns={"pair_id": "id", "item_id": "id"})
    assert all(row.pair_id == row.item_id for row in corpus)


def test_column_name_that_is_none_of_ours_is_refused(tmp_path):
    path = labelled(tmp_path / "a.csv", [row | {"id": i} for i, row in enumerate(ROWS)])
    with pytest.raises(CorpusError, match="item_id"):
        load_corpus(path, columns={"itemid": "id"})


# 13 B: `per_class or ...` takes 0 for None.
def test_zero_per_class_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="--per-class: found 0"):
        balance(load_corpus(labelled(tmp_path / "a.csv", ROWS)), per_class=0)


# 15 B: a version 1 file with parts missing raises KeyError.
@pytest.mark.parametrize("text", ['{"version": 1}', '{"version": 1, "rows": 3}'])
def test_incomplete_audit_is_refused(text):
    with pytest.raises(StoreError):
        Audit.from_json(text)


# 17 B: keyword-only arguments make errors impossible to pickle (process pools, Ray) or copy.
def test_errors_survive_pickle():
    error = CorpusError("a", found="b", expected="c", do="d")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert str(copy.copy(error)) == str(error)


# 18 B: licence of a part is given for the whole, without C006.
def test_corpus_partly_without_licence_says_so(tmp_path):
    both = load_corpus(["mini", labelled(tmp_path / "a.csv", ROWS)], languages=["en"])
    assert "C006" in {warning.code for warning in both.warnings}
