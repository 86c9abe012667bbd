"""The state of a training that is not finished: checkpoints beside `--out`, from which the same command goes on.

    OUT.partial/tune.json            what is trained: another recipe, corpus, base or library is refused
    OUT.partial/checkpoint-<step>/   adapter (safetensors), optimiser, scheduler, generators; whole.json, written last

transformers writes the optimiser and the generators as torch pickles; it loads them with `weights_only=True`, and only
from a checkpoint whose files have the hashes in its whole.json. The folder is removed when the adapter is there.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isogloss.errors import StoreError
from isogloss.files import canonical_json, sha256_file, sha256_text, unfinished, write_atomic
from isogloss.locks import LOCK

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
