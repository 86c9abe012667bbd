"""Weights in fewer bits: where the packages are installed they work, where they are not it is said in one line."""

import importlib.util
import json
import shutil

import numpy as np
import pytest
import torch

import isogloss
from families import BY_NAME, make_family
from isogloss.errors import ModelError, UsageError
from isogloss.hidden_states.spec import QUANTIZED, ExtractSpec
from isogloss.models import precision
from isogloss.models.adapters import use_checkpoint
from isogloss.models.checkpoints import fetch
from isogloss.models.load import load_model
from isogloss.models.pairs import ModelPair, ModelRef
from isogloss.models.precision import QUANTIZERS, device_map, quantization_config
from isogloss.models.prompts import encode
from running import OURS, run

TEXTS = ["a", "two words", "a longer text of some more words"]
ADAPTED = ("Llama 2", "Gemma 2", "Gemma 3 multimodal", "Phi-4")


@pytest.mark.parametrize("name", QUANTIZED)
def test_without_its_package_the_extra_is_named(name, monkeypatch):
    monkeypatch.setattr(precision, "find_spec", lambda package: None)
    with pytest.raises(UsageError, match=r"isogloss\[quantized\]"):
        quantization_config(name, torch.float32)


def test_the_options_are_those_of_the_table():
    assert set(QUANTIZED) == set(QUANTIZERS)
    assert ExtractSpec(quantize="bnb-4bit").sha256 != ExtractSpec().sha256
    for wrong in ({"quantize": "4bit"}, {"quantize": "bnb-4bit", "precision": "fast"}):
        with pytest.raises(UsageError, match="--quantize"):
            ExtractSpec(**wrong)


@pytest.mark.parametrize("family", [*ADAPTED, "BLOOM", "Llama 4 multimodal", "Qwen 2.5 VL"])
@pytest.mark.parametrize("name", QUANTIZED)
def test_quantised_weights_work_and_are_other_numbers(name, family, tmp_path):
    if importlib.util.find_spec(QUANTIZERS[name][0]) is None:
        pytest.skip(f"{QUANTIZERS[name][0]} is not installed")
    ref = ModelRef(base=str(make_family(BY_NAME[family], tmp_path / "model", bos=True)))
    quantised = load_model(fetch(ref), device="cpu", quantize=name)
    usual = load_model(fetch(ref), device="cpu")
    rows = encode(usual.tokenizer, TEXTS).ids
    layers = ExtractSpec(layers=("2", "final")).resolve(4)
    ours, own = run(quantised, rows, layers), run(usual, rows, layers)
    for layer in layers:
        assert np.isfinite(ours[layer]).all()
        assert np.abs(ours[layer] - own[layer]).max() > 1e-4  # they are quantised
        cosine = (ours[layer] * own[layer]).sum(1) / (
            np.linalg.norm(ours[layer], axis=1) * np.linalg.norm(own[layer], axis=1)
        )
        assert cosine.min() > (0.3 if name == "bnb-4bit" else 0.9)
    if family in ADAPTED:
        checkpoint = fetch(ModelRef(base=ref.base, adapter=str(_adapter(ref.base, tmp_path / "adapter"))))
        with use_checkpoint(quantised, checkpoint):
            adapted = run(quantised, rows, layers)
        assert np.abs(adapted[layers[-1]] - ours[layers[-1]]).max() > 1e-2
        with use_checkpoint(quantised, fetch(ref)):
            again = run(quantised, rows, layers)
        np.testing.assert_allclose(again[layers[-1]], ours[layers[-1]], rtol=1e-3, atol=1e-3)


def _adapter(base, folder):
    """Trained on the model as it was before it was quantised."""
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(
        load_model(fetch(ModelRef(base=base)), device="cpu").causal,
        LoraConfig(r=2, target_modules=["o_proj"], task_type="CAUSAL_LM"),
    )
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data.normal_(std=0.5, generator=torch.Generator().manual_seed(0))
    model.save_pretrained(folder)
    return folder


def test_a_checkpoint_that_is_quantised_already_names_its_package(tiny_folder, tmp_path):
    if importlib.util.find_spec("bitsandbytes") is not None:
        pytest.skip("bitsandbytes is installed")
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError) as error:
        load_model(fetch(ModelRef(base=str(folder))), device="cpu")
    assert "\n" not in str(error.value)
    assert "quantised" in str(error.value)


def test_random_weights_are_not_quantised(tiny_folder, monkeypatch):
    with pytest.raises(ModelError, match="--controls bits_per_character"):
        load_model(fetch(ModelRef(base=str(tiny_folder), random_seed=0)), device="cpu", quantize="bnb-4bit")


def test_what_does_not_fit_the_gpu_is_spread(tiny_folder, monkeypatch):
    size = (tiny_folder / "model.safetensors").stat().st_size
    for free, expected in ((10 * size, None), (size, "auto")):
        monkeypatch.setattr("torch.cuda.mem_get_info", lambda where, free=free: (free, free))
        assert device_map(tiny_folder, torch.device("cuda"), quantized=False) == expected
    assert device_map(tiny_folder, torch.device("cuda:1"), quantized=False) is None  # asked for by number
    assert device_map(tiny_folder, torch.device("cuda"), quantized=True) == {"": "cuda"}
    assert device_map(tiny_folder, torch.device("cpu"), quantized=False) is None


def test_a_spread_model_gives_the_same_states(tiny_folder, monkeypatch):
    """accelerate moves a model by hooks; here both parts are on the CPU."""
    usual = load_model(fetch(ModelRef(base=str(tiny_folder))), device="cpu")
    rows = encode(usual.tokenizer, TEXTS).ids
    layers = ExtractSpec(layers=("all",)).resolve(4)
    monkeypatch.setattr("isogloss.models.load.device_map", lambda *args, **kwargs: {"": "cpu"})
    spread = load_model(fetch(ModelRef(base=str(tiny_folder))), device="cpu")
    for layer, state in run(usual, rows, layers, execution=OURS).items():
        np.testing.assert_array_equal(run(spread, rows, layers)[layer], state)


def test_an_audit_says_that_weights_are_rounded(tiny_folder, other_folder, parallel_file, tmp_path, monkeypatch):
    """Quantised by a stand-in, so that no package is needed."""
    seen = []

    def load(checkpoint, *, quantize=None, **settings):
        seen.append(quantize)
        return load_model(checkpoint, **settings)

    monkeypatch.setattr("isogloss.hidden_states.compute.load_model", load)
    pair = ModelPair(
        name="own",
        reference=ModelRef(base=str(tiny_folder)),
        aligned=ModelRef(base=str(other_folder)),
        source="test",
    )
    config = isogloss.AuditConfig(spec=ExtractSpec(quantize="bnb-8bit"), permutations=20, controls=(), per_class=20)
    found = isogloss.audit(
        pair, isogloss.load_corpus(parallel_file), config=config, store=tmp_path / "store", device="cpu"
    )
    assert seen == ["bnb-8bit"] * 2
    details = [warning.detail for warning in found.warnings if warning.code == "M006"]
    assert details == ["reference and aligned: bnb-8bit"]
    assert found.config["quantize"] == "bnb-8bit"
