"""Preference records -> trl's trainer for a loss, with a new LoRA adapter or one that is continued."""

from __future__ import annotations

import contextlib
import importlib.util
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel
from safetensors import SafetensorError
from transformers import PreTrainedTokenizerBase, PrinterCallback, TrainerCallback

from isogloss.errors import ModelError, UsageError, missing_extra, unknown
from isogloss.models.checkpoints import Checkpoint
from isogloss.models.load import LoadedModel
from isogloss.tuning.config import TuneConfig

#: The layers that a new adapter changes.
TARGET_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
#: Services that can follow a training: name of transformers' integration -> its package.
REPORTERS = {"none": "", "wandb": "wandb", "mlflow": "mlflow", "trackio": "trackio", "tensorboard": "tensorboard"}
#: Name of trl's copy of a continued adapter, which it uses as the reference of DPO and KTO.
TRL_REFERENCE = "ref"
#: Steps between log lines; trainings shorter than SHORT log each step.
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
    """Check that a reporter is known and its package installed.

    Raises:
        UsageError: it is not.
    """
    if name not in REPORTERS:
        raise unknown(UsageError, "reporter", name, REPORTERS, "--report-to")
    package = REPORTERS[name]
    if package and importlib.util.find_spec(package) is None:
        raise UsageError(
            f"--report-to {name}",
            found="it is not installed",
            expected=f"the package {package}",
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
        checkpoint: names the adapter to continue, if any.
        records: from `preferences`, in training order.
        config: the recipe.
        state: folder for checkpoints.
        save_every: steps between checkpoints.
        report_to: a name of REPORTERS.
        callbacks: in addition to the trainer's own.

    Raises:
        ModelError: the adapter to continue belongs to another base.
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
    trainer_class, config_class, loss_settings = table[config.loss]
    arguments = config_class(
        output_dir=str(state),
        max_steps=config.steps,
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.gradient_accumulation,
        train_sampling_strategy="sequential",  # the records are in random order already, and KTO needs this order
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
        save_total_limit=2,  # the older one stays until the newer is complete
        logging_steps=LOG_STEPS if config.steps >= SHORT else 1,
        logging_nan_inf_filter=False,  # a loss that is not finite must be seen
        report_to=report_to,
        run_name=state.stem,
        disable_tqdm=True,
        **loss_settings,
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
    """Delete trl's copy of the continued adapter if the base is the reference; trl then measures from the base."""
    if reference == "base" and TRL_REFERENCE in model.peft_config:
        model.delete_adapter(TRL_REFERENCE)


def _check_devices(device: torch.device) -> None:
    """Refuse several GPUs: transformers would split batches between them, which trl's trainers do not support."""
    if device.type == "cuda" and (n := torch.cuda.device_count()) > 1:
        raise UsageError(
            "training",
            found=f"{n} GPUs",
            expected="one visible GPU",
            do="set CUDA_VISIBLE_DEVICES to one of them",
        )


def _adapter(model: LoadedModel, checkpoint: Checkpoint, config: TuneConfig) -> tuple[Any, LoraConfig | None]:
    """Return the model to train and the settings of a new adapter, or the model with the adapter to continue."""
    causal = model.causal.train()
    if checkpoint.adapter_folder is None:
        return causal, LoraConfig(
            r=config.rank, lora_alpha=2 * config.rank, target_modules=list(TARGET_MODULES), task_type="CAUSAL_LM"
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
    # peft looks this name up on the hub at every checkpoint; a local name avoids the request.
    tuned.peft_config["default"].base_model_name_or_path = causal.name_or_path
    return tuned, None


def _examples(records: Sequence[Mapping[str, str]], loss: str) -> list[dict[str, Any]]:
    """Convert records to the format that the trainer of a loss reads."""
    if loss == "dpo":
        return [{name: record[name] for name in ("prompt", "chosen", "rejected")} for record in records]
    if loss == "sft":
        return [{"prompt": record["prompt"], "completion": record["chosen"]} for record in records]
    # KTO: one answer per text, alternately the chosen and the rejected one in each language and class.
    counts = Counter[tuple[str, str]]()
    examples = []
    for record in records:
        key = record["language"], record["label"]
        good = counts[key] % 2 == 0
        counts[key] += 1
        answer = record["chosen" if good else "rejected"]
        examples.append({"prompt": record["prompt"], "completion": answer, "label": good})
    return examples


def cut_prompts(
    tokenizer: PreTrainedTokenizerBase, records: Sequence[dict[str, str]], max_tokens: int
) -> tuple[list[dict[str, str]], int]:
    """Cut the end of prompts that leave no room for their answers. trl would cut the answers or drop the records.

    Args:
        tokenizer: a fast tokenizer.
        records: from `preferences`.
        max_tokens: tokens of prompt, answer and end token together.

    Returns:
        The records, and the number of cut prompts.

    Raises:
        UsageError: an answer alone does not fit.
    """
    answers = sorted({record[side] for record in records for side in ("chosen", "rejected")})
    lengths = dict(zip(answers, map(len, tokenizer(answers, add_special_tokens=False)["input_ids"]), strict=True))
    prompts = sorted({record["prompt"] for record in records})
    encoded = tokenizer(prompts, return_offsets_mapping=True)["offset_mapping"]
    offsets_by_prompt = dict(zip(prompts, encoded, strict=True))
    cut, n_cut = [], 0
    for record in records:
        room = max_tokens - 1 - max(lengths[record["chosen"]], lengths[record["rejected"]])
        offsets = offsets_by_prompt[record["prompt"]]
        if room < min(4, len(offsets)):
            raise UsageError(
                "--max-tokens",
                found=f"{max_tokens}, which leaves {max(room, 0)} for a text",
                expected="room for a text and an answer",
                do="raise it",
            )
        if len(offsets) > room:
            n_cut += 1
            cut.append(record | {"prompt": record["prompt"][: offsets[room - 1][1]].rstrip()})
        else:
            cut.append(record)
    return cut, n_cut


@contextlib.contextmanager
def answer_tokens_only() -> Iterator[None]:
    """Make trl project only answer tokens through the LM head on a CPU, as it does on a GPU.

    trl restricts this to devices with Triton, because other accelerators recompile for every shape. A CPU does not.
    With a vocabulary of 262,144, the head costs more than the body, and most tokens of a batch are prompt or padding.
    """
    from trl.trainer import utils  # noqa: PLC0415 - an optional dependency

    original = utils._use_triton  # noqa: SLF001 - trl has no public switch
    utils._use_triton = lambda *_, **__: True  # noqa: SLF001
    try:
        yield
    finally:
        utils._use_triton = original  # noqa: SLF001


@contextlib.contextmanager
def explained_memory(config: TuneConfig) -> Iterator[None]:
    """Turn an out-of-memory error of a GPU or CPU into one line that names the options that need less memory.

    Raises:
        UsageError: memory ran out.
    """
    try:
        yield
    except (torch.OutOfMemoryError, RuntimeError) as error:
        phrases = ("not enough memory", "out of memory", "can't allocate memory")
        if not isinstance(error, torch.OutOfMemoryError) and not any(phrase in str(error) for phrase in phrases):
            raise
        half = max(1, config.batch_size // 2)
        less = f"--batch-size {half} --gradient-accumulation {config.gradient_accumulation * config.batch_size // half}"
        smallest = config.batch_size == 1
        raise UsageError(
            "training",
            found=f"not enough memory for batches of {config.batch_size}",
            expected="batches that fit",
            do="lower --max-tokens or --rank, or use a smaller model" if smallest else f"try {less} (the same steps)",
        ) from error
