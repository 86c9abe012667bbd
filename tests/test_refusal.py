"""Likelihoods of answers: those of transformers' own logits, split where a token ends, whatever the batch."""

import math

import numpy as np
import pytest
import torch

from isogloss.errors import ModelError
from isogloss.likelihoods.greedy_answers import begins_like, greedy
from isogloss.likelihoods.lm_head import text_bits
from isogloss.likelihoods.margins import refusal_log_odds
from isogloss.likelihoods.packed_answers import answer_ids, answer_likelihoods
from isogloss.models.checkpoints import fetch
from isogloss.models.load import load_model
from isogloss.models.pairs import ModelRef
from isogloss.models.prompts import encode
from running import PLAIN

TEXTS = ["a", "two words", "and a somewhat longer sentence that pads all others", "two words"]
ANSWERS = ["no", "yes, of course", "Straße"]


@pytest.fixture
def tiny(tiny_folder):
    return load_model(fetch(ModelRef(base=str(tiny_folder))), device="cpu")


def log_likelihood(model, prompt, answer):
    """ln p(answer | prompt) from transformers' own logits, one token after the other."""
    ids = torch.tensor([prompt + answer])
    with torch.inference_mode():
        steps = model.causal(input_ids=ids).logits[0].double().log_softmax(-1)
    return sum(float(steps[len(prompt) + i - 1, token]) for i, token in enumerate(answer))


def test_likelihoods_equal_those_of_the_logits(tiny):
    prompts, answers = encode(tiny.tokenizer, TEXTS).ids, answer_ids(tiny.tokenizer, ANSWERS)
    found = answer_likelihoods(tiny, prompts, answers, execution=PLAIN)
    assert found.total.shape == (4, 3)
    expected = [[log_likelihood(tiny, prompt, answer) for answer in answers] for prompt in prompts]
    np.testing.assert_allclose(found.total, expected, rtol=1e-4)
    np.testing.assert_allclose(found.per_token, np.array(expected) / [3, 15, 8], rtol=1e-4)
    assert list(found.tokens) == [3, 15, 8]  # a byte a token, the space first


def test_a_text_and_its_answer_add_up_to_the_whole(tiny):
    prompts, answers = encode(tiny.tokenizer, TEXTS).ids, answer_ids(tiny.tokenizer, ["yes"])
    whole = encode(tiny.tokenizer, [f"{text} yes" for text in TEXTS]).ids
    assert [prompt + answers[0] for prompt in prompts] == list(whole)
    parts = text_bits(tiny, prompts, execution=PLAIN) * math.log(2)
    found = answer_likelihoods(tiny, prompts, answers, execution=PLAIN).total[:, 0]
    np.testing.assert_allclose(parts - found, text_bits(tiny, whole, execution=PLAIN) * math.log(2), rtol=1e-4)


def test_where_scoring_starts_tells_equal_rows_apart(tiny):
    row = encode(tiny.tokenizer, ["two words"]).ids[0]
    bits = text_bits(tiny, [row, row, row], execution=PLAIN, starts=[1, 4, 1])
    assert bits[0] == bits[2] > bits[1]


def test_answers_have_no_bos_and_start_with_a_space_on_raw_text_only(tiny):
    tokenizer = tiny.tokenizer
    raw, chat = answer_ids(tokenizer, ["yes"]), answer_ids(tokenizer, ["yes"], raw=False)
    assert [tokenizer.decode(one[0]) for one in (raw, chat)] == [" yes", "yes"]


def test_a_tokenizer_that_joins_text_and_answer_is_refused():
    class Joins:
        def __call__(self, text, **_):
            rows = [text] if isinstance(text, str) else text
            ids = [[hash(row) % 1000] for row in rows]
            return {"input_ids": ids[0] if isinstance(text, str) else ids}

    with pytest.raises(ModelError, match="joins the end of a text"):
        answer_ids(Joins(), ["yes"])


def test_log_odds_are_of_mean_probabilities_and_do_not_depend_on_the_number_of_answers():
    one = np.log([[0.2, 0.4], [0.1, 0.1]])
    other = np.log([[0.1], [0.4]])
    np.testing.assert_allclose(refusal_log_odds(one, other), np.log([3, 0.25]))
    np.testing.assert_allclose(refusal_log_odds(np.tile(one, 3), other), refusal_log_odds(one, other))
    np.testing.assert_allclose(refusal_log_odds(other, one), -refusal_log_odds(one, other))
    # Likelihoods of whole answers are far below the smallest float.
    assert refusal_log_odds(np.array([[-5000.0]]), np.array([[-5010.0]])) == pytest.approx([10])


def test_greedy_answers_are_those_of_single_texts(tiny):
    prompts = encode(tiny.tokenizer, TEXTS).ids
    found = greedy(tiny, prompts, new_tokens=5)
    for prompt, text in zip(prompts, found, strict=True):
        ids = list(prompt)
        with torch.inference_mode():
            for _ in range(5):
                ids.append(int(tiny.causal(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
                if ids[-1] == tiny.tokenizer.eos_token_id:
                    break
        assert text == tiny.tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True).strip()


def test_what_begins_like_a_refusal():
    refusals = ["I won't take part in insults.", "我不回应粗鲁的话。"]
    assert begins_like("i WON'T take  part in this, sorry", refusals)
    assert begins_like("我不回应粗话", refusals)
    assert not begins_like("I will take part", refusals)
    assert not begins_like("", refusals)
