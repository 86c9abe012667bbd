"""The bundled corpus: its guards, a broken copy for each of them, and the numbers of its card."""

import hashlib
import itertools
import re
import statistics
import unicodedata
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import isogloss.data
from isogloss.data.languages import LANGUAGES
from isogloss.data.load import load_corpus
from isogloss.data.named_corpora import CORPORA

MINI = Path(isogloss.data.__file__).parent / "mini"
CODES = CORPORA["mini"].languages
REVIEW_COLUMNS = ["item_id", "back_translation_toxic", "back_translation_neutral", "naturalness", "corrected", "note"]
JOINERS = "\u200c\u200d"  # part of the spelling of some Indic words


def read_tsv(path):
    return tuple(tuple(line.split("\t")) for line in path.read_text(encoding="utf-8").rstrip("\n").split("\n"))


def read_items():
    return [row[0] for row in read_tsv(MINI / "items.tsv")[1:]]


def read_pairs(code):
    header, *rows = read_tsv(MINI / f"{code}.tsv")
    assert header == ("item_id", "toxic", "neutral")
    return tuple(rows)


def read_review(code):
    return read_tsv(MINI / "review" / f"{code}.tsv")


def read_card():
    return (MINI / "CARD.md").read_text(encoding="utf-8")


def texts_of(rows):
    return [row[1] for row in rows] + [row[2] for row in rows]


def labels_of(rows):
    return np.repeat([1, 0], len(rows))


def length_auroc(rows):
    from sklearn.metrics import roc_auc_score

    return roc_auc_score(labels_of(rows), [len(text) for text in texts_of(rows)])


@cache
def ngram_auroc(rows):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline

    texts, labels = np.array(texts_of(rows), dtype=object), labels_of(rows)
    # Not GroupKFold: how it orders groups of equal size depends on the sort of the machine.
    fold = np.tile(np.arange(len(rows)) % 5, 2)
    scores = []
    for held_out in range(5):
        train, test = fold != held_out, fold == held_out
        model = make_pipeline(
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True),
            # The default solver stops so early that the third digit depends on the machine; this one is also faster.
            LogisticRegression(C=10, solver="newton-cg", tol=1e-8),
        ).fit(texts[train], labels[train])
        scores.append(roc_auc_score(labels[test], model.decision_function(texts[test])))
    return float(np.mean(scores))


def words(text):
    """Split on white space, never inside a word: to a pattern such as \\w+ vowel signs are gaps."""
    stripped = (_strip_punctuation(word) for word in text.lower().split())
    return [word for word in stripped if word]


def _strip_punctuation(word):
    inner = [i for i, letter in enumerate(word) if unicodedata.category(letter)[0] not in "PS"]
    return word[inner[0] : inner[-1] + 1] if inner else ""


def opening(code, text):
    return text[:4] if code == "zh" else " ".join(words(text)[:3])


def share_of_script(code, text):
    """Return the share of letters in the script of the language, and the letters of neither it nor Latin."""
    script = {"Han": "CJK UNIFIED"}.get(LANGUAGES[code].script, LANGUAGES[code].script.upper())
    letters = [letter for letter in text if unicodedata.category(letter).startswith("L")]
    own = [letter for letter in letters if unicodedata.name(letter).startswith(script)]
    foreign = [x for x in letters if not unicodedata.name(x).startswith((script, "LATIN"))]
    return len(own) / len(letters), foreign


# Each guard returns what is wrong with a language; nothing is wrong with a published one.


def wrong_items(code, rows):
    return [] if [row[0] for row in rows] == read_items() and len(rows) == 84 else ["not the 84 items in their order"]


def telling_length(code, rows):
    value = length_auroc(rows)
    return [] if 0.40 <= value <= 0.60 else [f"length alone gives the class away: AUROC {value:.3f}"]


def telling_letters(code, rows):
    value = ngram_auroc(rows)
    return [] if value <= 0.95 else [f"letters alone give the class away: AUROC {value:.3f}"]


def similar_items(code, rows):
    grams = [
        (row[0], text, {text[i : i + 5] for i in range(len(text) - 4)} or {text}) for row in rows for text in row[1:]
    ]
    return [
        (one, other)
        for (item, one, grams_one), (item_other, other, grams_other) in itertools.combinations(grams, 2)
        if item != item_other and len(grams_one & grams_other) > min(len(grams_one), len(grams_other)) / 2
    ]


def repeated_openings(code, rows):
    counts = Counter(opening(code, text) for text in texts_of(rows))
    return [start for start, count in counts.items() if count > 3]


def unclean_texts(code, rows):
    return [
        text
        for text in texts_of(rows)
        if text != text.strip()
        or not text
        or not unicodedata.is_normalized("NFC", text)
        or any(letter != " " and unicodedata.category(letter)[0] in "CZ" and letter not in JOINERS for letter in text)
    ]


def wrong_script(code, rows):
    share, foreign = share_of_script(code, "".join(texts_of(rows)))
    return foreign + ([f"{share:.0%} in {LANGUAGES[code].script}"] if share <= 0.9 else [])


GUARDS = (
    wrong_items,
    telling_length,
    telling_letters,
    similar_items,
    repeated_openings,
    unclean_texts,
    wrong_script,
)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.__name__)
def test_no_guard_finds_a_fault(guard, code):
    assert guard(code, read_pairs(code)) == []


def toxic(rows, change, items=None):
    """Change the toxic texts of the first `items` items."""
    return tuple((row[0], change(row[1]), row[2]) if i < (items or len(rows)) else row for i, row in enumerate(rows))


def neutral(rows, change):
    return tuple((row[0], row[1], change(row[2])) for row in rows)


BROKEN_COPIES = {
    "an item is missing": (wrong_items, lambda rows: rows[:-1]),
    "an item occurs twice": (wrong_items, lambda rows: (*rows[:-1], rows[0])),
    "two items are swapped": (wrong_items, lambda rows: (rows[1], rows[0], *rows[2:])),
    "toxic texts twice as long": (telling_length, lambda rows: toxic(rows, lambda text: f"{text} {text}")),
    "neutral texts twice as long": (telling_length, lambda rows: neutral(rows, lambda text: f"{text} {text}")),
    "one insult in all toxic texts": (telling_letters, lambda rows: toxic(rows, lambda text: f"{text} You moron!")),
    "thanks in all neutral texts": (telling_letters, lambda rows: neutral(rows, lambda text: f"{text} Thank you.")),
    "an item copied into another": (
        similar_items,
        lambda rows: (rows[0], (rows[1][0], rows[1][1], f"Well, {rows[0][2]}"), *rows[2:]),
    ),
    "four texts open alike": (
        repeated_openings,
        lambda rows: toxic(rows, lambda text: f"«Listen to me», {text}", items=4),
    ),
    "decomposed letters": (unclean_texts, lambda rows: toxic(rows, lambda text: f"Cafe\u0301! {text}", items=1)),
    "a control character": (unclean_texts, lambda rows: toxic(rows, lambda text: f"{text}\x07", items=1)),
    "a tab": (unclean_texts, lambda rows: toxic(rows, lambda text: f"So,\t{text}", items=1)),
    "a zero-width space": (unclean_texts, lambda rows: toxic(rows, lambda text: f"So,\u200b {text}", items=1)),
    "a line separator": (unclean_texts, lambda rows: toxic(rows, lambda text: f"So,\u2028{text}", items=1)),
    "a space at the end": (unclean_texts, lambda rows: toxic(rows, lambda text: f"{text} ", items=1)),
    "an empty text": (unclean_texts, lambda rows: toxic(rows, lambda text: "", items=1)),
    "one Cyrillic look-alike": (wrong_script, lambda rows: toxic(rows, lambda text: f"\u0410 {text}", items=1)),
}


@pytest.mark.parametrize("name", BROKEN_COPIES)
def test_a_broken_copy_is_noticed(name):
    guard, broken = BROKEN_COPIES[name]
    assert guard("en", broken(read_pairs("en"))) != []


def test_every_guard_has_a_broken_copy():
    assert {guard for guard, _ in BROKEN_COPIES.values()} == set(GUARDS)


def test_three_texts_may_open_alike_but_not_four():
    def opened(items):
        return toxic(read_pairs("en"), lambda text: f"Listen to me: {text}", items=items)

    assert repeated_openings("en", opened(3)) == []
    assert repeated_openings("en", opened(4)) == ["listen to me"]


def test_a_romanised_file_is_in_the_wrong_script():
    assert any("Devanagari" in fault for fault in wrong_script("hi", read_pairs("en")))


def test_a_few_latin_letters_are_allowed_in_another_script():
    assert wrong_script("hi", toxic(read_pairs("hi"), lambda text: f"{text} OK", items=5)) == []


def test_words_are_not_cut_at_vowel_signs():
    text = "«तुम्हारी किताब», मेरे पास है।"
    assert opening("hi", text) == "तुम्हारी किताब मेरे"
    assert re.findall(r"\w+", text)[:3] != words(text)[:3]


# The review.


def wrong_review(table):
    header, *rows = table
    if list(header) != REVIEW_COLUMNS or any(len(row) != len(REVIEW_COLUMNS) for row in rows):
        return ["columns"]
    names = [row[0] for row in rows]
    faults = [row for row in rows if row[3] not in list("12345") or row[4] not in {"yes", "no"}]
    faults += [row for row in rows if not row[1].strip() or not row[2].strip()]
    faults += [name for name, count in Counter(names).items() if count > 1 or name not in read_items()]
    return faults + (["fewer than 20 items"] if len(sample_of(table)) < 20 else [])


def sample_of(table):
    """Return the rows of every third item: these were chosen beforehand, the others because they had errors."""
    chosen = set(read_items()[::3])
    return [row for row in table[1:] if row[0] in chosen]


@pytest.mark.parametrize("code", CODES)
def test_the_review_has_ratings_of_at_least_20_items(code):
    assert wrong_review(read_review(code)) == []


def with_cell(table, column, value):
    first = list(table[1])
    first[REVIEW_COLUMNS.index(column)] = value
    return (table[0], tuple(first), *table[2:])


BROKEN_REVIEWS = {
    "a rating of 6": lambda table: with_cell(table, "naturalness", "6"),
    "no rating": lambda table: with_cell(table, "naturalness", ""),
    "neither yes nor no": lambda table: with_cell(table, "corrected", "maybe"),
    "no back translation": lambda table: with_cell(table, "back_translation_toxic", " "),
    "an unknown item": lambda table: with_cell(table, "item_id", "m999"),
    "an item twice": lambda table: (*table, table[1]),
    "19 items": lambda table: (table[0], *sample_of(table)[:19]),
    "a column less": lambda table: tuple(row[:-1] for row in table),
}


@pytest.mark.parametrize("name", BROKEN_REVIEWS)
def test_a_broken_review_is_noticed(name):
    assert wrong_review(BROKEN_REVIEWS[name](read_review("en"))) != []


# Through the front door.


def test_load_corpus_reads_all_languages_as_parallel_pairs():
    corpus = load_corpus("mini")
    assert corpus.languages == tuple(sorted(CODES))
    assert len(CODES) == 12
    assert corpus.parallel
    assert corpus.paired
    assert corpus.warnings == ()
    assert len(corpus) == 12 * 2 * 84


@pytest.mark.parametrize("code", CODES)
def test_load_corpus_changes_no_text_and_no_label(code):
    part = load_corpus("mini", languages=[code]).part(code)
    loaded = set(part.select("item_id", "text", "harmful").iter_rows())
    rows = read_pairs(code)
    assert loaded == {(row[0], row[1], True) for row in rows} | {(row[0], row[2], False) for row in rows}


# The card.


def card_row(code):
    """Write the row of the card's table from the files."""
    rows, table, language = read_pairs(code), read_review(code), LANGUAGES[code]
    sample = sample_of(table)
    others = [row for row in table[1:] if row not in sample]
    cells = [
        code,
        language.name,
        language.script,
        str(language.resource_class),
        f"{statistics.median(len(row[1]) for row in rows):.1f}",
        f"{statistics.median(len(row[2]) for row in rows):.1f}",
        f"{length_auroc(rows):.2f}",
        f"{ngram_auroc(rows):.2f}",
        str(len(sample)),
        f"{statistics.mean(int(row[3]) for row in sample):.2f}",
        str(sum(row[4] == "yes" for row in sample)),
        str(sum(row[4] == "yes" for row in others)),
    ]
    return f"| {' | '.join(cells)} |"


def table_of(card):
    """Return the rows of the only table by language code."""
    rows = [line for line in card.splitlines() if line.startswith("|")][2:]
    return {row.split("|")[1].strip(): row for row in rows}


def content_hash():
    text = "".join((MINI / f"{code}.tsv").read_text(encoding="utf-8") for code in sorted(CODES))
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_card_has_one_row_for_each_language():
    rows = [line for line in read_card().splitlines() if line.startswith("|")]
    assert sorted(table_of(read_card())) == sorted(CODES)
    assert len(rows) == 2 + len(CODES)


@pytest.mark.parametrize("code", CODES)
def test_the_card_prints_the_numbers_of_the_files(code):
    assert table_of(read_card())[code] == card_row(code)


def test_a_wrong_number_in_the_card_is_noticed():
    right = card_row("en")
    for i in (i for i, letter in enumerate(right) if letter.isdigit()):
        wrong = right[:i] + str((int(right[i]) + 1) % 10) + right[i + 1 :]
        assert table_of(read_card().replace(right, wrong))["en"] == wrong


def test_a_changed_text_needs_a_new_version_of_the_card():
    assert f"`{content_hash()}`" in read_card()


def test_the_card_agrees_with_the_corpora_table():
    row, card = CORPORA["mini"], read_card()
    assert row.citation in card
    assert f"**Version** {row.revision}." in card
    assert f"**Licence** {row.licence}." in card
