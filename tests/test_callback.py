"""The callback inside real trainers: what it logs is what an audit would measure, and training goes on undisturbed."""

import json

import numpy as np
import pytest
import torch

import isogloss
from conftest import parallel_rows
from isogloss.errors import UsageError
from isogloss.hidden_states.spec import ExtractSpec
from isogloss.models.checkpoints import fetch
from isogloss.models.load import load_model
from isogloss.models.pairs import ModelRef
from isogloss.tuning.preferences import preferences

pytest.importorskip("trl")


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in parallel_rows(n=40)))
    return isogloss.load_corpus(path)


def records(corpus, keys):
    found = preferences(corpus, languages=["en"], n=24, seed=0)
    return [{key: record[key] for key in keys} for record in found]


def trainer_of(kind, folder, corpus, tmp_path, *, steps=4, callbacks=(), lora=True, **settings):
    import trl
    from datasets import Dataset
    from peft import LoraConfig

    model = load_model(fetch(ModelRef(base=str(folder))), device="cpu")
    keys = ("prompt", "chosen", "rejected") if kind == "DPO" else ("prompt", "chosen")
    rows = records(corpus, keys)
    if kind == "SFT":
        rows = [{"prompt": row["prompt"], "completion": row["chosen"]} for row in rows]
    if not lora:
        model.causal.requires_grad_(requires_grad=True)
    return getattr(trl, f"{kind}Trainer")(
        model=model.causal,
        args=getattr(trl, f"{kind}Config")(
            output_dir=str(tmp_path / "out"),
            max_steps=steps,
            per_device_train_batch_size=4,
            learning_rate=5e-2,
            max_length=64,
            bf16=False,
            use_cpu=True,
            save_strategy="no",
            logging_steps=1,
            report_to="none",
            disable_tqdm=True,
            seed=0,
            **settings,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=model.tokenizer,
        peft_config=LoraConfig(r=4, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM") if lora else None,
        callbacks=list(callbacks),
    )


def logged(trainer, name):
    return {entry["step"]: entry[name] for entry in trainer.state.log_history if name in entry}


@pytest.mark.parametrize(("kind", "lora"), [("DPO", True), ("SFT", True), ("SFT", False)])
def test_separation_is_logged_while_a_trainer_runs(kind, lora, corpus, tiny_folder, tmp_path):
    trainer = trainer_of(kind, tiny_folder, corpus, tmp_path, lora=lora)
    callback = isogloss.SeparationCallback(trainer, corpus, every=2, components=2)
    trainer.add_callback(callback)
    trainer.train()
    assert list(callback.history) == [0, 2, 4]
    assert trainer.model.training
    assert logged(trainer, "loss").keys() >= {1, 2, 3, 4}
    for code in corpus.languages:
        assert logged(trainer, f"separation/{code}") == {step: found[code] for step, found in callback.history.items()}
        gains = logged(trainer, f"separation_gain/{code}")
        assert gains[0] == 0
        assert gains[4] == pytest.approx(callback.history[4][code] - callback.history[0][code])
        assert gains[4] != 0
    worst = logged(trainer, "separation_gain/worst")
    assert worst[4] == min(logged(trainer, f"separation_gain/{code}")[4] for code in corpus.languages)


def test_it_is_the_number_of_an_audit(corpus, tiny_folder, tmp_path):
    """Before the first step, and after the last with the adapter that was trained."""
    trainer = trainer_of("DPO", tiny_folder, corpus, tmp_path)
    callback = isogloss.SeparationCallback(trainer, corpus, per_class=40, components=2)
    trainer.add_callback(callback)
    trainer.train()
    trainer.model.save_pretrained(tmp_path / "adapter")
    base = ModelRef(base=str(tiny_folder))
    pair = isogloss.ModelPair(
        name="own",
        reference=base,
        aligned=ModelRef(base=str(tiny_folder), adapter=str(tmp_path / "adapter")),
        source="test",
    )
    config = isogloss.AuditConfig(permutations=20, controls=(), metrics=("between_class_variance",))
    audit = isogloss.audit(pair, corpus, config=config, store=tmp_path / "store", device="cpu")
    for step, model in ((0, "reference"), (4, "aligned")):
        for code in corpus.languages:
            own = audit.value(metric="between_class_variance", components=2, model=model, language=code, kind="score")
            assert callback.history[step][code] == pytest.approx(own.value, abs=1e-4), (step, code)


def test_training_is_the_same_with_and_without_it(corpus, tiny_folder, tmp_path):
    weights = []
    for watched in (False, True):
        trainer = trainer_of("SFT", tiny_folder, corpus, tmp_path / str(watched))
        if watched:
            trainer.add_callback(isogloss.SeparationCallback(trainer, corpus, every=1, components=2))
        trainer.train()
        trained = {name: one for name, one in trainer.model.named_parameters() if one.requires_grad}
        weights.append({name: one.detach().clone() for name, one in trained.items()})
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(one, weights[1][name]) for name, one in weights[0].items())


def test_training_stops_when_the_worst_language_no_longer_gains(corpus, tiny_folder, tmp_path, monkeypatch):
    trainer = trainer_of("SFT", tiny_folder, corpus, tmp_path, steps=20)
    callback = isogloss.SeparationCallback(
        trainer, corpus, every=1, components=2, early_stopping_patience=2, early_stopping_threshold=0.01
    )
    gains = iter([0.0, 0.05, 0.1, 0.105, 0.109, *[9.0] * 20])  # the last two rise by less than the threshold

    class Planted:
        def __init__(self, value):
            self.value = value

    monkeypatch.setattr(
        "isogloss.tuning.callback.separation",
        lambda *args, **settings: dict.fromkeys(corpus.languages, Planted(next(gains))),
    )
    monkeypatch.setattr("isogloss.tuning.callback.gain", lambda start, now: Planted(now.value - start.value))
    trainer.add_callback(callback)
    trainer.train()
    assert trainer.state.global_step == 4
    assert list(callback.history) == [0, 1, 2, 3, 4]


def test_it_reads_the_layer_and_position_that_are_asked_for(corpus, tiny_folder, tmp_path):
    trainer = trainer_of("SFT", tiny_folder, corpus, tmp_path, steps=1)
    found = []
    for spec in (ExtractSpec(), ExtractSpec(layers=("2",)), ExtractSpec(position="mean")):
        callback = isogloss.SeparationCallback(trainer, corpus, components=2, spec=spec, languages=["de"])
        callback.on_train_begin(None, trainer.state, trainer.control)
        assert list(callback.history[0]) == ["de"]
        found.append(callback.history[0]["de"])
    assert len(set(np.round(found, 6))) == 3


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"spec": ExtractSpec(layers=("1", "final"))}, "layers"),
        ({"metric_name": "auroc"}, "a probe needs more texts"),
        ({"languages": ["en", "xx"]}, "no texts in xx"),
        ({"every": 0}, "every=0"),
    ],
)
def test_what_cannot_be_measured_is_refused(settings, found, corpus, tiny_folder, tmp_path):
    with pytest.raises(UsageError, match=found):
        isogloss.SeparationCallback(trainer_of("SFT", tiny_folder, corpus, tmp_path), corpus, **settings)


def test_weights_in_parts_are_refused(corpus, tiny_folder, tmp_path):
    trainer = trainer_of("SFT", tiny_folder, corpus, tmp_path)
    trainer.is_fsdp_enabled = True
    with pytest.raises(UsageError, match="weights sharded by fsdp"):
        isogloss.SeparationCallback(trainer, corpus)
