"""The trainer: adapters load back, interrupted trainings go on to the same bytes, faults are one line."""

import errno
import json
import math
import shutil
import warnings
from contextlib import nullcontext

import pytest
import torch

import isogloss
from conftest import make_model
from isogloss.data.corpus import content_key
from isogloss.data.splits import split_corpus
from isogloss.errors import CorpusError, ModelError, StoreError, UsageError
from isogloss.models.adapters import use_checkpoint
from isogloss.models.checkpoints import fetch
from isogloss.models.load import load_model
from isogloss.models.pairs import ModelRef

trl = pytest.importorskip("trl")

from transformers import TrainerCallback  # noqa: E402

from isogloss.tuning import shared_prompts, train, trainers  # noqa: E402
from isogloss.tuning.adapter_folder import folder_norm  # noqa: E402
from isogloss.tuning.config import TuneConfig  # noqa: E402
from isogloss.tuning.trainers import answer_tokens_only, cut_prompts, explained_memory  # noqa: E402
from isogloss.tuning.training_state import (  # noqa: E402
    COMPLETE,
    divergence,
    newest_checkpoint,
    state_folder,
)

QUICK = {"steps": 4, "batch_size": 4, "rank": 2, "learning_rate": 1e-2, "holdout": 0.0}


class Killed(BaseException):
    """What a kill looks like from inside."""


class KillAt(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self.step:
            raise Killed


@pytest.fixture
def corpus(parallel_file):
    return isogloss.load_corpus(parallel_file)


@pytest.fixture
def base(tiny_folder):
    return ModelRef(base=str(tiny_folder))


@pytest.fixture
def quick(corpus, base, tmp_path):
    """Train for a few steps; settings stand above the quick ones."""

    def run(name="adapter", *, start=base, texts=corpus, callbacks=(), save_every=20, track=None, **settings):
        config = TuneConfig(**QUICK | settings)
        extra = {"track": track} if track else {}
        return isogloss.tune(
            start,
            texts,
            tmp_path / name,
            config=config,
            device="cpu",
            save_every=save_every,
            callbacks=callbacks,
            **extra,
        )

    return run


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def changed(base, folder):
    """How much an adapter changes the weights of its base."""
    checkpoint = fetch(ModelRef(base=base.base, adapter=str(folder)))
    model = load_model(checkpoint, device="cpu")
    before = model.blocks[0].mlp.down_proj.weight.detach().clone()
    with use_checkpoint(model, checkpoint):
        return float((model.blocks[0].mlp.down_proj.weight - before).abs().max())


def test_a_placebo_is_trained_on_permuted_labels_and_scaled(quick):
    folder = quick(shuffle_labels=True, norm=0.5, languages=("en",))
    record = json.loads((folder / "isogloss_tune.json").read_text())
    assert (record["recipe"]["shuffle_labels"], record["recipe"]["norm"]) == (True, 0.5)
    assert record["scaled_by"] > 0
    assert folder_norm(folder) == pytest.approx(0.5, rel=0.01)  # it is kept in bfloat16


@pytest.mark.parametrize("loss", ["dpo", "kto", "sft"])
def test_an_adapter_is_trained_written_and_loaded_back(loss, quick, base, corpus):
    folder = quick(loss=loss, languages=("en", "de"))
    record = json.loads((folder / "isogloss_tune.json").read_text())
    assert record["base_sha256"] == fetch(base).base_sha256
    assert (record["recipe"]["steps"], record["recipe"]["loss"]) == (4, loss)
    assert record["records"] == {"en": 8, "de": 8}
    assert record["steps_done"] == 4
    texts = {row.text_id: row.text for row in corpus}
    assert set(record["trained_text_ids"]) <= set(texts)
    assert record["trained_content"] == sorted(content_key(texts[one]) for one in record["trained_text_ids"])
    assert [row["step"] for row in record["log"]] == [1, 2, 3, 4]
    assert changed(base, folder) > 0
    assert not state_folder(folder).exists()
    with pytest.raises(StoreError, match="choose another --out"):
        quick(loss=loss)


def test_nothing_that_is_held_out_is_trained_on(quick, tmp_path):
    import polars as pl

    from conftest import parallel_rows

    pl.DataFrame(parallel_rows(n=80)).write_csv(tmp_path / "more.csv")
    corpus = isogloss.load_corpus(tmp_path / "more.csv")
    record = json.loads((quick(texts=corpus, holdout=0.5) / "isogloss_tune.json").read_text())
    _, held_out = split_corpus(corpus)
    assert not set(record["trained_text_ids"]) & set(held_out.frame["text_id"])
    assert record["split"]["holdout"] == 0.5
    assert "sha256" in record["split"]["rule"]


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["dpo", "kto", "sft"])
def test_an_interrupted_training_goes_on_to_the_same_bytes(loss, quick, tmp_path):
    settings = {"loss": loss, "steps": 6, "save_every": 2, "gradient_accumulation": 2, "batch_size": 2}
    whole = quick("whole", **settings)
    with pytest.raises(Killed):
        quick("cut", **settings, callbacks=[KillAt(5)])
    assert not (tmp_path / "cut").exists()
    assert newest_checkpoint(tmp_path / "cut.partial").name == "checkpoint-4"
    seen = []
    cut = quick("cut", **settings, callbacks=[Steps(seen)])
    assert seen == [5, 6]
    assert files(cut) == files(whole)
    assert not (tmp_path / "cut.partial").exists()


class Steps(TrainerCallback):
    def __init__(self, seen):
        self.seen = seen

    def on_step_end(self, args, state, control, **_):
        self.seen.append(state.global_step)


def test_a_checkpoint_that_is_not_whole_is_not_gone_on_from(quick, tmp_path):
    settings = {"steps": 6, "save_every": 2}
    whole = quick("whole", **settings)
    with pytest.raises(Killed):
        quick("cut", **settings, callbacks=[KillAt(5)])
    state = tmp_path / "cut.partial"
    (state / "checkpoint-4" / "optimizer.pt").write_bytes(b"half")
    assert newest_checkpoint(state).name == "checkpoint-2"
    assert not (state / "checkpoint-4").exists()
    assert files(quick("cut", **settings)) == files(whole)


def test_checkpoints_hold_no_pickle_of_weights(quick, tmp_path):
    with pytest.raises(Killed):
        quick(save_every=2, callbacks=[KillAt(3)])
    names = {path.name for path in (tmp_path / "adapter.partial" / "checkpoint-2").iterdir()}
    assert {"adapter_model.safetensors", COMPLETE} <= names
    assert not {"adapter_model.bin", "pytorch_model.bin"} & names


def test_reading_texts_once_changes_no_loss(quick, monkeypatch):
    texts_once, calls = [], []
    monkeypatch.setattr(shared_prompts, "_read", counted(shared_prompts._read, calls))
    for context in (shared_prompts.shared_prompts, lambda model: nullcontext()):
        monkeypatch.setattr(train, "shared_prompts", context)
        record = json.loads((quick(f"adapter-{len(texts_once)}", steps=4) / "isogloss_tune.json").read_text())
        texts_once.append([line["loss"] for line in record["log"] if "loss" in line])
    assert len(calls) == 1 + 2 * 4  # the first batch both ways, then model and reference
    assert texts_once[0] == pytest.approx(texts_once[1], rel=1e-4)
    assert len(texts_once[0]) == 4


def counted(function, calls):
    def call(*arguments):
        calls.append(arguments)
        return function(*arguments)

    return call


def test_the_state_of_another_training_is_refused(quick, tmp_path):
    with pytest.raises(Killed):
        quick(save_every=2, callbacks=[KillAt(3)])
    with pytest.raises(StoreError, match="an unfinished training with other settings"):
        quick(save_every=2, seed=1)
    (tmp_path / "adapter.partial" / "tune.json").write_text("[]")
    with pytest.raises(StoreError, match="an unfinished training with other settings"):
        quick(save_every=2)


def test_a_folder_of_somebody_else_is_not_taken_for_the_state(quick, tmp_path):
    (tmp_path / "adapter.partial").mkdir()
    (tmp_path / "adapter.partial" / "thesis.tex").write_text("mine")
    with pytest.raises(StoreError, match=r"does not belong to a training \(thesis\.tex\)"):
        quick()
    assert (tmp_path / "adapter.partial" / "thesis.tex").read_text() == "mine"


def test_progress_counts_the_steps_of_the_earlier_process(quick):
    from contextlib import contextmanager

    shown = []

    @contextmanager
    def track(description, total):
        shown.append([description, total, 0])
        mine = shown[-1]

        def advance(steps):
            mine[2] += steps

        yield advance

    with pytest.raises(Killed):
        quick(save_every=2, callbacks=[KillAt(3)])
    quick(save_every=2, track=track)
    assert ["Tuning, from step 2", 4, 4] in shown


def test_a_training_goes_on_from_an_adapter_and_keeps_its_texts(quick, base):
    first = quick("first", languages=("de",), mixture="target-only")
    start = ModelRef(base=base.base, adapter=str(first))
    second = quick("second", start=start, rank=4)
    record, before = (json.loads((one / "isogloss_tune.json").read_text()) for one in (second, first))
    assert set(before["trained_content"]) < set(record["trained_content"])
    assert set(before["trained_text_ids"]) < set(record["trained_text_ids"])
    assert record["recipe"]["rank"] == QUICK["rank"]  # what the adapter has, not what was asked
    for one in (first, second):  # peft writes a set, in an order that differs between processes
        targets = json.loads((one / "adapter_config.json").read_text())["target_modules"]
        assert targets == sorted(targets)
    assert record["continued"] == {"adapter": "first", "its_texts_are_known": True}
    assert record["base"] == base.base
    assert {path.name for path in second.iterdir()} == {path.name for path in first.iterdir()}
    assert files(second)["adapter_model.safetensors"] != files(first)["adapter_model.safetensors"]
    assert changed(base, second) > 0


@pytest.mark.slow
def test_a_continued_training_goes_on_to_the_same_bytes(quick, base):
    start = ModelRef(base=base.base, adapter=str(quick("first")))
    settings = {"start": start, "save_every": 2, "seed": 1}
    whole = quick("whole", **settings)
    with pytest.raises(Killed):
        quick("cut", **settings, callbacks=[KillAt(3)])
    assert files(quick("cut", **settings)) == files(whole)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["dpo", "kto"])
def test_margins_are_measured_from_the_base_or_from_the_start(loss, quick, base):
    start = ModelRef(base=base.base, adapter=str(quick("first", steps=12)))
    settings = {"start": start, "loss": loss, "steps": 1, "learning_rate": 1e-9}

    def first_loss(name, **more):
        record = json.loads((quick(name, **settings | more) / "isogloss_tune.json").read_text())
        return record["recipe"], record["log"][0]["loss"]

    recipe, from_base = first_loss("from-base")
    later, from_start = first_loss("from-start", loss_reference="start")
    assert recipe["loss_reference"] == "base"
    assert later["loss_reference"] == "start"
    untouched = {"dpo": math.log(2), "kto": 0.5}[loss]  # no margin yet
    assert from_start == pytest.approx(untouched, abs=1e-6)
    assert from_base != pytest.approx(untouched, abs=1e-5)  # the first training's margins count


def test_the_hub_is_not_asked_for_a_base_that_is_here(quick, tmp_path, tiny_folder, adapter_folder):
    """peft looks the base that an adapter names up on the hub, at every checkpoint; it has been loaded already."""
    before = shutil.copytree(adapter_folder, tmp_path / "before")
    settings = json.loads((before / "adapter_config.json").read_text())
    settings["base_model_name_or_path"] = "embedded/not-on-the-hub"
    (before / "adapter_config.json").write_text(json.dumps(settings))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        folder = quick(start=ModelRef(base=str(tiny_folder), adapter=str(before)))
    assert not [one for one in said if "not-on-the-hub" in str(one.message)]
    written = json.loads((folder / "adapter_config.json").read_text())
    assert written["base_model_name_or_path"] == str(tiny_folder)


def test_an_adapter_of_another_base_is_not_gone_on_from(quick, tmp_path, adapter_folder):
    wide = make_model(tmp_path / "wide", seed=0, width=64)
    with pytest.raises(ModelError, match="correct --continue or --model"):
        quick(start=ModelRef(base=str(wide), adapter=str(adapter_folder)))


def test_a_diverging_training_stops_in_one_line(quick, tmp_path):
    with pytest.raises(ModelError, match="lower --learning-rate") as caught:
        quick(learning_rate=1e20)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "adapter").exists()


def test_losses_that_rise_for_a_while_do_not_stop_a_training():
    assert divergence([{"loss": 0.7}, {"loss": 4.0}, {"loss": 4.0}, {"loss": 0.9}]) is None
    assert divergence([{"loss": 0.7}, {"loss": 4.0}, {"loss": 4.0}, {"loss": 4.0}]).startswith("a loss above 3 times")
    finished = [{"loss": 1.1e-6}, {"loss": 0.002}, {"loss": 0.003}, {"loss": 0.0024}]
    assert divergence(finished) is None  # it goes on from an adapter that had nothing left to learn
    assert divergence([*finished, {"loss": 0.8}, {"loss": 0.9}, {"loss": 0.7}]).startswith("a loss above 3 times")
    assert divergence([{"loss": float("nan")}]).endswith("not finite")
    assert divergence([{"loss": 0.7, "grad_norm": float("inf")}]).endswith("not finite")
    assert divergence([{"loss": 0.7}, {"train_runtime": 3.0}]) is None
    assert divergence([]) is None


def test_a_training_that_a_callback_stops_says_how_far_it_came(quick):
    class Stop(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            control.should_training_stop = state.global_step == 2

    record = json.loads((quick(callbacks=[Stop()]) / "isogloss_tune.json").read_text())
    assert (record["steps_done"], record["recipe"]["steps"]) == (2, 4)


def test_several_gpus_are_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    with pytest.raises(UsageError, match="found 4 GPUs; expected one visible GPU"):
        trainers._check_devices(torch.device("cuda"))
    trainers._check_devices(torch.device("cpu"))


def test_running_out_of_memory_says_what_needs_less(quick, monkeypatch):
    for error in (torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: not enough memory")):

        def fail(*_, error=error, **__):
            raise error

        monkeypatch.setattr(trl.DPOTrainer, "train", fail)
        with pytest.raises(UsageError, match="--batch-size 2 --gradient-accumulation 2"):
            quick()
    with pytest.raises(RuntimeError, match="something else"), explained_memory(TuneConfig()):
        raise RuntimeError("something else")


def test_a_full_disk_is_one_line_and_leaves_what_was_whole(quick, monkeypatch, tmp_path):
    def full(checkpoint):
        raise OSError(errno.ENOSPC, "No space left on device", str(checkpoint))

    with monkeypatch.context() as patch:
        patch.setattr("isogloss.tuning.training_state.seal", full)
        with pytest.raises(StoreError, match="free some space there, or choose another --out"):
            quick(save_every=2)
    assert quick(save_every=2).is_dir()


def test_unknown_and_missing_reporters_are_refused(corpus, base, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name, words in (("wandbb", "did you mean 'wandb'"), ("wandb", "run: pip install wandb")):
        with pytest.raises(UsageError, match=words):
            isogloss.tune(base, corpus, tmp_path / "adapter", report_to=name)


def test_a_language_that_the_corpus_lacks_is_named(quick):
    with pytest.raises(CorpusError, match="no texts in hi"):
        quick(languages=("hi",))


def test_long_prompts_lose_their_end_and_answers_never(tiny_folder):
    tokenizer = load_model(fetch(ModelRef(base=str(tiny_folder))), device="cpu").tokenizer
    records = [
        {"prompt": "x" * 50, "chosen": " yes", "rejected": " no!!"},
        {"prompt": "y", "chosen": " a", "rejected": " b"},
    ]
    found, n_cut = cut_prompts(tokenizer, records, 20)
    # A byte a token: BOS, text, the longer answer, EOS.
    assert len(found[0]["prompt"]) == 20 - 1 - 5 - 1
    assert (found[1], n_cut) == (records[1], 1)
    with pytest.raises(UsageError, match="--max-tokens"):
        cut_prompts(tokenizer, records, 7)


def test_answer_tokens_only_gives_the_log_probabilities_of_the_full_head(tiny_folder):
    """The shortcut in `tune` changes where the head is applied, not what it says."""
    from transformers import AutoModelForCausalLM
    from trl.trainer.utils import add_fused_lm_head

    model = AutoModelForCausalLM.from_pretrained(tiny_folder).eval()
    add_fused_lm_head(model)
    ids = torch.tensor([[1, 10, 11, 12, 13, 14]])
    labels = ids.masked_fill(torch.arange(6) < 4, -100)
    with torch.no_grad():
        full = model(input_ids=ids, labels=labels, fused_lm_head=True).log_probs
        with answer_tokens_only():
            short = model(input_ids=ids, labels=labels, fused_lm_head=True).log_probs
        logits = model(input_ids=ids).logits.log_softmax(-1)
    torch.testing.assert_close(short, full)
    torch.testing.assert_close(short[0, 3:], logits[0, [3, 4], [13, 14]], rtol=1e-4, atol=1e-4)
