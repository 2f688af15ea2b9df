"""One pass over the training persons, or the rest of one: optimiser steps and their sums."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from pose_hrnet.data.crops import Crop
from pose_hrnet.distributed import World
from pose_hrnet.prefetch import on_device
from pose_hrnet.progress import Bar
from pose_hrnet.run_folder import EpochPart, Progressed
from pose_hrnet.training_step import TrainingStep

READ_EVERY = 10
"""Steps between looks at the loss, each of which waits for the device and all processes."""


class Epoch:
    """The steps of an epoch that are still to do, from `done.part` on; they are counted there.

    Several processes do the same steps, each on its own batches; what is counted is of them all.

    Args:
        step: Learns.
        batches: Those that are left of the epoch, for this process.
        rate: Learning rate by finished steps of the run and the seconds that they took.
        done: How far the run has come; changed with every step.
        accumulate: Batches per step.
        bar: Watches.
        world: The processes that learn together; None: this one alone.
    """

    def __init__(
        self,
        step: TrainingStep,
        batches: Iterable[Crop],
        rate: Callable[[int, float], float],
        done: Progressed,
        *,
        accumulate: int,
        bar: Bar,
        world: World | None = None,
    ) -> None:
        self.step, self.batches, self.rate, self.done = step, batches, rate, done
        self.accumulate, self.bar = accumulate, bar
        self.world = world or World.alone()
        self._unread: list[tuple[Tensor, int, int]] = []
        """Of each step: its loss, and here how many images could not be read; all its samples."""
        self.seconds = done.seconds
        """Of learning so far, on average over the processes; of several, as of the last look."""
        self._note = ""

    def steps(self) -> Iterator[None]:
        """Do one optimiser step after the other; between them, the caller may save or leave.

        Raises:
            FloatingPointError: If a loss was not finite.
        """
        self.step.model.train()
        part = self.done.part
        self._read_clock()
        self.bar.advance_to(part.samples)
        batches = on_device(self.batches, self.step.device)
        began = time.perf_counter()
        while True:
            asked = time.perf_counter()
            group = list(itertools.islice(batches, self.accumulate))
            part.seconds_waited += time.perf_counter() - asked
            if not group:
                break
            loss = self.step(group, self.rate(self.done.step, self.seconds))
            readable = torch.cat([torch.as_tensor(batch.readable) for batch in group])
            samples = self._samples_of_all(len(readable))
            self._unread.append((loss, int((~readable).sum()), samples))
            self.done.step += 1
            part.steps += 1
            part.samples += samples
            now = time.perf_counter()
            part.seconds += now - began  # before the read, which compares the waiting with it
            began = now
            if self.world.size == 1:
                self._read_clock()
            if len(self._unread) == READ_EVERY:
                self.read()
            self.bar.advance(samples, note=self._note)
            yield
        self.read()
        part.seconds += time.perf_counter() - began

    def read(self) -> None:
        """Wait for the losses of the last steps, in all processes, and sum them up.

        Raises:
            FloatingPointError: If one was not finite.
        """
        part = self.done.part
        if self._unread:
            self.step.check(f"epoch {self.done.epoch + 1}, step {part.steps}")
            losses = torch.stack([loss for loss, _, _ in self._unread])
            unreadable = losses.new_tensor([count for _, count, _ in self._unread])
            means = self.world.mean(torch.stack([losses, unreadable])).tolist()
            for loss, count, (_, _, samples) in zip(*means, self._unread, strict=True):
                part.loss_sum += loss * samples
                part.unreadable += round(count * self.world.size)
            self._unread.clear()
            self._read_clock()
            share = part.seconds_waited / max(part.seconds, 1e-9)
            mean = part.loss_sum / part.samples
            self._note = f"loss {mean:.2e}, waiting for data {share:.0%}"

    def _read_clock(self) -> None:
        """All processes go by the same time, so that their learning rates are the same."""
        seconds = torch.tensor(self.done.seconds, dtype=torch.float64, device=self.step.device)
        self.seconds = self.world.mean(seconds).item() if self.world.size > 1 else float(seconds)

    def _samples_of_all(self, size: int) -> int:
        """Samples of a step in all processes; those that fill up the last one are not counted."""
        if self.world.size == 1:
            return size
        left = len(self.step.people) - self.done.part.samples
        return min(size * self.world.size, left)

    def finish(self) -> None:
        """Turn the finished part into the epoch's line."""
        done, part = self.done, self.done.part
        done.epoch += 1
        line = _line(part, self.rate(done.step - 1, self.seconds))
        done.lines.append({"epoch": done.epoch, "step": done.step, **line})
        done.part = EpochPart()


def _line(part: EpochPart, rate: float) -> dict[str, Any]:
    """What ``metrics.jsonl`` says of an epoch."""
    return {
        "loss": part.loss_sum / part.samples,
        "lr": rate,
        "seconds": round(part.seconds, 2),
        "samples_per_second": round(part.samples / part.seconds, 1),
        "data_wait": round(part.seconds_waited / part.seconds, 4),
        "unreadable": part.unreadable,
    }
