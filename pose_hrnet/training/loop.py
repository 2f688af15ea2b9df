"""The training loop: per epoch learn, save, evaluate, report; stop where that loses nothing.

Several processes go through it together. All learn and evaluate, and know all numbers; the main
one alone saves and reports.
"""

from __future__ import annotations

import itertools
import logging
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from pose_hrnet.config.recipe import Config
from pose_hrnet.data.crops import Crop, CropBatch
from pose_hrnet.data.loader import EpochSampler, on_device
from pose_hrnet.data.shards.reader import ShardSampler
from pose_hrnet.evaluation.evaluate import evaluate
from pose_hrnet.evaluation.scorer import main_number
from pose_hrnet.inference.model import Decoder, PoseModel
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.network import HeatmapNetwork
from pose_hrnet.system.distributed import World
from pose_hrnet.system.interrupts import Interrupted, Interrupts
from pose_hrnet.system.progress import Bar, Progress
from pose_hrnet.system.text import counted
from pose_hrnet.training.memory import (
    named_out_of_memory,
    named_out_of_memory_in_evaluation,
    no_larger,
    trial,
    trial_prediction,
)
from pose_hrnet.training.pictures import Showcase
from pose_hrnet.training.report import METRICS, Report, read_metrics
from pose_hrnet.training.run_folder import EpochPart, Progressed, run_progress
from pose_hrnet.training.states import BEST, CheckpointWriter
from pose_hrnet.training.step import TrainingStep

log = logging.getLogger(__name__)


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
        batches: Iterable[CropBatch],
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
            readable = torch.cat([batch.readable for batch in group])
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
        self.seconds = self.done.seconds
        if self.world.size > 1:
            mine = torch.tensor(self.seconds, dtype=torch.float64, device=self.step.device)
            self.seconds = self.world.mean(mine).item()

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


@dataclass(frozen=True)
class TrainingRun:
    """What the loop works with; only `done`, and what `step` holds, change.

    `model` is the network as it is scored, not wrapped for several processes; `rate` the learning
    rate by number of finished steps, and seconds spent on them.
    """

    config: Config
    output: Path
    model: HeatmapNetwork
    card: ModelCard
    step: TrainingStep
    sampler: EpochSampler | ShardSampler
    loader: DataLoader[Crop]
    steps_per_epoch: int
    rate: Callable[[int, float], float]
    facts: dict[str, Any]
    done: Progressed
    device: torch.device
    report: Report
    showcase: Showcase
    progress: Progress
    world: World

    def to_the_end(self, interrupts: Interrupts, checkpoints: CheckpointWriter | None) -> None:
        """Learn, save, evaluate and report, epoch by epoch from where the run is.

        Args:
            interrupts: Say whether to stop.
            checkpoints: Writes what the main process saves; None in the others.
        """
        try:
            while True:
                if self.evaluation_is_due():
                    with interrupts.abandoning():
                        scores = self.score()
                    self.save(checkpoints, is_best=_note_scores(self.done, scores))
                self.show()
                if self.is_finished():
                    break
                self.learn_epoch(interrupts, checkpoints)
                self.save(checkpoints)
                self.stop_if(self.asked_to_stop(interrupts), checkpoints)
            if self.world.is_main:
                self.report.finish(self.done.lines, self.output / BEST)
        except Interrupted as stop:
            _finish(checkpoints)
            raise Interrupted(
                stop.signal,
                f"stopped {self.place()}; saved; the same command with --resume goes on",
            ) from None

    def learn_epoch(self, interrupts: Interrupts, checkpoints: CheckpointWriter | None) -> None:
        """Do the steps that are left of an epoch; between them, save when it is time, or stop."""
        done, train, world = self.done, self.config.train, self.world
        self.sampler.epoch, self.sampler.start = done.epoch, done.part.samples
        title = f"epoch {done.epoch + 1}/{train.epochs}"
        total = len(self.step.people)
        again = trial(self.step, self.card) if world.size == 1 else None
        with (
            named_out_of_memory(again, no_larger(train, total), self.device),
            self.progress.task(title, total=total, unit="samples") as bar,
        ):
            timed = self.report.timed(bar, total, done.epoch)
            epoch = Epoch(
                self.step, self.loader, self.rate, done,
                accumulate=train.accumulate, bar=timed, world=world,
            )  # fmt: skip
            for _ in epoch.steps():
                due = train.save_every is not None and done.part.steps % train.save_every == 0
                stop = self.asked_to_stop(interrupts)
                if stop or due:
                    epoch.read()
                    self.save(checkpoints)
                self.stop_if(stop, checkpoints)
                if train.minutes is not None and epoch.seconds >= 60 * train.minutes:
                    break
        epoch.finish()

    def asked_to_stop(self, interrupts: Interrupts) -> signal.Signals | None:
        """The signal that asks this process to stop, or another one: then all stop here.

        Asked between any two steps: torchrun gives its processes half a minute to end. Processes
        wait for one another then, but not for their devices.
        """
        if self.world.any(interrupts.received is not None):
            return interrupts.received or signal.SIGTERM
        return None

    def stop_if(self, stop: signal.Signals | None, checkpoints: CheckpointWriter | None) -> None:
        """Leave the loop if a signal asks for it, with the run on the disk.

        Raises:
            Interrupted: If there is a signal.
        """
        if stop is not None:
            # Nobody ends before that: torchrun ends all when the first one ends.
            self.world.on_main(lambda: _finish(checkpoints))
            raise Interrupted(stop)

    def save(self, checkpoints: CheckpointWriter | None, *, is_best: bool = False) -> None:
        """Save everything that resuming needs, and the weights to keep if they are the best."""
        if checkpoints is None:
            return
        progress = run_progress(self.done, self.device)
        best = (self.step.weights(), self.card) if is_best else None
        checkpoints.save({**self.facts, **self.step.state_dict(), **progress}, best)

    def is_finished(self) -> bool:
        """Whether all epochs are done, or the time for them is over."""
        done, train = self.done, self.config.train
        if train.minutes is not None and self.world.any(done.seconds >= 60 * train.minutes):
            return True
        return done.epoch >= train.epochs

    def evaluation_is_due(self) -> bool:
        """Whether the last finished epoch is one to evaluate, and is not evaluated yet."""
        done, train = self.done, self.config.train
        fresh = bool(done.lines) and done.part.samples == 0
        due = self.is_finished() or done.epoch % train.evaluate_every == 0
        return fresh and due and main_number(done.lines[-1]) is None

    def score(self) -> dict[str, float]:
        """The metric's numbers on the validation set, in the training's arithmetic."""
        network = self.step.to_score(self.model)
        self.world.copy_from_main(network)  # what is saved: batch statistics are each one's own
        test = self.config.test
        decoder = Decoder.of(
            self.card,
            flip_test=test.flip_test,
            flip_shift=test.flip_shift,
            precision=self.config.train.precision,
        )
        model = PoseModel(network, self.card, decoder, self.device)
        again = trial_prediction(model)
        largest = min(test.batch_size, len(self.showcase.held_out.people))
        with named_out_of_memory_in_evaluation(again, largest, self.device):
            evaluation = evaluate(
                model,
                self.config.data.val,
                test,
                workers=self.config.data.workers,
                world=self.world,
                progress=self.progress,
            )
        if self.world.is_main:
            pictures = self.showcase.pictures(model, evaluation.poses)
            with self._full_disk_does_not_end_it():
                self.report.pictures(pictures, self.done.epoch)
        return dict(evaluation.scores.values)

    def show(self) -> None:
        """Report the last finished epoch, unless that was done before."""
        if not self.world.is_main:
            return
        try:
            shown = read_metrics(self.output / METRICS)
        except ValueError:  # others have changed it
            shown = []
        if self.done.lines and self.done.lines != shown:
            with self._full_disk_does_not_end_it():
                self.report.show(self.done.lines)

    def place(self) -> str:
        """How far the run has come, in words."""
        return self.done.place(self.config.train.epochs, self.steps_per_epoch)

    def where_it_goes_on(self) -> str:
        """What to say of a run that is resumed."""
        done, epochs = self.done, self.config.train.epochs
        if not self.is_finished() or self.evaluation_is_due():
            return f"resumed {self.place()}"
        best = f"best {main_number(done.lines[-1])} {done.best_score:.3f}"
        count = f"{done.epoch} of {counted(epochs, 'epoch')}"
        return f"the run in {self.output} is finished: {count}, {best}"

    @contextmanager
    def _full_disk_does_not_end_it(self) -> Iterator[None]:
        """What a run tells matters less than that it goes on."""
        try:
            yield
        except OSError as error:
            log.warning("what %s tells of the run could not be written (%s)", self.output, error)


def _finish(checkpoints: CheckpointWriter | None) -> None:
    """Wait until what was saved is on the disk."""
    if checkpoints is not None:
        checkpoints.finish()


def _note_scores(done: Progressed, scores: dict[str, float]) -> bool:
    """Put scores into the last epoch's line; returns whether they are the best so far."""
    done.lines[-1] |= scores
    score = scores[main_number(scores) or "AP"]
    best = score > done.best_score
    done.best_score = max(score, done.best_score)
    return best
