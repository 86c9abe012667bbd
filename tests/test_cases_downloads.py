"""Cases of repositories that hold their weights several times: what the index names is downloaded, and nothing else."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from hub_server import COMMIT, pointed_at, serve
from isogloss.errors import ModelError
from isogloss.models.checkpoints import fetch, folder_sha256
from isogloss.models.load import load_model
from isogloss.models.pairs import ModelRef
from isogloss.models.size import saved_size
from isogloss.models.weight_files import weight_files
from isogloss.recipes.facts import model_facts


@pytest.fixture
def hub(monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    return lambda server: pointed_at(server, monkeypatch, tmp_path)


def shard(folder, n=2):
    """Cut the weights of a model into files with an index."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    where = {}
    for i in range(n):
        name = f"model-{i + 1:05}-of-{n:05}.safetensors"
        part = {key: weights[key] for key in sorted(weights)[i::n]}
        save_file(part, folder / name, metadata={"format": "pt"})
        where |= dict.fromkeys(part, name)
    size = sum(tensor.numel() * 4 for tensor in weights.values())
    index = {"metadata": {"total_size": size}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def cluttered(folder, target):
    """Add what repositories hold beside the weights that transformers reads."""
    copy = shutil.copytree(folder, target)
    other = {"w": torch.zeros(4)}
    for name in (
        "consolidated.safetensors",
        "consolidated.00.safetensors",
        "original/model.safetensors",
        "original/model--00001-of-00002.safetensors",
        "metal/model.safetensors",
        "onnx/model.safetensors",
        "checkpoint-500/model.safetensors",
        "model.fp16.safetensors",
        "adapter_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
    ):
        (copy / name).parent.mkdir(exist_ok=True)
        save_file(other, copy / name)
    for name in ("pytorch_model.bin", "model-Q4_K_M.gguf", "tf_model.h5", "flax_model.msgpack", "original/params.json",
                 "checkpoint-500/trainer_state.json", "modeling_own.py", "training_args.bin"):  # fmt: skip
        (copy / name).write_bytes(b"{}")
    return copy


def asked(server):
    return {path.rsplit(f"/resolve/{COMMIT}/", 1)[1] for path in server.log if f"/resolve/{COMMIT}/" in path}


@pytest.mark.parametrize("sharded", [False, True])
def test_m13_only_what_the_index_names_is_downloaded(sharded, tiny_folder, hub, tmp_path):
    base = shutil.copytree(tiny_folder, tmp_path / "base")
    if sharded:
        shard(base)
    remote = cluttered(base, tmp_path / "remote")
    with serve({"org/model": remote}) as server:
        hub(server)
        checkpoint = fetch(ModelRef.parse("org/model"))
        names = asked(server)
        server.log.clear()
        assert fetch(ModelRef.parse("org/model")) == checkpoint
        assert server.log == ["/api/models/org/model/revision/main"]
    weights = (
        {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"} if sharded else {"model.safetensors"}
    )
    assert {name for name in names if name.endswith(".safetensors")} == weights
    assert not {name for name in names if "/" in name or name.endswith((".bin", ".gguf", ".py", ".h5", ".msgpack"))}
    assert checkpoint.base_sha256 == fetch(ModelRef(base=str(base))).base_sha256
    expected, found = (
        load_model(fetch(ModelRef(base=str(tiny_folder))), device="cpu"),
        load_model(checkpoint, device="cpu"),
    )
    for name, weight in expected.causal.state_dict().items():
        assert torch.equal(found.causal.state_dict()[name], weight)


def test_m13_a_single_file_beside_an_index_is_what_is_hashed_and_loaded(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder, tmp_path / "both")
    shard(folder)
    shutil.copy(tiny_folder / "model.safetensors", folder / "model.safetensors")
    assert weight_files(folder) == ["model.safetensors"]
    assert saved_size(folder) == (tiny_folder / "model.safetensors").stat().st_size


def test_m13_other_copies_in_a_folder_do_not_change_the_model(tiny_folder, tmp_path):
    assert folder_sha256(cluttered(tiny_folder, tmp_path / "copy")) == folder_sha256(tiny_folder)


def test_m13_the_sizes_of_a_plan_follow_the_index(tiny_folder, hub, tmp_path):
    remote = cluttered(shard(shutil.copytree(tiny_folder, tmp_path / "base")), tmp_path / "remote")
    with serve({"org/model": remote}) as server:
        hub(server)
        folder = fetch(ModelRef.parse("org/model")).folder
    shards = sorted(folder.glob("model-*.safetensors"))
    assert saved_size(folder) == sum(path.stat().st_size for path in shards)
    assert model_facts(ModelRef.parse("org/model")).download == 0
    shards[0].unlink()
    facts = model_facts(ModelRef.parse("org/model"))
    assert facts.here == "in part"
    assert facts.download == json.loads((remote / "model.safetensors.index.json").read_text())["metadata"]["total_size"]


def test_m13_an_adapter_is_its_own_file(tiny_folder, adapter_folder, hub, tmp_path):
    remote = cluttered(adapter_folder, tmp_path / "remote")
    shutil.copy(adapter_folder / "adapter_model.safetensors", remote / "adapter_model.safetensors")
    with serve({"org/dpo": remote}) as server:
        hub(server)
        checkpoint = fetch(ModelRef.parse(f"{tiny_folder}+org/dpo"))
        names = asked(server)
    assert {name for name in names if name.endswith(".safetensors")} == {"adapter_model.safetensors"}
    assert not {name for name in names if "/" in name}
    assert checkpoint.adapter_sha256 == fetch(ModelRef.parse(f"{tiny_folder}+{adapter_folder}")).adapter_sha256


@pytest.mark.parametrize(
    "index",
    ["{", "[]", '{"weight_map": []}', '{"weight_map": {}}', '{"weight_map": {"a": "../../secret.safetensors"}}',
     '{"weight_map": {"a": "*"}}', '{"weight_map": {"a": "pytorch_model.bin"}}', "[" * 100_000],
)  # fmt: skip
def test_m13_a_broken_index_is_one_line(index, tiny_folder, hub, tmp_path):
    remote = shutil.copytree(tiny_folder, tmp_path / "remote")
    (remote / "model.safetensors").unlink()
    (remote / "model.safetensors.index.json").write_text(index)
    with serve({"org/model": remote}) as server:
        hub(server)
        for name in ("org/model", str(remote)):
            with pytest.raises(ModelError, match=r"model\.safetensors\.index\.json") as error:
                fetch(ModelRef.parse(name))
            assert len(str(error.value)) <= 600


def test_m13_a_repository_of_pickles_downloads_none(tiny_folder, hub, tmp_path):
    remote = shutil.copytree(tiny_folder, tmp_path / "remote")
    (remote / "model.safetensors").rename(remote / "pytorch_model.bin")
    shutil.copy(remote / "pytorch_model.bin", remote / "consolidated.safetensors")
    with serve({"org/model": remote}) as server:
        hub(server)
        with pytest.raises(ModelError, match="no weights"):
            fetch(ModelRef.parse("org/model"))
        assert not {name for name in asked(server) if name.endswith((".bin", ".safetensors"))}
