"""Find the checkpoints of another machine on this one: the same files, or an error that names the node."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from isogloss.engines.work_units import Job, on_node
from isogloss.errors import ModelError
from isogloss.io.files import cache_root
from isogloss.io.locks import locked
from isogloss.models.checkpoints import Checkpoint, fetch
from isogloss.models.conversion import local_folder
from isogloss.models.pairs import ModelRef
from isogloss.progress import silent

JobT = TypeVar("JobT", bound=Job)


def job_here(job: JobT, known: dict[Checkpoint, Checkpoint]) -> JobT:
    """Replace the checkpoints of another machine by those of this one.

    Args:
        job: from the driver.
        known: checkpoints that were looked up before; new ones are added.

    Raises:
        ModelError: see `checkpoint_here`.
    """
    changes: dict[str, Any] = {}
    for name in (field.name for field in fields(job)):
        value = getattr(job, name)
        if isinstance(value, Checkpoint):
            if value not in known:
                known[value] = checkpoint_here(value)
            changes[name] = known[value]
    return replace(job, **changes)


def checkpoint_here(checkpoint: Checkpoint) -> Checkpoint:
    """Find, or download, the very files that a checkpoint of another machine names by their hash.

    Raises:
        ModelError: they are not here, or others are.
    """
    try:
        local = fetch(pinned(checkpoint))
    except ModelError as error:
        raise on_node(error) from error
    if local.sha256 != checkpoint.sha256:
        raise on_node(
            ModelError(
                f"model {checkpoint.ref}",
                found=f"files with the hash {local.sha256[:12]}",
                expected=f"the files of the driver, {checkpoint.sha256[:12]}",
                do="copy the same files to every node, or put them on a shared disk",
            )
        )
    if local.folder is None:
        # Several workers of a node may come at once, and a GGUF file is converted once.
        with locked(cache_root() / "converting", wait=silent):
            local_folder(local)
    # Named as the user named it, wherever it is.
    return replace(local, ref=checkpoint.ref)


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
