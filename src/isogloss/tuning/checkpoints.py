"""Checkpoints of a training: what is saved so that it can go on, and the watch for divergence."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from isogloss.errors import ModelError, StoreError
from isogloss.io.files import canonical_json, sha256_file, sha256_text, unfinished, write_atomic
from isogloss.io.locks import LOCK

RECORD, WHOLE = "tune.json", "whole.json"
ADAPTER = "adapter_model.safetensors"


def state_folder(out: Path) -> Path:
    """Return where the state of a training is kept until its adapter is written.

    >>> state_folder(Path("runs/mixed")).as_posix()
    'runs/mixed.partial'
    """
    return out.with_name(f"{out.name}.partial")


def open_state(state: Path, about: Mapping[str, Any]) -> None:
    """Make the state folder, or check that the one that is there is of this very training.

    Args:
        state: from `state_folder`.
        about: all that decides the adapter.

    Raises:
        StoreError: it is of another training, or no such folder.
        OSError: it cannot be written.
    """
    record = state / RECORD
    identity = sha256_text(canonical_json(about))
    if record.is_file():
        try:
            found = json.loads(record.read_text("utf-8")).get("identity")
        except (ValueError, AttributeError):
            found = None
        if found != identity:
            raise StoreError(
                f"training in {state}",
                found="one with other settings, texts, models or libraries, not finished",
                expected="the training of this command",
                do="repeat the command that began it, remove the folder, or choose another --out",
            )
        return
    if strangers := {path.name for path in state.iterdir()} - {LOCK, *(path.name for path in unfinished(state))}:
        raise StoreError(
            f"training in {state}",
            found=f"something that is not a training ({min(strangers)})",
            expected="a new or empty folder, for it is removed at the end",
            do="choose another --out",
        )
    write_atomic(record, canonical_json({"identity": identity, "about": about}, indent=1) + "\n")


def seal(checkpoint: Path) -> None:
    """Write down the hashes of a checkpoint's files: from now on it counts as whole."""
    hashes = {path.name: sha256_file(path) for path in _files(checkpoint)}
    write_atomic(checkpoint / WHOLE, canonical_json(hashes, indent=1) + "\n")


def newest_checkpoint(state: Path) -> Path | None:
    """Find the last checkpoint that is whole; what a killed process left half-written is removed."""
    best, best_step = None, -1
    for folder in sorted(state.glob("checkpoint-*")):
        step = folder.name.removeprefix("checkpoint-")
        if not _is_whole(folder) or not step.isdecimal():
            shutil.rmtree(folder)
        elif int(step) > best_step:
            best, best_step = folder, int(step)
    return best


def _is_whole(checkpoint: Path) -> bool:
    try:
        hashes = json.loads((checkpoint / WHOLE).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return ADAPTER in hashes and hashes == {path.name: sha256_file(path) for path in _files(checkpoint)}


def _files(checkpoint: Path) -> list[Path]:
    return sorted(path for path in checkpoint.iterdir() if path.is_file() and path.name != WHOLE)


#: A training diverges if its loss stays above this many times the first one that was logged (single batches of DPO
#: reach twice that in a training that goes well) ...
FAR = 3.0
#: ... and above what an untrained model has: DPO's loss where nothing is preferred. A training that goes on from a
#: finished one begins near 0, and many times that is still next to nothing.
UNTRAINED = math.log(2)
#: ... for so many log lines in a row.
PATIENCE = 3


class Progress(TrainerCallback):  # type: ignore[misc]
    """Forwards the trainer's steps to our progress display, those of an earlier process at once."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        """Take what is called with a number of steps."""
        self.advance = advance

    def on_train_begin(self, args: object, state: Any, control: object, **_: object) -> None:  # noqa: ANN401 - untyped
        """Count the steps that were done before."""
        del args, control
        self.advance(state.global_step)

    def on_step_end(self, args: object, state: object, control: object, **_: object) -> None:
        """Count one step."""
        del args, state, control
        self.advance(1)


class Divergence(TrainerCallback):  # type: ignore[misc]
    """Stops a training whose loss is no number, or stays far above where it began."""

    def on_log(self, args: object, state: Any, control: object, **_: object) -> None:  # noqa: ANN401
        """Look at all that was logged so far.

        Raises:
            ModelError: the training diverges.
        """
        del args, control
        if fault := divergence(state.log_history):
            raise ModelError(
                "training",
                found=f"{fault} at step {state.global_step}",
                expected="a loss that falls",
                do="lower --learning-rate, or raise --batch-size; start anew with another --out",
            )


def divergence(history: list[Mapping[str, float]]) -> str | None:
    """Say what is wrong with the losses of a trainer's log; None if nothing is.

    >>> divergence([{"loss": 0.7}, {"loss": 4.0}, {"loss": 4.5}, {"loss": 5.0}])
    'a loss above 3 times the first one (0.7) 3 times in a row, last 5'
    """
    losses = [row["loss"] for row in history if "loss" in row]
    if any(not math.isfinite(row[name]) for row in history[-1:] for name in ("loss", "grad_norm") if name in row):
        return "a loss or gradient that is no finite number"
    last = losses[1:][-PATIENCE:]
    if len(last) == PATIENCE and all(loss > max(FAR * losses[0], UNTRAINED) for loss in last):
        return (
            f"a loss above {FAR:g} times the first one ({losses[0]:.2g}) {PATIENCE} times in a row, last {last[-1]:.2g}"
        )
    return None


class Seal(TrainerCallback):  # type: ignore[misc]
    """Marks each checkpoint as whole once the trainer has written it."""

    def on_save(self, args: Any, state: Any, control: object, **_: object) -> None:  # noqa: ANN401
        """Seal the checkpoint of this step."""
        del control
        seal(Path(args.output_dir) / f"checkpoint-{state.global_step}")
