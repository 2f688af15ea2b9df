"""One pass over the training persons, or the rest of one: optimiser steps and their sums."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from pose_hrnet.data.crops import Crop
from pose_hrnet.prefetch import on_device
from pose_hrnet.progress import Bar
from pose_hrnet.run_folder import EpochPart, Progressed
from pose_hrnet.training_step import TrainingStep

READ_EVERY = 10
"""Steps between looks at the loss, each of which waits for the device."""


class Epoch:
    """The steps of an epoch that are still to do, from `done.part` on; they are counted there.

    Args:
        step: Learns.
        batches: Those that are left of the epoch.
        rate: Learning rate by number of finished steps of the run.
        done: How far the run has come; changed with every step.
        accumulate: Batches per step.
        bar: Watches.
    """

    def __init__(
        self,
        step: TrainingStep,
        batches: Iterable[Crop],
        rate: Callable[[int], float],
        done: Progressed,
        *,
        accumulate: int,
        bar: Bar,
    ) -> None:
        self.step, self.batches, self.rate, self.done = step, batches, rate, done
        self.accumulate, self.bar = accumulate, bar
        self._unread: list[tuple[Tensor, int]] = []
        self._note = ""

    def steps(self) -> Iterator[None]:
        """Do one optimiser step after the other; between them, the caller may save or leave.

        Raises:
            FloatingPointError: If a loss was not finite.
        """
        self.step.model.train()
        part = self.done.part
        self.bar.advance_to(part.samples)
        batches = on_device(self.batches, self.step.device)
        began = time.perf_counter()
        while True:
            asked = time.perf_counter()
            group = list(itertools.islice(batches, self.accumulate))
            part.seconds_waited += time.perf_counter() - asked
            if not group:
                break
            loss = self.step(group, self.rate(self.done.step))
            size = sum(len(batch.pixels) for batch in group)
            self._unread.append((loss, size))
            self.done.step += 1
            part.steps += 1
            part.samples += size
            part.unreadable += size - sum(
                int(torch.as_tensor(batch.readable).sum()) for batch in group
            )
            if len(self._unread) == READ_EVERY:
                self.read()
            now = time.perf_counter()
            part.seconds += now - began
            began = now
            self.bar.advance(size, note=self._note)
            yield
        self.read()
        part.seconds += time.perf_counter() - began

    def read(self) -> None:
        """Wait for the losses of the last steps, and sum them up.

        Raises:
            FloatingPointError: If one was not finite.
        """
        part = self.done.part
        if self._unread:
            self.step.check(f"epoch {self.done.epoch + 1}, step {part.steps}")
            losses = torch.stack([loss for loss, _ in self._unread]).tolist()
            for loss, (_, size) in zip(losses, self._unread, strict=True):
                part.loss_sum += loss * size
            self._unread.clear()
            share = part.seconds_waited / max(part.seconds, 1e-9)
            mean = part.loss_sum / part.samples
            self._note = f"loss {mean:.2e}, waiting for data {share:.0%}"

    def finish(self) -> None:
        """Turn the finished part into the epoch's line."""
        done, part = self.done, self.done.part
        done.epoch += 1
        line = _line(part, self.rate(done.step - 1))
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
