"""The self-test of a model: a healthy one passes, and each fault is found by the check that is there for it."""

import json
import shutil

import pytest
import torch
from typer.testing import CliRunner

from conftest import make_tokenizer
from families import BY_NAME, make_family
from isogloss.auditing import doctor as module
from isogloss.auditing.doctor import doctor
from isogloss.cli.app import app
from isogloss.models.load import load_model
from isogloss.models.pairs import ModelRef


def verdicts(ref, **settings):
    return {one.check: one.verdict for one in doctor(ref, device="cpu", **settings)}


@pytest.fixture
def sick(monkeypatch, tiny_folder):
    """Examine the tiny model after something was done to it."""

    def examine(harm):
        def load(*args, **kwargs):
            model = load_model(*args, **kwargs)
            harm(model)
            return model

        monkeypatch.setattr(module, "load_model", load)
        return verdicts(ModelRef(base=str(tiny_folder)))

    return examine


def test_a_healthy_model_passes(tiny_folder, adapter_folder):
    found = verdicts(ModelRef(base=str(tiny_folder), adapter=str(adapter_folder)))
    assert {check for check, verdict in found.items() if verdict != "ok"} == {"chat template"}
    assert found["chat template"] == "note"
    assert len(found) == module.STEPS + 1


@pytest.mark.parametrize("name", ["Gemma 3 multimodal", "BLOOM", "Llama 4 multimodal"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_families_pass(name, dtype, tmp_path):
    found = verdicts(ModelRef(base=str(make_family(BY_NAME[name], tmp_path / "m", bos=True))), dtype=dtype)
    assert "failed" not in found.values(), found


def test_broken_weights_are_named(sick):
    found = sick(lambda model: model.blocks[2].mlp.up_proj.weight.data[0].fill_(float("nan")))
    assert (found["weights"], found["states finite and not zero"]) == ("failed", "failed")
    assert {check for check, verdict in found.items() if verdict == "ok"} == {"architecture", "raw text"}


def test_blocks_in_another_order_are_not_the_models_own_states(sick):
    def swap(model):
        model.blocks = torch.nn.ModuleList(reversed(model.blocks))

    found = sick(swap)
    assert found["the model's own states"] == "failed"
    assert found["weights"] == "ok"


def test_a_final_norm_that_does_nothing_is_noticed(sick):
    def idle(model):
        model.decoder.norm.forward = lambda hidden: hidden

    assert sick(idle)["before and after the final norm"] == "failed"


def test_a_model_whose_texts_reach_each_other_fails_the_batch(sick):
    def leak(model):
        inner = model.blocks[3].mlp.forward
        model.blocks[3].mlp.forward = lambda hidden: inner(hidden + hidden.mean(dim=(0, 1)))

    found = sick(leak)
    assert found["batch and single text"] == "failed"
    assert found["shortcuts"] == "failed"


def test_a_model_that_cannot_be_batched_fails_the_shortcuts(sick):
    """The self-check refuses it; doctor says so and goes on."""

    def lose(model):
        model.blocks[3].mlp.register_forward_hook(lambda _, args, out: out * float("nan") if len(args[0]) > 1 else out)

    found = sick(lose)
    assert (found["batch and single text"], found["shortcuts"]) == ("failed", "failed")
    assert found["LM head"] == "ok"


def test_an_unknown_step_after_the_head_is_a_note(sick):
    def scale(model):
        inner = model.causal.forward
        model.causal.forward = lambda *args, **kwargs: _doubled(inner(*args, **kwargs))

    assert sick(scale)["LM head"] == "note"


def _doubled(output):
    output.logits = output.logits * 2
    return output


def test_the_command_prints_and_its_exit_code_says_whether_it_is_well(tiny_folder, tmp_path, monkeypatch):
    runner = CliRunner()
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    tokenizer = make_tokenizer()
    tokenizer.chat_template = "{{ bos_token }}{% for m in messages %}[{{ m['content'] }}]{% endfor %}>"
    tokenizer.save_pretrained(folder)
    well = runner.invoke(app, ["doctor", str(folder), "--device", "cpu"])
    assert well.exit_code == 0
    assert "last_instruction_token '.', last_prompt_token '>'" in well.stdout
    listed = runner.invoke(app, ["doctor", str(folder), "--device", "cpu", "--json"])
    assert {one["verdict"] for one in json.loads(listed.stdout)} == {"ok"}
    monkeypatch.setattr(module, "_check_finite", lambda own: module._make_result("states", "broken", ok=False))
    assert runner.invoke(app, ["doctor", str(folder), "--device", "cpu"]).exit_code == 1
