"""The norm of an adapter's weight change: against the products themselves, on disk and in memory."""

import json
import math

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from isogloss.errors import UsageError
from isogloss.models.checkpoints import fetch
from isogloss.models.load import load_model
from isogloss.models.pairs import ModelRef
from isogloss.tuning.adapter_folder import folder_norm, set_norm


def product_norm(folder):
    weights = load_file(folder / "adapter_model.safetensors")
    settings = json.loads((folder / "adapter_config.json").read_text())
    scale = settings["lora_alpha"] / settings["r"]
    names = [name for name in weights if "lora_A" in name]
    changes = [scale * weights[name.replace("lora_A", "lora_B")] @ weights[name] for name in names]
    return math.sqrt(sum(float((one.double() ** 2).sum()) for one in changes))


def test_it_is_the_norm_of_the_products_and_can_be_set(tiny_folder, adapter_folder, tmp_path):
    expected = product_norm(adapter_folder)
    assert folder_norm(adapter_folder) == pytest.approx(expected, rel=1e-5)
    model = load_model(fetch(ModelRef(base=str(tiny_folder))), device="cpu")
    tuned = PeftModel.from_pretrained(model.causal, str(adapter_folder))
    assert set_norm(tuned, 2.5) == pytest.approx(2.5 / expected, rel=1e-5)
    tuned.save_pretrained(tmp_path / "scaled")
    assert folder_norm(tmp_path / "scaled") == pytest.approx(2.5, rel=1e-5)
    with torch.no_grad():
        for name, weight in tuned.named_parameters():
            if "lora_B" in name:
                weight.zero_()
    with pytest.raises(UsageError, match="changes no weight"):
        set_norm(tuned, 2.5)


def test_what_is_not_plain_lora_is_refused(adapter_folder, tmp_path):
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / name).write_bytes((adapter_folder / name).read_bytes())
    settings = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings | {"use_dora": True}))
    with pytest.raises(UsageError, match="plain LoRA"):
        folder_norm(tmp_path)
