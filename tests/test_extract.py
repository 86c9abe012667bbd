"""Hidden states: the right token and layer, whatever the batch; adapters on and off; nothing broken gets through."""

import json
import shutil

import numpy as np
import pytest
import torch

import isogloss
from isogloss.errors import MetricError, ModelError, UsageError
from isogloss.hidden_states.activations import locate
from isogloss.hidden_states.batching import plan_batches
from isogloss.hidden_states.extract import hidden_states
from isogloss.hidden_states.fill import fill
from isogloss.hidden_states.spec import ExtractSpec, Layer
from isogloss.hidden_states.store import read
from isogloss.models.adapters import use_checkpoint
from isogloss.models.checkpoints import fetch
from isogloss.models.load import load_model, load_tokenizer
from isogloss.models.pairs import ModelRef
from isogloss.models.prompts import encode
from running import run

TEXTS = ["a", "two words", "and a somewhat longer sentence that pads all others", "two words", "final one."]


@pytest.fixture(scope="module")
def tiny(tiny_folder):
    return load_model(fetch(ModelRef(base=str(tiny_folder))), device="cpu")


@pytest.fixture(scope="module")
def rows(tiny):
    return encode(tiny.tokenizer, TEXTS).ids


def transformers_states(model, row):
    """What transformers itself returns for one text without padding: (depth + 1) x (tokens, width)."""
    with torch.inference_mode():
        out = model.decoder(input_ids=torch.tensor([row]), output_hidden_states=True, use_cache=False)
    return [state[0].numpy() for state in out.hidden_states]


@pytest.mark.parametrize("position", ["last", "mean"])
def test_states_equal_those_of_transformers_for_single_texts(tiny, rows, position):
    layers = ExtractSpec(layers=("0", "1", "3", "final")).resolve(tiny.depth)
    states = run(tiny, rows, layers, position=position)
    for i, row in enumerate(rows):
        oracle = transformers_states(tiny, row)
        for layer in layers:
            tokens = oracle[layer.index]
            expected = tokens[-1] if position == "last" else tokens[1:].mean(axis=0)
            np.testing.assert_allclose(states[layer][i], expected, rtol=1e-4, atol=1e-5)


def test_pre_norm_state_becomes_post_norm_state_by_the_final_norm(tiny, rows):
    pre, post = ExtractSpec(layers=("final", "final-pre")).resolve(tiny.depth)
    states = run(tiny, rows, (pre, post))
    normed = tiny.decoder.norm(torch.tensor(states[pre])).detach().numpy()
    np.testing.assert_allclose(states[post], normed, rtol=1e-4, atol=1e-5)
    assert not np.allclose(states[pre], states[post])


def test_a_batch_agrees_with_one_text_at_a_time(tiny):
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abc def."), size=int(n))) + "x" for n in rng.integers(1, 90, size=64)]
    rows = encode(tiny.tokenizer, texts).ids
    layers = ExtractSpec(layers=("all",)).resolve(tiny.depth)
    together = run(tiny, rows, layers, token_budget=10_000)
    alone = run(tiny, rows, layers, token_budget=1)
    for layer in layers:
        error = np.linalg.norm(together[layer] - alone[layer], axis=1) / np.linalg.norm(alone[layer], axis=1)
        assert error.max() < 1e-4


def test_reading_the_padded_end_would_be_noticed(tiny, rows):
    """The comparison above can fail: the last column of a padded batch is not the last token."""
    layer = Layer(tiny.depth, "post")
    width = max(map(len, rows))
    padded = [row + (0,) * (width - len(row)) for row in rows]
    wrong = run(tiny, padded, [layer])[layer]
    right = run(tiny, rows, [layer])[layer]
    assert np.abs(wrong - right)[0].max() > 1e-2


def test_identical_texts_are_run_once_and_get_equal_rows(tiny, rows):
    plan = plan_batches(rows, token_budget=64, overhead=100)
    assert len(plan.distinct) == 4
    assert sorted(i for batch in plan.batches for i in batch) == [0, 1, 2, 3]
    assert all(len(b) * max(len(plan.distinct[i]) for i in b) <= 64 or len(b) == 1 for b in plan.batches)
    state = run(tiny, rows, [Layer(2, "")])[Layer(2, "")]
    np.testing.assert_array_equal(state[1], state[3])


def test_hooks_are_gone_after_extraction(tiny, rows):
    def hooks():
        return [(list(block._forward_hooks), list(block._forward_pre_hooks)) for block in tiny.blocks]

    before = hooks()  # transformers has hooks of its own
    run(tiny, rows, ExtractSpec(layers=("all",)).resolve(tiny.depth))
    assert hooks() == before


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (float("inf"), "undefined values in 60 of 60 texts"),
        (-1.0, "zeros only in 60; "),
    ],  # Gemma multiplies by 1 + weight
)
def test_infinite_and_zero_states_are_refused_by_name(weight, words, tiny_folder, parallel_file, tmp_path, monkeypatch):
    def broken(*args, **kwargs):
        model = load_model(*args, **kwargs)
        model.decoder.norm.weight.data.fill_(weight)
        return model

    monkeypatch.setattr("isogloss.hidden_states.compute.load_model", broken)
    corpus = isogloss.load_corpus(parallel_file, languages=["en"])
    spec = ExtractSpec(layers=("2", "final"))
    with pytest.raises(ModelError, match=rf"{tiny_folder} at layer 4-post.*{words}") as error:
        isogloss.extract(ModelRef(base=str(tiny_folder)), corpus, spec, store=tmp_path / "store", device="cpu")
    assert f"the first is text {corpus.frame['text_id'][0]};" in str(error.value)
    assert not list((tmp_path / "store").rglob("*.safetensors"))


def test_a_pair_shares_its_base_and_switches_the_adapter(tiny_folder, adapter_folder):
    base = fetch(ModelRef(base=str(tiny_folder)))
    aligned = fetch(ModelRef(base=str(tiny_folder), adapter=str(adapter_folder)))
    assert base.base_sha256 == aligned.base_sha256
    assert base.sha256 != aligned.sha256
    model = load_model(base, device="cpu")
    rows, layer = encode(model.tokenizer, TEXTS).ids, Layer(4, "post")

    def read(checkpoint):
        with use_checkpoint(model, checkpoint):
            return run(model, rows, [layer])[layer]

    before, with_adapter, after = read(base), read(aligned), read(base)
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)
    assert np.abs(with_adapter - before).max() > 1e-2
    np.testing.assert_allclose(with_adapter, _peft_states(tiny_folder, adapter_folder, rows), rtol=1e-3, atol=1e-4)


def _peft_states(base, adapter, rows):
    """The aligned model as peft runs it, unmerged, one text at a time."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter).eval()
    decoder = model.get_base_model().model
    with torch.inference_mode():
        return np.stack([decoder(input_ids=torch.tensor([row])).last_hidden_state[0, -1].numpy() for row in rows])


def test_layer_names_resolve_in_order():
    names = [layer.name for layer in ExtractSpec(layers=("all",)).resolve(3)]
    assert names == ["0", "1", "2", "3-pre", "3-post"]
    assert ExtractSpec(layers=("3",)).resolve(3) == (Layer(3, "pre"),)


@pytest.mark.parametrize("name", ["5", "-1", "last", "1.5"])
def test_unknown_layers_are_refused(name):
    with pytest.raises(MetricError, match="numbers from 0"):
        ExtractSpec(layers=(name,)).resolve(4)


@pytest.mark.parametrize("wrong", [{"position": "first"}, {"prompt_format": "markdown"}, {"dtype": "float16"}])
def test_unknown_settings_are_refused(wrong):
    with pytest.raises(UsageError):
        ExtractSpec(**wrong)


def test_the_second_extraction_reads_the_store_and_loads_no_weights(tiny_folder, parallel_file, tmp_path, monkeypatch):
    corpus, ref = isogloss.load_corpus(parallel_file, languages=["en"]), ModelRef(base=str(tiny_folder))
    spec = ExtractSpec(layers=("2", "final"))
    first = isogloss.extract(ref, corpus, spec, store=tmp_path / "store")
    monkeypatch.setattr("isogloss.hidden_states.compute.load_model", _must_not_be_called)
    second = isogloss.extract(ref, corpus, spec, store=tmp_path / "store")
    for layer in spec.resolve(4):
        np.testing.assert_array_equal(first.block("en", layer).hidden, second.block("en", layer).hidden)
    assert second.block("en", Layer(2, "")).hidden.dtype == np.float32
    assert second.block("en", Layer(2, "")).text_ids == tuple(corpus.part("en")["text_id"])
    with pytest.raises(AssertionError, match="weights were loaded"):
        isogloss.extract(ref, corpus, ExtractSpec(layers=("1",)), store=tmp_path / "store")


def _must_not_be_called(*args, **kwargs):
    raise AssertionError("weights were loaded")


def test_one_more_language_computes_only_that_language(tiny_folder, parallel_file, tmp_path, monkeypatch):
    ref, store = ModelRef(base=str(tiny_folder)), tmp_path / "store"
    isogloss.extract(ref, isogloss.load_corpus(parallel_file, languages=["en"]), store=store)
    seen = []
    monkeypatch.setattr(
        "isogloss.hidden_states.compute.hidden_states",
        lambda model, plan, *args, **kwargs: (
            seen.append(len(plan.inverse)) or hidden_states(model, plan, *args, **kwargs)
        ),
    )
    isogloss.extract(ref, isogloss.load_corpus(parallel_file), store=store)
    assert seen == [60]


def counted(monkeypatch, name, function, seen):
    """Replace a function of the extraction by itself, writing down the checkpoints that it is called with."""

    def call(checkpoint, *args, **kwargs):
        seen.append(str(checkpoint.ref))
        return function(checkpoint, *args, **kwargs)

    monkeypatch.setattr(f"isogloss.hidden_states.{name}", call)


@pytest.mark.parametrize("prompt_format", ["raw", "chat"])
def test_a_random_model_is_filled_beside_the_pair(
    prompt_format, tiny_folder, adapter_folder, parallel_file, tmp_path, monkeypatch
):
    corpus, loads, tokenizers = isogloss.load_corpus(parallel_file), [], []
    base = shutil.copytree(tiny_folder, tmp_path / "base")
    tokenizer = json.loads((base / "tokenizer_config.json").read_text())
    tokenizer["chat_template"] = "{{ bos_token }}{% for m in messages %}USER {{ m.content }} BOT{% endfor %}"
    (base / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    refs = {
        "reference": ModelRef(base=str(base)),
        "aligned": ModelRef(base=str(base), adapter=str(adapter_folder)),
        "random": ModelRef(base=str(base), random_seed=0),
    }
    counted(monkeypatch, "compute.load_model", load_model, loads)
    counted(monkeypatch, "compute.load_tokenizer", load_tokenizer, tokenizers)
    found = locate(refs, corpus, ExtractSpec(prompt_format=prompt_format), store=tmp_path / "store")
    assert fill(found) == 6
    assert loads == [str(refs["reference"]), str(refs["random"])]
    assert tokenizers == [str(refs["aligned"])]
    final = Layer(4, "post")
    states = {role: one.block("en", final).hidden for role, one in found.items()}
    assert all(np.isfinite(state).all() for state in states.values())
    assert all(np.abs(states["random"] - states[role]).max() > 1e-2 for role in ("reference", "aligned"))
    np.testing.assert_array_equal(found["random"].token_counts("de"), found["aligned"].token_counts("de"))
    assert fill(locate(refs, corpus, ExtractSpec(prompt_format=prompt_format), store=tmp_path / "store")) == 0


def test_random_states_depend_on_the_seed_alone(tiny_folder, parallel_file, tmp_path):
    corpus = isogloss.load_corpus(parallel_file, languages=["en"])

    def states(seed, store):
        ref = ModelRef(base=str(tiny_folder), random_seed=seed)
        found = isogloss.extract(ref, corpus, store=tmp_path / store, device="cpu")
        return read(found.entries["en"], "4-post")

    first = states(0, "one")
    np.testing.assert_array_equal(states(0, "two"), first)
    assert np.isfinite(first).all()
    assert np.abs(states(1, "one") - first).max() > 1e-2


def test_models_with_other_tokenizers_are_each_given_their_own_tokens(tiny_folder, parallel_file, tmp_path):
    """In raw prompt_format: in chat prompt format one template serves all, and they are refused."""
    corpus = isogloss.load_corpus(parallel_file, languages=["en"])
    stranger = shutil.copytree(tiny_folder, tmp_path / "stranger")
    content = json.loads((stranger / "tokenizer.json").read_text())
    vocab = content["model"]["vocab"]
    vocab["e"], vocab["n"] = vocab["n"], vocab["e"]  # every text begins with "en"
    (stranger / "tokenizer.json").write_text(json.dumps(content))
    refs = {"aligned": ModelRef(base=str(tiny_folder)), "reference": ModelRef(base=str(stranger))}
    found = locate(refs, corpus, ExtractSpec(), store=tmp_path / "store")
    fill(found)
    final = Layer(4, "post")
    alone = isogloss.extract(refs["reference"], corpus, ExtractSpec(), store=tmp_path / "other")
    np.testing.assert_array_equal(found["reference"].block("en", final).hidden, alone.block("en", final).hidden)
    same = np.abs(found["reference"].block("en", final).hidden - found["aligned"].block("en", final).hidden)
    assert same.max() > 1e-2
    assert found["reference"].tokenizers.isdisjoint(found["aligned"].tokenizers)
    spec = ExtractSpec(prompt_format="chat", chat_template="{% for m in messages %}[{{ m.content }}]{% endfor %}")
    with pytest.raises(ModelError, match=r"stranger.*other tokens in 60 of 60 en texts"):
        fill(locate(refs, corpus, spec, store=tmp_path / "store"))
