"""Preference records -> trl's trainer for a loss, with a LoRA adapter that is new or goes on from another."""

from __future__ import annotations

import contextlib
import importlib.util
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel
from safetensors import SafetensorError
from transformers import PreTrainedTokenizerBase, PrinterCallback, TrainerCallback

from isogloss.errors import ModelError, UsageError, missing_extra, unknown
from isogloss.models.checkpoints import Checkpoint
from isogloss.models.load import LoadedModel
from isogloss.tuning.config import TuneConfig

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
#: Where a training can be followed: name of transformers' integration -> its package.
REPORTERS = {"none": "", "wandb": "wandb", "mlflow": "mlflow", "trackio": "trackio", "tensorboard": "tensorboard"}
#: What trl calls its copy of an adapter that is gone on from, as the reference of DPO and KTO.
TRL_REFERENCE = "ref"
#: A log line every so many steps; short trainings log each step.
LOG_STEPS, SHORT = 10, 50


def load_trl() -> Any:  # noqa: ANN401 - optional dependency
    """Import trl.

    Raises:
        UsageError: the extra `tune` is not installed.
    """
    try:
        import trl  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise missing_extra("trl", "tune") from error
    return trl


def check_reporter(name: str) -> None:
    """Refuse a reporter that is unknown, or whose package is missing.

    Raises:
        UsageError: see above.
    """
    if name not in REPORTERS:
        raise unknown(UsageError, "reporter", name, REPORTERS, "--report-to")
    package = REPORTERS[name]
    if package and importlib.util.find_spec(package) is None:
        raise UsageError(
            f"--report-to {name}",
            found=f"the package {package} is not installed",
            expected="it",
            do=f"run: pip install {package}",
        )


def make_trainer(
    model: LoadedModel,
    checkpoint: Checkpoint,
    records: Sequence[Mapping[str, str]],
    config: TuneConfig,
    *,
    state: Path,
    save_every: int,
    report_to: str,
    callbacks: Sequence[TrainerCallback],
) -> Any:  # noqa: ANN401 - optional dependency
    """Build trl's trainer.

    Args:
        model: the base.
        checkpoint: names the adapter to go on from, if any.
        records: from `preferences`, in the order in which they are trained on.
        config: the recipe.
        state: folder for checkpoints.
        save_every: steps between checkpoints.
        report_to: a name of REPORTERS.
        callbacks: beside the trainer's own.

    Raises:
        ModelError: the adapter to go on from belongs to another base.
        UsageError: several GPUs are visible.
    """
    trl = load_trl()
    _check_devices(model.device)
    start, new = _adapter(model, checkpoint, config)
    table: dict[str, tuple[Any, Any, dict[str, Any]]] = {
        "dpo": (trl.DPOTrainer, trl.DPOConfig, {"beta": config.beta}),
        "kto": (trl.KTOTrainer, trl.KTOConfig, {"beta": config.beta}),
        "sft": (trl.SFTTrainer, trl.SFTConfig, {"completion_only_loss": True}),
    }
    trainer_class, config_class, own = table[config.loss]
    arguments = config_class(
        output_dir=str(state),
        max_steps=config.steps,
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.gradient_accumulation,
        train_sampling_strategy="sequential",  # the records are in random order; KTO needs them to stay in it
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.schedule,
        max_length=config.max_tokens,
        seed=config.seed,
        bf16=False,
        use_cpu=model.device.type == "cpu",
        activation_offloading=False,
        activation_checkpointing=False,
        save_strategy="steps",
        save_steps=save_every,
        save_total_limit=2,  # the older one stays until the newer is whole
        logging_steps=LOG_STEPS if config.steps >= SHORT else 1,
        logging_nan_inf_filter=False,  # a loss that is no number must be seen
        report_to=report_to,
        run_name=state.stem,
        disable_tqdm=True,
        **own,
    )
    trainer = trainer_class(
        model=start,
        args=arguments,
        train_dataset=Dataset.from_list(_examples(records, config.loss)),
        processing_class=model.tokenizer,
        peft_config=new,
        callbacks=list(callbacks),
    )
    trainer.remove_callback(PrinterCallback)
    _measure_from(trainer.model, config.loss_reference)
    return trainer


def _measure_from(model: PeftModel, reference: str) -> None:
    """Take away trl's copy of the adapter that is gone on from, for the base: it then asks that alone."""
    if reference == "base" and TRL_REFERENCE in model.peft_config:
        model.delete_adapter(TRL_REFERENCE)


def _check_devices(device: torch.device) -> None:
    """Refuse several GPUs: transformers would spread batches over them, which trl's trainers do not support."""
    if device.type == "cuda" and (n := torch.cuda.device_count()) > 1:
        raise UsageError(
            "training",
            found=f"{n} GPUs",
            expected="one that is visible",
            do="set CUDA_VISIBLE_DEVICES to one of them",
        )


def _adapter(model: LoadedModel, checkpoint: Checkpoint, config: TuneConfig) -> tuple[Any, LoraConfig | None]:
    """Return the model to train and the settings of a new adapter, or the model with the one that is gone on from."""
    causal = model.causal.train()
    if checkpoint.adapter_folder is None:
        return causal, LoraConfig(
            r=config.rank, lora_alpha=2 * config.rank, target_modules=list(TARGETS), task_type="CAUSAL_LM"
        )
    try:
        tuned = PeftModel.from_pretrained(causal, str(checkpoint.adapter_folder), is_trainable=True)
    except (RuntimeError, ValueError, KeyError, SafetensorError) as error:
        raise ModelError(
            f"adapter {checkpoint.ref.adapter} on {checkpoint.ref.base}",
            found=(str(error).splitlines() or [repr(error)])[0],
            expected="an adapter trained on this base model",
            do="correct --continue or --model",
        ) from error
    # peft looks this name up on the hub at every checkpoint; it need not leave this machine.
    tuned.peft_config["default"].base_model_name_or_path = causal.name_or_path
    return tuned, None


def _examples(records: Sequence[Mapping[str, str]], loss: str) -> list[dict[str, Any]]:
    """Write records as the trainer of a loss reads them."""
    if loss == "dpo":
        return [{name: one[name] for name in ("prompt", "chosen", "rejected")} for one in records]
    if loss == "sft":
        return [{"prompt": one["prompt"], "completion": one["chosen"]} for one in records]
    # One answer a text: by turns the chosen and the rejected one, in each language and class.
    seen = Counter[tuple[str, str]]()
    examples = []
    for one in records:
        key = one["language"], one["label"]
        good = seen[key] % 2 == 0
        seen[key] += 1
        examples.append({"prompt": one["prompt"], "completion": one["chosen" if good else "rejected"], "label": good})
    return examples


def cut_prompts(
    tokenizer: PreTrainedTokenizerBase, records: Sequence[dict[str, str]], max_tokens: int
) -> tuple[list[dict[str, str]], int]:
    """Take the end off prompts that leave no room for their answers: trl would cut the answers, or drop the records.

    Args:
        tokenizer: a fast one.
        records: from `preferences`.
        max_tokens: of prompt, answer and the token that ends it.

    Returns:
        The records, and how many were cut.

    Raises:
        UsageError: an answer alone does not fit.
    """
    answers = sorted({one[side] for one in records for side in ("chosen", "rejected")})
    lengths = dict(zip(answers, map(len, tokenizer(answers, add_special_tokens=False)["input_ids"]), strict=True))
    prompts = sorted({one["prompt"] for one in records})
    encoded = tokenizer(prompts, return_offsets_mapping=True)["offset_mapping"]
    places = dict(zip(prompts, encoded, strict=True))
    found, n_cut = [], 0
    for one in records:
        room = max_tokens - 1 - max(lengths[one["chosen"]], lengths[one["rejected"]])
        offsets = places[one["prompt"]]
        if room < min(4, len(offsets)):
            raise UsageError(
                "--max-tokens",
                found=f"{max_tokens}, which leaves {max(room, 0)} for a text",
                expected="room for a text and an answer",
                do="ask for more",
            )
        if len(offsets) > room:
            n_cut += 1
            found.append(one | {"prompt": one["prompt"][: offsets[room - 1][1]].rstrip()})
        else:
            found.append(one)
    return found, n_cut


@contextlib.contextmanager
def answer_tokens_only() -> Iterator[None]:
    """Let trl project answer tokens only through the LM head, on the CPU as it does on a GPU.

    trl keeps this for devices with Triton because other accelerators recompile for every shape; a CPU does not. With
    a vocabulary of 262,144 the head costs more than the whole body, and most tokens of a batch are prompt or padding.
    """
    from trl.trainer import utils  # noqa: PLC0415 - an optional dependency

    with mock.patch.object(utils, "_use_triton", return_value=True):
        yield


@contextlib.contextmanager
def explained_memory(config: TuneConfig) -> Iterator[None]:
    """Turn "out of memory", on a GPU or a CPU, into one line that says which options need less.

    Raises:
        UsageError: memory ran out.
    """
    try:
        yield
    except (torch.OutOfMemoryError, RuntimeError) as error:
        words = str(error)
        if not isinstance(error, torch.OutOfMemoryError) and not any(
            sign in words for sign in ("not enough memory", "out of memory", "can't allocate memory")
        ):
            raise
        half = max(1, config.batch_size // 2)
        less = f"--batch-size {half} --gradient-accumulation {config.gradient_accumulation * config.batch_size // half}"
        alone = config.batch_size == 1
        raise UsageError(
            "training",
            found=f"not enough memory for batches of {config.batch_size}",
            expected="batches that fit",
            do="lower --max-tokens or --rank, or use a smaller model" if alone else f"try {less} (the same steps)",
        ) from error
