"""The order of work on many workers: one queue per model, few units in hand; lost units are done again.

The loop does not know what a worker is: Ray's actors and the sleepers of a simulation go through it alike.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

#: Most units that a worker has in hand, one at work and one ready, so that it never waits for the driver.
IN_HAND = 2
#: How often a unit, or the start of a model's workers, may be lost before the run stops.
MOST_LOSSES = 3

#: A model that has workers at work gets another only if more units than this wait for each: loading takes time too.
REST = 1

UnitT = TypeVar("UnitT")
WorkerT = TypeVar("WorkerT", bound=Hashable)


class WorkerLostError(Exception):
    """A worker is gone, with what it had in hand; `short_of_memory` where that is known to be why."""

    def __init__(self, about: str, *, short_of_memory: bool = False) -> None:
        """Say what is known of it."""
        super().__init__(about)
        self.short_of_memory = short_of_memory


class Pool(Protocol[WorkerT]):
    """Where workers come from. Tickets stand for what was asked of them and is not done yet."""

    def room(self) -> int:
        """Count the workers that there is room for in all."""
        ...

    def start(self, group: str) -> tuple[WorkerT, Hashable]:
        """Begin to make a worker that holds the model of a group; its ticket is done when it is ready."""
        ...

    def submit(self, worker: WorkerT, unit: Any) -> Hashable:  # noqa: ANN401 - of the kind of work
        """Hand a worker a unit, to be done after those that it has."""
        ...

    def wait(self, tickets: Sequence[Hashable]) -> Sequence[Hashable]:
        """Wait until some are done, and return these; none after a while."""
        ...

    def result(self, ticket: Hashable) -> Any:  # noqa: ANN401 - of the kind of work
        """Return what came of it.

        Raises:
            WorkerLostError: nothing will.
        """
        ...

    def stop(self, worker: WorkerT) -> None:
        """Let a worker go at once."""
        ...


@dataclass(kw_only=True)
class _Hands(Generic[UnitT]):
    """What a worker is at: `starting` until it is ready, then its units by ticket."""

    group: str
    starting: Hashable | None
    units: dict[Hashable, UnitT] = field(default_factory=dict)

    @property
    def tickets(self) -> list[Hashable]:
        return [*self.units] if self.starting is None else [self.starting]


def schedule(
    queues: Mapping[str, Sequence[UnitT]],
    pool: Pool[WorkerT],
    *,
    lost: Callable[[UnitT | None, str, WorkerLostError, int], UnitT | None],
    most: int | None = None,
) -> Iterator[tuple[UnitT, Any]]:
    """Do all units of all groups and yield each with what came of it, as they come.

    A worker keeps to the model that it holds. When its queue is empty it makes room for another group's. Units of a
    worker that is lost go to the front of their queue.

    Args:
        queues: group (the weights) -> its units, in order.
        pool: of workers.
        lost: called with each unit that was lost (None: a worker that was not ready yet), its group, the loss and how
            often that happened; returns the unit to do instead, or raises.
        most: workers of one group.
    """
    loop = _Loop(queues=queues, pool=pool, lost=lost, most=most)
    try:
        while loop.left:
            loop.hire()
            loop.hand_out()
            for ticket in pool.wait(loop.tickets):
                yield from loop.take(ticket)
    finally:
        for worker in loop.workers:
            pool.stop(worker)


class _Loop(Generic[UnitT, WorkerT]):
    def __init__(
        self,
        *,
        queues: Mapping[str, Sequence[UnitT]],
        pool: Pool[WorkerT],
        lost: Callable[[UnitT | None, str, WorkerLostError, int], UnitT | None],
        most: int | None,
    ) -> None:
        self.pool, self._lost, self._most = pool, lost, most
        self._waiting = {group: deque(units) for group, units in queues.items()}
        self._losses: Counter[Hashable] = Counter()
        self.workers: dict[WorkerT, _Hands[UnitT]] = {}

    @property
    def left(self) -> bool:
        return any(self._waiting.values()) or any(hands.units for hands in self.workers.values())

    @property
    def tickets(self) -> list[Hashable]:
        return [ticket for hands in self.workers.values() for ticket in hands.tickets]

    def hire(self) -> None:
        """Start workers where most units wait for each, as long as there is room and a unit for every one."""
        room = self.pool.room()
        while group := self._neediest():
            if len(self.workers) >= room and not self._dismiss():
                return
            worker, ticket = self.pool.start(group)
            self.workers[worker] = _Hands(group=group, starting=ticket)

    def _neediest(self) -> str | None:
        hired = Counter(hands.group for hands in self.workers.values())
        ready = Counter(hands.group for hands in self.workers.values() if hands.starting is None)
        unbusy = Counter(hands.group for hands in self.workers.values() if not hands.units)
        wanting = [
            group
            for group, units in self._waiting.items()
            if len(units) > unbusy[group] + REST * ready[group] and (self._most is None or hired[group] < self._most)
        ]
        return max(wanting, key=lambda group: len(self._waiting[group]) / (hired[group] + 1), default=None)

    def _dismiss(self) -> bool:
        """Let one worker go that has nothing to do and will get nothing."""
        for worker, hands in self.workers.items():
            if not hands.units and not self._waiting[hands.group]:
                del self.workers[worker]
                self.pool.stop(worker)
                return True
        return False

    def hand_out(self) -> None:
        """One unit each before anyone has two, and a second one only while there are plenty: the last ones go round."""
        for in_hand in range(1, IN_HAND + 1):
            for worker, hands in self.workers.items():
                queue = self._waiting[hands.group]
                spare = len(queue) > sum(rival.group == hands.group for rival in self.workers.values())
                if hands.starting is None and len(hands.units) < in_hand and queue and (in_hand == 1 or spare):
                    unit = queue.popleft()
                    hands.units[self.pool.submit(worker, unit)] = unit

    def take(self, ticket: Hashable) -> Iterator[tuple[UnitT, Any]]:
        """Take what a worker has done, or what it had in hand when it was lost."""
        holder = next(((w, hands) for w, hands in self.workers.items() if ticket in hands.tickets), None)
        if holder is None:  # of a worker whose loss was found a moment ago
            return
        worker, hands = holder
        try:
            result = self.pool.result(ticket)
        except WorkerLostError as loss:
            del self.workers[worker]
            self.pool.stop(worker)
            self._take_back(hands, loss)
            return
        if hands.starting is not None:
            hands.starting = None
        else:
            yield hands.units.pop(ticket), result

    def _take_back(self, hands: _Hands[UnitT], loss: WorkerLostError) -> None:
        if hands.starting is not None:
            self._losses[hands.group] += 1
            self._lost(None, hands.group, loss, self._losses[hands.group])
        # Only the first was at work: the others were waiting in the worker's hands.
        for position, unit in reversed(list(enumerate(hands.units.values()))):
            if position:
                self._waiting[hands.group].appendleft(unit)
                continue
            key = _identity(unit)
            self._losses[key] += 1
            again = self._lost(unit, hands.group, loss, self._losses[key])
            self._waiting[hands.group].appendleft(unit if again is None else again)


def _identity(unit: object) -> Hashable:
    """What stays of a unit when its batches are cut."""
    return "unit", getattr(unit, "number", unit)
