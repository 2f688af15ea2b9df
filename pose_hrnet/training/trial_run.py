"""The parts of a training run, each tried by itself: what `pose_hrnet.training.dry_run` checks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

import numpy as np
import torch

from pose_hrnet.config.recipe import Config
from pose_hrnet.data.crops import CropBatch, CropDataset
from pose_hrnet.data.loader import crop_loader, end_workers
from pose_hrnet.evaluation.evaluate import EvaluationSet, load_evaluation_set
from pose_hrnet.inference.dataset import predict_people
from pose_hrnet.inference.model import Decoder, PoseModel
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.network import HeatmapNetwork
from pose_hrnet.models.weights.load import initialise
from pose_hrnet.system.choices import LoggerName, Resume
from pose_hrnet.system.files import check_room
from pose_hrnet.system.memory import peak_memory, usable_memory
from pose_hrnet.system.text import counted, duration, gigabytes, speed
from pose_hrnet.training.assemble import build_model
from pose_hrnet.training.data import (
    TrainingData,
    check_first_images,
    training_crops,
    training_data,
)
from pose_hrnet.training.loggers import check_loggers
from pose_hrnet.training.losses import HeatmapLoss, build_loss
from pose_hrnet.training.memory import HEADROOM, batch_advice, measure, no_larger, trial
from pose_hrnet.training.optimizer import build_optimizer
from pose_hrnet.training.run_folder import (
    Progressed,
    bytes_to_come,
    crops_per_step_before,
    load_run,
)
from pose_hrnet.training.step import TrainingStep, check_compiler

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


class TrialRun:
    """The parts of a run, made one after the other, each the first time that it is needed."""

    def __init__(
        self,
        config: Config,
        output: Path,
        resume: Resume,
        device: torch.device,
        loggers: tuple[LoggerName, ...],
    ) -> None:
        self.config, self.output, self.resume = config, output, resume
        self.device, self.loggers = device, loggers
        self.data: TrainingData | None = None
        self.held_out: EvaluationSet | None = None
        self.is_resumed = False
        self.batch: CropBatch | None = None
        self.loaded_per_second: float | None = None
        self.learned_per_second: float | None = None
        self.predicted_per_second: float | None = None

    @cached_property
    def network(self) -> tuple[HeatmapNetwork, ModelCard]:
        model, card = build_model(self.config)
        model.to(self.device)
        if self.config.train.channels_last:
            model.to(memory_format=torch.channels_last)
        return model, card

    def training_data(self) -> tuple[Result, str]:
        _, card = self.network
        self._loss(card)  # says what does not fit
        self.data = training_data(self.config, card)
        people = self.data.people
        images = counted(len(np.unique(people.image_index)), "image")
        return "OK", f"{counted(len(people), 'person')} to learn from in {images}"

    def validation_data(self) -> tuple[Result, str]:
        try:
            _, card = self.network
        except (ValueError, OSError):
            raise LeftOut("training data, which names the keypoints") from None
        data, lowest = self.config.data.val, self.config.test.min_box_score
        held_out = load_evaluation_set(data, card.skeleton, min_box_score=lowest)
        check_first_images(data, held_out.people)
        self.held_out = held_out
        rows = np.unique(np.linspace(0, len(held_out.people) - 1, LOOKED_AT).astype(int))
        crops = CropDataset(held_out.people, data.images, card.codec, card.box_padding)
        batch = crops.batch([(0, row) for row in rows.tolist()])
        bad = int((~batch.readable).sum())
        found = f"{counted(len(held_out.people), 'person')} to predict"
        return _readable(found, len(rows), bad, f"see {data.images}")

    def output_folder(self) -> tuple[Result, str]:
        """Whether the checkpoints could be written, without leaving anything."""
        try:
            needed = bytes_to_come(self.network[0], self.config, self.output)
        except (ValueError, OSError):  # what is wrong is the training data's to say
            needed = 0
        check_room(self.output, needed)
        room = f", and has room for checkpoints of {gigabytes(needed)}" if needed else ""
        return "OK", f"can be written to{room}"

    def earlier_run(self) -> tuple[Result, str]:
        """Whether a run that the folder holds is gone on with as it was meant."""
        people = _needed(self.data, "training data").people
        saved = load_run(self.output, self.config, people, self.resume)
        if saved is None:
            return "OK", "none; a new one starts"
        self.is_resumed = True
        done = Progressed.from_dict(saved["progressed"])
        steps = math.ceil(len(people) / crops_per_step_before(saved))
        return "OK", f"goes on {done.place(self.config.train.epochs, steps)}"

    def logging_packages(self) -> tuple[Result, str]:
        check_loggers(self.loggers, self.output)
        return "OK", ", ".join(self.loggers) or "TensorBoard where it is installed"

    def starting_weights(self) -> tuple[Result, str]:
        if self.is_resumed:
            return "OK", "those of the earlier run"
        path = self.config.model.pretrained
        if path is None:
            return "OK", "random"
        try:
            model, card = self.network
        except (ValueError, OSError):
            raise LeftOut("training data, which names the keypoints") from None
        return "OK", initialise(model, path, card.skeleton.keypoint_names).summary()

    def loading(self) -> tuple[Result, str]:
        """Read batches as the training would, without a network to wait for."""
        data = _needed(self.data, "training data")
        train, workers = self.config.train, self.config.data.workers
        loader = crop_loader(
            training_crops(self.config, self.network[1], data),
            batch_size=train.batch_size,
            workers=workers,
            sampler=data.sampler,
        )
        seen = bad = timed = 0
        began = time.perf_counter()
        try:
            for number, batch in enumerate(loader, start=1):
                self.batch = self.batch or batch
                seen += len(batch.pixels)
                bad += int((~batch.readable).sum())
                if number <= workers:  # the processes start, and fill their queues
                    began = time.perf_counter()
                    continue
                timed += len(batch.pixels)
                if time.perf_counter() - began > LOADING_SECONDS:
                    break
        finally:
            end_workers(loader)
        if timed:
            self.loaded_per_second = timed / (time.perf_counter() - began)
        rate = f", {speed(self.loaded_per_second)}" if self.loaded_per_second else ""
        processes = counted(workers, "process") if workers else "no processes"
        found = f"{counted(seen, 'crop')} read by {processes}{rate}"
        return _readable(found, seen, bad, "see pose-hrnet data validate")

    def training_step(self) -> tuple[Result, str]:
        """Steps on few crops tell what a whole batch needs; only if that fits is it tried."""
        batch = _needed(self.batch, "training data")
        data, (model, card) = _needed(self.data, "training data"), self.network
        train, device = no_larger(self.config.train, len(data.people)), self.device
        if train.compile:
            check_compiler(device)
        # Compiling takes minutes, and changes not much of the memory.
        config = self.config.model_copy(
            update={"train": train.model_copy(update={"compile": False})}
        )
        optimizer = build_optimizer(model, config.optimizer)
        step = TrainingStep(
            model, card.codec, optimizer, self._loss(card), config, device, data.people
        )
        model.train()
        run = trial(step, card)
        run(1)  # slower than all that follow
        one = _seconds(lambda: run(1))
        affordable = max(2, int(STEP_SECONDS / one))
        memory = measure(run, min(train.batch_size, 4 * affordable), device)
        usable = usable_memory(device)
        if memory is not None and usable is not None:
            needed, largest = memory.needed(train.batch_size), memory.largest_batch(usable)
            if needed > HEADROOM * usable:
                return "fault", (
                    f"batch size {train.batch_size} needs about {gigabytes(needed)}, and "
                    f"{gigabytes(usable)} can be used on {device}: "
                    f"{batch_advice(largest, train.batch_size, train.accumulate)}"
                )
        tried = _first(batch, affordable)
        took = 0.0

        def learn() -> None:
            nonlocal took
            took = _seconds(lambda: float(step([tried], self.config.optimizer.lr)))
            step.check("its first step")

        peak = peak_memory(learn, device)
        self.learned_per_second = len(tried.pixels) / took
        if len(tried.pixels) < len(batch.pixels):
            crops = counted(len(tried.pixels), "crop")
            if memory is None:
                return "OK", f"{crops} of a batch took {took:.1f} s"
            expected = train.batch_size / self.learned_per_second
            return "OK", (
                f"{crops} took {took:.1f} s, so that a batch of "
                f"{train.batch_size} should take {expected:.0f} s and "
                f"{gigabytes(memory.needed(train.batch_size))}"
            )
        words = f"{counted(len(batch.pixels), 'crop')} took {took:.2f} s"
        if peak is not None and usable is not None:
            words += f" and {gigabytes(peak)} of {gigabytes(usable)}"
        if memory is not None and usable is not None:
            largest = memory.largest_batch(usable)
            is_all = largest >= len(data.people)
            fits = "the whole data set in one batch" if is_all else f"batch size {largest:,}"
            words += f"; {fits} would still fit"
        return "OK", words

    def evaluation(self) -> tuple[Result, str]:
        """A batch of the evaluation, or the crops that a slow machine has the time for."""
        held_out = _needed(self.held_out, "validation data")
        learned = _needed(self.learned_per_second, "training step")
        test, (model, card) = self.config.test, self.network
        passes = 2 if test.flip_test else 1
        # A forward pass is about a third of a step.
        affordable = max(2, int(STEP_SECONDS * learned * 3 / passes))
        size = min(test.batch_size, len(held_out.people), affordable)
        decoder = Decoder.of(
            card,
            flip_test=test.flip_test,
            flip_shift=test.flip_shift,
            precision=self.config.train.precision,
        )
        tried = PoseModel(model, card, decoder, self.device)

        def run(count: int) -> None:
            people = held_out.people[np.resize(np.arange(len(held_out.people)), count)]
            dataset = CropDataset(people, held_out.data.images, card.codec, card.box_padding)
            loader = crop_loader(dataset, batch_size=count, workers=0)
            predict_people(tried, dataset, loader)

        memory, usable = measure(run, size, self.device), usable_memory(self.device)
        if memory is not None and usable is not None:
            batch_size = min(test.batch_size, len(held_out.people))
            needed = memory.needed(batch_size)
            if needed > HEADROOM * usable:
                return "fault", (
                    f"test.batch_size {batch_size} needs about {gigabytes(needed)}, and "
                    f"{gigabytes(usable)} can be used on {self.device}; "
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
        evaluations = -(-train.epochs // train.evaluate_every)
        total = train.epochs * epoch + evaluations * len(held_out.people) / predicted
        words = (
            f"about {duration(epoch)} an epoch, {duration(total)} for {train.epochs} of them "
            f"with {counted(evaluations, 'evaluation')}"
        )
        if train.compile:
            words += ", less what train.compile gains"
        if loaded is None:
            return "OK", words
        words = f"the loader gives {speed(loaded)}, the step takes {speed(learned)}: " + (
            f"{'not starved' if loaded >= STARVED * learned else 'starved'}; {words}"
        )
        if loaded >= STARVED * learned:
            return "OK", words
        return (
            "note",
            f"{words}; raise data.workers, or try data.decode=fast and data.order=images",
        )

    def _loss(self, card: ModelCard) -> HeatmapLoss:
        return build_loss(
            self.config.loss.name,
            card.skeleton,
            top_k=self.config.loss.top_k,
            keypoint_weights=self.config.loss.keypoint_weights,
            device=self.device,
        )


def _needed(value: Value | None, name: str) -> Value:
    if value is None:
        raise LeftOut(name)
    return value


def _readable(found: str, looked_at: int, bad: int, where: str) -> tuple[Result, str]:
    if bad == 0:
        return "OK", found
    words = f"{found}; {bad} of {looked_at} could not be read, {where}"
    return ("fault" if bad > BAD_SHARE * looked_at else "note"), words


def _first(batch: CropBatch, count: int) -> CropBatch:
    """The first crops of a batch."""
    return CropBatch(*(column[:count] for column in batch))


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
