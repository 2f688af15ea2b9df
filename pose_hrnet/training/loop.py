"""The training loop: per epoch learn, evaluate, save, report; stop where that loses nothing.

Several processes go through it together. All learn and evaluate, and know all numbers; the main
one alone saves and reports.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor

from pose_hrnet.data.crops import CropBatch
from pose_hrnet.data.loader import on_device
from pose_hrnet.evaluation.evaluate import Evaluation, evaluate
from pose_hrnet.evaluation.scorer import main_number
from pose_hrnet.system.interrupts import Interrupted, Interrupts
from pose_hrnet.system.progress import SILENT, Progress
from pose_hrnet.system.text import counted
from pose_hrnet.training.assemble import Assembly
from pose_hrnet.training.memory import (
    capped_to,
    explain_out_of_memory,
    explain_out_of_memory_in_evaluation,
    trial,
    trial_prediction,
)
from pose_hrnet.training.report import METRICS, Report, read_metrics
from pose_hrnet.training.run_folder import Progressed, run_facts, run_progress
from pose_hrnet.training.states import BEST, StateWriter

log = logging.getLogger(__name__)


READ_EVERY = 10
"""Steps between looks at the loss, each of which waits for the device and all processes."""


class TrainingRun:
    """A run on its way to its end; `done`, and what the optimiser step holds, change.

    Args:
        parts: What it works with.
        done: How far it has come; changed with every step.
        output: Folder of the run.
        report: Tells its reader.
        interrupts: Say whether to stop.
        writer: Writes what the main process saves; None in the others.
        progress: Watches.

    Attributes:
        seconds: Of learning so far, on average over the processes; of several, as of the last
            look at the loss.
    """

    def __init__(
        self,
        parts: Assembly,
        done: Progressed,
        output: Path,
        report: Report,
        interrupts: Interrupts,
        writer: StateWriter | None,
        *,
        progress: Progress = SILENT,
    ) -> None:
        self.parts, self.done, self.output, self.report = parts, done, output, report
        self.interrupts, self.writer, self.progress = interrupts, writer, progress
        self.config, self.world, self.step = parts.config, parts.world, parts.step
        self.persons = len(parts.data.people)
        self.seconds = done.seconds
        self._facts = run_facts(parts.card, self.config, parts.data.people, self.world.size)
        self._unread: list[tuple[Tensor, int, int]] = []
        """Of each step: its loss, and here how many images could not be read; all its samples."""
        self._note = ""

    def to_the_end(self) -> None:
        """Go on epoch by epoch: learn, evaluate, save, report.

        Raises:
            FloatingPointError: If a loss is not finite.
            BatchTooLarge: If memory does not suffice.
            Interrupted: If a signal asked to stop; the run is then saved.
        """
        try:
            self._conclude_epoch()  # a resumed run may have stopped before that
            while not self._is_finished():
                self.learn_epoch()
                self._conclude_epoch()
            if self.world.is_main:
                self._tell_of_unfinished_warm_up()
                if self.config.train.report:
                    with self._full_disk_does_not_end_it():
                        self.report.page(self.parts.held_out, self.progress)
                self.report.finish(self.done.lines, self.output / BEST)
        except Interrupted as stop:
            self._wait_for_writer()
            raise Interrupted(
                stop.signal,
                f"stopped {self.place()}; saved; the same command with --resume goes on",
            ) from None

    def learn_epoch(self) -> None:
        """Do the steps that are left of an epoch: fetch, learn, count, log; save or stop.

        Several processes do the same steps, each on its own batches; what is counted is of all.

        Raises:
            FloatingPointError: If a loss is not finite.
            BatchTooLarge: If memory does not suffice for a step.
            Interrupted: If a signal asks to stop; the run is then saved.
        """
        done, part, train = self.done, self.done.part, self.config.train
        sampler = self.parts.data.sampler
        sampler.epoch, sampler.start = done.epoch, part.samples
        self.step.model.train()
        self._read_clock()
        title = f"epoch {done.epoch + 1}/{train.epochs}"
        with (
            self._explaining_memory(),
            self.progress.task(title, total=self.persons, unit="samples") as shown,
        ):
            bar = self.report.timed(shown, self.persons, done.epoch)
            bar.advance_to(part.samples)
            batches = on_device(self.parts.loader, self.parts.device)
            began = perf_counter()
            while self._time_is_left():
                rate = self.parts.rate(done.step, self.seconds)
                # Fetch,
                asked = perf_counter()
                group = list(islice(batches, train.accumulate))
                part.seconds_waited += perf_counter() - asked
                if not group:
                    break

                # learn,
                loss = self.step(group, rate)

                # count,
                samples = self._count(loss, group)
                now = perf_counter()
                part.seconds += now - began
                began = now
                if self.world.size == 1:
                    self._read_clock()

                # log,
                if len(self._unread) == READ_EVERY:
                    self._read_losses()
                bar.advance(samples, note=self._note)

                # save or stop.
                stop = self._asked_to_stop()
                if stop or (train.save_every and part.steps % train.save_every == 0):
                    self._read_losses()
                    self._save()
                self._stop_if(stop)
            self._read_losses()
            part.seconds += perf_counter() - began
        done.finish_epoch(self.parts.rate(done.step - 1, self.seconds))
        self._save()
        self._stop_if(self._asked_to_stop())

    def _conclude_epoch(self) -> None:
        """Evaluate the last finished epoch if it is one of those, save, and report it."""
        # A run by the clock may have been stopped by the very step that used up its time.
        if self.done.part.samples and self._is_finished():
            self.done.finish_epoch(self.parts.rate(self.done.step - 1, self.seconds))
        if self._evaluation_is_due():
            with self.interrupts.abandoning():
                evaluation = self._evaluate()
            is_best = self.done.note_scores(dict(evaluation.scores.values))
            self._save(is_best=is_best)
            if is_best and self.world.is_main:
                with self._full_disk_does_not_end_it():
                    evaluation.with_provenance({"checkpoint": BEST}).write(self.output)
        self._report_epoch()

    def _tell_of_unfinished_warm_up(self) -> None:
        """By the clock, nobody knows before how many steps there will be."""
        steps, warm_up = self.done.step, self.config.optimizer.warmup_steps
        if steps < warm_up:
            log.warning(
                "the run ended in the warm-up, after %d of its %s: the learning rate did not come "
                "to its height; lower optimizer.warmup_steps, or learn longer",
                *(steps, counted(warm_up, "step")),
            )

    def place(self) -> str:
        """How far the run has come, in words."""
        return self.done.place(self.config.train.epochs, self.parts.steps_per_epoch)

    def where_it_goes_on(self) -> str:
        """What to say of a run that is resumed."""
        done, epochs = self.done, self.config.train.epochs
        if not self._is_finished() or done.part.samples or self._evaluation_is_due():
            return f"resumed {self.place()}"
        best = f"best {main_number(done.lines[-1])} {done.best_score:.3f}"
        count = f"{done.epoch} of {counted(epochs, 'epoch')}"
        return f"the run in {self.output} is finished: {count}, {best}"

    def _count(self, loss: Tensor, group: list[CropBatch]) -> int:
        """Count a step; returns its samples, of all processes."""
        done, part = self.done, self.done.part
        readable = torch.cat([batch.readable for batch in group])
        samples = len(readable)
        if self.world.size > 1:  # those that fill up the last step are not counted
            samples = min(samples * self.world.size, self.persons - part.samples)
        self._unread.append((loss, int((~readable).sum()), samples))
        done.step += 1
        part.steps += 1
        part.samples += samples
        return samples

    def _read_losses(self) -> None:
        """Wait for the losses of the last steps, in all processes, and sum them up.

        Raises:
            FloatingPointError: If one is not finite.
        """
        if not self._unread:
            return
        part = self.done.part
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
        self._note = f"loss {part.loss_sum / part.samples:.2e}, waiting for data {share:.0%}"

    def _read_clock(self) -> None:
        """All processes go by the same time, so that their learning rates are the same."""
        self.seconds = self.done.seconds
        if self.world.size > 1:
            mine = torch.tensor(self.seconds, dtype=torch.float64, device=self.parts.device)
            self.seconds = self.world.mean(mine).item()

    def _time_is_left(self) -> bool:
        minutes = self.config.train.minutes
        return minutes is None or self.seconds < 60 * minutes

    def _is_finished(self) -> bool:
        """Whether all epochs are done, or the time for them is over."""
        done, train = self.done, self.config.train
        if train.minutes is not None and self.world.any(done.seconds >= 60 * train.minutes):
            return True
        return done.epoch >= train.epochs

    def _evaluation_is_due(self) -> bool:
        """Whether the last finished epoch is one to evaluate, and is not evaluated yet."""
        done = self.done
        fresh = bool(done.lines) and done.part.samples == 0
        due = self._is_finished() or done.epoch % self.config.train.evaluate_every == 0
        return fresh and due and main_number(done.lines[-1]) is None

    def _evaluate(self) -> Evaluation:
        """Score the validation set, in the training's arithmetic."""
        parts, test = self.parts, self.config.test
        network = self.step.to_score(parts.model)
        self.world.copy_from_main(network)  # what is saved: batch statistics are each one's own
        model = parts.pose_model(network)
        again = trial_prediction(model)
        largest = min(test.batch_size, len(parts.held_out.people))
        with explain_out_of_memory_in_evaluation(again, largest, parts.device):
            evaluation = evaluate(
                model,
                self.config.data.val,
                test,
                workers=self.config.data.workers,
                world=self.world,
                progress=self.progress,
            )
        if self.world.is_main:
            pictures = parts.showcase.pictures(model, evaluation.poses)
            with self._full_disk_does_not_end_it():
                self.report.pictures(pictures, self.done.epoch)
        return evaluation

    def _report_epoch(self) -> None:
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

    def _save(self, *, is_best: bool = False) -> None:
        """Save everything that resuming needs, and the weights to keep if they are the best."""
        if self.writer is None:
            return
        progress = run_progress(self.done, self.parts.device)
        best = (self.step.weights(), self.parts.card) if is_best else None
        self.writer.save({**self._facts, **self.step.state_dict(), **progress}, best)

    def _asked_to_stop(self) -> signal.Signals | None:
        """The signal that asks this process to stop, or another one: then all stop here.

        Asked between any two steps: torchrun gives its processes half a minute to end. Processes
        wait for one another then, but not for their devices.
        """
        received = self.interrupts.received
        if self.world.any(received is not None):
            return received or signal.SIGTERM
        return None

    def _stop_if(self, stop: signal.Signals | None) -> None:
        """Leave the loop if a signal asks for it, with the run on the disk."""
        if stop is not None:
            # Nobody ends before that: torchrun ends all when the first one ends.
            self.world.on_main(self._wait_for_writer)
            raise Interrupted(stop)

    def _wait_for_writer(self) -> None:
        """Return when what was saved is on the disk."""
        if self.writer is not None:
            self.writer.finish()

    def _explaining_memory(self) -> AbstractContextManager[None]:
        """A batch that does not fit is told with one that would, where one process can try it."""
        again = trial(self.step, self.parts.card) if self.world.size == 1 else None
        return explain_out_of_memory(
            again, capped_to(self.config.train, self.persons), self.parts.device
        )

    @contextmanager
    def _full_disk_does_not_end_it(self) -> Iterator[None]:
        """What a run tells matters less than that it goes on."""
        try:
            yield
        except OSError as error:
            log.warning("what %s tells of the run could not be written (%s)", self.output, error)
