"""Units of work on a model, small enough to be sent to a worker, and their results.

A unit holds a few texts and says where the numbers go; it never holds a corpus, weights or states. Equal units give
equal files, whichever worker does them and in whatever order.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from isogloss.errors import IsoglossError, ModelError
from isogloss.models.checkpoints import Checkpoint, group_by_weights
from isogloss.models.pairs import RANDOM

#: Most halvings of a unit's batches: from 1,024 tokens down to 16, and from 16,384 down to 256.
MOST_HALVINGS = 6


class ModelEdit(Protocol):
    """A change of a loaded model: a value that is hashable, can be compared, and can be sent to a worker.

    Calling it with a model gives a context manager, within whose block the model is edited.
    """

    def __call__(self, model: Any, /) -> AbstractContextManager[None]:  # noqa: ANN401 - a loaded model, which needs torch
        """Edit a model for the length of a block."""
        ...

    def sha256(self, model_sha256: str) -> str:
        """Hash of the edited model, from that of the model: it names what is computed with it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Job:
    """What all units of one model under the same settings share.

    Attributes:
        checkpoint: the model.
        device: a torch device.
        go_on: whether texts that give no finite numbers are left out and named, instead of raising an error.
        edit: of the model in memory, if there is one.
    """

    checkpoint: Checkpoint
    device: str
    go_on: bool = False
    edit: ModelEdit | None = None

    @property
    def name(self) -> str:
        """The model, as the user named it."""
        return str(self.checkpoint.ref) + (", edited" if self.edit else "")

    @property
    def label(self) -> str:
        """The model by a short name, where there is little room.

        >>> from isogloss.models.pairs import ModelRef
        >>> Job(checkpoint=Checkpoint(ref=ModelRef.parse("org/base+my/dpo"), folder=None, gguf=None, base_sha256="",
        ...     adapter_folder=None, adapter_sha256=None), device="cpu").label
        'base+dpo'
        """
        ref = self.checkpoint.ref
        seed = "" if ref.random_seed is None else f"{RANDOM}{ref.random_seed}"
        return (
            "+".join(Path(name).name for name in (ref.base, ref.adapter) if name)
            + seed
            + (" edited" if self.edit else "")
        )


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Some texts of one language, at most a shard's, that one model is to be run on.

    `halvings` counts how often its batches were halved because memory was short.
    """

    number: int
    job: Job
    language: str
    texts: tuple[str, ...]
    text_ids: tuple[str, ...]
    halvings: int = 0

    @property
    def name(self) -> str:
        """Its name in messages."""
        return f"{self.job.name}, {self.language}, texts {self.text_ids[0]} to {self.text_ids[-1]}"

    @property
    def tokens_key(self) -> Hashable:
        """Units with equal keys are given the same tokens."""
        return self.number


@dataclass(frozen=True, kw_only=True)
class Done:
    """The result of a unit: its texts are in the store, except the broken ones.

    Attributes:
        number: of the unit.
        seconds: what it took.
        notes: lines for people.
        broken: the error of texts that gave no finite numbers, where the job goes on without them.
    """

    number: int
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    broken: ModelError | None = None


UnitT = TypeVar("UnitT", bound=Unit)
#: Called with a unit and the number of its texts that were done since the last call.
Advance = Callable[[Unit, int], None]


@dataclass(frozen=True, kw_only=True)
class Work(Generic[UnitT]):
    """A kind of work on a model, as functions of modules, which can be sent by name.

    Attributes:
        load: job -> the loaded base model.
        prepare: (model with the job's adapter active, job) -> a block, and what all units of the job need within it.
        encode: unit -> its tokens; needs no weights.
        compute: (model, what was prepared, unit, tokens, advance) -> the result of the unit.
    """

    load: Callable[[Any], Any]
    prepare: Callable[[Any, Any], AbstractContextManager[Any]]
    encode: Callable[[UnitT], Any]
    compute: Callable[[Any, Any, UnitT, Any, Callable[[int], None]], Done]


def by_weights(units: Sequence[UnitT]) -> list[list[UnitT]]:
    """Group the units whose models are loaded once; in a group, the bare base comes before any adapter."""
    jobs = {unit.job.checkpoint.sha256: unit.job.checkpoint for unit in units}
    of_model: Mapping[str, list[UnitT]] = {key: [] for key in jobs}
    for unit in units:
        of_model[unit.job.checkpoint.sha256].append(unit)
    return [[unit for key in group for unit in of_model[key]] for group in group_by_weights(jobs)]


def smaller(unit: UnitT) -> UnitT:
    """Halve the batches of a unit.

    Raises:
        ModelError: they are as small as they get.
    """
    if unit.halvings == MOST_HALVINGS:
        raise ModelError(
            unit.name,
            found=f"no memory, even for batches of 1/{2**MOST_HALVINGS} of the usual size",
            expected="memory for a batch beside the weights",
            do="use --max-tokens, a smaller --dtype, or more memory for each worker",
        )
    return replace(unit, halvings=unit.halvings + 1)


def on_node(error: IsoglossError) -> IsoglossError:
    """Name the node in an error."""
    what = f"{error.what}, on node {platform.node()}"
    return type(error)(what, found=error.found, expected=error.expected, do=error.do)
