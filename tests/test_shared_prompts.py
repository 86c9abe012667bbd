"""A text that is read once for both answers gives the states and gradients of two rows, in every family."""

import pytest
import torch

from families import FAMILIES, make_family
from isogloss.models.checkpoints import fetch
from isogloss.models.load import load_model
from isogloss.models.pairs import ModelRef
from isogloss.tuning import shared_prompts as module
from isogloss.tuning.shared_prompts import pack, shared_prompts

#: Texts of several lengths, one longer than the sliding window of the tiny Gemma; answers that begin alike and not.
TEXTS = [(1, 40, 41), tuple(range(1, 31)), (1, 99, 98, 97, 96)]
CHOSEN = [(50, 51, 2), (60, 2), (70, 71, 72, 73, 2)]
REJECTED = [(50, 61, 62, 2), (50, 51, 2), (80, 2)]


def batch(chosen=CHOSEN, rejected=REJECTED):
    rows = [text + answer for answers in (chosen, rejected) for text, answer in zip(TEXTS, answers, strict=True)]
    ids = torch.zeros((len(rows), max(map(len, rows))), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)], mask[i, : len(row)] = torch.tensor(row), 1
    return ids, mask


def states(model, ids, mask):
    hidden = model.decoder(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    return hidden[mask.bool()]


@pytest.fixture
def tokens_read(monkeypatch):
    """How many tokens each call of `_read` took."""
    read, seen = module._read, []
    monkeypatch.setattr(
        module, "_read", lambda plain, config, one: seen.append(one.ids.numel()) or read(plain, config, one)
    )
    return seen


@pytest.mark.parametrize("family", FAMILIES, ids=lambda one: one.name)
def test_every_family_gives_the_same_states_and_gradients(family, tmp_path, tokens_read):
    folder = make_family(family, tmp_path / "model", bos=True)
    model = load_model(fetch(ModelRef(base=str(folder))), device="cpu")
    ids, mask = batch()
    weights = next(model.blocks[0].parameters()).requires_grad_()
    plain = states(model, ids, mask)
    (gradient,) = torch.autograd.grad(plain.square().sum(), weights)
    with shared_prompts(model):
        found = states(model, ids, mask)
        (shared,) = torch.autograd.grad(found.square().sum(), weights)
    torch.testing.assert_close(found, plain, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(shared, gradient, rtol=1e-3, atol=1e-3 * float(gradient.abs().max()))
    assert torch.equal(states(model, ids, mask), plain)


@pytest.fixture
def tiny(tiny_folder):
    return load_model(fetch(ModelRef(base=str(tiny_folder))), device="cpu")


def test_a_text_is_read_once(tiny, tokens_read):
    ids, mask = batch()
    with shared_prompts(tiny):
        states(tiny, ids, mask)
        states(tiny, ids, mask)
    assert len(tokens_read) == 3  # the first batch was read both ways
    # The longest text and the longest answers: "50" is common to both answers of the first text.
    assert set(tokens_read) == {3 * (30 + 5 + 3)}
    assert tokens_read[0] < ids.numel()


def test_rows_hold_what_the_batch_holds():
    ids, mask = batch()
    found = pack(ids, mask)
    rows = torch.arange(3).repeat(2)[:, None]
    assert torch.equal(found.ids[rows, found.columns] * mask, ids)
    assert torch.equal(found.positions[rows, found.columns] * mask, torch.arange(ids.shape[1]) * mask)
    # An answer sees its text and its own tokens before it.
    last = found.columns[4, 31]
    assert sorted(found.positions[1][found.seen[1, last]].tolist()) == [*range(31), 31]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda ids, mask: (ids[:3], mask[:3]),
        lambda ids, mask: (ids.flip(1), mask.flip(1)),
        lambda ids, mask: (torch.cat([ids[:3], ids[3:].flip(0) + 1]), torch.ones_like(mask)),
    ],
    ids=["odd", "padded on the left", "strangers"],
)
def test_rows_that_share_no_text_are_read_as_it_is(wrong, tiny, tokens_read):
    ids, mask = wrong(*batch())
    assert pack(ids, mask) is None
    plain = states(tiny, ids, mask)
    with shared_prompts(tiny):
        assert torch.equal(states(tiny, ids, mask), plain)
    assert not tokens_read


def test_a_decoder_that_would_give_other_states_is_left_as_it_is(tiny, monkeypatch):
    ids, mask = batch()
    plain = states(tiny, ids, mask)

    def blind(config, seen, positions, dtype):
        return torch.zeros((len(seen), 1, *seen.shape[1:]), dtype=dtype)

    monkeypatch.setattr(module, "layer_masks", blind)
    with shared_prompts(tiny):
        assert torch.equal(states(tiny, ids, mask), plain)
        assert torch.equal(states(tiny, ids, mask), plain)


def test_a_decoder_that_refuses_masks_is_left_as_it_is(tiny, monkeypatch):
    def refuse(*_):
        raise ValueError("no mask of four dimensions")

    ids, mask = batch()
    plain = states(tiny, ids, mask)
    monkeypatch.setattr(module, "layer_masks", refuse)
    with shared_prompts(tiny):
        assert torch.equal(states(tiny, ids, mask), plain)
