"""Controls on texts small enough to work out by hand."""

import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from isogloss.data.languages import LANGUAGES
from isogloss.stats.metrics import METRICS
from isogloss.stats.probe import cross_fitted_scores, kernel_probe
from isogloss.stats.text_controls import CONTROLS, UNSEGMENTED, edit_rate, length_scores, ngram_gram
from isogloss.stats.text_pairs import partner_index


def marked_texts(n, mark, *, seed=0):
    """n harmful then n harmless texts of the same random letters; harmful ones start with the mark."""
    rng = np.random.default_rng(seed)
    bodies = [" ".join("".join(rng.choice(list("abcdefgh"), size=4)) for _ in range(5)) for _ in range(n)]
    return [f"{mark} {body}" for body in bodies] + bodies


def ngram_scores(texts, harmful, folds):
    return cross_fitted_scores(kernel_probe(ngram_gram(texts)), harmful[None, :], folds)[0]


def test_length_is_counted_in_characters_not_in_bytes():
    assert length_scores(["", "abc", "नमस्ते", "你好", "🙂"]).tolist() == [0, 3, 6, 2, 1]


def test_a_word_of_one_class_only_is_found_by_ngrams_in_texts_never_trained_on():
    texts, harmful, folds = marked_texts(20, "zyx"), np.arange(40) < 20, np.arange(40) % 4
    scores = ngram_scores(texts, harmful, folds)
    assert roc_auc_score(harmful, scores) == 1
    assert ngram_scores(texts, ~harmful, folds) == pytest.approx(-scores, abs=1e-9)


def test_texts_that_are_all_alike_score_alike_and_so_do_pairs_with_the_same_text():
    harmful, folds = np.arange(20) < 10, np.arange(20) % 5
    assert np.array_equal(ngram_scores(["the same text"] * 20, harmful, folds), np.zeros(20))
    texts = [text.strip() for text in marked_texts(20, "", seed=1)]
    harmful, pairs = np.arange(40) < 20, np.arange(40) % 20
    found = ngram_scores(texts, harmful, pairs % 5)
    assert np.array_equal(found[:20], found[20:])


def test_an_ngram_that_occurs_in_one_fold_only_cannot_help():
    # The mark stands in fold 0 alone, so no training part that scores fold 0 has seen it.
    bodies = marked_texts(20, "", seed=2)[20:] * 2
    harmful, folds = np.arange(40) < 20, np.arange(40) % 20 % 4
    texts = [f"zyx {body}" if marked else body for body, marked in zip(bodies, harmful & (folds == 0), strict=True)]
    found = ngram_scores(texts, harmful, folds)
    assert np.abs(found[folds == 0]).max() < 0.05


def test_the_labels_of_a_fold_do_not_move_its_own_ngram_scores():
    texts, harmful, folds = marked_texts(20, "zyx", seed=3), np.arange(40) < 20, np.arange(40) % 4
    other = np.where(folds == 2, ~harmful, harmful)
    one, two = ngram_scores(texts, harmful, folds), ngram_scores(texts, other, folds)
    assert np.array_equal(one[folds == 2], two[folds == 2])
    assert np.abs(one[folds != 2] - two[folds != 2]).max() > 0.1


def test_the_gram_is_that_of_tf_idf_vectors_counted_by_hand():
    texts = ["a fool, a fool", "Fool  of a took", "नमस्ते fool", "你好", "x"]
    counts = []
    for text in texts:
        words = [f" {word} " for word in text.lower().split()]
        counts.append(Counter(w[i : i + n] for n in (2, 3, 4) for w in words for i in range(len(w) - n + 1)))
    rarity = {gram: 1 + math.log(6 / (1 + sum(gram in c for c in counts))) for c in counts for gram in c}
    vectors = [{gram: (1 + math.log(k)) * rarity[gram] for gram, k in c.items()} for c in counts]
    norms = [math.sqrt(sum(v**2 for v in vector.values())) for vector in vectors]
    expected = [
        [sum(a[g] * b.get(g, 0) for g in a) / m / n for b, n in zip(vectors, norms, strict=True)]
        for a, m in zip(vectors, norms, strict=True)
    ]
    found = ngram_gram(texts)
    assert found.dtype == np.float64
    assert found == pytest.approx(np.array(expected), abs=1e-12)
    assert 0 < found[0, 1] < 1


def common_by_force(first, second):
    """Length of the longest common subsequence, by trying every one."""
    for size in range(len(first), 0, -1):
        parts = set(combinations(first, size))
        if any(part in parts for part in combinations(second, size)):
            return size
    return 0


@pytest.mark.parametrize("segmented", [True, False])
def test_edit_share_is_found_by_brute_force_too(segmented):
    rng = np.random.default_rng(6)
    seen = set()
    for _ in range(300):
        letters = [list(rng.choice(list("abc"), size=rng.integers(1, 9))) for _ in range(2)]
        total, common = sum(map(len, letters)), common_by_force(*letters)
        first, second = (" ".join(side) if segmented else "".join(side) for side in letters)
        assert edit_rate(first, second, segmented) == pytest.approx(1 - 2 * common / total)
        assert edit_rate(second, first, segmented) == edit_rate(first, second, segmented)
        seen.add(common)
    assert len(seen) > 5


def test_edit_share_by_hand():
    assert edit_rate("you are a fool", "you are a fool") == 0
    assert edit_rate("you are", "who is") == 1
    # One word of four goes, nothing comes.
    assert edit_rate("you are a fool", "you are a") == pytest.approx(1 / 7)
    # White space is no word, case and punctuation are part of one.
    assert edit_rate(" you  are\n", "you are") == 0
    assert edit_rate("You are!", "you are") == 1
    # The order of words counts.
    assert edit_rate("a b", "b a") == 0.5
    assert edit_rate("", "") == 0


def test_edit_share_of_unsegmented_text_counts_characters():
    assert edit_rate("你是个傻瓜", "你是个好人") == 1
    assert edit_rate("你是个傻瓜", "你是个好人", segmented=False) == pytest.approx(0.4)
    assert edit_rate("你是 个", "你是个", segmented=False) == 0


def test_scripts_without_spaces_are_known_by_the_names_of_the_language_table():
    assert {code for code, row in LANGUAGES.items() if row.script in UNSEGMENTED} == {"ja", "th", "zh"}


def test_edit_shares_of_real_pairs(shared_data):
    import polars as pl

    frame = pl.read_parquet(shared_data / "parallel_multiparadetox.parquet")
    found = {}
    for (code,), part in frame.group_by("language"):
        segmented = LANGUAGES[code].script not in UNSEGMENTED
        pairs = zip(part["toxic"], part["neutral"], strict=True)
        found[code] = float(np.median([edit_rate(a, b, segmented) for a, b in pairs]))
    expected = {"de": 0.14, "ar": 0.16, "uk": 0.19, "hi": 0.2, "zh": 0.2, "en": 0.34, "es": 0.36, "ru": 0.37}
    assert found == pytest.approx(expected | {"am": 0.52}, abs=0.0051)


def test_the_ngram_control_is_as_strong_as_logistic_regression_on_real_pairs(shared_data):
    import polars as pl
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    frame = pl.read_parquet(shared_data / "parallel_multiparadetox.parquet").filter(pl.col("language") == "en")
    texts, n = [*frame["toxic"], *frame["neutral"]], len(frame)
    harmful, pairs = np.arange(2 * n) < n, np.arange(2 * n) % n
    folds, other = pairs % 5, np.empty(2 * n)
    for fold in range(5):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
        model = make_pipeline(vectors, LogisticRegression(C=10, max_iter=1000))
        model.fit([texts[i] for i in train], harmful[train])
        other[test] = model.decision_function([texts[i] for i in test])
    scores, partners = np.vstack([ngram_scores(texts, harmful, folds), other]), partner_index(pairs, harmful)
    found = METRICS["auroc"].many(scores, np.vstack([harmful, harmful]), partners, folds)
    assert found[0] > found[1] - 0.01 > 0.9


def test_every_score_among_the_controls_is_at_one_half_by_chance():
    scored = {name for name in CONTROLS if name.endswith(("_auroc", "_pair_accuracy"))}
    scores = {name for name in scored if not name.startswith("probe_minus_")}
    assert {name for name, row in CONTROLS.items() if row.chance == 0.5} == scores
    assert all(row.chance is None for name, row in CONTROLS.items() if name not in scores)
    assert all(row.name == name and row.about for name, row in CONTROLS.items())
