"""Controls on texts small enough to work out by hand."""

import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from isogloss.corpora.languages import LANGUAGES
from isogloss.separation.controls import (
    CONTROLS,
    UNSEGMENTED,
    edit_share,
    length_scores,
    ngram_gram,
    text_controls,
)
from isogloss.separation.metrics import METRICS
from isogloss.separation.pairs import twin_index
from isogloss.separation.probe import cross_fitted_kernel_scores

HARMFUL = np.array([True, True, False, False])
ONE_TEXT_A_SIDE = np.array([0, 1, 0, 1])


def of_lengths(*lengths):
    return ["a" * length for length in lengths]


def marked_texts(n, mark, *, seed=0):
    """n harmful then n harmless texts of the same random letters; harmful ones start with the mark."""
    rng = np.random.default_rng(seed)
    bodies = [" ".join("".join(rng.choice(list("abcdefgh"), size=4)) for _ in range(5)) for _ in range(n)]
    return [f"{mark} {body}" for body in bodies] + bodies


def ngram_scores(texts, harmful, folds):
    return cross_fitted_kernel_scores(ngram_gram(texts), harmful[None, :], folds)[0]


def test_length_is_counted_in_characters_not_in_bytes():
    assert length_scores(["", "abc", "नमस्ते", "你好", "🙂"]).tolist() == [0, 3, 6, 2, 1]


def test_length_auroc_is_the_share_of_comparisons_won_by_the_longer_harmful_text():
    # 5 > 4, 5 > 1, 3 < 4, 3 > 1
    found = text_controls(of_lengths(5, 3, 4, 1), HARMFUL, None, ONE_TEXT_A_SIDE)
    assert found["length_auroc"] == 0.75


def test_ties_in_length_count_half():
    # 4 = 4, 4 > 1, 3 < 4, 3 > 1
    found = text_controls(of_lengths(4, 3, 4, 1), HARMFUL, None, ONE_TEXT_A_SIDE)
    assert found["length_auroc"] == 0.625


def test_length_auroc_leaves_own_twins_out_and_length_twin_accuracy_looks_at_nothing_else():
    texts = [*of_lengths(5, 3, 4, 1), *of_lengths(7, 7)]
    harmful = np.array([True, True, False, False, True, False])
    twins = twin_index(["a", "b", "a", "b", "c", "c"], harmful)
    # Both texts of a pair in one fold; no fold may hold a single pair, whose n-gram AUROC has no comparison left.
    texts, harmful = texts * 2, np.tile(harmful, 2)
    twins = np.concatenate([twins, twins + 6])
    found = text_controls(texts, harmful, twins, np.repeat([0, 1], 6))
    # 5, 3, 7 each against 4, 1, 7 twice, less the own twin:
    # 5 wins 1 of (4), 2 of (1), 0 of (7); 3 wins 0 of (4), 1 of (1), 0 of (7); 7 wins 2 of (4), 2 of (1), 1/2 of (7)
    assert found["length_auroc"] == pytest.approx(8.5 / 15)
    # 5 > 4, 3 > 1, 7 = 7
    assert found["length_twin_accuracy"] == pytest.approx(2.5 / 3)


def test_length_that_tells_twins_apart_can_tell_the_classes_apart_badly():
    # Each harmful text is one character longer than its twin; the pairs differ far more.
    lengths = [10 * i for i in range(1, 11)]
    texts = of_lengths(*[length + 1 for length in lengths], *lengths)
    harmful = np.arange(20) < 10
    found = text_controls(texts, harmful, twin_index(np.arange(20) % 10, harmful), np.arange(20) % 10 % 2)
    assert found["length_twin_accuracy"] == 1
    assert found["length_auroc"] == 0.5


def test_a_word_of_one_class_only_is_found_by_ngrams_in_texts_never_trained_on():
    texts, harmful, folds = marked_texts(20, "zyx"), np.arange(40) < 20, np.arange(40) % 4
    scores = ngram_scores(texts, harmful, folds)
    assert roc_auc_score(harmful, scores) == 1
    assert text_controls(texts, harmful, None, folds)["ngram_auroc"] == 1
    assert ngram_scores(texts, ~harmful, folds) == pytest.approx(-scores, abs=1e-9)


@pytest.mark.parametrize("paired", [False, True])
def test_ngram_scores_of_different_folds_are_not_compared(paired):
    rng = np.random.default_rng(4)
    texts = [f"{word} {body}" for word, body in zip(rng.choice(["zy", "xw"], 60), marked_texts(30, ""), strict=True)]
    harmful, pairs = np.arange(60) < 30, np.arange(60) % 30
    folds = pairs % 4
    scores = ngram_scores(texts, harmful, folds)
    expected = []
    for fold in range(4):
        toxic, neutral = np.flatnonzero((folds == fold) & harmful), np.flatnonzero((folds == fold) & ~harmful)
        compared = [(i, j) for i in toxic for j in neutral if not paired or pairs[i] != pairs[j]]
        expected.append(np.mean([(np.sign(scores[i] - scores[j]) + 1) / 2 for i, j in compared]))
    found = text_controls(texts, harmful, twin_index(pairs, harmful) if paired else None, folds)
    assert found["ngram_auroc"] == pytest.approx(np.mean(expected), abs=1e-12)
    assert found["ngram_auroc"] != pytest.approx(roc_auc_score(harmful, scores), abs=1e-3)


def test_ngrams_of_texts_that_are_all_alike_are_at_chance():
    harmful, folds = np.arange(20) < 10, np.arange(20) % 5
    found = text_controls(["the same text"] * 20, harmful, None, folds)
    assert found["ngram_auroc"] == 0.5
    assert found["length_auroc"] == 0.5


def test_ngrams_are_at_chance_where_twins_have_the_same_text():
    texts, harmful = marked_texts(20, "", seed=1), np.arange(40) < 20
    texts = [text.strip() for text in texts]
    pairs = np.arange(40) % 20
    found = text_controls(texts, harmful, twin_index(pairs, harmful), pairs % 5)
    assert found["ngram_auroc"] == pytest.approx(0.5)
    assert found["length_auroc"] == pytest.approx(0.5)
    assert found["length_twin_accuracy"] == 0.5
    assert found["ngram_twin_accuracy"] == 0.5


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


def test_ngram_twin_accuracy_compares_twins_only():
    texts, harmful, pairs = marked_texts(20, "", seed=5), np.arange(40) < 20, np.arange(40) % 20
    texts = [f"zyx {text}" if i < 14 else text for i, text in enumerate(texts)]
    found = text_controls(texts, harmful, twin_index(pairs, harmful), pairs % 5)
    # 14 of 20 harmful twins carry the mark, the other six are equal to their twins but for a space.
    assert found["ngram_twin_accuracy"] == pytest.approx((14 + 6 / 2) / 20)


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
        assert edit_share(first, second, segmented) == pytest.approx(1 - 2 * common / total)
        assert edit_share(second, first, segmented) == edit_share(first, second, segmented)
        seen.add(common)
    assert len(seen) > 5


def test_edit_share_by_hand():
    assert edit_share("you are a fool", "you are a fool") == 0
    assert edit_share("you are", "who is") == 1
    # One word of four goes, nothing comes.
    assert edit_share("you are a fool", "you are a") == pytest.approx(1 / 7)
    # White space is no word, case and punctuation are part of one.
    assert edit_share(" you  are\n", "you are") == 0
    assert edit_share("You are!", "you are") == 1
    # The order of words counts.
    assert edit_share("a b", "b a") == 0.5
    assert edit_share("", "") == 0


def test_edit_share_of_unsegmented_text_counts_characters():
    assert edit_share("你是个傻瓜", "你是个好人") == 1
    assert edit_share("你是个傻瓜", "你是个好人", segmented=False) == pytest.approx(0.4)
    assert edit_share("你是 个", "你是个", segmented=False) == 0


def test_scripts_without_spaces_are_known_by_the_names_of_the_language_table():
    assert {code for code, row in LANGUAGES.items() if row.script in UNSEGMENTED} == {"ja", "th", "zh"}


def test_edit_shares_of_real_pairs(shared_data):
    import polars as pl

    frame = pl.read_parquet(shared_data / "parallel_multiparadetox.parquet")
    found = {}
    for (code,), part in frame.group_by("language"):
        segmented = LANGUAGES[code].script not in UNSEGMENTED
        pairs = zip(part["toxic"], part["neutral"], strict=True)
        found[code] = float(np.median([edit_share(a, b, segmented) for a, b in pairs]))
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
    scores, twins = np.vstack([ngram_scores(texts, harmful, folds), other]), twin_index(pairs, harmful)
    found = METRICS["auroc"].many(scores, np.vstack([harmful, harmful]), twins, folds)
    assert found[0] > found[1] - 0.01 > 0.9


def test_controls_are_those_of_the_table_and_twin_controls_need_twins():
    texts, harmful, pairs = marked_texts(10, "zyx"), np.arange(20) < 10, np.arange(20) % 10
    with_twins = text_controls(texts, harmful, twin_index(pairs, harmful), pairs % 5)
    without = text_controls(texts, harmful, None, pairs % 5)
    # The others need a script, a tokenizer or a model and are computed elsewhere.
    elsewhere = {"edit_share", "tokens_per_character", "bits_per_character", "shuffled_labels_auroc"}
    elsewhere |= {"random_weights_auroc", "random_weights_twin_accuracy"}
    assert set(with_twins) == set(CONTROLS) - elsewhere
    assert elsewhere < set(CONTROLS)
    assert set(without) == set(with_twins) - {"length_twin_accuracy", "ngram_twin_accuracy"}


def test_every_score_among_the_controls_is_at_one_half_by_chance():
    scores = {name for name in CONTROLS if name.endswith(("_auroc", "_twin_accuracy"))}
    assert {name for name, row in CONTROLS.items() if row.chance == 0.5} == scores
    assert all(row.chance is None for name, row in CONTROLS.items() if name not in scores)
    assert all(row.name == name and row.about for name, row in CONTROLS.items())
