"""A worker does units: it holds a model, moves between its checkpoints, and halves batches when memory is short."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import torch

from isogloss.engines.work_units import Done, Job, UnitT, Work, smaller
from isogloss.models.adapters import merges, use_checkpoint
from isogloss.models.checkpoints import Checkpoint

#: What torch says on a CPU, where an allocation that fails has no class of its own.
NO_MEMORY = ("can't allocate memory", "not enough memory")


class Worker:
    """Holds one model at a time; a context manager, at whose end the model is gone."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._model: Any = None
        self._weights = ""
        self._at: tuple[object, Job] | None = None
        self._held: tuple[object, Checkpoint] | None = None
        self._ready: Any = None
        self._inside, self._active = ExitStack(), ExitStack()
        self._worn = False

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the model go."""
        self._leave()
        self._model = None

    def run(
        self,
        work: Work[UnitT],
        unit: UnitT,
        *,
        tokens: Any = None,  # noqa: ANN401 - of the kind of work
        advance: Callable[[int], None] = lambda _: None,
    ) -> Done:
        """Do one unit, with smaller batches if memory is short.

        Args:
            work: the kind of work.
            unit: on one model.
            tokens: from `work.encode`, if it was called already.
            advance: called with the number of texts done.

        Raises:
            ModelError: memory is too short even for the smallest batches; see also the functions of the work.
        """
        began = time.perf_counter()
        self.move(work, unit.job)
        tokens = work.encode(unit) if tokens is None else tokens
        steps: list[int] = []

        def count(step: int) -> None:
            steps.append(step)
            advance(step)

        notes: tuple[str, ...] = ()
        while (done := self._attempt(work, unit, tokens, count)) is None:
            advance(-sum(steps))
            steps.clear()
            unit = smaller(unit)
            notes = (f"Out of memory at {unit.name}: batches cut to 1/{2**unit.halvings}",)
        return replace(done, seconds=time.perf_counter() - began, notes=(*done.notes, *notes))

    def _attempt(
        self,
        work: Work[UnitT],
        unit: UnitT,
        tokens: Any,  # noqa: ANN401
        advance: Callable[[int], None],
    ) -> Done | None:
        """None if memory was short; a function of its own, so that its frames hold no tensors afterwards."""
        try:
            return work.compute(self._model, self._ready, unit, tokens, advance)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return None

    def move(self, work: Work[UnitT], job: Job) -> None:
        """Load the weights of a job if others are held, make its checkpoint active, and edit it as the job says.

        A merged adapter leaves rounding behind when it is removed. So the weights are loaded again afterwards, and no
        number depends on earlier work. The adapter stays merged for further jobs of the same checkpoint.
        """
        if self._at == (work, job):
            return
        self._leave_job()
        if self._held != (work, job.checkpoint):
            self._hold(work, job)
        if job.edit is not None:
            self._inside.enter_context(job.edit(self._model))
        self._ready = self._inside.enter_context(work.prepare(self._model, job))
        self._at = work, job

    def _hold(self, work: Work[UnitT], job: Job) -> None:
        self._leave()
        if self._model is None or self._worn or self._weights != job.checkpoint.weights_sha256:
            self._model = None  # before the next is loaded: memory holds one
            self._model = work.load(job)
            self._weights, self._worn = job.checkpoint.weights_sha256, False
        self._active.enter_context(use_checkpoint(self._model, job.checkpoint))
        self._worn = job.checkpoint.adapter_folder is not None and merges(self._model)
        self._held = work, job.checkpoint

    def _leave_job(self) -> None:
        self._inside.close()
        self._at = self._ready = None

    def _leave(self) -> None:
        self._leave_job()
        self._active.close()
        self._held = None


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is short, on a GPU or on the host."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return any(words in str(error) for words in NO_MEMORY)
