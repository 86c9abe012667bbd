"""The same work on a Ray cluster. The only file that knows Ray.

Weights are held by actors, which take units from one queue; statistics are tasks. The driver decides what is missing,
holds the locks of the store and sees results only: states go from the actors into the store.
"""

from __future__ import annotations

import copy
import logging
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import ray
from ray import exceptions
from threadpoolctl import threadpool_limits

from isogloss.engines.config import EngineConfig
from isogloss.engines.schedule import MOST_LOSSES, WorkerLostError, schedule
from isogloss.engines.work_units import MOST_HALVINGS, Advance, Done, Job, UnitT, Work, by_weights, on_node, smaller
from isogloss.errors import IsoglossError, ModelError, UsageError
from isogloss.models.checkpoints import Checkpoint

ItemT = TypeVar("ItemT")
DoneT = TypeVar("DoneT")

#: Seconds after which the driver looks whether nodes have come or gone.
LOOK = 2.0
#: How Ray says that an actor, or what it made, is gone.
LOST = (
    exceptions.RayActorError,
    exceptions.WorkerCrashedError,
    exceptions.OutOfMemoryError,
    exceptions.ObjectLostError,
)


@contextmanager
def ray_engine(config: EngineConfig) -> Iterator[RayEngine]:
    """Connect to a cluster, or start one on this machine; a connection that is there already is used and kept.

    Raises:
        UsageError: there is no cluster at the address.
    """
    if ray.is_initialized():
        yield RayEngine(config)
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a local cluster shall not report to anybody
    # Ray's own None would join whatever cluster somebody left on this machine.
    address = config.address or os.environ.get("RAY_ADDRESS", "local")
    dashboard = {"include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **dashboard)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UsageError(
            f"--address {address}",
            found=(str(error).splitlines() or [type(error).__name__])[0],
            expected="a Ray cluster",
            do="start one with `ray start --head`, correct the address, or leave it out to start one on this machine",
        ) from error
    try:
        yield RayEngine(config)
    finally:
        ray.shutdown()


@dataclass(frozen=True)
class RayEngine:
    """A cluster (an `Engine`)."""

    config: EngineConfig

    @property
    def device(self) -> str | None:
        """Where models are run: on the CPU if workers get no GPU."""
        return None if _share(self.config, None).gpus else "cpu"

    def call(self, function: Callable[..., DoneT], **arguments: Any) -> DoneT:  # noqa: ANN401
        """Call the function as a task with the CPUs and GPUs of a worker."""
        share = _share(self.config, arguments.get("device"))
        _room(share)
        task = ray.remote(_call).options(
            name=f"isogloss: {function.__name__}", num_cpus=share.cpus, num_gpus=share.gpus
        )
        answer: DoneT = _value(_get(task.remote(function, arguments), function.__name__))
        return answer

    def run(
        self, work: Work[UnitT], units: Sequence[UnitT], *, advance: Advance, tell: Callable[[str], None]
    ) -> Iterator[Done]:
        """Do the units on actors, as many as the cluster has room for, each with one model at a time.

        Raises:
            ModelError: a unit, or the start of a model's workers, was lost several times.
            IsoglossError: see the functions of the work.
        """
        if not units:
            return
        queues = {group[0].job.checkpoint.weights_sha256: group for group in by_weights(units)}
        share = _share(self.config, units[0].job.device)
        pool = _Actors(work=work, jobs={key: group[0].job for key, group in queues.items()}, share=share)

        def lost(unit: UnitT | None, group: str, loss: WorkerLostError, times: int) -> UnitT | None:
            what = unit.name if unit else f"{pool.jobs[group].label}, while it was loaded"
            if times > MOST_LOSSES:
                raise _given_up(what, loss, times)
            tell(f"Worker lost at {what} ({loss}); taken up again")
            short = unit is not None and loss.short_of_memory and unit.halvings < MOST_HALVINGS
            return smaller(unit) if short and unit is not None else unit

        for unit, done in schedule(queues, pool, lost=lost, most=self.config.workers_per_model):
            advance(unit, len(unit.texts))
            for note in done.notes:
                tell(note)
            yield done

    def map(self, function: Callable[..., DoneT], items: Sequence[ItemT], *, workers: int | None) -> Iterator[DoneT]:
        """Map as tasks of one core each.

        Few more are handed out than there are cores, so that what waits in Ray's memory stays small.
        """
        task = ray.remote(_map_one).options(name=f"isogloss: {function.__name__}", num_cpus=1)
        most = workers or 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
        flying: deque[Any] = deque()
        for item in items:
            if len(flying) == most:
                yield _copied(_value(_get(flying.popleft(), function.__name__)))
            flying.append(task.remote(function, item))
        while flying:
            yield _copied(_value(_get(flying.popleft(), function.__name__)))


@dataclass(frozen=True)
class _Share:
    """CPUs and GPUs of a worker."""

    cpus: int
    gpus: float

    def fits(self, node: Mapping[str, float]) -> int:
        """How many workers a node has room for."""
        by_cpus = int(node.get("CPU", 0) / self.cpus)
        return min(by_cpus, int(node.get("GPU", 0) / self.gpus + 1e-6)) if self.gpus else by_cpus


def _nodes() -> list[Mapping[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _share(config: EngineConfig, device: str | None) -> _Share:
    nodes = _nodes()
    gpus = config.gpus_per_model
    if gpus is None:
        gpus = 1.0 if device != "cpu" and any(node.get("GPU", 0) >= 1 for node in nodes) else 0.0
    elif gpus and device == "cpu":
        raise UsageError(
            f"--gpus-per-model {gpus:g}",
            found="models on cpu",
            expected="workers whose torch sees a GPU, and no --device cpu",
            do="drop one of the options, or install a torch with CUDA on the nodes",
        )
    cores = [int(node.get("CPU", 0)) for node in nodes if node.get("CPU", 0) >= 1]
    return _Share(cpus=config.cpus_per_model or (1 if gpus else min(cores, default=1)), gpus=gpus)


def _room(share: _Share) -> int:
    nodes = _nodes()
    if room := sum(share.fits(node) for node in nodes):
        return room
    capacities = "; ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes)
    raise UsageError(
        "the Ray cluster",
        found=f"no node with room for a worker ({capacities or 'no node'})",
        expected=f"one with {share.cpus} CPUs and {share.gpus:g} GPUs",
        do="start such nodes, or change --cpus-per-model or --gpus-per-model; then run the same command again",
    )


def _given_up(what: str, loss: WorkerLostError, times: int) -> ModelError:
    return ModelError(
        what,
        found=f"its worker lost {times} times, the last time: {loss}",
        expected="a worker that lives",
        do="look into Ray's logs on that node (memory is a usual reason); what is done stays in the store",
    )


@dataclass(kw_only=True)
class _Actors:
    """Actors as the workers of a schedule (a `Pool`)."""

    work: Work[Any]
    jobs: Mapping[str, Job]
    share: _Share
    numbers: Counter[str] = field(default_factory=Counter)
    looked: float = -LOOK
    known: int = 0

    def room(self) -> int:
        if time.monotonic() - self.looked > LOOK:
            self.known, self.looked = _room(self.share), time.monotonic()
        return self.known

    def start(self, group: str) -> tuple[Any, Hashable]:
        job = self.jobs[group]
        self.numbers[group] += 1
        actor = ray.remote(_Actor).options(
            name=f"isogloss: {job.label} #{self.numbers[group]}",
            num_cpus=self.share.cpus,
            num_gpus=self.share.gpus,
            max_restarts=0,
            max_task_retries=0,
        )
        worker = actor.remote(self.share.cpus)
        return worker, worker.start.remote(self.work, job)

    def submit(self, worker: Any, unit: Any) -> Hashable:  # noqa: ANN401
        ticket: Hashable = worker.run.remote(self.work, unit)
        return ticket

    def wait(self, tickets: Sequence[Hashable]) -> Sequence[Hashable]:
        done: list[Hashable] = ray.wait(list(tickets), num_returns=1, timeout=LOOK)[0]
        return done

    def result(self, ticket: Hashable) -> Any:  # noqa: ANN401
        try:
            return _value(ray.get(ticket))
        except LOST as error:
            raise _loss(error) from error

    def stop(self, worker: Any) -> None:  # noqa: ANN401
        ray.kill(worker)


class _Actor:
    """A worker in a process of its own; errors for users go back as values, as Ray would wrap them."""

    def __init__(self, threads: int) -> None:
        import torch  # noqa: PLC0415 - tasks of statistics, which import this file, need none

        from isogloss.engines.remote_checkpoints import job_here  # noqa: PLC0415
        from isogloss.engines.worker import Worker  # noqa: PLC0415

        torch.set_num_threads(threads)
        self._worker = Worker()
        self._known: dict[Checkpoint, Checkpoint] = {}
        self._job_here = job_here

    def start(self, work: Work[Any], job: Job) -> IsoglossError | None:
        try:
            local_job = self._job_here(job, self._known)
        except IsoglossError as error:
            return error
        try:
            self._worker.move(work, local_job)
        except IsoglossError as error:
            return on_node(error)
        return None

    def run(self, work: Work[UnitT], unit: UnitT) -> Done | IsoglossError:
        try:
            return self._worker.run(work, replace(unit, job=self._job_here(unit.job, self._known)))
        except IsoglossError as error:
            return error


def _call(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401
    try:
        return function(**arguments)
    except IsoglossError as error:
        return on_node(error)


def _map_one(function: Callable[..., Any], item: Any) -> Any:  # noqa: ANN401
    try:
        with threadpool_limits(1):
            return function(item)
    except IsoglossError as error:
        return error


def _value(answer: Any) -> Any:  # noqa: ANN401
    if isinstance(answer, IsoglossError):
        raise answer
    return answer


def _copied(shared: DoneT) -> DoneT:
    """Copy what lies in Ray's memory, where one small array that is kept keeps all that came with it."""
    return copy.deepcopy(shared)


def _get(ticket: Any, what: str) -> Any:  # noqa: ANN401
    try:
        return ray.get(ticket)
    except LOST as error:
        raise _given_up(f"the task {what}", _loss(error), MOST_LOSSES + 1) from error


def _loss(error: Exception) -> WorkerLostError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    short = isinstance(error, exceptions.OutOfMemoryError) or "low on memory" in str(error)
    return WorkerLostError(f"{type(error).__name__}: {lines[0][:200]}", short_of_memory=short)
