"""Controls on texts small enough to work out by hand."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from isogloss.separation.controls import CONTROLS, length_scores, ngram_scores, text_controls
from isogloss.separation.pairs import twin_index

HARMFUL = np.array([True, True, False, False])
ONE_TEXT_A_SIDE = np.array([0, 1, 0, 1])


def of_lengths(*lengths):
    return ["a" * length for length in lengths]


def marked_texts(n, mark, *, seed=0):
    """n harmful then n harmless texts of the same random letters; harmful ones start with the mark."""
    rng = np.random.default_rng(seed)
    bodies = [" ".join("".join(rng.choice(list("abcdefgh"), size=4)) for _ in range(5)) for _ in range(n)]
    return [f"{mark} {body}" for body in bodies] + bodies


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
    assert ngram_scores(texts, ~harmful, folds) == pytest.approx(-scores, abs=1e-3)


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


def test_controls_are_those_of_the_table_and_twin_controls_need_twins():
    texts, harmful, pairs = marked_texts(10, "zyx"), np.arange(20) < 10, np.arange(20) % 10
    with_twins = text_controls(texts, harmful, twin_index(pairs, harmful), pairs % 5)
    without = text_controls(texts, harmful, None, pairs % 5)
    # Tokens per character needs a tokenizer and is computed elsewhere.
    assert set(with_twins) == set(CONTROLS) - {"tokens_per_character"}
    assert set(without) == set(with_twins) - {"length_twin_accuracy"}
