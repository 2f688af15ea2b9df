"""Gathers work over requests into batches, and runs them in one thread for each device."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Generic, TypeVar

log = logging.getLogger(__name__)

SICK = 3
"""Batches in a row of which a device could run nothing, after which others have its work."""
REST_SECONDS = 10.0
"""That it then rests before it tries one item; others work meanwhile."""

Item = TypeVar("Item")
Result = TypeVar("Result")

Run = Callable[[list[Any]], Sequence[Any]]
"""A batch of items to as many results."""


@dataclass(eq=False)
class _Job(Generic[Item, Result]):
    """Items that belong together, on their way.

    Attributes:
        items: What to do.
        future: Of all results, in order.
        since: When it was handed over.
        taken: Items that are in batches already.
        results: Of the items that are done, by their place.
    """

    items: Sequence[Item]
    future: Future[list[Result]]
    since: float
    taken: int = 0
    results: dict[int, Result] = field(default_factory=dict)

    def put(self, place: int, result: Result) -> None:
        self.results[place] = result
        if len(self.results) == len(self.items):
            with suppress(InvalidStateError):  # cancelled
                self.future.set_result([self.results[n] for n in range(len(self.items))])

    def fail(self, error: BaseException) -> None:
        if not isinstance(error, Exception) or isinstance(error, StopIteration):
            error = RuntimeError(repr(error))  # asyncio takes the others for its own
        with suppress(InvalidStateError):
            self.future.set_exception(error)


_Batch = list[tuple[_Job[Any, Any], int]]
"""Jobs, and the place of an item in each."""


@dataclass(frozen=True)
class Lane:
    """One kind of work.

    Attributes:
        name: Which.
        most: Items of a batch.
    """

    name: Hashable
    most: int


@dataclass(eq=False)
class _Device:
    """What runs batches, in a thread of its own.

    Attributes:
        runs: A batch of each lane.
        thread: Runs them; once it has ended, nothing does.
        failed_in_a_row: Batches in which nothing could be run, since one that could.
        failed_at: When the last of them did.
    """

    runs: Mapping[Hashable, Run]
    thread: threading.Thread = field(init=False)
    failed_in_a_row: int = 0
    failed_at: float = 0.0

    @property
    def well(self) -> bool:
        return self.failed_in_a_row < SICK and self.thread.is_alive()


class Batcher:
    """Takes items from any thread, and runs them batch by batch.

    A batch is run as soon as it is full, or when its oldest item has waited `max_wait` seconds:
    the next one gathers meanwhile. If a batch fails, its items are run one by one, so that an
    error belongs to its item alone. A device that fails `SICK` times in a row rests while others
    are well, since it would else, being quick to fail, have most of the work; after each rest it
    tries one item.

    Args:
        lanes: Kinds of work; one that comes first goes first.
        devices: For each device what runs a batch of each lane; each has a thread of its own.
        max_wait: Seconds that an item waits for others.
        rest: Seconds that a sick device rests.
        watch: Is told the lane and the number of items of every batch, and its seconds.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        devices: Sequence[Mapping[Hashable, Run]],
        *,
        max_wait: float,
        rest: float = REST_SECONDS,
        watch: Callable[[Lane, int, float], None] = lambda lane, count, seconds: None,
    ) -> None:
        self.max_wait = max_wait
        self.rest = rest
        self.watch = watch
        self._queues: dict[Lane, deque[_Job[Any, Any]]] = {lane: deque() for lane in lanes}
        self._lanes = {lane.name: lane for lane in lanes}
        self._changed = threading.Condition()
        self._ending = False
        self._devices = [_Device(runs) for runs in devices]
        for n, device in enumerate(self._devices):
            device.thread = threading.Thread(
                target=self._work, args=(device,), name=f"device {n}", daemon=True
            )
        for device in self._devices:
            device.thread.start()

    @property
    def well(self) -> bool:
        """Whether every device works."""
        return all(device.well for device in self._devices)

    def submit(self, lane: Hashable, items: Sequence[Any]) -> Future[list[Any]]:
        """Hand over items; the future has their results, in order.

        If it is cancelled, what is not in a batch yet is never run.
        """
        job: _Job[Any, Any] = _Job(items, Future(), monotonic())
        if not items:
            job.future.set_result([])
            return job.future
        with self._changed:
            if self._ending:
                raise RuntimeError("the batcher has ended")
            self._queues[self._lanes[lane]].append(job)
            self._changed.notify_all()  # it may be more than one batch
        return job.future

    def waiting(self, lane: Hashable) -> int:
        """Items that are in no batch yet."""
        with self._changed:
            return _count(self._queues[self._lanes[lane]])

    def close(self) -> None:
        """Run what is there, and end the threads."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        for device in self._devices:
            device.thread.join()

    def _work(self, device: _Device) -> None:
        while (taken := self._take(device)) is not None:
            lane, batch = taken
            began = monotonic()
            ran = _run(device.runs[lane.name], batch)
            with self._changed:
                device.failed_in_a_row = 0 if ran else device.failed_in_a_row + 1
                device.failed_at = monotonic()
                self._changed.notify_all()  # who rests may be needed now
            try:
                self.watch(lane, len(batch), monotonic() - began)
            except Exception:  # what is told of work is no reason to end it
                log.exception("a batch could not be counted")

    def _rest_of(self, device: _Device) -> float:
        """Seconds for which others have its work."""
        if device.well or self._ending or not any(each.well for each in self._devices):
            return 0.0
        return device.failed_at + self.rest - monotonic()

    def _take(self, device: _Device) -> tuple[Lane, _Batch] | None:
        """The next batch for a device, once there is one; None at the end."""
        with self._changed:
            while True:
                if (rest := self._rest_of(device)) > 0:
                    self._changed.wait(rest)
                    continue
                soonest = None
                for lane, queue in self._queues.items():
                    while queue and queue[0].future.done():  # cancelled, or failed
                        queue.popleft()
                    if not queue:
                        continue
                    left = queue[0].since + self.max_wait - monotonic()
                    if left <= 0 or self._ending or _count(queue) >= lane.most:
                        if batch := _take_from(queue, lane.most if device.well else 1):
                            return lane, batch
                        continue
                    soonest = left if soonest is None else min(left, soonest)
                if self._ending and soonest is None:
                    return None
                self._changed.wait(soonest)


def _count(queue: deque[_Job[Any, Any]]) -> int:
    return sum(len(job.items) - job.taken for job in queue if not job.future.done())


def _take_from(queue: deque[_Job[Any, Any]], most: int) -> _Batch:
    batch: _Batch = []
    while queue and len(batch) < most:
        job = queue[0]
        if not job.future.done():
            batch.append((job, job.taken))
            job.taken += 1
        if job.future.done() or job.taken == len(job.items):
            queue.popleft()
    return batch


def _run(run: Run, batch: _Batch) -> bool:
    """Whether some of a batch could be run."""
    try:
        results = list(run([job.items[place] for job, place in batch]))
        if len(results) != len(batch):
            raise RuntimeError(f"{len(results)} results of a batch of {len(batch)}")
    except BaseException as error:  # whatever a runtime raises: memory, a driver
        if len(batch) == 1:
            batch[0][0].fail(error)
            return False
        ran = [_run(run, [each]) for each in batch]
        return any(ran)
    for (job, place), result in zip(batch, results, strict=True):
        job.put(place, result)
    return True


__all__ = ["Batcher", "Lane", "Run"]
