"""Corpus is a validated value with a hash of its content; load_corpus is the one door to it."""

import dataclasses
import hashlib
import json
from collections import Counter

import polars as pl
import pytest

from isogloss.data.corpus import SCHEMA, Corpus, Text, text_id
from isogloss.data.curate import balance
from isogloss.data.languages import LANGUAGES, Language, language
from isogloss.data.load import load_corpus
from isogloss.data.named_corpora import CORPORA, source
from isogloss.errors import CorpusError
from isogloss.io.files import canonical_json
from isogloss.warnings import CodedWarning


def frame(*rows):
    """A frame of (language, text, harmful) with an optional pair id and item id."""
    records = [
        {
            "text_id": text_id(code, text),
            "pair_id": (*more, None, None)[0],
            "item_id": (*more, None, None)[1],
            "language": code,
            "text": text,
            "harmful": harmful,
            "source": "s",
        }
        for code, text, harmful, *more in rows
    ]
    return pl.DataFrame(records, schema=SCHEMA)


FOUR = (("en", "a", True, "1"), ("en", "b", False, "1"), ("de", "c", False, "1"), ("de", "d", True, "1"))


def make(*rows, name="t", **more):
    return Corpus(name=name, frame=frame(*rows), **more)


# The value


def test_rows_come_out_as_texts():
    assert set(make(*FOUR)) == {
        Text(
            text_id=text_id(code, text),
            pair_id=pair,
            item_id=None,
            language=code,
            text=text,
            harmful=harmful,
            source="s",
        )
        for code, text, harmful, pair in FOUR
    }


def test_text_id_is_a_hash_of_language_and_content():
    assert text_id("en", "ü") == hashlib.sha256(b"en\x00\xc3\xbc").hexdigest()[:16]
    assert len({text_id(code, text) for code in ("en", "de") for text in ("a", "b")}) == 4


def test_counts_parts_and_languages():
    corpus = make(*FOUR, ("de", "e", True))
    assert corpus.languages == ("de", "en")
    assert corpus.counts().to_dicts() == [
        {"language": "de", "harmful": 2, "harmless": 1},
        {"language": "en", "harmful": 1, "harmless": 1},
    ]
    assert len(corpus) == 5
    assert set(corpus.part("de")["text"]) == {"c", "d", "e"}
    assert corpus.part("am").height == 0


def test_hash_and_order_do_not_depend_on_the_order_of_rows():
    corpora = [make(*FOUR), make(*reversed(FOUR)), make(*FOUR[2:], *FOUR[:2])]
    assert len({corpus.sha256 for corpus in corpora}) == 1
    assert len({tuple(corpus.frame.rows()) for corpus in corpora}) == 1


@pytest.mark.parametrize(
    "other",
    [
        FOUR[:2],
        (("en", "A", True, "1"), *FOUR[1:]),
        (("en", "a", True, "2"), ("en", "b", False, "2"), *FOUR[2:]),
        (("en", "a", True, "1", "i"), *FOUR[1:]),
        (("en", "a", False, "1"), ("en", "b", True, "1"), *FOUR[2:]),
        (("fr", "a", True, "1"), ("fr", "b", False, "1"), *FOUR[2:]),
    ],
    ids=["rows", "text", "pair", "item", "label", "language"],
)
def test_any_change_of_content_changes_the_hash(other):
    assert make(*other).sha256 != make(*FOUR).sha256


def test_hash_leaves_out_what_is_not_content():
    plain = make(*FOUR)
    noted = make(*FOUR, name="u", revision="r", licence="l", warnings=(CodedWarning(code="C001", detail="1"),))
    assert plain.sha256 == noted.sha256


def test_equality_is_by_name_and_content():
    assert make(*FOUR) == make(*reversed(FOUR), revision="r")
    assert hash(make(*FOUR)) == hash(make(*reversed(FOUR)))
    assert make(*FOUR) != make(*FOUR, name="u")
    assert make(*FOUR) != make(*FOUR[:2])
    assert make(*FOUR) != "t"


def test_corpus_cannot_be_changed():
    corpus = make(*FOUR)
    with pytest.raises(dataclasses.FrozenInstanceError):
        corpus.name = "u"


def test_pairs_needs_a_pair_for_every_text():
    assert make(*FOUR).paired
    assert not make(*FOUR, ("en", "single", True)).paired


def test_parallel_needs_the_same_items_in_every_language():
    full = [(code, f"{code} {i}", i < 2, None, f"i{i}") for code in ("en", "de") for i in range(4)]
    assert make(*full).parallel
    assert not make(*full[:-1]).parallel
    assert not make(*full[:-1], ("de", "de 3", False, None, None)).parallel
    assert not make(*full[:-1], ("de", "de 3", False, None, "i9")).parallel


# What is refused


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.drop("source"),
        lambda table: table.with_columns(extra=pl.lit(1)),
        lambda table: table.with_columns(harmful=pl.col("harmful").cast(pl.Int64)),
        lambda table: table.select(sorted(table.columns, reverse=True)).drop("text"),
    ],
    ids=["missing", "extra", "type", "text missing"],
)
def test_frame_of_another_shape_is_refused(change):
    with pytest.raises(CorpusError, match=r"corpus t: found columns .*; build it with load_corpus"):
        Corpus(name="t", frame=change(frame(*FOUR)))


@pytest.mark.parametrize("text", ["", "  ", "\n\t\u00a0"])
def test_empty_text_is_refused(text):
    with pytest.raises(CorpusError, match="corpus t: found an empty text"):
        make(*FOUR, ("en", text, True))


def test_unknown_language_is_refused():
    with pytest.raises(CorpusError, match=r"unknown language: found 'gr'; expected a BCP 47 tag, .*did you mean 'el'"):
        make(("gr", "a", True))
    with pytest.raises(CorpusError, match=r"found the language 'ger'; expected de"):
        make(("ger", "a", True))


def test_text_that_occurs_twice_is_refused():
    with pytest.raises(CorpusError, match=r"corpus t: found a text that occurs twice in a language; .*load_corpus"):
        make(("en", "a", True), ("en", "a", False))


def test_same_text_in_two_languages_is_allowed():
    assert len(make(("en", "a", True), ("de", "a", True))) == 2


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([("en", "a", True, "p")], "1 texts, 1 of them harmful"),
        ([("en", "a", False, "p")], "1 texts, 0 of them harmful"),
        ([("en", "a", True, "p"), ("en", "b", True, "p")], "2 texts, 2 of them harmful"),
        ([("en", "a", False, "p"), ("en", "b", False, "p")], "2 texts, 0 of them harmful"),
        ([("en", "a", True, "p"), ("en", "b", False, "p"), ("en", "c", True, "p")], "3 texts, 2 of them harmful"),
        ([("en", "a", True, "p"), ("de", "b", False, "p")], "1 texts, 0 of them harmful"),
    ],
)
def test_pair_that_is_not_one_harmful_and_one_harmless_text_is_refused(rows, found):
    with pytest.raises(
        CorpusError, match=f"language .., pair p: found {found}; expected one harmful and one harmless text"
    ):
        make(*rows)


# The door


def write_pairs(path, n=5, *, languages=("en",), word="", ids=True):
    rows = [
        {"language": code, "toxic": f"{code} bad {word} {i}", "neutral": f"{code} good {word} {i}"}
        | ({"pair_id": f"{word}{i}"} if ids else {})
        for code in languages
        for i in range(n)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def write_labelled(path, label, n=5, *, code="en", word=""):
    rows = [f"{word} {label} {i},{label},{code}" for i in range(n)]
    path.write_text("\n".join(["text,label,language", *rows]), encoding="utf-8")
    return path


def test_row_order_of_a_file_does_not_change_the_hash(tmp_path, parallel_file):
    lines = parallel_file.read_text("utf-8").splitlines()
    (tmp_path / "turned").mkdir()
    turned = tmp_path / "turned" / parallel_file.name
    turned.write_text("\n".join(reversed(lines)), encoding="utf-8")
    assert load_corpus(turned).sha256 == load_corpus(parallel_file).sha256


def test_path_and_text_of_a_path_are_the_same(parallel_file):
    assert load_corpus(str(parallel_file)) == load_corpus(parallel_file) == load_corpus([parallel_file])


def test_languages_are_selected(parallel_file):
    assert load_corpus(parallel_file).languages == ("de", "en")
    assert load_corpus(parallel_file, languages=["de"]).counts().rows() == [("de", 30, 30)]
    with pytest.raises(CorpusError, match="found no texts in am, sw; expected texts in every language asked for"):
        load_corpus(parallel_file, languages=["sw", "de", "am"])


def test_dropped_rows_are_noted_on_the_corpus(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label,language\na,1,en\nA,1,en\nb,0,en\nc,1,en\nc,0,en\n", encoding="utf-8")
    corpus = load_corpus(path)
    assert [(warning.code, warning.language) for warning in corpus.warnings] == [
        ("C002", "en"),
        ("C001", "en"),
        ("C006", None),
    ]
    assert set(corpus.frame["text"]) == {"a", "b"}
    with pytest.raises(CorpusError, match=r"a\.csv, row 4: found 1 en texts under both labels"):
        load_corpus(path, conflicts="refuse")


def test_several_corpora_are_put_together(tmp_path):
    bad = write_labelled(tmp_path / "bad.csv", 1, 25)
    good = write_labelled(tmp_path / "good.csv", 0, 30)
    both = load_corpus([bad, good])
    assert both.name == "bad.csv+good.csv"
    assert both.counts().rows() == [("en", 25, 30)]
    assert set(both.frame.select("harmful", "source").rows()) == {(True, "bad.csv"), (False, "good.csv")}
    assert load_corpus([good, bad]).sha256 == both.sha256
    assert balance(both).counts().rows() == [("en", 25, 25)]


def test_copies_and_contradictions_are_found_across_corpora(tmp_path):
    first = write_labelled(tmp_path / "first.csv", 1, 5)
    second = tmp_path / "second.csv"
    second.write_text("text,label,language\n1 0,1,en\n1 1,0,en\nnew,0,en\n", encoding="utf-8")
    both = load_corpus([first, second])
    assert [(warning.code, warning.detail) for warning in both.warnings[:2]] == [
        ("C002", "1 texts"),
        ("C001", "1 copies dropped"),
    ]
    assert both.counts().rows() == [("en", 4, 1)]


def test_parallel_corpora_with_ids_of_their_own_are_put_together(tmp_path):
    one = write_pairs(tmp_path / "one.jsonl", word="x", languages=("en", "sw"))
    two = write_pairs(tmp_path / "two.jsonl", word="y")
    both = load_corpus([one, two])
    assert both.paired
    assert both.counts().rows() == [("en", 10, 10), ("sw", 5, 5)]


def test_pairs_and_single_texts_are_put_together(tmp_path):
    both = load_corpus([write_pairs(tmp_path / "a.jsonl"), write_labelled(tmp_path / "b.csv", 0)])
    assert both.counts().rows() == [("en", 5, 10)]
    assert not both.paired


def test_named_corpus_and_file_are_put_together(tmp_path):
    mini = load_corpus("mini", languages=["sw"])
    both = load_corpus(["mini", write_labelled(tmp_path / "b.csv", 0, code="sw")], languages=["sw"])
    assert both.name == "mini+b.csv"
    assert (both.licence, both.revision) == (mini.licence, mini.revision)
    assert len(both) == len(mini) + 5


def test_file_has_no_licence_and_says_so(parallel_file):
    corpus = load_corpus(parallel_file)
    assert (corpus.licence, corpus.revision) == (None, None)
    assert [warning.code for warning in corpus.warnings] == ["C006"]
    assert not load_corpus("mini", languages=["en"]).warnings


# The tables


def test_languages_table_is_keyed_by_code_and_sorted():
    assert list(LANGUAGES) == sorted(LANGUAGES)
    assert len({row.name for row in LANGUAGES.values()}) == len(LANGUAGES)
    for code, row in LANGUAGES.items():
        assert row.code == code
        assert row.resource_class in {None, 0, 1, 2, 3, 4, 5}
    assert language("am") == Language(code="am", name="Amharic", script="Ethiopic", resource_class=2)


@pytest.mark.parametrize("name", CORPORA)
def test_source_rows_are_complete(name):
    row = source(name)
    assert row.name == name
    assert row.about
    assert row.citation
    assert row.homepage
    assert all(language(code).code == code for code in row.languages)
    assert {file.language for file in row.files} - {None} == (
        set(row.languages) if row.files and "language" not in row.columns else set()
    )
    assert row.checked
    for file in row.files:
        assert (file.hub is None) != (file.url is None)
        assert row.revision or not file.url
    assert row.kind != "harmful-only" or {file.label for file in row.files} == {"1"}


# Real data


def key(text):
    return " ".join(text.lower().split())


def test_real_multiparadetox_loses_its_five_equal_pairs_only(shared_data):
    corpus = load_corpus(shared_data / "parallel_multiparadetox.parquet")
    expected = dict.fromkeys(("am", "ar", "de", "en", "es", "hi", "ru", "uk", "zh"), 400) | {"uk": 396, "en": 399}
    assert corpus.counts().rows() == [(code, n, n) for code, n in sorted(expected.items())]
    assert [(warning.code, warning.language, warning.detail) for warning in corpus.warnings] == [
        ("C003", "en", "1 pairs dropped"),
        ("C003", "uk", "4 pairs dropped"),
        ("C006", None, "check its terms before you share results with texts"),
    ]
    assert corpus.paired
    assert not corpus.parallel
    sample = balance(corpus)
    assert sample.counts().rows() == [(code, 396, 396) for code in sorted(expected)]
    assert sample.warnings[-1].code == "C005"
    assert sample.paired


def test_real_label_sorted_toxicity_gives_both_classes_equally(shared_data, tmp_path):
    table = pl.read_parquet(shared_data / "toxicity_textdetox.parquet").sort("label", "language")
    path = tmp_path / "toxicity.parquet"
    table.write_parquet(path)
    corpus = load_corpus(path)

    labels = {}
    for code, text, label in table.select("language", "text", "label").iter_rows():
        labels.setdefault((code, key(text)), set()).add(label)
    expected = Counter((code, label) for (code, _), found in labels.items() if len(found) == 1 for label in found)
    assert corpus.counts().rows() == [
        (code, expected[code, 1], expected[code, 0]) for code in sorted(table["language"].unique())
    ]
    smallest = min(expected.values())
    assert smallest < 1000  # Hebrew is far smaller than the rest
    assert set(balance(corpus).counts().select("harmful", "harmless").rows()) == {(smallest, smallest)}
    assert set(balance(corpus, per_class=50).counts().select("harmful", "harmless").rows()) == {(50, 50)}
    assert len(balance(corpus).languages) == 15


def test_real_toxicity_is_the_same_corpus_whatever_its_order(shared_data, tmp_path):
    table = pl.read_parquet(shared_data / "toxicity_textdetox.parquet").filter(pl.col("language").is_in(["am", "zh"]))
    (tmp_path / "turned").mkdir()
    hashes = set()
    for folder, rows in ((tmp_path, table), (tmp_path / "turned", table.reverse())):
        rows.write_parquet(folder / "a.parquet")
        hashes.add(balance(load_corpus(folder / "a.parquet"), per_class=100).sha256)
    assert len(hashes) == 1


def test_real_panlingua_draws_translations_together(shared_data):
    corpus = load_corpus(shared_data / "parallel_panlingua_hi_en.parquet", columns={"item_id": "pair_id"})
    assert corpus.counts().rows() == [("en", 499, 499), ("hi", 494, 494)]
    assert [(warning.code, warning.language, warning.detail) for warning in corpus.warnings[:-1]] == [
        ("C003", "hi", "6 pairs dropped")
    ]
    for seed in range(3):
        sample = balance(corpus, per_class=100, seed=seed)
        english, hindi = (set(sample.part(code)["item_id"]) for code in ("en", "hi"))
        everywhere = set(corpus.part("en")["item_id"]) & set(corpus.part("hi")["item_id"])
        assert len(english) == len(hindi) == 100
        # Two independent draws of 100 of 494 would share about 20.
        assert len(english & hindi) >= 100 - len(english - everywhere) - len(hindi - everywhere)
        assert len(english & hindi) > 90


@pytest.mark.parametrize("at_once", [1, 4, 100])
def test_the_hash_is_that_of_all_rows_as_json_however_many_are_taken_at_once(at_once, monkeypatch):
    monkeypatch.setattr("isogloss.data.corpus.ROWS_AT_ONCE", at_once)
    corpus = make(*(("en", f'text {i} \u00fc "q"', i % 2 == 0) for i in range(11)))
    whole = canonical_json(corpus.frame.drop("source").rows())
    assert corpus.sha256 == hashlib.sha256(whole.encode()).hexdigest()


def test_a_language_that_is_not_there_has_no_rows():
    corpus = make(("de", "eins", True), ("fr", "deux", False))
    assert [corpus.part(code).height for code in ("am", "de", "en", "fr", "zh")] == [0, 1, 0, 1, 0]


def test_a_balanced_corpus_is_its_own_sample():
    rows = [(code, f"text {i}", i % 2 == 0) for code in ("de", "en") for i in range(40)]
    assert balance(corpus := make(*rows)) is corpus
    assert len(balance(make(*rows, ("en", "one more", True)))) == 80
    assert len(balance(make(*rows, ("de", "one more", True), ("en", "one more", True)))) == 80
