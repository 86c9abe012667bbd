"""Models that the caller has loaded: the numbers of their folders, and nothing of them changed."""

import copy
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

import isogloss
from conftest import make_model, parallel_rows
from isogloss import AuditConfig, ModelPair, ModelRef
from isogloss.errors import IsoglossError, ModelError, UsageError
from isogloss.hidden_states.spec import ExtractSpec
from isogloss.report.read_run import read_run
from planted import load

CONFIG = AuditConfig(permutations=20, workers=1)


def read(folder, dtype=torch.float32):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype), AutoTokenizer.from_pretrained(folder)


@pytest.fixture
def corpus(tmp_path):
    return load(tmp_path / "pairs.jsonl", parallel_rows(n=24))


def state(model):
    """Everything of a model that an audit must leave as it was."""
    return {
        "weights": {name: value.clone() for name, value in model.state_dict().items()},
        "places": {name: value.data_ptr() for name, value in model.named_parameters()},
        "gradients": {name: value.requires_grad for name, value in model.named_parameters()},
        "modes": [module.training for module in model.modules()],
        "hooks": [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()],
        "forwards": ["forward" in vars(module) for module in model.modules()],
        "dtype": model.dtype,
        "device": model.device,
        "config": str(model.config),
    }


def assert_same(before, after):
    assert before.keys() == after.keys()
    weights, others = before.pop("weights"), after.pop("weights")
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert before == after


def numbers(audit):
    return [(row, row.estimate) for row in audit.rows]


@pytest.fixture(scope="module")
def tuned_folder(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("tuned") / "aligned", seed=5)


def test_loaded_models_give_the_numbers_of_their_folders(tiny_folder, tuned_folder, corpus, tmp_path):
    names = isogloss.audit(str(tiny_folder), str(tuned_folder), corpus, config=CONFIG, store=tmp_path / "a")
    pair = ModelPair(
        name="x", reference=ModelRef(base=str(tiny_folder)), aligned=ModelRef(base=str(tuned_folder)), source=""
    )
    assert isogloss.audit(pair, corpus, config=CONFIG, store=tmp_path / "a") == names
    reference, aligned = read(tiny_folder), read(tuned_folder)
    reference[0].train()
    aligned[1].padding_side = "left"
    before = [state(model) for model, _ in (reference, aligned)]
    loaded = isogloss.audit(reference, aligned, corpus, config=CONFIG, store=tmp_path / "b", out=tmp_path / "out")
    for model, kept in zip((reference[0], aligned[0]), before, strict=True):
        assert_same(kept, state(model))
    assert aligned[1].padding_side == "left"
    for row, other in zip(names.rows, loaded.rows, strict=True):
        assert replace(row, estimate=other.estimate, mde=other.mde, pivot_z=other.pivot_z) == other
        assert row.estimate.value == pytest.approx(other.estimate.value, abs=2e-4, nan_ok=True)
    assert read_run(tmp_path / "out").audit == loaded
    mixed = isogloss.audit(str(tiny_folder), aligned, corpus, config=CONFIG, store=tmp_path / "b")
    assert [verdict.language for verdict in mixed.verdicts] == [verdict.language for verdict in names.verdicts]
    assert loaded.models["aligned"]["given"] is None


def test_the_store_is_named_by_the_weights(tiny_folder, tuned_folder, corpus, tmp_path, monkeypatch):
    reference, aligned = read(tiny_folder), read(tuned_folder)
    quick = replace(CONFIG, controls=())
    first = isogloss.audit(reference, aligned, corpus, config=quick, store=tmp_path / "s")
    # Stored states are read again, whatever object holds the weights.
    monkeypatch.setattr("isogloss.auditing.run.fill", lambda *_, **__: pytest.fail("computed again"))
    assert isogloss.audit(read(tiny_folder), read(tuned_folder), corpus, config=quick, store=tmp_path / "s") == first
    monkeypatch.undo()
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path / "cache"))
    with torch.no_grad():
        aligned[0].get_input_embeddings().weight[5] += 1.0
    other = isogloss.audit(reference, aligned, corpus, config=quick, store=tmp_path / "s")
    assert other.models["aligned"]["sha256"] != first.models["aligned"]["sha256"]
    assert other.models["reference"] == first.models["reference"]


def test_an_adapter_in_memory_is_part_of_the_model(tiny_folder, adapter_folder, corpus, tmp_path):
    quick = replace(CONFIG, controls=())
    names = isogloss.audit(
        str(tiny_folder), f"{tiny_folder}+{adapter_folder}", corpus, config=quick, store=tmp_path / "a"
    )
    base, tokenizer = read(tiny_folder)
    wrapped = PeftModel.from_pretrained(copy.deepcopy(base), adapter_folder, is_trainable=True)
    wrapped.train()
    before = state(wrapped)
    audit = isogloss.audit((base, tokenizer), (wrapped, tokenizer), corpus, config=quick, store=tmp_path / "b")
    assert_same(before, state(wrapped))
    for row, other in zip(names.rows, audit.rows, strict=True):
        assert row.estimate.value == pytest.approx(other.estimate.value, abs=2e-4, nan_ok=True)
    # One base with its adapter on and off: the same object, another state.
    with wrapped.disable_adapter(), pytest.raises(ModelError, match="the same weights"):
        isogloss.audit((wrapped, tokenizer), (wrapped, tokenizer), corpus, config=quick, store=tmp_path / "b")


def test_bfloat16_models_are_read_in_bfloat16(tiny_folder, tuned_folder, corpus, tmp_path):
    models = [read(folder, torch.bfloat16) for folder in (tiny_folder, tuned_folder)]
    before = [state(model) for model, _ in models]
    audit = isogloss.audit(*models, corpus, config=replace(CONFIG, controls=()), store=tmp_path / "s")
    assert audit.config["dtype"] == "bfloat16"
    assert "M007" in {warning.code for warning in audit.warnings}
    for (model, _), kept in zip(models, before, strict=True):
        assert_same(kept, state(model))


def test_a_model_without_a_reference(tiny_folder, corpus, tmp_path):
    audit = isogloss.audit(None, read(tiny_folder), corpus, config=replace(CONFIG, controls=()), store=tmp_path)
    assert not audit.has_reference


def prompt_tuned(folder):
    from peft import PromptTuningConfig

    model, tokenizer = read(folder)
    return get_peft_model(model, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)), tokenizer


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda folder: 3, UsageError, "found a int"),
        (lambda folder: (read(folder)[0],), UsageError, "found a tuple"),
        (lambda folder: (read(folder)[0], "name"), ModelError, "a str as tokenizer"),
        (lambda folder: (torch.nn.Linear(2, 2), read(folder)[1]), ModelError, "found a Linear"),
        (lambda folder: (read(folder)[0].model, read(folder)[1]), ModelError, "causal language model"),
        (lambda folder: read(folder, torch.float16), ModelError, "weights in float16"),
        (lambda folder: read(folder, torch.bfloat16), ModelError, "bfloat16 in the aligned model"),
        (prompt_tuned, ModelError, "prompt-learning"),
        (lambda folder: (read(folder)[0].to("meta"), read(folder)[1]), ModelError, "not in memory"),
        (lambda folder: "", ModelError, "model reference"),
        (lambda folder: None, UsageError, "found a NoneType"),
    ],
)  # fmt: skip
def test_what_is_no_model_is_one_line(make, error, words, tiny_folder, corpus, tmp_path):
    with pytest.raises(error, match=words) as caught:
        isogloss.audit(read(tiny_folder), make(tiny_folder), corpus, store=tmp_path)
    assert len(str(caught.value)) <= 600


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"config": AuditConfig(spec=ExtractSpec(precision="fast"))}, "precision: found fast with a loaded model"),
        ({"config": AuditConfig(spec=ExtractSpec(quantize="bnb-8bit"))}, "quantize: found bnb-8bit"),
        ({"device": "meta"}, "device: found meta"),
        ({"engine": isogloss.EngineConfig(engine="ray")}, "engine: found ray"),
    ],
)
def test_settings_that_would_change_a_loaded_model_are_refused(options, words, tiny_folder, tuned_folder, corpus):
    with pytest.raises(UsageError, match=words):
        isogloss.audit(read(tiny_folder), read(tuned_folder), corpus, **options)


def test_the_arguments_are_a_pair_or_two_models(tiny_folder, corpus):
    pair = ModelPair(name="x", reference=None, aligned=ModelRef(base=str(tiny_folder)), source="")
    with pytest.raises(IsoglossError, match="no corpus"):
        isogloss.audit(str(tiny_folder), str(tiny_folder))
    with pytest.raises(IsoglossError, match="a pair and another model"):
        isogloss.audit(pair, str(tiny_folder), corpus)


def test_lora_settings_are_part_of_the_name(tiny_folder):
    from isogloss.models.hold import hold_model

    model, tokenizer = read(tiny_folder)
    wrapped = get_peft_model(model, LoraConfig(target_modules=["q_proj"], init_lora_weights=False))
    names = [hold_model(wrapped, tokenizer, "aligned").loaded.sha256]
    for module in wrapped.modules():
        if isinstance(getattr(module, "scaling", None), dict):
            module.scaling["default"] *= 2
    names.append(hold_model(wrapped, tokenizer, "aligned").loaded.sha256)
    tokenizer.chat_template = "{{ messages }}"
    names.append(hold_model(wrapped, tokenizer, "aligned").loaded.sha256)
    assert len(set(names)) == 3
