"""Architectures, shortcuts and padding that people met: each row of the list of cases with the right value."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import isogloss
from architectures import BY_NAME, Architecture
from conftest import make_tokenizer
from isogloss.cli.app import app
from isogloss.errors import ModelError
from isogloss.hidden_states import compute, forward, shortcuts
from isogloss.hidden_states.activations import locate
from isogloss.hidden_states.fill import fill
from isogloss.hidden_states.kernels import fast_linears
from isogloss.hidden_states.self_check import sample_rows, settle
from isogloss.hidden_states.spec import ExtractSpec, Layer
from isogloss.likelihoods.cached import locate_bits
from isogloss.likelihoods.fill import fill_bits
from isogloss.likelihoods.greedy_answers import greedy, takes_left_padding
from isogloss.likelihoods.lm_head import check_head, text_bits
from isogloss.models.checkpoints import fetch
from isogloss.models.load import load_model, look_inside
from isogloss.models.pairs import ModelRef
from isogloss.models.prompts import encode
from isogloss.progress import silent
from running import OURS, PLAIN, as_prompts, run

TEMPLATE = (
    "{{ bos_token }}A template with a beginning that is longer than sixty-four tokens, whatever it is that comes next. "
    "{% for m in messages %}<{{ m['content'] }}>{% endfor %}{% if add_generation_prompt %}: {% endif %}"
)
HYBRIDS = ["Qwen3Next", "Qwen3_5", "Lfm2", "Bamba", "GraniteMoeHybrid", "NemotronH", "OlmoHybrid", "FalconH1"]
RECURRENT = ["MiniMax", "xLSTM", "Mamba2", "Rwkv", "RecurrentGemma"]
BIDIRECTIONAL = ["Gemma3 bidirectional", "Gemma4 bidirectional", "Llama not causal"]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def corpus(tmp_path):
    """Few texts in two languages, of several lengths."""
    rows = [
        {
            "pair_id": str(i),
            "language": code,
            "toxic": f"{code} {i} bad {'word ' * i}",
            "neutral": f"{code} {i} good {'word ' * i}",
        }
        for code in ("de", "en")
        for i in range(8)
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return isogloss.load_corpus(path)


def save(name, folder, change=lambda model: None):
    """Write a checkpoint of the table with a tokenizer and a chat template."""
    model = BY_NAME[name].build()
    change(model)
    model.save_pretrained(folder)
    tokenizer = make_tokenizer()
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    return ModelRef(base=str(folder))


def stored(ref, corpus, store, **settings):
    spec = ExtractSpec(layers=("all",), **settings)
    located = locate({"aligned": ref}, corpus, spec, store=store)
    fill(located)
    return located["aligned"]


def own_states(ref, corpus, spec, layer, **how):
    """States of the last tokens as transformers returns them, one text at a time: language -> (texts, width)."""
    model = load_model(fetch(ref), device="cpu", **how)
    states = {}
    for code in corpus.languages:
        prompts = encode(model.tokenizer, corpus.part(code)["text"].to_list(), prompt_format=spec.prompt_format)
        with torch.inference_mode():
            outputs = [
                model.causal(input_ids=torch.tensor([row]), output_hidden_states=True, use_cache=False)
                for row in prompts.ids
            ]
        states[code] = np.stack([output.hidden_states[layer.index][0, -1].float().numpy() for output in outputs])
    return states


def moved(states, expected):
    return float((np.linalg.norm(states - expected, axis=-1) / np.linalg.norm(expected, axis=-1)).max())


@pytest.mark.parametrize("prompt_format", ["raw", "chat"])
@pytest.mark.parametrize("name", BIDIRECTIONAL)
def test_m02_bidirectional_models_give_their_own_states(name, prompt_format, corpus, tmp_path):
    ref = save(name, tmp_path / "model")
    activations = stored(ref, corpus, tmp_path / "store", prompt_format=prompt_format)
    for layer in (Layer(2, ""), Layer(4, "post")):
        own = own_states(ref, corpus, activations.spec, layer)
        for code in corpus.languages:
            assert moved(activations.block(code, layer).hidden, own[code]) < 1e-5
    (how,) = activations.computed_how()
    assert how["execution"]["shortcuts"] is False
    off = {entry["shortcut"]: entry["why"] for entry in how["execution"]["off"]}
    assert off["shared beginning"] == off["unmasked padding"] == "tokens attend to later ones"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_m02_the_self_check_notices_it_without_the_configuration(dtype, corpus, tmp_path, monkeypatch):
    """Where no configuration says so, the states do, in bfloat16, too, whose rounding could hide it."""
    monkeypatch.setattr(shortcuts, "attends_ahead", lambda model: False)
    ref = save("Llama not causal", tmp_path / "model")
    model = load_model(fetch(ref), device="cpu", dtype=dtype)
    prompts = encode(model.tokenizer, corpus.part("en")["text"].to_list(), prompt_format="chat")
    wanted = {"last": [Layer(4, "post")]}
    execution = OURS if dtype == "float32" else replace(OURS, kernel="plain")
    settled, drift = settle(model, sample_rows(prompts), wanted, execution=execution, spec=ExtractSpec(dtype=dtype))
    assert (settled.kernel, settled.shortcuts) == ("plain", False)
    changed = {off.shortcut: off.drift for off in settled.off}
    assert changed["unmasked padding"] > 1e-2
    assert changed["shared beginning"] > 1e-2
    assert "packed weights" not in changed
    assert drift.max < (1e-5 if dtype == "float32" else 0.1)


def test_m02_a_shared_beginning_alone_is_off_where_only_that_is_wrong(monkeypatch):
    model = look_inside(BY_NAME["Llama"].build(), make_tokenizer())
    inner = forward.repeat_cache

    def wrong(cache, rows):
        repeated = inner(cache, rows)
        repeated.layers[0].values *= 1.01
        return repeated

    monkeypatch.setattr(forward, "repeat_cache", wrong)
    rows = [(1, *range(5, 75), *range(80, 80 + n)) for n in (3, 9, 20)]
    wanted = {"last": [Layer(4, "post")]}
    settled, drift = settle(model, sample_rows(as_prompts(rows)), wanted, execution=OURS, spec=ExtractSpec())
    (off,) = settled.off
    assert (off.shortcut, settled.shortcuts, settled.kernel) == ("shared beginning", True, OURS.kernel)
    assert off.drift > 1e-5 > drift.max
    assert "states move by" in str(off)


def test_m02_the_beginning_of_each_language_is_checked(tmp_path, monkeypatch):
    """Raw texts of a language may all begin alike, and otherwise than the texts of the sample."""
    rows = [
        {"pair_id": str(i), "language": code, "toxic": f"{start} {i} bad", "neutral": f"{start} {i} good {'word ' * i}"}
        for code, start in (("de", "Alle Sätze beginnen gleich:"), ("en", "All sentences begin alike, too:"))
        for i in range(8)
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    corpus = isogloss.load_corpus(path)
    ref = save("Llama", tmp_path / "model")
    inner = forward.repeat_cache

    def wrong(cache, rows):
        repeated = inner(cache, rows)
        repeated.layers[0].values *= 1.01
        return repeated

    checked = []
    settle_beginning = compute.settle_beginning
    monkeypatch.setattr(
        compute, "settle_beginning", lambda *args, **how: checked.append(1) or settle_beginning(*args, **how)
    )
    monkeypatch.setattr(forward, "repeat_cache", wrong)
    layer = Layer(4, "post")
    for precision in ("exact", "fast"):
        checked.clear()
        activations = stored(ref, corpus, tmp_path / precision, precision=precision)
        assert len(checked) == 2
        for how in activations.computed_how():
            assert [entry["shortcut"] for entry in how["execution"]["off"]] == ["shared beginning"]
    own = own_states(ref, corpus, activations.spec, layer)
    exact = stored(ref, corpus, tmp_path / "exact")
    assert max(moved(exact.block(code, layer).hidden, own[code]) for code in corpus.languages) < 1e-5


def test_m02_likelihoods_of_bidirectional_models_are_refused(corpus, tmp_path):
    ref = save("Gemma3 bidirectional", tmp_path / "model")
    with pytest.raises(ModelError, match=r"attention to later tokens .*--controls untrained"):
        fill_bits(locate_bits({"aligned": fetch(ref)}, corpus, store=tmp_path / "store").values())


@pytest.mark.parametrize("name", [*HYBRIDS, *RECURRENT])
def test_m07_hybrids_with_a_shared_beginning(name, corpus, tmp_path):
    ref = save(name, tmp_path / "model")
    activations = stored(ref, corpus, tmp_path / "store", prompt_format="chat")
    layer = Layer(2, "")
    own = own_states(ref, corpus, activations.spec, layer if BY_NAME[name].lists_embeddings else Layer(1, ""))
    assert max(moved(activations.block(code, layer).hidden, own[code]) for code in corpus.languages) < 1e-5
    (how,) = activations.computed_how()
    off = {entry["shortcut"]: entry["why"] for entry in how["execution"]["off"]}
    assert "no cache that holds keys and values alone" in off["shared beginning"]


def test_m07_code_that_fails_in_bfloat16_is_one_line(corpus, tmp_path):
    ref = save("xLSTM", tmp_path / "model")
    with pytest.raises(ModelError, match=r"runs in bfloat16 on cpu; use --dtype float32"):
        stored(ref, corpus, tmp_path / "store", dtype="bfloat16")
    listed = CliRunner().invoke(app, ["doctor", str(ref.base), "--device", "cpu", "--dtype", "bfloat16"])
    assert isinstance(listed.exception, ModelError)


def test_m07_people_are_told_what_is_off(corpus, tmp_path):
    lines = []

    def track(description, total):
        if not total:
            lines.append(description)
        return silent(description, total)

    ref = save("Mamba2", tmp_path / "model")
    fill(locate({"aligned": ref}, corpus, ExtractSpec(), store=tmp_path / "store"), track=track)
    said = [line for line in lines if "is run without" in line]
    assert len(said) == len(set(said)) == 2
    assert "shared beginning (the model has no cache" in said[0]


def test_m08_the_active_stream_of_gemma_3n(corpus, tmp_path):
    ref = save("Gemma3n", tmp_path / "model")
    activations = stored(ref, corpus, tmp_path / "store", prompt_format="chat")
    model = load_model(fetch(ref), device="cpu")
    prompts = encode(model.tokenizer, corpus.part("en")["text"].to_list(), prompt_format="chat")
    with torch.inference_mode():
        outputs = [
            model.causal(input_ids=torch.tensor([row]), output_hidden_states=True).hidden_states for row in prompts.ids
        ]
    active = model.causal.config.altup_active_idx
    for layer in (Layer(0, ""), Layer(2, ""), Layer(4, "pre")):
        own = np.stack([states[layer.index][active, 0, -1].numpy() for states in outputs])
        assert moved(activations.block("en", layer).hidden, own) < 1e-5


def test_m08_more_dimensions_than_known_are_one_line(tiny_folder):
    model = load_model(fetch(ModelRef(base=str(tiny_folder))), device="cpu")
    model.blocks[1].register_forward_pre_hook(lambda module, args: (args[0][None], *args[1:]))
    with pytest.raises(ModelError, match=r"blocks that pass on 4 dimensions") as error:
        run(model, [(1, 5, 6)], [Layer(1, "")])
    assert "\n" not in str(error.value)


#: Architectures that name or pass on their blocks in other ways.
UNUSUAL = {
    "the body that takes ids holds another that holds the blocks": Architecture(
        name="Roberta", settings={"is_decoder": True, "pad_token_id": 0}
    ),
    "get_decoder names the LM head": Architecture(name="ModernBertDecoder"),
    "blocks return lists": Architecture(
        name="OpenAIGPT", suffix="LMHeadModel", settings={"n_embd": 32, "n_layer": 4, "n_head": 4}
    ),
}


@pytest.mark.parametrize("architecture", UNUSUAL.values(), ids=UNUSUAL)
def test_m08_decoders_of_unusual_shape(architecture):
    model = look_inside(architecture.build(), make_tokenizer())
    rows = [(1, *range(5, 15), 20 + n, *range(30, 30 + n)) for n in (1, 9, 20)]
    layers = ExtractSpec(layers=("all",)).resolve(model.depth)
    execution, _ = settle(model, sample_rows(as_prompts(rows)), {"last": layers}, execution=OURS, spec=ExtractSpec())
    states = run(model, rows, layers, execution=execution)
    with torch.inference_mode():
        outputs = [model.causal(input_ids=torch.tensor([row]), output_hidden_states=True) for row in rows]
    for layer in layers[:-2]:
        own = np.stack([output.hidden_states[layer.index][0, -1].numpy() for output in outputs])
        assert moved(states[layer], own) < 1e-5


def test_m08_states_that_are_not_by_text_and_token_are_one_line():
    xlnet = Architecture(name="XLNet", suffix="LMHeadModel", settings={"d_model": 32, "n_layer": 4, "n_head": 4})
    model = look_inside(xlnet.build(), make_tokenizer())
    with pytest.raises(ModelError, match=r"found the shape \(7, 1, 32\) for 1 texts of 7 tokens"):
        run(model, [(1, *range(5, 11))], [Layer(1, "")], execution=PLAIN)


@pytest.mark.parametrize("precision", ["exact", "fast"])
@pytest.mark.parametrize("name", ["Mamba", "FalconMamba", "Jamba", "Zamba", "Zamba2", "OPT projected", "OPT after"])
def test_m09_packing_leaves_alone_what_it_does_not_understand(name, precision):
    model = look_inside(BY_NAME[name].build(), make_tokenizer())
    rows = [(1, *range(5, 5 + n)) for n in (2, 9, 30)]
    before = {key: value.clone() for key, value in model.causal.state_dict().items()}
    final = [Layer(model.depth, "post")]
    exact = run(model, rows, final, execution=PLAIN)[final[0]]
    states = run(model, rows, final, precision=precision)[final[0]]
    assert moved(states, exact) < (1e-5 if precision == "exact" else 0.2)
    assert all(torch.equal(value, before[key]) for key, value in model.causal.state_dict().items())


def test_m09_a_packed_weight_can_be_read(tiny_folder):
    model = load_model(fetch(ModelRef(base=str(tiny_folder))), device="cpu")
    linear = model.blocks[0].mlp.up_proj
    weight, hidden = linear.weight.clone(), torch.randn(3, linear.in_features)
    with torch.inference_mode(), fast_linears(model, OURS):
        assert (linear.weight.shape, linear.weight.dtype) == (weight.shape, weight.dtype)
        assert torch.equal(linear.weight @ hidden.T, weight @ hidden.T)
        assert torch.equal(torch.nn.functional.linear(hidden, linear.weight), hidden @ weight.T)
    assert torch.equal(linear.weight, weight)


def test_m09_a_layer_with_a_forward_pass_of_its_own_is_left_alone(tiny_folder):
    """As accelerate gives it to layers that it moves between devices."""
    model = load_model(fetch(ModelRef(base=str(tiny_folder))), device="cpu")
    linear, mlp = model.blocks[0].mlp.up_proj, model.blocks[1].mlp
    plain = mlp.forward
    linear.forward = lambda hidden: torch.nn.functional.linear(hidden, linear.weight) * 2
    mlp.forward = lambda hidden: plain(hidden) * 2
    rows = [(1, 5, 6), (1, 7, 8, 9, 10)]
    own = run(model, rows, [Layer(4, "post")], execution=PLAIN)[Layer(4, "post")]
    assert moved(run(model, rows, [Layer(4, "post")])[Layer(4, "post")], own) < 1e-5
    assert "forward" in vars(linear)
    assert "forward" in vars(mlp)


def break_padding(model):
    model.get_input_embeddings().weight.data[0] = float("nan")


@pytest.mark.parametrize("name", ["Llama", "Gemma3", "GPT2", "Mamba2"])
def test_m12_an_undefined_embedding_of_the_padding_token(name, corpus, tmp_path):
    """No real token may ever see it: in states, likelihoods, and greedy answers."""
    ref, whole = save(name, tmp_path / "model", break_padding), save(name, tmp_path / "whole")
    found, expected = (stored(one, corpus, tmp_path / "store") for one in (ref, whole))
    for code in corpus.languages:
        for layer in found.layers:
            np.testing.assert_array_equal(found.block(code, layer).hidden, expected.block(code, layer).hidden)


def test_m12_likelihoods_and_answers_pad_with_real_tokens(tmp_path):
    model = look_inside(BY_NAME["Llama"].build(), make_tokenizer())
    assert not model.causal.config.tie_word_embeddings
    rows = [(1, 5, 6), (1, *range(5, 25))]
    bits, answers = text_bits(model, rows, execution=PLAIN), greedy(model, rows, new_tokens=4)
    break_padding(model.causal)
    check_head(model)
    np.testing.assert_array_equal(text_bits(model, rows, execution=PLAIN), bits)
    assert greedy(model, rows, new_tokens=4) == answers


def test_m12_no_advice_to_use_the_precision_that_is_used(corpus, tmp_path):
    def break_letter(model):
        model.get_input_embeddings().weight.data[make_tokenizer().convert_tokens_to_ids("b")] = float("nan")

    ref = save("Llama", tmp_path / "model", break_letter)
    with pytest.raises(ModelError, match="check that the weights are complete") as error:
        stored(ref, corpus, tmp_path / "store")
    assert "--dtype float32" not in str(error.value)
    with pytest.raises(ModelError, match="use --dtype float32"):
        stored(ref, corpus, tmp_path / "store", dtype="bfloat16")


def test_m12_doctor_names_the_token(tmp_path):
    ref = save("Llama", tmp_path / "model", break_padding)
    listed = CliRunner().invoke(app, ["doctor", str(ref.base), "--device", "cpu", "--json"])
    results = {result["check"]: result for result in json.loads(listed.stdout)}
    assert listed.exit_code == 0
    assert results["weights"]["verdict"] == "note"
    assert "such as id 0" in results["weights"]["found"]


@pytest.mark.parametrize("name", ["Llama", "Rwkv", "xLSTM", "RecurrentGemma", "Mamba2"])
def test_m07_greedy_answers_of_models_that_padding_reaches(name):
    """Recurrent states that do not mask padding would carry it into the prompt."""
    model = look_inside(BY_NAME[name].build(), make_tokenizer())
    rows = [(1, 5, 6), (1, *range(5, 25)), (1, 9, 8)]
    together = greedy(model, rows, new_tokens=4)
    assert together == [greedy(model, [row], new_tokens=4)[0] for row in rows]
    assert takes_left_padding(model, rows) == (name in {"Llama", "Mamba2"})


def test_m14_doctor_counts_kinds_of_blocks(tmp_path):
    ref = save("NemotronH", tmp_path / "model")
    listed = CliRunner().invoke(app, ["doctor", str(ref.base), "--device", "cpu", "--json"])
    results = {result["check"]: result for result in json.loads(listed.stdout)}
    assert listed.exit_code == 0
    kinds = results["architecture"]["found"]
    assert "mlp" in kinds
    assert "each counts as a layer" in kinds


@pytest.mark.parametrize("name", ["Mamba2", "Rwkv"])
def test_m14_doctor_knows_lists_without_embeddings(name, tmp_path):
    ref = save(name, tmp_path / "model")
    listed = CliRunner().invoke(app, ["doctor", str(ref.base), "--device", "cpu", "--json"])
    results = {result["check"]: result for result in json.loads(listed.stdout)}
    assert listed.exit_code == 0, results
    assert results["the model's own states"]["verdict"] == "ok"
    assert "lacks the embeddings" in results["the model's own states"]["found"]
