"""All answers in one row give what rows of their own give, in every family that takes such rows."""

import numpy as np
import pytest
import torch

from families import FAMILIES, make_family
from isogloss.likelihoods import packed_answers as packed
from isogloss.likelihoods import packed_answers as refusal
from isogloss.likelihoods.packed_answers import answer_likelihoods, fits, packed_likelihoods
from isogloss.models.checkpoints import fetch
from isogloss.models.load import load_model
from isogloss.models.pairs import ModelRef
from running import OURS, PLAIN

#: Of lengths that pad each other, one longer than the sliding window of the tiny Gemma.
PROMPTS = [(1, 40, 41), tuple(range(1, 31)), (1, 99, 98, 97, 96), (1, 40, 41)]
ANSWERS = [(50, 51, 52), (60,), (50, 70, 71, 72, 73)]


@pytest.fixture(scope="module")
def tiny(tiny_folder):
    return load_model(fetch(ModelRef(base=str(tiny_folder))), device="cpu")


def log_likelihoods(model, prompt, answer):
    """ln p of each token of an answer, from transformers' own logits."""
    with torch.inference_mode():
        steps = model.causal(input_ids=torch.tensor([prompt + answer])).logits[0].double().log_softmax(-1)
    return [float(steps[len(prompt) + i - 1, token]) for i, token in enumerate(answer)]


@pytest.mark.parametrize("execution", [PLAIN, OURS])
def test_packed_rows_say_what_the_logits_say(tiny, execution):
    total, first = packed_likelihoods(tiny, PROMPTS, ANSWERS, execution=execution)
    each = [[log_likelihoods(tiny, prompt, answer) for answer in ANSWERS] for prompt in PROMPTS]
    np.testing.assert_allclose(total, [[sum(one) for one in row] for row in each], rtol=1e-4)
    np.testing.assert_allclose(first, [[one[0] for one in row] for row in each], rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda one: one.name)
def test_every_family_scores_alike_packed_or_not(family, tmp_path):
    folder = make_family(family, tmp_path / "model", bos=True)
    model = load_model(fetch(ModelRef(base=str(folder))), device="cpu")
    found = answer_likelihoods(model, PROMPTS, ANSWERS, execution=PLAIN)
    plain = refusal._plain(model, PROMPTS, ANSWERS, execution=PLAIN)
    np.testing.assert_allclose(found.total, plain.total, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found.first, plain.first, rtol=1e-4, atol=1e-3)


def test_answers_that_see_each_other_are_noticed(tiny, monkeypatch):
    plain = refusal._plain(tiny, PROMPTS, ANSWERS, execution=PLAIN).total
    assert fits(tiny, PROMPTS, ANSWERS, plain)
    monkeypatch.setattr(packed, "_seen", lambda lengths, width, owner, positions: _everything(positions))
    assert not fits(tiny, PROMPTS, ANSWERS, plain)
    found = answer_likelihoods(tiny, PROMPTS, ANSWERS, execution=PLAIN)
    np.testing.assert_allclose(found.total, plain, rtol=1e-4)


def _everything(positions):
    size = positions.shape[1]
    return torch.ones((len(positions), size, size), dtype=torch.bool).tril()


def test_a_model_that_refuses_masks_is_read_row_by_row(tiny, monkeypatch):
    def refuse(*_, **__):
        raise ValueError("no mask of four dimensions")

    monkeypatch.setattr(packed, "_score", refuse)
    found = answer_likelihoods(tiny, PROMPTS, ANSWERS, execution=PLAIN)
    np.testing.assert_allclose(found.total[1, 1], log_likelihoods(tiny, PROMPTS[1], ANSWERS[1])[0], rtol=1e-4)
