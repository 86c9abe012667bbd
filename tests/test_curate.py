"""Duplicates and contradictions go with a coded warning; samples are equal, seeded and nested."""

import json
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from isogloss.data.corpus import SCHEMA, Corpus
from isogloss.data.curate import balance, unique_rows, with_text_ids
from isogloss.data.load import load_corpus
from isogloss.data.shapes import to_rows
from isogloss.errors import CorpusError


def labelled(*rows):
    """Rows of (text, harmful) or (text, harmful, language)."""
    table = pl.DataFrame(
        [{"text": text, "label": str(int(harmful)), "language": (*code, "en")[0]} for text, harmful, *code in rows]
    )
    return to_rows(table, name="t", columns={}, source="t")


def pairs(*rows):
    """Rows of (pair id, toxic, neutral) or with a language."""
    table = pl.DataFrame(
        [
            {"pair_id": pair, "toxic": toxic, "neutral": neutral, "language": (*code, "en")[0]}
            for pair, toxic, neutral, *code in rows
        ]
    )
    return to_rows(table, name="t", columns={}, source="t")


def clean(rows, **options):
    kept, warnings = unique_rows(rows, name="t", **options)
    return kept, [(warning.code, warning.language, int(warning.detail.split()[0])) for warning in warnings]


def as_corpus(rows):
    return Corpus(name="t", frame=with_text_ids(rows))


# Duplicates and contradictions


def test_clean_rows_are_kept_without_a_warning():
    rows = labelled(("a", True), ("b", False))
    kept, warnings = clean(rows)
    assert kept.rows() == rows.rows()
    assert warnings == []


def test_copies_are_kept_once_in_their_first_spelling():
    kept, warnings = clean(
        labelled(("You  Big  Fool", True), ("b", 0), (" you\tbig\nfool ", True), ("YOU BIG FOOL", True))
    )
    assert kept["text"].to_list() == ["You  Big  Fool", "b"]
    assert warnings == [("C001", "en", 2)]


def test_same_text_in_two_languages_is_no_copy():
    kept, warnings = clean(labelled(("no", True, "en"), ("no", False, "es"), ("no", True, "it")))
    assert kept.height == 3
    assert warnings == []


def test_texts_under_both_labels_are_dropped_and_counted():
    kept, warnings = clean(labelled(("x", True), ("Y", True), ("X ", False), ("x", True), ("y", False), ("z", True)))
    assert kept["text"].to_list() == ["z"]
    assert warnings == [("C002", "en", 2)]


def test_conflict_in_one_language_leaves_the_other_alone():
    kept, warnings = clean(labelled(("x", True, "de"), ("x", False, "de"), ("x", True, "en")))
    assert kept.select("language", "text").rows() == [("en", "x")]
    assert warnings == [("C002", "de", 1)]


def test_texts_under_both_labels_can_be_refused():
    rows = labelled(("a", True), ("x", True), ("b", False), ("X", False))
    with pytest.raises(CorpusError, match=r"corpus t, row 2: found 1 en texts under both labels; .*--conflicts drop"):
        clean(rows, conflicts="refuse")


def test_refusing_conflicts_still_drops_copies():
    kept, warnings = clean(labelled(("a", True), ("A", True), ("b", False)), conflicts="refuse")
    assert kept["text"].to_list() == ["a", "b"]
    assert warnings == [("C001", "en", 1)]


def test_pairs_whose_pairs_are_the_same_text_are_dropped_and_counted():
    kept, warnings = clean(pairs(("1", "a", "a"), ("2", "Same", " same"), ("3", "bad", "good"), ("1", "x", "y", "de")))
    assert set(kept.select("language", "pair_id").rows()) == {("en", "3"), ("de", "1")}
    assert warnings == [("C003", "en", 2)]


def test_pairs_that_share_a_text_with_an_earlier_pair_are_dropped_and_counted():
    kept, warnings = clean(
        pairs(
            ("1", "bad", "good"),
            ("2", "BAD", "fine"),  # the toxic text of 1
            ("3", "worse", " good"),  # the neutral text of 1
            ("4", "good", "other"),  # the neutral text of 1 on the toxic side
            ("5", "worse", "fine"),  # shares with 2 and 3 only, which are gone
        )
    )
    assert set(kept["pair_id"]) == {"1", "5"}
    assert warnings == [("C004", "en", 3)]


def test_warnings_say_which_language():
    rows = pairs(("1", "a", "a", "uk"), ("1", "b", "b", "am"), ("2", "c", "d", "am"), ("3", "c", "e", "am"))
    _, warnings = clean(rows)
    assert warnings == [("C003", "am", 1), ("C004", "am", 1), ("C003", "uk", 1)]


def test_surrounding_space_is_no_part_of_a_text():
    kept, _ = clean(labelled(("\u00a0 a  b \n", True)))
    assert kept["text"].to_list() == ["a  b"]


SPELLINGS = st.sampled_from(["a", "A", " a", "b", "B ", "c  c", "C c", "d"])


def key(text):
    return " ".join(text.lower().split())


@settings(max_examples=150)
@given(st.lists(st.tuples(SPELLINGS, st.booleans()), min_size=1, max_size=12))
def test_labelled_rules_agree_with_counting_by_hand(rows):
    kept, warnings = clean(labelled(*rows))
    labels = {}
    for text, harmful in rows:
        labels.setdefault(key(text), []).append(harmful)
    single = {name: found for name, found in labels.items() if len(set(found)) == 1}
    first = {name: next(text.strip() for text, _ in rows if key(text) == name) for name in single}
    assert {row["text"]: row["harmful"] for row in kept.to_dicts()} == {first[n]: single[n][0] for n in single}
    expected = [("C002", "en", len(labels) - len(single)), ("C001", "en", sum(len(f) - 1 for f in single.values()))]
    assert warnings == [warning for warning in expected if warning[2]]


@settings(max_examples=150)
@given(st.lists(st.tuples(SPELLINGS, SPELLINGS), min_size=1, max_size=8))
def test_pair_rules_agree_with_going_through_by_hand(partners):
    kept, warnings = clean(pairs(*((str(i), toxic, neutral) for i, (toxic, neutral) in enumerate(partners))))
    seen, stay, equal, shared = set(), set(), 0, 0
    for i, (toxic, neutral) in enumerate(partners):
        keys = {key(toxic), key(neutral)}
        if len(keys) == 1:
            equal += 1
        elif keys & seen:
            shared += 1
        else:
            seen |= keys
            stay.add(str(i))
    assert set(kept["pair_id"]) == stay
    assert kept.height == 2 * len(stay)
    assert warnings == [warning for warning in (("C003", "en", equal), ("C004", "en", shared)) if warning[2]]


@settings(max_examples=50)
@given(st.lists(st.tuples(SPELLINGS, st.booleans()), min_size=1, max_size=12))
def test_what_is_kept_is_a_corpus_and_is_clean(rows):
    kept, _ = clean(labelled(*rows))
    assume(kept.height)
    corpus = as_corpus(kept)
    again, warnings = clean(kept)
    assert again.rows() == kept.rows()
    assert warnings == []
    assert len(corpus) == kept.height


def test_text_ids_come_with_the_columns_of_a_corpus():
    frame = with_text_ids(labelled(("a", True)))
    assert dict(frame.schema) == SCHEMA


# Samples


def sorted_rows(sizes):
    """Texts per language and class, sorted by label."""
    return labelled(
        *(
            (f"{code} {harmful} {i}", harmful, code)
            for code, counts in sizes.items()
            for harmful, n in zip((True, False), counts, strict=True)
            for i in range(n)
        )
    )


UNEVEN = {"en": (60, 45), "de": (33, 50), "sw": (70, 70)}


def texts(corpus):
    return set(corpus.frame["text"])


def test_label_sorted_files_give_equal_numbers_of_every_language_and_class(labelled_file):
    sample = balance(as_corpus(sorted_rows(UNEVEN)))
    assert sample.counts().rows() == [("de", 33, 33), ("en", 33, 33), ("sw", 33, 33)]
    assert balance(load_corpus(labelled_file), per_class=25).counts().rows() == [("en", 25, 25)]


def test_sample_is_part_of_the_corpus():
    corpus = as_corpus(sorted_rows(UNEVEN))
    sample = balance(corpus, per_class=30)
    assert set(sample.frame.rows()) < set(corpus.frame.rows())


def test_same_seed_same_sample_and_another_seed_another():
    corpus = as_corpus(sorted_rows(UNEVEN))
    samples = [balance(corpus, per_class=25, seed=seed) for seed in (0, 0, 1, 2)]
    assert samples[0].sha256 == samples[1].sha256
    assert len({sample.sha256 for sample in samples}) == 3


def test_smaller_sample_is_part_of_the_larger():
    corpus = as_corpus(sorted_rows(UNEVEN))
    sizes = (20, 21, 27, 33)
    drawn = [texts(balance(corpus, per_class=n, seed=7)) for n in sizes]
    for smaller, larger in pairwise(drawn):
        assert smaller < larger


def test_sample_does_not_depend_on_the_order_of_the_file():
    rows = sorted_rows(UNEVEN)
    expected = balance(as_corpus(rows), per_class=25)
    for seed in range(3):
        permuted = rows.sample(fraction=1, shuffle=True, seed=seed)
        assert balance(as_corpus(permuted), per_class=25).sha256 == expected.sha256


def test_adding_a_language_changes_no_other_language_of_a_fixed_size():
    few = balance(as_corpus(sorted_rows({"en": (60, 45)})), per_class=25)
    more = balance(as_corpus(sorted_rows(UNEVEN)), per_class=25)
    assert more.part("en").rows() == few.part("en").rows()


def test_every_text_is_drawn_about_equally_often():
    corpus = as_corpus(sorted_rows({"en": (60, 60)}))
    draws = 300
    drawn = np.zeros(len(corpus))
    for seed in range(draws):
        drawn += corpus.frame["text"].is_in(balance(corpus, per_class=20, seed=seed).frame["text"].implode()).to_numpy()
    share = drawn / draws
    # Each text is drawn with probability 1/3: five standard deviations of a binomial share.
    assert np.abs(share - 1 / 3).max() < 5 * np.sqrt(2 / 9 / draws)


def test_pairs_are_drawn_together():
    rows = pairs(*((f"p{i}", f"{code} bad {i}", f"{code} good {i}", code) for code in ("en", "de") for i in range(60)))
    sample = balance(as_corpus(rows), per_class=25, seed=4)
    assert sample.paired
    by_pair = sample.frame.group_by("language", "pair_id").agg(pl.col("harmful").sort())
    assert by_pair["harmful"].to_list() == [[False, True]] * 50


def items(languages, n, *, lacking=()):
    """Translated texts of both classes, some missing in one language; every language in an order of its own."""
    rng = np.random.default_rng(5)
    records = [
        {"item_id": f"{label}-{i}", "text": f"{code} {label} {i}", "label": str(label), "language": code}
        for code in languages
        for label in (1, 0)
        for i in rng.permutation(n)
        if (code, int(i)) not in lacking
    ]
    return to_rows(pl.DataFrame(records), name="t", columns={}, source="t")


def test_translations_are_drawn_together():
    corpus = as_corpus(items(("en", "de", "sw"), 80))
    sample = balance(corpus, per_class=30, seed=2)
    assert sample.parallel
    assert {code: len(set(sample.part(code)["item_id"])) for code in sample.languages} == dict.fromkeys(
        ("de", "en", "sw"), 60
    )


def test_translations_are_drawn_together_where_some_are_missing():
    corpus = as_corpus(items(("en", "de"), 80, lacking={("de", 3), ("de", 44)}))
    for seed in range(5):
        sample = balance(corpus, per_class=30, seed=seed)
        english, german = (set(sample.part(code)["item_id"]) for code in ("en", "de"))
        # Two items of each class are absent in German; nothing else may differ.
        assert len(english - german) <= 4
        assert all(item.split("-")[1] in {"3", "44"} for item in english - german)


def test_parallel_pairs_are_drawn_as_the_same_items(tmp_path):
    records = [
        {
            "item_id": f"m{i}",
            "pair_id": f"{code}{i}",
            "language": code,
            "toxic": f"{code} bad {i}",
            "neutral": f"{i} ok",
        }
        for code in ("en", "am")
        for i in range(50)
    ]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    sample = balance(load_corpus(path), per_class=20)
    assert sample.parallel
    assert sample.paired
    assert sample.counts().rows() == [("am", 20, 20), ("en", 20, 20)]


def test_cut_languages_are_noted():
    sample = balance(as_corpus(sorted_rows(UNEVEN)))
    (warning,) = sample.warnings
    assert (warning.code, warning.language) == ("C005", None)
    assert warning.detail == "33 per class; there were en 45, sw 70"


def test_nothing_is_noted_if_all_languages_are_of_one_size_or_the_size_was_asked_for():
    assert balance(as_corpus(sorted_rows({"en": (40, 40), "de": (40, 60)}))).warnings == ()
    assert balance(as_corpus(sorted_rows(UNEVEN)), per_class=30).warnings == ()


def test_sample_keeps_what_is_known_of_the_corpus(tmp_path):
    path = tmp_path / "a.tsv"
    lines = [f"{'bad' if i % 2 else 'good'} {i}\t{i % 2}\ten" for i in range(50)]
    path.write_text("\n".join(["text\tlabel\tlanguage", *lines, lines[0]]), encoding="utf-8")
    corpus = load_corpus(path)
    sample = balance(Corpus(**vars(corpus) | {"revision": "r", "licence": "l"}), per_class=20)
    assert (sample.name, sample.revision, sample.licence) == ("a.tsv", "r", "l")
    assert [warning.code for warning in sample.warnings] == ["C001", "C006"]


def test_more_than_there_is_cannot_be_asked_for():
    with pytest.raises(CorpusError, match="language de: found 33 harmful and 50 harmless texts; expected at least 40"):
        balance(as_corpus(sorted_rows(UNEVEN)), per_class=40)


@pytest.mark.parametrize("per_class", [-1, 1, 19])
def test_fewer_than_twenty_cannot_be_asked_for(per_class):
    with pytest.raises(CorpusError, match=rf"--per-class: found {per_class}; expected at least 20"):
        balance(as_corpus(sorted_rows(UNEVEN)), per_class=per_class)


@pytest.mark.parametrize("sizes", [(20, 20), (20, 500)])
def test_twenty_of_each_class_are_enough(sizes):
    assert balance(as_corpus(sorted_rows({"en": sizes}))).counts().rows() == [("en", 20, 20)]


@pytest.mark.parametrize(("sizes", "found"), [((30, 0), "harmful texts only"), ((0, 30), "harmless texts only")])
def test_language_of_one_class_is_named(sizes, found):
    with pytest.raises(CorpusError, match=f"corpus t, language sw: found {found}; expected both classes; add texts"):
        balance(as_corpus(sorted_rows({"en": (30, 30), "sw": sizes})))
