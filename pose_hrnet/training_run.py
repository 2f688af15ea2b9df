"""The training loop: per epoch learn, save, evaluate, report; stop where that loses nothing.

Several processes go through it together. All learn and evaluate, and know all numbers; the main
one alone saves and reports.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from pose_hrnet.checkpointing import BEST, CheckpointWriter
from pose_hrnet.config import Config
from pose_hrnet.data.crops import Crop, EpochSampler
from pose_hrnet.data.shards import ShardSampler
from pose_hrnet.distributed import World
from pose_hrnet.epoch import Epoch
from pose_hrnet.evaluate import evaluate
from pose_hrnet.interrupts import Interrupted, Interrupts
from pose_hrnet.memory import (
    named_out_of_memory,
    named_out_of_memory_in_evaluation,
    no_larger,
    trial,
    trial_prediction,
)
from pose_hrnet.metrics.main_number import main_number
from pose_hrnet.models.build import PoseNetwork
from pose_hrnet.models.weights import ModelCard
from pose_hrnet.progress import Progress
from pose_hrnet.run_folder import Progressed, run_progress
from pose_hrnet.run_report import METRICS, Report, read_metrics
from pose_hrnet.showcase import Showcase
from pose_hrnet.training_step import TrainingStep
from pose_hrnet.words import counted

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingRun:
    """What the loop works with; only `done`, and what `step` holds, change.

    `model` is the network as it is scored, not wrapped for several processes; `rate` the learning
    rate by number of finished steps, and seconds spent on them.
    """

    config: Config
    output: Path
    model: PoseNetwork
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
        decoder, test = self.showcase.decoder, self.config.test
        again = trial_prediction(network, decoder, self.device)
        largest = min(test.batch_size, len(self.showcase.held_out.people))
        with named_out_of_memory_in_evaluation(again, largest, self.device):
            evaluation = evaluate(
                network,
                self.card,
                self.config.data.val,
                test,
                device=self.device,
                decoder=decoder,
                workers=self.config.data.workers,
                world=self.world,
                progress=self.progress,
            )
        if self.world.is_main:
            pictures = self.showcase.pictures(evaluation.poses, network)
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
