"""Preference records -> a LoRA adapter, through trl's DPO trainer and peft."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import PrinterCallback, TrainerCallback

from isogloss.corpora.corpus import Corpus
from isogloss.errors import StoreError, missing_extra
from isogloss.files import canonical_json, sha256_text, staged_folder, write_atomic
from isogloss.models.fetch import fetch
from isogloss.models.load import load_model, quiet_transformers
from isogloss.models.pairs import ModelRef
from isogloss.progress import Track, silent
from isogloss.tuning.preferences import preferences

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, kw_only=True)
class TuneConfig:
    """The recipe of an adapter.

    `steps` optimiser steps of `batch_size` preference records each; DPO with inverse temperature `beta`; LoRA of
    `rank` (alpha is twice the rank) on all linear layers; prompts and answers cut at `max_tokens` together.
    """

    languages: tuple[str, ...] = ("en",)
    steps: int = 90
    batch_size: int = 16
    learning_rate: float = 3e-4
    beta: float = 0.1
    rank: int = 16
    max_tokens: int = 96
    seed: int = 0


def tune(
    base: ModelRef,
    corpus: Corpus,
    out: Path | str,
    *,
    config: TuneConfig | None = None,
    device: str | None = None,
    track: Track = silent,
) -> Path:
    """Train an adapter that refuses harmful and engages with harmless text in the chosen languages.

    Writes a PEFT adapter folder with `isogloss_tune.json` (recipe, hashes of base and training texts, and the log).
    The folder appears only when the training is complete.

    Raises:
        StoreError: `out` exists.
        UsageError: the extra `tune` is not installed.
        CorpusError, ModelError: see `preferences` and `load_model`.
    """
    try:
        import trl  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise missing_extra("trl", "tune") from error
    config, out = config or TuneConfig(), Path(out)
    if out.exists():
        raise StoreError(
            f"adapter {out}", found="something there already", expected="a new folder", do="choose another --out"
        )
    records = preferences(corpus, languages=config.languages, n=config.steps * config.batch_size, seed=config.seed)
    checkpoint = fetch(base)
    model = load_model(checkpoint, device=device, track=track)
    with (
        tempfile.TemporaryDirectory() as scratch,
        _answer_tokens_only(),
        quiet_transformers(),
        track("Tuning", config.steps) as advance,
    ):
        trainer = trl.DPOTrainer(
            model=model.causal.train(),
            args=_arguments(trl, config, Path(scratch), model.device),
            train_dataset=Dataset.from_list([{k: r[k] for k in ("prompt", "chosen", "rejected")} for r in records]),
            processing_class=model.tokenizer,
            peft_config=LoraConfig(
                r=config.rank, lora_alpha=2 * config.rank, target_modules=list(TARGETS), task_type="CAUSAL_LM"
            ),
            callbacks=[_Advance(advance)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    with staged_folder(out) as folder:
        trainer.model.to(torch.bfloat16).save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)
        _name_base(folder, base)
        record = _recipe(base, checkpoint.base_sha256, corpus, config) | _history(records, trainer.state.log_history)
        write_atomic(folder / "isogloss_tune.json", canonical_json(record, indent=1) + "\n")
    return out


def _arguments(trl: Any, config: TuneConfig, scratch: Path, device: torch.device) -> Any:  # noqa: ANN401 - optional dependency
    return trl.DPOConfig(
        output_dir=str(scratch),
        max_steps=config.steps,
        per_device_train_batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        lr_scheduler_type="constant",
        beta=config.beta,
        max_length=config.max_tokens,
        seed=config.seed,
        bf16=False,
        use_cpu=device.type == "cpu",
        activation_checkpointing=False,
        save_strategy="no",
        logging_steps=10,
        report_to="none",
        disable_tqdm=True,
    )


class _Advance(TrainerCallback):  # type: ignore[misc]
    """Forwards the trainer's steps to our progress display."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self.advance = advance

    def on_step_end(self, args: object, state: object, control: object, **_: object) -> None:
        """Count one step."""
        del args, state, control
        self.advance(1)


@contextlib.contextmanager
def _answer_tokens_only() -> Iterator[None]:
    """Let trl project answer tokens only through the LM head, on the CPU as it does on a GPU.

    trl keeps this for devices with Triton because other accelerators recompile for every shape; a CPU does not. With
    a vocabulary of 262,144 the head costs more than the whole body, and most tokens of a batch are prompt or padding.
    """
    from trl.trainer import utils  # noqa: PLC0415 - an optional dependency

    with mock.patch.object(utils, "_use_triton", return_value=True):
        yield


def _name_base(folder: Path, base: ModelRef) -> None:
    path = folder / "adapter_config.json"
    settings = json.loads(path.read_text("utf-8"))
    settings["base_model_name_or_path"] = str(base)
    write_atomic(path, canonical_json(settings, indent=2) + "\n")


def _recipe(base: ModelRef, base_sha256: str, corpus: Corpus, config: TuneConfig) -> dict[str, object]:
    return {
        "base": str(base),
        "base_sha256": base_sha256,
        "corpus": corpus.name,
        "corpus_sha256": corpus.sha256,
        "recipe": asdict(config),
    }


def _history(records: Sequence[dict[str, str]], history: Sequence[dict[str, float]]) -> dict[str, object]:
    """Name the texts that were trained on, and the trainer's log without its timings."""
    texts = sorted(record["text_id"] for record in records)
    timing = ("runtime", "per_second")
    log = [{key: value for key, value in row.items() if not any(t in key for t in timing)} for row in history]
    return {"trained_text_ids": texts, "trained_sha256": sha256_text("\n".join(texts)), "log": log}
