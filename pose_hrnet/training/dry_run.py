"""A training run tried out in under a minute: everything that could stop it later, and how fast.

Each check stands by itself: a fault is a row of the result, and what depends on it is left out.
Nothing is left behind in the output folder.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Literal, TypeAlias, TypeVar

import numpy as np
import torch

from pose_hrnet.config.recipe import Config
from pose_hrnet.data.crops import CropBatch, CropDataset
from pose_hrnet.data.loader import crop_loader, end_workers
from pose_hrnet.evaluation.evaluate import EvaluationSet
from pose_hrnet.inference.dataset import predict_people
from pose_hrnet.models.card import ModelCard
from pose_hrnet.system.choices import LoggerName, Resume
from pose_hrnet.system.device import pick_device
from pose_hrnet.system.folders import check_room
from pose_hrnet.system.memory import peak_memory, usable_memory
from pose_hrnet.system.text import counted, duration, gigabytes, speed
from pose_hrnet.training.assemble import Assembly
from pose_hrnet.training.data import TrainingData, learnt_from_too
from pose_hrnet.training.loggers import check_loggers
from pose_hrnet.training.memory import batch_advice, capped_to, is_out_of_memory, measure, trial
from pose_hrnet.training.run_folder import (
    STATES,
    Progressed,
    bytes_to_come,
    crops_per_step_before,
    load_run,
    of_a_run,
)
from pose_hrnet.training.step import check_compiler

Result: TypeAlias = Literal["OK", "note", "fault", "left out"]

Value = TypeVar("Value")

LOOKED_AT = 32
"""Validation persons whose images are read."""
BAD_SHARE = 0.05
"""Share of unreadable images above which something is wrong with more than a file or two."""
STEP_SECONDS, LOADING_SECONDS = 10.0, 6.0
"""What a check may take: on a slow machine, it looks at fewer crops and says so."""
STARVED = 0.95
"""The network waits for data if the loader gives less than this share of what it takes."""


class LeftOut(Exception):
    """A check needs what an earlier one could not provide, and says what."""


@dataclass(frozen=True)
class Check:
    """What was looked at, and what came of it.

    Attributes:
        name: What was looked at.
        result: ``fault``: training would stop, or learn nothing; ``note``: worth knowing.
        detail: One sentence.
    """

    name: str
    result: Result
    detail: str


def dry_run(
    config: Config,
    output: Path,
    *,
    resume: Resume = "never",
    device: str = "auto",
    loggers: Sequence[LoggerName] = (),
) -> list[Check]:
    """Try out a training run; arguments as of `train`.

    Returns:
        One row for each check.

    Raises:
        ValueError: If there is no such device.
    """
    run = _Trial(config, output, resume, pick_device(device), loggers)
    checks = {
        "training data": run.training_data,
        "validation data": run.validation_data,
        "output folder": run.output_folder,
        "earlier run": run.earlier_run,
        "loggers": run.logging_packages,
        "starting weights": run.starting_weights,
        "loading": run.loading,
        "training step": run.training_step,
        "evaluation": run.evaluation,
        "speed": run.speed,
    }
    return [_check(name, call) for name, call in checks.items()]


def _check(name: str, call: Callable[[], tuple[Result, str]]) -> Check:
    try:
        return Check(name, *call())
    except LeftOut as missing:
        return Check(name, "left out", f"needs the {missing}")
    except (ValueError, OSError, FloatingPointError) as error:
        return Check(name, "fault", str(error))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return Check(name, "fault", f"memory does not suffice: {str(error).splitlines()[0]}")


@dataclass
class _Trial:
    """The checks in their order; later ones use what earlier ones found."""

    config: Config
    output: Path
    resume: Resume
    device: torch.device
    loggers: Sequence[LoggerName]
    data: TrainingData | None = None
    held_out: EvaluationSet | None = None
    is_resumed: bool = False
    batch: CropBatch | None = None
    loaded_per_second: float | None = None
    learned_per_second: float | None = None
    predicted_per_second: float | None = None

    @cached_property
    def parts(self) -> Assembly:
        # Compiling takes minutes, and changes not much of the memory.
        train = self.config.train.model_copy(update={"compile": False})
        return Assembly(self.config.model_copy(update={"train": train}), self.device)

    def training_data(self) -> tuple[Result, str]:
        _ = self.parts.loss  # says what does not fit
        self.data = self.parts.data
        people = self.data.people
        images = counted(len(np.unique(people.image_index)), "image")
        return "OK", f"{counted(len(people), 'person')} to learn from in {images}"

    def validation_data(self) -> tuple[Result, str]:
        card = self._card()
        self.held_out = self.parts.held_out
        people, images = self.held_out.people, self.held_out.data.images
        rows = np.unique(np.linspace(0, len(people) - 1, LOOKED_AT).astype(int))
        crops = CropDataset(people, images, card.codec, card.box_padding)
        batch = crops.batch([(0, row) for row in rows.tolist()])
        bad = int((~batch.readable).sum())
        found = f"{counted(len(people), 'person')} to predict"
        result, words = _readable(found, len(rows), bad, f"see {images}")
        seen = self.data and learnt_from_too(self.data, self.config.data.val, people)
        if seen and result == "OK":
            return "note", f"{words}; {seen}"
        return result, words

    def output_folder(self) -> tuple[Result, str]:
        """Whether the states could be written, without leaving anything."""
        try:
            needed = bytes_to_come(self.parts.model, self.config, self.output)
        except (ValueError, OSError):  # what is wrong is the training data's to say
            needed = 0
        check_room(self.output, needed, STATES)
        room = f", and has room for states and weights of {gigabytes(needed)}" if needed else ""
        return "OK", f"can be written to{room}"

    def earlier_run(self) -> tuple[Result, str]:
        """Whether a run that the folder holds is gone on with as it was meant."""
        people = _needed(self.data, "training data").people
        saved = load_run(self.output, self.config, people, self.resume)
        if saved is None:
            return "OK", "none; a new one starts"
        self.is_resumed = True
        with of_a_run(self.output):
            done = Progressed.from_dict(saved["progressed"])
        steps = math.ceil(len(people) / crops_per_step_before(saved))
        return "OK", f"goes on {done.place(self.config.train.epochs, steps)}"

    def logging_packages(self) -> tuple[Result, str]:
        check_loggers(self.loggers, self.output)
        return "OK", ", ".join(self.loggers) or "TensorBoard where it is installed"

    def starting_weights(self) -> tuple[Result, str]:
        if self.is_resumed:
            return "OK", "those of the earlier run"
        self._card()
        return "OK", self.parts.start_from_pretrained()

    def loading(self) -> tuple[Result, str]:
        """Read batches as the training would, without a network to wait for."""
        _needed(self.data, "training data")
        loader = self.parts.loader
        workers = loader.num_workers
        seen = bad = timed = 0
        began = perf_counter()
        try:
            for number, batch in enumerate(loader, start=1):
                self.batch = self.batch or batch
                seen += len(batch.pixels)
                bad += int((~batch.readable).sum())
                if number <= workers:  # the processes start, and fill their queues
                    began = perf_counter()
                    continue
                timed += len(batch.pixels)
                if perf_counter() - began > LOADING_SECONDS:
                    break
        finally:
            end_workers(loader)
        if timed:
            self.loaded_per_second = timed / (perf_counter() - began)
        rate = f", {speed(self.loaded_per_second)}" if self.loaded_per_second else ""
        processes = counted(workers, "process") if workers else "no processes"
        found = f"{counted(seen, 'crop')} read by {processes}{rate}"
        return _readable(found, seen, bad, "see pose-hrnet data validate")

    def training_step(self) -> tuple[Result, str]:
        """Steps on few crops tell what a whole batch needs; only if that fits is it tried."""
        batch = _needed(self.batch, "training data")
        data, device = _needed(self.data, "training data"), self.device
        train = capped_to(self.config.train, len(data.people))
        if train.compile:
            check_compiler(device)
        step = self.parts.step
        step.model.train()
        run = trial(step, self.parts.card)
        run(1)  # slower than all that follow
        affordable = max(2, int(STEP_SECONDS / _seconds(lambda: run(1))))
        memory = measure(run, min(train.batch_size, 4 * affordable), device)
        usable = usable_memory(device)
        if memory and usable and not memory.fits(train.batch_size, usable):
            largest = memory.largest_batch(usable)
            return "fault", (
                f"batch size {train.batch_size} needs about "
                f"{gigabytes(memory.needed(train.batch_size))}, and {gigabytes(usable)} can be "
                f"used on {device}: {batch_advice(largest, train.batch_size, train.accumulate)}"
            )
        tried = CropBatch(*(column[:affordable] for column in batch))
        took = 0.0

        def learn() -> None:
            nonlocal took
            took = _seconds(lambda: float(step([tried], self.parts.rate(0, 0.0))))
            step.check("its first step")

        peak = peak_memory(learn, device)
        self.learned_per_second = len(tried.pixels) / took
        crops = counted(len(tried.pixels), "crop")
        if len(tried.pixels) < len(batch.pixels):
            if memory is None:
                return "OK", f"{crops} of a batch took {took:.1f} s"
            expected = train.batch_size / self.learned_per_second
            return "OK", (
                f"{crops} took {took:.1f} s, so that a batch of {train.batch_size} should take "
                f"{expected:.0f} s and {gigabytes(memory.needed(train.batch_size))}"
            )
        words = f"{crops} took {took:.2f} s"
        if peak and usable:
            words += f" and {gigabytes(peak)} of {gigabytes(usable)}"
        if memory and usable:
            largest = memory.largest_batch(usable)
            is_all = largest >= len(data.people)
            fits = "the whole data set in one batch" if is_all else f"batch size {largest:,}"
            words += f"; {fits} would still fit"
        return "OK", words

    def evaluation(self) -> tuple[Result, str]:
        """A batch of the evaluation, or the crops that a slow machine has the time for."""
        held_out = _needed(self.held_out, "validation data")
        learned = _needed(self.learned_per_second, "training step")
        test, card = self.config.test, self.parts.card
        passes = 2 if test.flip_test else 1
        # A forward pass is about a third of a step.
        affordable = max(2, int(STEP_SECONDS * learned * 3 / passes))
        size = min(test.batch_size, len(held_out.people), affordable)
        model = self.parts.pose_model(self.parts.model)

        def run(count: int) -> None:
            people = held_out.people[np.resize(np.arange(len(held_out.people)), count)]
            dataset = CropDataset(people, held_out.data.images, card.codec, card.box_padding)
            loader = crop_loader(dataset, batch_size=count, workers=0)
            predict_people(model, dataset, loader)

        memory, usable = measure(run, size, self.device), usable_memory(self.device)
        batch_size = min(test.batch_size, len(held_out.people))
        if memory and usable and not memory.fits(batch_size, usable):
            return "fault", (
                f"test.batch_size {batch_size} needs about {gigabytes(memory.needed(batch_size))}"
                f", and {gigabytes(usable)} can be used on {self.device}; "
                f"{memory.largest_batch(usable)} would fit"
            )
        took = _seconds(lambda: run(size))
        self.predicted_per_second = size / took
        mirrored = " and mirrored" if test.flip_test else ""
        return "OK", f"{counted(size, 'crop')}, read{mirrored}, took {took:.2f} s"

    def speed(self) -> tuple[Result, str]:
        """Whether the network waits for its data, and how long it all takes."""
        learned = _needed(self.learned_per_second, "training step")
        held_out = _needed(self.held_out, "validation data")
        predicted = _needed(self.predicted_per_second, "evaluation")
        data, train = _needed(self.data, "training data"), self.config.train
        loaded = self.loaded_per_second
        slower = learned if loaded is None else min(loaded, learned)
        epoch = len(data.people) / slower
        epochs = train.epochs
        if train.minutes is not None:
            epochs = max(1, min(epochs, round(60 * train.minutes / epoch)))
        evaluations = -(-epochs // train.evaluate_every)
        total = epochs * epoch + evaluations * len(held_out.people) / predicted
        words = (
            f"about {duration(epoch)} an epoch, {duration(total)} for {epochs} of them "
            f"with {counted(evaluations, 'evaluation')}"
        )
        if train.compile:
            words += ", less what train.compile gains"
        if loaded is None:
            return "OK", words
        starved = loaded < STARVED * learned
        words = (
            f"the loader gives {speed(loaded)}, the step takes {speed(learned)}: "
            f"{'starved' if starved else 'not starved'}; {words}"
        )
        if not starved:
            return "OK", words
        return "note", f"{words}; raise data.workers, or set data.decode=fast data.order=images"

    def _card(self) -> ModelCard:
        try:
            return self.parts.card
        except (ValueError, OSError):
            raise LeftOut("training data, which names the keypoints") from None


def _needed(value: Value | None, name: str) -> Value:
    if value is None:
        raise LeftOut(name)
    return value


def _readable(found: str, looked_at: int, bad: int, where: str) -> tuple[Result, str]:
    if bad == 0:
        return "OK", found
    words = f"{found}; {bad} of {looked_at} could not be read, {where}"
    return ("fault" if bad > BAD_SHARE * looked_at else "note"), words


def _seconds(call: Callable[[], object]) -> float:
    began = perf_counter()
    call()
    return perf_counter() - began
