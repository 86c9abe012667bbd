"""Shortcuts of the forward pass: none may change a number beyond rounding, and each is noticed where it would."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import peft
import pytest
import torch
from transformers.activations import ACT2FN

from conftest import make_model
from isogloss.errors import ModelError, StoreError, UsageError
from isogloss.hidden_states import self_check as drift
from isogloss.hidden_states.batching import SHARES, plan_batches
from isogloss.hidden_states.execution import Execution, can_pack, check_execution, choose_execution, has_bf16
from isogloss.hidden_states.extract import hidden_states, plan_rows
from isogloss.hidden_states.forward import _short_mlp, forward, pad_right, put, take
from isogloss.hidden_states.kernels import ONEDNN_ACTIVATIONS, fast_linears, gated_mlp
from isogloss.hidden_states.self_check import measure_drift, sample_rows, settle
from isogloss.hidden_states.spec import ExtractSpec, Layer
from isogloss.models.checkpoints import fetch
from isogloss.models.load import load_model
from isogloss.models.pairs import ModelRef
from running import OURS, PLAIN, as_prompts, run

needs_packing = pytest.mark.skipif(not can_pack(), reason="no oneDNN packed layers on this processor")


@pytest.fixture(scope="module")
def tiny(tiny_folder):
    return load_model(fetch(ModelRef(base=str(tiny_folder))), device="cpu")


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return [(2, *map(int, rng.integers(5, 200, size=n))) for n in rng.integers(1, 40, size=50)]


def distance(a, b):
    return max(
        float((np.linalg.norm(a[layer] - b[layer], axis=1) / np.linalg.norm(b[layer], axis=1)).max()) for layer in b
    )


def sizes(length, rows, budget):
    """Numbers of rows that a batch may have whose longest has `length` tokens."""
    return {max(1, int(share * budget) // length) for share in SHARES} | ({rows} if rows * length <= budget else set())


def brute_force(lengths, budget, overhead):
    """Cost of the best way to cut falling lengths into batches, by trying all."""
    costs = []
    for cuts in itertools.product([False, True], repeat=len(lengths) - 1):
        places = [0, *(i + 1 for i, cut in enumerate(cuts) if cut), len(lengths)]
        batches = [lengths[a:b] for a, b in itertools.pairwise(places)]
        if all(len(batch) in sizes(batch[0], len(lengths) if len(batches) == 1 else 1, budget) for batch in batches):
            costs.append(sum(len(batch) * batch[0] + overhead for batch in batches))
    return min(costs)


@pytest.mark.parametrize("overhead", [0, 1, 3, 10])
def test_batches_cost_as_little_as_the_best_of_all(overhead):
    rng = np.random.default_rng(overhead)
    for _ in range(30):
        lengths = rng.integers(1, 12, size=rng.integers(1, 10))
        rows = [tuple(range(i * 100, i * 100 + n)) for i, n in enumerate(lengths)]
        budget = int(rng.integers(5, 40))
        plan = plan_batches(rows, token_budget=budget, overhead=overhead)
        assert sorted(i for batch in plan.batches for i in batch) == list(range(len(rows)))
        padded = [len(batch) * max(len(rows[i]) for i in batch) for batch in plan.batches]
        assert all(n <= budget or len(b) == 1 for n, b in zip(padded, plan.batches, strict=True))
        assert sum(padded) + overhead * len(padded) == brute_force(sorted(lengths)[::-1], budget, overhead)


def test_batches_come_in_few_shapes_and_cost_little_more():
    """oneDNN keeps memory for every shape: however many texts there are, they bring no new ones."""
    rng = np.random.default_rng(0)
    shapes, costs = set(), []
    for _ in range(40):
        lengths = np.sort(rng.integers(8, 33, size=512))[::-1]
        plan = plan_batches(
            [tuple(range(i * 100, i * 100 + n)) for i, n in enumerate(lengths)], token_budget=1024, overhead=32
        )
        padded = [(len(batch), max(len(plan.distinct[i]) for i in batch)) for batch in plan.batches]
        shapes |= set(padded)
        costs.append(sum(rows * tokens + 32 for rows, tokens in padded) / lengths.sum())
    assert len(shapes) <= 25 * len(SHARES)
    assert np.mean(costs) < 1.08  # 32 tokens a pass are 3 of these 8 %


def test_a_beginning_is_shared_only_where_it_is_long_and_leaves_every_row_a_token():
    start = tuple(range(100, 110))
    plan = {"token_budget": 100, "share_prefix": True}
    assert plan_batches([(*start, 1, 2), (*start, 3)], **plan).prefix == 10
    assert plan_batches([(*start, 1, 2), start], **plan).prefix == 9
    assert plan_batches([(*start, 1, 2), (*start, 3)], token_budget=100).prefix == 0
    assert plan_batches([start[:5], (*start, 3)], **plan).prefix == 0  # too short
    assert plan_batches([(*start, 1), (*start, *range(200))], **plan).prefix == 0  # a small part of all tokens
    assert plan_batches([start], **plan).prefix == 0
    assert plan_batches([(7, *start), start], **plan).prefix == 0


@needs_packing
@pytest.mark.parametrize("position", ["last", "mean"])
def test_all_shortcuts_together_change_only_rounding(tiny, rows, position):
    layers = ExtractSpec(layers=("all",)).resolve(tiny.depth)
    assert OURS.kernel == "onednn"
    assert OURS.shortcuts
    usual = run(tiny, rows, layers, execution=PLAIN, token_budget=1, position=position)
    assert 0 < distance(run(tiny, rows, layers, position=position), usual) < 1e-4


@pytest.mark.parametrize("names", [("0",), ("0", "2"), ("4",), ("final",), ("1", "final-pre", "final")])
def test_blocks_after_the_last_wanted_layer_are_not_run(tiny, rows, names):
    layers = ExtractSpec(layers=names).resolve(tiny.depth)
    seen = []
    handles = [
        block.register_forward_hook(lambda *_, i=i: seen.append(i)) for i, block in enumerate(tiny.blocks, start=1)
    ]
    short = run(tiny, rows, layers)
    for handle in handles:
        handle.remove()
    deepest = max(layer.index for layer in layers)
    assert set(seen) == set(range(1, deepest + 1))
    whole = run(tiny, rows, ExtractSpec(layers=("all",)).resolve(tiny.depth), execution=PLAIN)
    assert distance(short, {layer: whole[layer] for layer in layers}) < 1e-4


def test_the_last_mlp_sees_only_the_tokens_that_are_read(tiny, rows):
    tokens = {}
    handles = [
        block.mlp.down_proj.register_forward_pre_hook(lambda m, a, i=i: tokens.setdefault(i, []).append(a[0].shape[1]))
        for i, block in enumerate(tiny.blocks, start=1)
    ]
    plain = replace(OURS, kernel="plain")  # fused layers are not called one by one
    run(tiny, rows[:8], [Layer(3, "")], execution=plain, token_budget=10**6)
    run(tiny, rows[:8], [Layer(4, "post")], execution=plain, token_budget=10**6, position="mean")
    for handle in handles:
        handle.remove()
    longest = max(map(len, rows[:8]))
    # Block 4 is run for its own state only, where the mean reads all tokens.
    assert tokens == {1: [longest] * 2, 2: [longest] * 2, 3: [1, longest], 4: [longest]}


def test_last_tokens_are_taken_and_put_back():
    batch = pad_right([(1, 2, 3), (4,)], torch.device("cpu"))
    assert batch.ids.tolist() == [[1, 2, 3], [4, 4, 4]]  # an embedding of a padding token may be undefined
    assert batch.real.tolist() == [[True] * 3, [True, False, False]]
    hidden = torch.arange(6.0).reshape(2, 3, 1)
    places = batch.token_indices(["last"])
    assert take(hidden, places).flatten().tolist() == [2, 3]
    assert put(take(hidden, places), places, 3)[..., 0].tolist() == [[0, 0, 2], [3, 0, 0]]
    both = pad_right([(1, 2, 3), (4,)], torch.device("cpu"), text_ends=[2, 1]).token_indices(
        ["last", "last_instruction_token"]
    )
    assert both.tolist() == [[2, 1], [0, 0]]
    assert put(take(hidden, both), both, 3)[..., 0].tolist() == [[0, 1, 2], [3, 0, 0]]
    assert batch.token_indices(["last", "mean"]) is None


def test_a_shared_beginning_changes_only_rounding(tiny, rows):
    start = tuple(range(50, 70))
    longer = [(2, *start, *row[1:]) for row in rows]
    layers = ExtractSpec(layers=("all",)).resolve(tiny.depth)
    seen = []
    handle = tiny.blocks[0].register_forward_pre_hook(lambda m, a, k: seen.append(a[0].shape), with_kwargs=True)
    shared = run(tiny, longer, layers)
    handle.remove()
    assert seen[0][:2] == (1, 21)
    assert sum(a * b for a, b, _ in seen) < sum(map(len, longer))
    assert distance(shared, run(tiny, longer, layers, execution=PLAIN, token_budget=1)) < 1e-4


class Gated(torch.nn.Module):
    """As transformers writes it."""

    def __init__(self, act, bias):
        super().__init__()
        self.gate_proj = torch.nn.Linear(8, 16, bias=bias)
        self.up_proj = torch.nn.Linear(8, 16, bias=bias)
        self.down_proj = torch.nn.Linear(16, 8, bias=bias)
        self.act_fn = ACT2FN[act]

    def forward(self, x):
        return self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))


@needs_packing
@pytest.mark.parametrize("act", ["gelu", "gelu_pytorch_tanh", "silu"])
@pytest.mark.parametrize("bias", [False, True])
def test_a_gated_mlp_is_run_in_three_products_and_gives_its_own_numbers(act, bias):
    torch.manual_seed(0)
    mlp = Gated(act, bias)
    model = SimpleNamespace(blocks=torch.nn.ModuleList([mlp]))
    assert gated_mlp(mlp).activation in ONEDNN_ACTIVATIONS.values()
    hidden = 3 * torch.randn(2, 5, 8)
    with torch.inference_mode():
        own = mlp(hidden)
        with fast_linears(model, OURS):
            assert "forward" in mlp.__dict__
            torch.testing.assert_close(mlp(hidden), own, rtol=1e-5, atol=1e-6)
        assert "forward" not in mlp.__dict__
        assert torch.equal(mlp(hidden), own)


def test_what_is_not_such_an_mlp_is_left_alone():
    assert gated_mlp(Gated("relu", bias=False)) is None
    assert gated_mlp(torch.nn.Linear(2, 2)) is None
    adapted = Gated("silu", bias=False)
    config = peft.LoraConfig(r=2, target_modules=["up_proj"], init_lora_weights=False)
    with_adapter = peft.inject_adapter_in_model(config, adapted)
    assert gated_mlp(with_adapter) is None
    with_adapter.up_proj.merge()
    assert gated_mlp(with_adapter).up is with_adapter.up_proj.base_layer


@needs_packing
@pytest.mark.parametrize("precision", ["exact", "fast"])
def test_the_model_is_as_before_after_packing(tiny, rows, precision):
    before = {name: value.clone() for name, value in tiny.causal.state_dict().items()}
    state = run(tiny, rows[:3], [Layer(4, "post")], execution=PLAIN)[Layer(4, "post")]
    with pytest.raises(ZeroDivisionError), fast_linears(tiny, OURS, precision):
        raise ZeroDivisionError
    after = tiny.causal.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    again = run(tiny, rows[:3], [Layer(4, "post")], execution=PLAIN)[Layer(4, "post")]
    np.testing.assert_array_equal(state, again)


@pytest.mark.parametrize(
    "kernel",
    [
        "plain",
        "plain-bf16",
        *(["onednn"] if can_pack() else []),
        *(["onednn-bf16"] if can_pack() and has_bf16() else []),
    ],
)
def test_fast_rounds_weights_and_inputs_of_linear_layers(tiny, kernel):
    """Every kernel gives the product of the rounded numbers; those of bfloat16 round the result as well."""
    linear = tiny.blocks[1].mlp.up_proj
    hidden = torch.randn(3, 5, linear.in_features, generator=torch.Generator().manual_seed(0))
    oracle = hidden.bfloat16().double() @ linear.weight.bfloat16().double().T
    with torch.inference_mode(), fast_linears(tiny, replace(PLAIN, kernel=kernel), "fast"):
        ours = linear(hidden)
    assert ours.dtype == torch.float32
    moved = float((ours.double() - oracle).abs().max() / oracle.abs().max())
    assert moved < (5e-3 if kernel.endswith("bf16") else 1e-6)
    assert float((linear(hidden).double() - oracle).abs().max() / oracle.abs().max()) > 1e-4  # exact is another number


def test_fast_is_measured_and_small(tiny, rows):
    layers = ExtractSpec(layers=("all",)).resolve(tiny.depth)
    exact = measure_drift(tiny, sample_rows(as_prompts(rows)), {"last": layers}, execution=OURS)
    fast = measure_drift(tiny, sample_rows(as_prompts(rows)), {"last": layers}, execution=OURS, precision="fast")
    assert exact.max < 1e-4 < fast.mean < fast.max < 0.1
    assert exact.min_cosine > 1 - 1e-6
    assert fast.min_cosine < exact.min_cosine
    assert fast.texts == drift.SAMPLE_TEXTS


def test_sample_rows_are_spread_over_the_lengths(rows):
    sample = sample_rows(as_prompts([*rows, tuple(range(500))]))
    assert sample == sample_rows(as_prompts([tuple(range(500)), *rows[::-1]]))
    lengths = [len(row) for row in sample.ids]
    assert lengths == sorted(lengths) == list(sample.text_ends)
    assert lengths[0] == min(map(len, rows))
    assert lengths[-1] == 500  # the longest is run as it is
    assert len(lengths) == drift.SAMPLE_TEXTS
    assert sample_rows(as_prompts([(1,)])).ids == ((1,),)


def test_sample_rows_of_one_length_are_padded_too():
    sample = sample_rows(as_prompts([(1, 2, 3, 4), (1, 5, 6, 7)]))
    assert sample.ids == ((1, 2), (1, 5, 6, 7))


def test_a_model_that_shortcuts_would_change_is_run_without_them(tmp_path, rows):
    """A model that looks ahead: padding without a mask reaches its tokens, and the check notices it."""
    make_model(tmp_path, seed=3)
    model = load_model(fetch(ModelRef(base=str(tmp_path))), device="cpu")
    layers = [Layer(4, "post")]
    sample = sample_rows(as_prompts(rows))
    assert settle(model, sample, {"last": layers}, execution=OURS, spec=ExtractSpec())[0] == OURS
    mlp = model.blocks[3].mlp
    inner = mlp.forward
    mlp.forward = lambda hidden: inner(hidden - hidden.cumsum(dim=1) / 10)  # mixes tokens
    execution, found = settle(model, sample, {"last": layers}, execution=OURS, spec=ExtractSpec())
    assert (execution.kernel, execution.shortcuts) == ("plain", False)
    assert found.max < 1e-4


@pytest.fixture
def changeable(tmp_path):
    """A model of its own, to be broken."""
    make_model(tmp_path, seed=3)
    return load_model(fetch(ModelRef(base=str(tmp_path))), device="cpu")


FINAL = {"last": [Layer(4, "post")]}


def test_numbers_that_shortcuts_lose_turn_them_off(changeable, rows):
    """NaN is above no tolerance, and must not pass for it."""
    mlp = changeable.blocks[3].mlp
    mlp.register_forward_hook(lambda _, args, output: output * float("nan") if args[0].shape[1] == 1 else output)
    sample = sample_rows(as_prompts(rows))
    execution, measured = settle(changeable, sample, FINAL, execution=OURS, spec=ExtractSpec())
    assert (execution.kernel, execution.shortcuts) == ("plain", False)
    assert measured.max < 1e-4
    assert measured.texts == drift.SAMPLE_TEXTS


@pytest.mark.parametrize(
    ("shift", "words"), [(1.0, "that differ by 9.22% of their length"), (float("nan"), "not finite")]
)
def test_a_model_that_cannot_be_batched_at_all_is_refused(changeable, rows, shift, words):
    """Without shortcuts, too, it gives other numbers than one text at a time."""
    mlp = changeable.blocks[3].mlp
    mlp.register_forward_hook(lambda _, args, output: output + shift if args[0].shape[0] > 1 else output)
    sample = sample_rows(as_prompts(rows))
    with pytest.raises(ModelError, match=r"self-check of Gemma3ForCausalLM: .*at most 0\.001;") as error:
        settle(changeable, sample, FINAL, execution=OURS, spec=ExtractSpec())
    assert words in str(error.value)
    assert "isogloss doctor" in str(error.value)


def test_texts_with_finite_states_decide(changeable, rows):
    """A text that the model itself gives no numbers for says nothing of our forward pass."""
    changeable.decoder.get_input_embeddings().weight.data[7] = float("nan")
    usual = [tuple(8 if token == 7 else token for token in row) for row in rows]
    sample = sample_rows(as_prompts([*usual, (2, *[7] * 60)]))
    execution, measured = settle(changeable, sample, FINAL, execution=OURS, spec=ExtractSpec())
    assert execution == OURS
    assert measured.max < 1e-4
    assert measured.texts == drift.SAMPLE_TEXTS - 1


def test_without_a_finite_text_nothing_is_called_fine(changeable, rows):
    """The model is run in the plain way, no drift is known, and its states are checked when they are stored."""
    changeable.blocks[1].mlp.up_proj.weight.data[0] = float("nan")
    sample = sample_rows(as_prompts(rows))
    execution, measured = settle(changeable, sample, FINAL, execution=OURS, spec=ExtractSpec())
    assert (execution.kernel, execution.shortcuts) == ("plain", False)
    assert measured.texts == 0
    assert not measured.within(1e9)
    with pytest.raises(ModelError, match=r"found no finite hidden states .*--dtype float32"):
        settle(changeable, sample, FINAL, execution=OURS, spec=ExtractSpec(precision="fast"))


def test_an_mlp_that_takes_its_input_by_name_is_shortened_too(changeable):
    """`block(hidden)` may call `mlp(x=hidden)`: what is read is the same, and the MLP still gets no other tokens."""
    batch = pad_right([(2, 5, 6, 7), (2, 8)], changeable.device)
    mlp, lengths = changeable.blocks[3].mlp, []
    mlp.register_forward_pre_hook(lambda _, args, kwargs: lengths.append(kwargs["x"].shape[1]), with_kwargs=True)
    hidden = torch.randn(2, 4, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        with _short_mlp(changeable.blocks[3], batch, batch.last[:, None]):
            short = mlp(x=hidden)
        whole = mlp(x=hidden)
    assert short.shape == whole.shape
    assert torch.allclose(take(short, batch.last[:, None]), take(whole, batch.last[:, None]), atol=1e-4)
    assert lengths == [4, 4]


def test_an_mlp_that_is_given_no_tokens_is_left_alone(changeable):
    batch = pad_right([(2, 5, 6, 7), (2, 8)], changeable.device)
    hidden = torch.randn(8, 32)  # tokens of all rows in one, as some mixtures of experts take them
    with torch.inference_mode():
        with _short_mlp(changeable.blocks[3], batch, batch.last[:, None]):
            short = changeable.blocks[3].mlp(hidden)
        assert torch.equal(short, changeable.blocks[3].mlp(hidden))


def test_a_shared_beginning_without_shortcuts_is_refused(tiny):
    """The attention mask would not cover its tokens."""
    start = tuple(range(5, 25))
    planned = plan_rows([(2, *start, 30), (2, *start, 31, 32)], OURS)
    assert planned.prefix
    with pytest.raises(ValueError, match=r"shared beginning .*shortcuts"):
        hidden_states(tiny, planned, FINAL, execution=PLAIN)


def test_execution_is_chosen_by_rule_and_survives_run_json(monkeypatch):
    chosen = choose_execution(dtype="float32", precision="exact", device="cpu")
    assert chosen.kernel == ("onednn" if can_pack() else "plain")
    assert choose_execution(dtype="bfloat16", precision="exact", device="cpu").kernel == "plain"
    fast = choose_execution(dtype="float32", precision="fast", device="cpu").kernel
    assert fast == ("onednn-bf16" if can_pack() and has_bf16() else chosen.kernel)
    monkeypatch.setattr("isogloss.hidden_states.execution.check_device", lambda device: None)
    assert choose_execution(dtype="bfloat16", precision="exact", device="cuda").token_budget > chosen.token_budget
    assert Execution.from_dict(vars(chosen)) == chosen
    check_execution(chosen)
    with pytest.raises(StoreError, match=r"found kernel.*choose another --out"):
        Execution.from_dict({"kernel": "plain"})
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="a run begun with cuda"):
            check_execution(replace(chosen, device="cuda"))


def test_fast_needs_float32():
    with pytest.raises(UsageError, match="--dtype bfloat16"):
        ExtractSpec(precision="fast", dtype="bfloat16")
    assert ExtractSpec(precision="fast").settings != ExtractSpec().settings


def test_forward_keeps_nothing_but_what_is_asked(tiny, rows):
    seen = []
    batch = pad_right(rows[:4], torch.device("cpu"))
    forward(tiny, batch, [Layer(2, "")], lambda layer, hidden: seen.append((layer, hidden.shape)))
    assert seen == [(Layer(2, ""), (4, batch.ids.shape[1], 32))]
