"""A checkpoint that another machine has found, on this one: the same files, or an error that names the node."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from isogloss.engines.work_units import Job, on_node
from isogloss.errors import ModelError
from isogloss.io.files import cache_root
from isogloss.io.locks import locked
from isogloss.models.checkpoints import Checkpoint, fetch
from isogloss.models.load import local_folder
from isogloss.models.pairs import ModelRef
from isogloss.progress import silent

JobT = TypeVar("JobT", bound=Job)


def job_here(job: JobT, found: dict[Checkpoint, Checkpoint]) -> JobT:
    """Put this machine's checkpoints in the place of another's.

    Args:
        job: from the driver.
        found: what was looked up before; added to.

    Raises:
        ModelError: see `checkpoint_here`.
    """
    changes: dict[str, Any] = {}
    for name in (field.name for field in fields(job)):
        value = getattr(job, name)
        if isinstance(value, Checkpoint):
            if value not in found:
                found[value] = checkpoint_here(value)
            changes[name] = found[value]
    return replace(job, **changes)


def checkpoint_here(checkpoint: Checkpoint) -> Checkpoint:
    """Find, or download, the very files that a checkpoint of another machine names by their hash.

    Raises:
        ModelError: they are not here, or others are.
    """
    try:
        found = fetch(pinned(checkpoint))
    except ModelError as error:
        raise on_node(error) from error
    if found.sha256 != checkpoint.sha256:
        raise on_node(
            ModelError(
                f"model {checkpoint.ref}",
                found=f"files with the hash {found.sha256[:12]}",
                expected=f"those that the driver has, {checkpoint.sha256[:12]}",
                do="copy the same files to every node, or put them on a disk that all share",
            )
        )
    if found.folder is None:
        # Several workers of a node may come at once, and a GGUF file is converted once.
        with locked(cache_root() / "converting", wait=silent):
            local_folder(found)
    # Named as the user named it, wherever it is.
    return replace(found, ref=checkpoint.ref)


def pinned(checkpoint: Checkpoint) -> ModelRef:
    """Name a checkpoint so that another machine finds the same: hub models by commit, paths in full."""
    ref = checkpoint.ref
    base = str(Path(ref.base).absolute()) if Path(ref.base).exists() else ref.base
    adapter = ref.adapter
    if adapter and checkpoint.adapter_revision:
        adapter = f"{adapter.partition('@')[0]}@{checkpoint.adapter_revision}"
    elif adapter and Path(adapter).exists():
        adapter = str(Path(adapter).absolute())
    return replace(ref, base=base, revision=checkpoint.revision or ref.revision, adapter=adapter)
