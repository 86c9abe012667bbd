"""Checkpoints of a training, so that it can be resumed, and the check for divergence."""

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

STATE_FILE, COMPLETE = "tune.json", "complete.json"
ADAPTER = "adapter_model.safetensors"


def state_folder(out: Path) -> Path:
    """Return the folder that holds the state of a training until its adapter is written.

    >>> state_folder(Path("runs/mixed")).as_posix()
    'runs/mixed.partial'
    """
    return out.with_name(f"{out.name}.partial")


def open_state(state: Path, about: Mapping[str, Any]) -> None:
    """Create the state folder, or check that an existing one belongs to this training.

    Args:
        state: from `state_folder`.
        about: everything that determines the adapter.

    Raises:
        StoreError: the folder belongs to another training, or is not a state folder.
        OSError: it cannot be written.
    """
    record = state / STATE_FILE
    identity = sha256_text(canonical_json(about))
    if record.is_file():
        try:
            recorded = json.loads(record.read_text("utf-8")).get("identity")
        except (ValueError, AttributeError):
            recorded = None
        if recorded != identity:
            raise StoreError(
                f"training in {state}",
                found="an unfinished training with other settings, texts, models or libraries",
                expected="the training of this command",
                do="repeat the command that started it, remove the folder, or choose another --out",
            )
        return
    if strangers := {path.name for path in state.iterdir()} - {LOCK, *(path.name for path in unfinished(state))}:
        raise StoreError(
            f"training in {state}",
            found=f"a file that does not belong to a training ({min(strangers)})",
            expected="a new or empty folder, because it is removed at the end",
            do="choose another --out",
        )
    write_atomic(record, canonical_json({"identity": identity, "about": about}, indent=1) + "\n")


def seal(checkpoint: Path) -> None:
    """Write the hashes of a checkpoint's files. From now on the checkpoint counts as complete."""
    hashes = {path.name: sha256_file(path) for path in _files(checkpoint)}
    write_atomic(checkpoint / COMPLETE, canonical_json(hashes, indent=1) + "\n")


def newest_checkpoint(state: Path) -> Path | None:
    """Return the last complete checkpoint, and remove those that a killed process left incomplete."""
    newest, newest_step = None, -1
    for folder in sorted(state.glob("checkpoint-*")):
        step = folder.name.removeprefix("checkpoint-")
        if not _is_complete(folder) or not step.isdecimal():
            shutil.rmtree(folder)
        elif int(step) > newest_step:
            newest, newest_step = folder, int(step)
    return newest


def _is_complete(checkpoint: Path) -> bool:
    try:
        hashes = json.loads((checkpoint / COMPLETE).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return ADAPTER in hashes and hashes == {path.name: sha256_file(path) for path in _files(checkpoint)}


def _files(checkpoint: Path) -> list[Path]:
    return sorted(path for path in checkpoint.iterdir() if path.is_file() and path.name != COMPLETE)


#: A training diverges if its loss stays above this many times the first logged loss. (In a normal training, single
#: batches of DPO reach twice the first loss.) ...
DIVERGENCE_FACTOR = 3.0
#: ... and above the DPO loss of a model without preferences. (A training that continues a finished one starts near 0,
#: and many times that is still next to nothing.) ...
UNTRAINED_LOSS = math.log(2)
#: ... for this many log lines in a row.
PATIENCE = 3


class Progress(TrainerCallback):  # type: ignore[misc]
    """Forwards the trainer's steps to the progress display; steps of an earlier process count at once."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        """Take the function that is called with a number of steps."""
        self.advance = advance

    def on_train_begin(self, args: object, state: Any, control: object, **_: object) -> None:  # noqa: ANN401 - untyped
        """Count the steps of an earlier process."""
        del args, control
        self.advance(state.global_step)

    def on_step_end(self, args: object, state: object, control: object, **_: object) -> None:
        """Count one step."""
        del args, state, control
        self.advance(1)


class Divergence(TrainerCallback):  # type: ignore[misc]
    """Stops a training whose loss is not finite, or stays far above its start."""

    def on_log(self, args: object, state: Any, control: object, **_: object) -> None:  # noqa: ANN401
        """Check the losses that were logged so far.

        Raises:
            ModelError: the training diverges.
        """
        del args, control
        if fault := divergence(state.log_history):
            raise ModelError(
                "training",
                found=f"{fault} at step {state.global_step}",
                expected="a loss that falls",
                do="lower --learning-rate or raise --batch-size, and start again with another --out",
            )


def divergence(history: list[Mapping[str, float]]) -> str | None:
    """Describe what is wrong with the losses in a trainer's log; None if they are normal.

    >>> divergence([{"loss": 0.7}, {"loss": 4.0}, {"loss": 4.5}, {"loss": 5.0}])
    'a loss above 3 times the first one (0.7) 3 times in a row, last 5'
    """
    losses = [row["loss"] for row in history if "loss" in row]
    if any(not math.isfinite(row[name]) for row in history[-1:] for name in ("loss", "grad_norm") if name in row):
        return "a loss or gradient that is not finite"
    last = losses[1:][-PATIENCE:]
    if len(last) == PATIENCE and all(loss > max(DIVERGENCE_FACTOR * losses[0], UNTRAINED_LOSS) for loss in last):
        limit = f"{DIVERGENCE_FACTOR:g} times the first one ({losses[0]:.2g})"
        return f"a loss above {limit} {PATIENCE} times in a row, last {last[-1]:.2g}"
    return None


class Seal(TrainerCallback):  # type: ignore[misc]
    """Marks each checkpoint as complete once the trainer has written it."""

    def on_save(self, args: Any, state: Any, control: object, **_: object) -> None:  # noqa: ANN401
        """Seal the checkpoint of this step."""
        del control
        seal(Path(args.output_dir) / f"checkpoint-{state.global_step}")
