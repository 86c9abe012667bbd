"""Every architecture of the table reads as transformers runs it, one text at a time, to 1e-5.

The oracle never sees our hooks, batches or shortcuts: a loop over texts, and the states and logits that the model
itself returns.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from architectures import ARCHITECTURES
from conftest import make_tokenizer
from isogloss.errors import ModelError
from isogloss.hidden_states.self_check import sample_rows, settle
from isogloss.hidden_states.shortcuts import without
from isogloss.hidden_states.spec import ExtractSpec
from isogloss.likelihoods.lm_head import check_head, settle_head, text_bits
from isogloss.likelihoods.packed_answers import answer_likelihoods
from isogloss.models.architecture import attends_ahead
from isogloss.models.load import look_inside
from running import OURS, as_prompts, run

CLOSE = 1e-5


def random_rows(lengths, start=(1,), seed=0):
    rng = np.random.default_rng(seed)
    return [(*start, *map(int, rng.integers(3, 250, size=n))) for n in lengths]


#: Raw texts, one longer than all windows; and texts in a template, with a beginning longer than all windows.
RAW = random_rows((2, 9, 40))
CHAT = random_rows((1, 6, 16), start=random_rows((72,), seed=1)[0], seed=2)
ANSWERS = [(50, 51, 52), (60,)]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Matrices this small wait longer for a second thread than they take."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=ARCHITECTURES, ids=lambda row: row.name)
def architecture(request):
    return request.param


@pytest.fixture(scope="module")
def model(architecture):
    built = architecture.build()
    if built is None:
        pytest.skip(f"the installed transformers has no class for {architecture.name}")
    return look_inside(built, make_tokenizer())


def own_states(model, rows, layers, architecture):
    """Layer -> states of the last tokens (rows, width), as the model lists them itself."""
    listed, final = [], []
    for row in rows:
        ids = torch.tensor([row])
        with torch.inference_mode():
            states = model.causal(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states
            final.append(model.decoder(input_ids=ids, use_cache=False).last_hidden_state[0, -1].numpy())
        # AltUp passes on four streams; the first is active.
        listed.append([(state[0] if state.ndim == 4 else state)[0, -1].numpy() for state in states])
    offset = 0 if architecture.lists_embeddings else 1
    found = {
        layer: np.stack([states[layer.index - offset] for states in listed])
        for layer in layers
        if layer.norm == "" and layer.index >= offset
    }
    return found | {layers[-1]: np.stack(final)}


def moved(states, expected):
    return float((np.linalg.norm(states - expected, axis=-1) / np.linalg.norm(expected, axis=-1)).max())


@pytest.mark.slow
@pytest.mark.parametrize("rows", [RAW, CHAT], ids=["raw", "chat"])
def test_states_at_every_layer(architecture, model, rows):
    layers = ExtractSpec(layers=("all",)).resolve(model.depth)
    sample = sample_rows(as_prompts(rows))
    execution, drift = settle(model, sample, {"last": layers}, execution=OURS, spec=ExtractSpec())
    expected = own_states(model, rows, layers, architecture)
    states = run(model, rows, layers, execution=execution)
    assert all(np.isfinite(state).all() for state in states.values())
    distances = {layer.name: moved(states[layer], expected[layer]) for layer in expected}
    assert not {name: distance for name, distance in distances.items() if not distance <= CLOSE}
    assert drift.max <= CLOSE
    # What is left out is said, and nothing else is left out.
    assert execution.takes("shared beginning") == execution.takes("unmasked padding") == architecture.shares
    assert ("shared beginning" in {off.shortcut for off in execution.off}) == (not architecture.shares)
    if architecture.shares:
        assert execution.takes("packed weights") == OURS.takes("packed weights")
        assert execution.takes("fused MLP") == architecture.fuses


@pytest.mark.slow
def test_packed_weights_and_whole_rows_without_a_self_check(architecture, model):
    """Packing leaves alone what it does not understand, and a beginning without a cache for it is run in every row."""
    assert attends_ahead(model) == (not architecture.causal)
    # Only the self-check can tell that an MLP does more than its parts say, or that tokens attend to later ones.
    execution = OURS if architecture.causal else replace(OURS, shortcuts=False)
    execution = execution if architecture.fuses else without(execution, "fused MLP", "a test")
    layers = ExtractSpec(layers=("final",)).resolve(model.depth)
    expected = own_states(model, CHAT, layers, architecture)[layers[-1]]
    assert moved(run(model, CHAT, layers, execution=execution)[layers[-1]], expected) < 10 * CLOSE


@pytest.mark.slow
def test_likelihoods(architecture, model):
    if not architecture.causal:
        with pytest.raises(ModelError, match="attention to later tokens"):
            check_head(model)
        return
    check_head(model)
    execution = settle_head(model, RAW, execution=OURS)
    logs = [log_likelihoods(model, row) for row in RAW]
    bits = [-log.sum() / np.log(2) for log in logs]
    np.testing.assert_allclose(text_bits(model, RAW, execution=execution), bits, rtol=CLOSE)
    scored = answer_likelihoods(model, RAW, ANSWERS, execution=execution)
    expected = [[log_likelihoods(model, row + answer)[len(row) - 1 :].sum() for answer in ANSWERS] for row in RAW]
    np.testing.assert_allclose(scored.total, expected, rtol=CLOSE)


def log_likelihoods(model, row):
    """ln p of each token of a row but the first."""
    ids = torch.tensor([row])
    with torch.inference_mode():
        steps = model.causal(input_ids=ids, use_cache=False).logits[0, :-1].double().log_softmax(-1)
    return steps.gather(1, ids[0, 1:, None])[:, 0].numpy()
