"""Cases of adapters, templates, tokenizers and downloads that people have: each with the right value.

The oracle of an adapter is peft's own model on plain transformers, one text at a time.
"""

import json
import shutil
import warnings

import numpy as np
import peft
import pytest
import torch
from transformers import AutoModelForCausalLM

from adapter_kinds import PROMPTS, READ, lora, save_adapter
from conftest import make_model
from isogloss.auditing.doctor import doctor
from isogloss.errors import ModelError
from isogloss.hidden_states.kernels import fast_linears
from isogloss.hidden_states.spec import ExtractSpec
from isogloss.likelihoods.lm_head import check_head, text_bits
from isogloss.likelihoods.packed_answers import answer_likelihoods
from isogloss.models.adapters import merges, use_checkpoint
from isogloss.models.checkpoints import fetch
from isogloss.models.load import load_model
from isogloss.models.pairs import ModelRef
from isogloss.models.quiet import quiet_transformers
from running import OURS, PLAIN, run

ROWS = [(1, 5, 6, 40, 250, 17, 9, 60), (1, 250, 7), (1, *range(20, 60)), (1, 5, 6, 40, 250, 30)]
ANSWERS = [(70, 5, 71), (72,)]


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings(), quiet_transformers():
        warnings.simplefilter("ignore")
        yield


def plain_model(folder):
    with quiet_transformers():
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def save(config, base, folder):
    try:
        return save_adapter(plain_model(base), config(), folder)
    except (ValueError, AttributeError, RuntimeError, TypeError) as error:
        pytest.skip(f"peft cannot make it on this model: {error}")


def oracle(model, rows=ROWS):
    """States of the last token at each layer (depth + 1, rows, width) and bits of each row, as transformers runs it."""
    states, bits = [], []
    with torch.inference_mode():
        for row in rows:
            out = model(input_ids=torch.tensor([row]), output_hidden_states=True, use_cache=False)
            states.append(torch.stack([state[0, -1] for state in out.hidden_states]).numpy())
            nats = torch.nn.functional.cross_entropy(out.logits[0, :-1], torch.tensor(row[1:]), reduction="sum")
            bits.append(float(nats) / np.log(2))
    return np.stack(states, axis=1), np.array(bits)


def assert_equal(model, expected, rows=ROWS, *, execution=OURS):
    """Merging, packing and the order of sums round; without them nothing is left but the last bits."""
    states, bits = expected
    tolerance = 1e-5 if execution == PLAIN else 5e-5
    layers = [layer for layer in ExtractSpec(layers=("all",)).resolve(model.depth) if layer.norm != "pre"]
    ours = run(model, rows, layers, execution=execution)
    for layer in layers:
        wrong = np.linalg.norm(ours[layer] - states[layer.index], axis=1) / np.linalg.norm(states[layer.index], axis=1)
        assert wrong.max() < tolerance, layer
    check_head(model)
    with fast_linears(model, OURS):
        np.testing.assert_allclose(text_bits(model, rows, execution=OURS), bits, rtol=1e-5, atol=1e-4)
        packed = answer_likelihoods(model, rows, ANSWERS, execution=OURS).total
    assert np.isfinite(packed).all()


def adapted(base, folder):
    return peft.PeftModel.from_pretrained(plain_model(base), str(folder)).eval()


@pytest.mark.slow
@pytest.mark.parametrize("kind", READ)
def test_m10_every_kind_equals_peft_merged_and_unmerged(kind, tiny_folder, tmp_path):
    folder = save(READ[kind], tiny_folder, tmp_path / "adapter")
    expected, before = oracle(adapted(tiny_folder, folder)), oracle(plain_model(tiny_folder))
    assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(expected, before, strict=True))
    checkpoint = fetch(ModelRef(base=str(tiny_folder), adapter=str(folder)))
    model = load_model(checkpoint, device="cpu")
    random = torch.get_rng_state()
    with use_checkpoint(model, checkpoint):
        assert_equal(model, expected)
    assert_equal(model, before)
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize("kind", ["LoRA", "DoRA", "LoRA on embeddings", "modules_to_save: both", "VeRA", "OFT"])
def test_m10_unmerged_in_the_models_precision(kind, tiny_folder, tmp_path, monkeypatch):
    folder = save(READ[kind], tiny_folder, tmp_path / "adapter")
    checkpoint = fetch(ModelRef(base=str(tiny_folder), adapter=str(folder)))
    model = load_model(checkpoint, device="cpu")
    assert merges(model)
    monkeypatch.setattr("isogloss.models.adapters.merges", lambda model: False)
    with use_checkpoint(model, checkpoint):
        assert_equal(model, oracle(adapted(tiny_folder, folder)), execution=PLAIN)
    exact = plain_model(tiny_folder).state_dict()
    assert all(torch.equal(weight, exact[name]) for name, weight in model.causal.state_dict().items())


@pytest.mark.parametrize("kind", ["LoRA on embeddings", "LoRA on the head", "LoRA on tied embeddings"])
def test_m01_tied_weights_are_never_merged_onto(kind, tiny_folder, tmp_path):
    folder = save(READ[kind], tiny_folder, tmp_path / "adapter")
    checkpoint = fetch(ModelRef(base=str(tiny_folder), adapter=str(folder)))
    model = load_model(checkpoint, device="cpu")
    before = model.causal.get_input_embeddings().weight.clone()
    with use_checkpoint(model, checkpoint):
        inside = model.causal.get_input_embeddings()
        assert torch.equal(getattr(inside, "base_layer", inside).weight, before)
        assert torch.equal(model.causal.get_output_embeddings().weight, before)


@pytest.mark.parametrize(
    "kind", ["LoRA on embeddings", "DoRA", "LoRA from PiSSA", "modules_to_save: embeddings", "VeRA"]
)
def test_m01_doctor_reads_the_adapter(kind, tiny_folder, tmp_path):
    folder = save(READ[kind], tiny_folder, tmp_path / "adapter")
    results = doctor(ModelRef(base=str(tiny_folder), adapter=str(folder)), device="cpu")
    assert not [result for result in results if result.verdict == "failed"]


@pytest.mark.parametrize("kind", PROMPTS)
def test_m11_prompt_learning_is_one_clear_line(kind, tiny_folder, tmp_path):
    folder = save_adapter(plain_model(tiny_folder), PROMPTS[kind](), tmp_path / "adapter")
    with pytest.raises(ModelError, match="prompt-learning adapters do not change weights and are not read") as error:
        fetch(ModelRef(base=str(tiny_folder), adapter=str(folder)))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) <= 600


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"peft_type": "ADAPTION_PROMPT"}, "prompt-learning adapters do not change weights"),
        ({"peft_type": "XLORA"}, "XLORA, which depends on other adapters"),
        ({"peft_type": "LILY"}, "LILY, which depends on the other texts"),
        ({"peft_type": "POLY"}, "POLY, which depends on the number of the task"),
        ({"task_type": "SEQ_CLS"}, "an adapter for the task SEQ_CLS"),
        ({"alora_invocation_tokens": [5, 6]}, "an activated LoRA"),
        ({"layer_replication": [[0, 2], [1, 4]]}, "the number of blocks"),
        ({"init_lora_weights": "pissa_niter_4"}, "draws anew at each load"),
        ({"peft_type": None}, "no peft_type"),
        ({"peft_type": ["LORA"]}, "no peft_type"),
    ],
)
def test_m11_other_kinds_that_are_not_read_say_why(change, words, tiny_folder, adapter_folder, tmp_path):
    folder = shutil.copytree(adapter_folder, tmp_path / "adapter")
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=words):
        fetch(ModelRef(base=str(tiny_folder), adapter=str(folder)))


@pytest.mark.parametrize("content", ["[]", "{", "null", "[" * 100_000, "\udcff"])
def test_m11_a_broken_configuration_is_one_line(content, tiny_folder, adapter_folder, tmp_path):
    folder = shutil.copytree(adapter_folder, tmp_path / "adapter")
    (folder / "adapter_config.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ModelError, match="adapter") as error:
        fetch(ModelRef(base=str(tiny_folder), adapter=str(folder)))
    assert len(str(error.value)) <= 600


def test_m10_a_kind_that_peft_does_not_know_is_not_called_another_base(tiny_folder, adapter_folder, tmp_path):
    folder = shutil.copytree(adapter_folder, tmp_path / "adapter")
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"peft_type": "BONE"}))
    checkpoint = fetch(ModelRef(base=str(tiny_folder), adapter=str(folder)))
    model = load_model(checkpoint, device="cpu")
    with pytest.raises(ModelError, match="that the installed peft"), use_checkpoint(model, checkpoint):
        pass


@pytest.mark.parametrize("depth", [2, 6])
def test_m10_an_adapter_of_another_depth_is_another_base(depth, tiny_folder, tmp_path):
    other = make_model(tmp_path / "other", seed=0, depth=depth)
    folder = save(READ["DoRA"], other, tmp_path / "adapter")
    checkpoint = fetch(ModelRef(base=str(tiny_folder), adapter=str(folder)))
    model = load_model(checkpoint, device="cpu")
    with pytest.raises(ModelError, match="an adapter trained on this base model"), use_checkpoint(model, checkpoint):
        pass
    assert_equal(model, oracle(plain_model(tiny_folder)))


def test_m10_adapters_of_several_kinds_take_turns_on_one_model(tiny_folder, tmp_path):
    folders = {
        kind: save(READ[kind], tiny_folder, tmp_path / str(i))
        for i, kind in enumerate(["VeRA", "LoRA", "LoRA from PiSSA", "IA3", "modules_to_save: both"])
    }
    model = load_model(fetch(ModelRef(base=str(tiny_folder))), device="cpu")
    for kind in [*folders, *folders]:
        with use_checkpoint(model, fetch(ModelRef(base=str(tiny_folder), adapter=str(folders[kind])))):
            assert_equal(model, oracle(adapted(tiny_folder, folders[kind])))


def test_m10_trained_biases_are_taken_off_again(tmp_path):
    base = tmp_path / "base"
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from conftest import make_tokenizer

    config = Qwen2Config(
        vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=256, tie_word_embeddings=False,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Qwen2ForCausalLM(config)
        for parameter in model.parameters():
            parameter.data.normal_(std=0.3)
        model.save_pretrained(base)
    make_tokenizer().save_pretrained(base)
    for kind, options in (("all", {"bias": "all"}), ("only", {"bias": "lora_only", "target_modules": ["q_proj"]})):
        folder = save(lambda options=options: lora(**options), base, tmp_path / kind)
        checkpoint = fetch(ModelRef(base=str(base), adapter=str(folder)))
        model = load_model(checkpoint, device="cpu")
        with use_checkpoint(model, checkpoint):
            assert_equal(model, oracle(adapted(base, folder)))
        assert_equal(model, oracle(plain_model(base)))
