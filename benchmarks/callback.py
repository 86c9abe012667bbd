"""What SeparationCallback costs: its time beside that of the training steps between two measurements.

    python benchmarks/callback.py [--steps 6] [--write]

Trains Gemma 3 270M by DPO on the bundled corpus as `isogloss tune` does (16 records a step), with the callback as it is
by default, but measuring after every step, so that steps and measurements are timed in turn.
"""

from __future__ import annotations

import argparse
import inspect
import statistics
import tempfile
import time

import torch
import trl
from datasets import Dataset
from peft import LoraConfig
from transformers import TrainerCallback

import isogloss
from isogloss.models.checkpoints import fetch
from isogloss.models.load import load_model
from isogloss.models.pairs import ModelRef
from isogloss.tuning.preferences import preferences
from performance_page import machine, put, table, versions

BATCH = 16
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


class Stopwatch(TrainerCallback):
    """Times steps, and the callbacks that come between two of them."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.steps: list[float] = []
        self.between: list[float] = []
        self.begun = self.ended = float("nan")

    def on_step_begin(self, args: object, state: object, control: object, **_: object) -> None:
        """Start the clock."""
        del args, state, control
        self.begun = time.perf_counter()
        self.between.append(self.begun - self.ended)

    def on_step_end(self, args: object, state: object, control: object, **_: object) -> None:
        """Stop it."""
        del args, state, control
        self.ended = time.perf_counter()
        self.steps.append(self.ended - self.begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--write", action="store_true", help="write the table into docs/performance.md")
    wanted = parser.parse_args()
    every = inspect.signature(isogloss.SeparationCallback).parameters["every"].default
    model = load_model(fetch(ModelRef(base="embedded/gemma-3-270m")))
    corpus = isogloss.load_corpus("mini", languages=["en"])
    records = preferences(corpus, languages=["en"], n=wanted.steps * BATCH, seed=0)
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as scratch:
        trainer = trl.DPOTrainer(
            model=model.causal,
            args=trl.DPOConfig(
                output_dir=scratch,
                max_steps=wanted.steps,
                per_device_train_batch_size=BATCH,
                max_length=96,
                bf16=False,
                use_cpu=model.device.type == "cpu",
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
            ),
            train_dataset=Dataset.from_list([{k: r[k] for k in ("prompt", "chosen", "rejected")} for r in records]),
            processing_class=model.tokenizer,
            peft_config=LoraConfig(r=16, lora_alpha=32, target_modules=TARGETS, task_type="CAUSAL_LM"),
            callbacks=[watch],
        )
        callback = isogloss.SeparationCallback(trainer, every=1)
        trainer.add_callback(callback)
        trainer.train()
    step, measurement = statistics.median(watch.steps), statistics.median(watch.between[1:])
    rows = [
        [
            f"{len(callback.corpus)} texts in {len(callback.corpus.languages)} languages",
            f"{measurement:.1f} s",
            f"{step:.1f} s",
            f"{measurement / (every * step):.1%}",
        ]
    ]
    header = ["what is read", "a measurement", f"a DPO step of {BATCH} records", f"share, one every {every} steps"]
    text = table(header, rows)
    text += f"\n\n{machine()}, {torch.get_num_threads()} threads, {versions('torch', 'transformers', 'trl')}; medians."
    print(text)
    if wanted.write:
        put("callback", text)


if __name__ == "__main__":
    main()
