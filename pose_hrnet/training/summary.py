"""What a training run is about to do, and what it did, as a few rows of words."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from pose_hrnet.config.data import CropShards
from pose_hrnet.config.recipe import Config
from pose_hrnet.config.training import OptimizerConfig, TrainConfig
from pose_hrnet.evaluation.scorer import main_number
from pose_hrnet.models.complexity import complexity
from pose_hrnet.system.device import arithmetic
from pose_hrnet.system.text import counted, duration, format_size, speed
from pose_hrnet.training.assemble import Assembly

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Facts:
    """A title, and rows of a name and what there is to say about it."""

    title: str
    rows: tuple[tuple[str, str], ...]


BY_THE_CLOCK = "goes on by the clock, so not to the very same weights"
"""What to know of resuming a run in minutes."""


Tell: TypeAlias = Callable[[Facts], None]
"""Takes facts to whoever reads them: the command line draws a table."""


def log_facts(facts: Facts) -> None:
    """Facts as one log entry of several lines."""
    width = max(len(name) for name, _ in facts.rows)
    rows = (f"  {name:<{width}}  {value}" for name, value in facts.rows)
    log.info("%s", "\n".join([facts.title, *rows]))


@dataclass(frozen=True)
class RunSummary:
    """What a run starts from.

    Attributes:
        training_images: Images with a person to learn from.
        training_persons: Crops in an epoch.
        keypoints_per_person: Mean of the labelled keypoints of those.
        validation_images: Images of the validation set.
        validation_boxes: Persons that are predicted.
        model: Its name.
        parameters: Numbers that are learnt.
        gflops: Of a crop, as papers count them (see `pose_hrnet.models.complexity`).
        effective_batch: Crops per optimiser step.
        rate: The learning rate after the warm-up, as the steps use it.
        steps_per_epoch: Optimiser steps.
        processes: Copies of the network that learn together.
        device: Where it runs.
        precision: Arithmetic of the forward pass.
    """

    training_images: int
    training_persons: int
    keypoints_per_person: float
    validation_images: int
    validation_boxes: int
    model: str
    parameters: int
    gflops: float
    effective_batch: int
    rate: float
    steps_per_epoch: int
    processes: int
    device: str
    precision: str

    def facts(self, config: Config, *, place: str | None = None) -> Facts:
        """The summary in words, with what the configuration says beside it; fits 80 x 24.

        Args:
            config: Of the run.
            place: How far a run that is resumed has come, in words.
        """
        train, codec = config.train, config.codec
        steps = self.steps_per_epoch * train.epochs
        by_clock = train.minutes is not None
        all_steps = f"{steps:,} in all" if not by_clock else f"as time allows, {steps:,} at most"
        kind = "annotated" if config.data.val.boxes is None else "detected"
        boxes = counted(self.validation_boxes, f"{kind} box")
        every = train.evaluate_every
        extras = [
            name
            for name, used in (
                ("compiled", train.compile),
                ("channels last", train.channels_last),
                ("shared batch norm", train.sync_batchnorm and self.processes > 1),
                (f"moving average {train.ema_decay}", train.ema_decay is not None),
            )
            if used
        ]
        return Facts(
            f"training for {length_in_words(train)}",
            (
                ("data", _source(config)),
                (
                    "train",
                    f"{counted(self.training_persons, 'person')} in "
                    f"{counted(self.training_images, 'image')}, "
                    f"{self.keypoints_per_person:.1f} keypoints each",
                ),
                (
                    "validate",
                    f"{boxes} in {counted(self.validation_images, 'image')}, "
                    f"every {'epoch' if every == 1 else f'{every} epochs'}",
                ),
                (
                    "model",
                    f"{self.model}, {self.parameters / 1e6:.1f} M parameters, "
                    f"{self.gflops:.{1 if self.gflops >= 1 else 2}f} GFLOPs",
                ),
                (
                    "input",
                    f"{format_size(codec.input_wh)} (height x width), "
                    f"codec {codec.name}, sigma {codec.sigma:g}",
                ),
                ("start from", str(config.model.pretrained or "random weights"))
                if place is None
                else ("goes on from", f"the save {place}"),
                ("batch", self._batch(config)),
                ("learning rate", rate_in_words(config.optimizer, self)),
                ("schedule", schedule_in_words(config.optimizer, train)),
                ("steps", f"{self.steps_per_epoch:,} in an epoch, {all_steps}"),
                *([("if resumed", BY_THE_CLOCK)] if by_clock else []),
                ("runs on", ", ".join([self.device, self.precision, *extras])),
            ),
        )

    def _batch(self, config: Config) -> str:
        train = config.train
        factors = [counted(train.batch_size, "crop")]
        factors += [f"{train.accumulate} batches"] if train.accumulate > 1 else []
        factors += [f"{self.processes} processes"] if self.processes > 1 else []
        return f"{counted(self.effective_batch, 'crop')} per step" + (
            f" ({' x '.join(factors)})" if len(factors) > 1 else ""
        )


def summarize(parts: Assembly) -> RunSummary:
    """Collect the facts of a run."""
    card, people, held_out = parts.card, parts.data.people, parts.held_out
    cost = complexity(card.architecture or {}, card.codec.input_wh)
    return RunSummary(
        training_images=len(np.unique(people.image_index)),
        training_persons=len(people),
        keypoints_per_person=float((people.visibility > 0).sum(axis=1).mean()),
        validation_images=len(held_out.people.images),
        validation_boxes=len(held_out.people),
        model=cost.label,
        parameters=cost.parameters,
        gflops=cost.published_gflops,
        effective_batch=parts.crops_per_step,
        rate=parts.base_rate,
        steps_per_epoch=parts.steps_per_epoch,
        processes=parts.world.size,
        device=_device_name(parts.device),
        precision=arithmetic(parts.device, parts.config.train.precision),
    )


def rate_in_words(config: OptimizerConfig, summary: RunSummary) -> str:
    """The rate, and where it comes from if batches scale it."""
    words = f"{config.name} {summary.rate:.3g}"
    if config.lr_batch is not None:
        words += f" = {config.lr:.3g} x {summary.effective_batch} / {config.lr_batch}"
    warm_up = counted(config.warmup_steps, "step")
    return words + (f", warm-up of {warm_up}" if config.warmup_steps else "")


def length_in_words(train: TrainConfig) -> str:
    """How long a run lasts."""
    if train.minutes is None:
        return counted(train.epochs, "epoch")
    return f"{duration(60 * train.minutes)}, at most {counted(train.epochs, 'epoch')}"


def schedule_in_words(config: OptimizerConfig, train: TrainConfig) -> str:
    """How the rate changes over the run."""
    epochs = train.epochs
    if config.schedule == "cosine":
        if train.minutes is None:
            return f"cosine to 0 at epoch {epochs}"
        return f"cosine to 0 when the time is up, or at epoch {epochs} if sooner"
    drops = [epoch for epoch in config.step_epochs if epoch < epochs]
    if not drops:
        return "the same throughout"
    noun = "epoch" if len(drops) == 1 else "epochs"
    words = f"x {config.step_factor:g} at {noun} {_listed(drops)} of {epochs}"
    if train.minutes is None:
        return words
    shares = _listed([f"{epoch / epochs:.0%}" for epoch in drops])
    return f"{words}, or {shares} of the time"


def _listed(values: Sequence[object]) -> str:
    """The values with commas, and "and" before the last."""
    *first, last = map(str, values)
    return f"{', '.join(first)} and {last}" if first else last


def epoch_in_words(line: dict[str, Any], epochs: int, left: float | None = None) -> str:
    """A line of ``metrics.jsonl``, short enough for a terminal of 80 columns.

    Args:
        line: Of an epoch. Its waiting for data is told from 5 % on, its learning rate is not.
        epochs: Of the run.
        left: Seconds that are left of it, if that is known.
    """
    score = main_number(line)
    parts = [
        f"epoch {line['epoch']}/{epochs}: loss {line['loss']:.2e}",
        *([] if score is None else [f"{score} {line[score]:.3f}"]),
        speed(line["samples_per_second"]),
    ]
    if line["data_wait"] >= 0.05:
        parts.append(f"wait {line['data_wait']:.0%}")
    if line.get("unreadable"):
        parts.append(f"{line['unreadable']} unreadable")
    if left:
        parts.append(f"{duration(left)} left")
    return ", ".join(parts)


def result_facts(lines: Sequence[dict[str, Any]], best: Path) -> Facts:
    """What a finished run came to.

    Args:
        lines: Of ``metrics.jsonl``.
        best: The weights of the best epoch.
    """
    seconds = sum(line["seconds"] for line in lines)
    crops = sum(line["samples_per_second"] * line["seconds"] for line in lines)
    unreadable = max(line.get("unreadable", 0) for line in lines)
    waited = sum(line["data_wait"] * line["seconds"] for line in lines)
    rows = [
        ("learning took", f"{duration(seconds)}, {speed(crops / seconds)}"),
        ("waiting for data", f"{waited / seconds:.0%} of it"),
        ("unreadable", f"{counted(unreadable, 'crop')} in an epoch"),
        ("loss", f"{lines[0]['loss']:.2e} in epoch 1, {lines[-1]['loss']:.2e} in the last"),
    ]
    scored = [line for line in lines if main_number(line)]
    if scored:
        name = main_number(scored[0]) or "AP"
        # The first of equal ones: its weights were kept.
        top = max(scored, key=lambda line: float(line[name]))
        others = [n for n in ("AP50", "AP75", "AR", "PCKh@0.1") if n in top]
        values = ", ".join(f"{n} {top[n]:.3f}" for n in (name, *others))
        rows.insert(0, ("best", f"epoch {top['epoch']}: {values}"))
        if top is not scored[-1]:
            rows.insert(1, ("last", f"{name} {scored[-1][name]:.3f}"))
    return Facts(f"trained for {counted(len(lines), 'epoch')}", (*rows, ("weights", str(best))))


def _source(config: Config) -> str:
    """Where the training data lies: the end of a path is its telling part."""
    first, *others = config.data.training_sources
    name = f"shards {first.shards}" if isinstance(first, CropShards) else str(first.annotations)
    return name + (f" and {len(others)} more" if others else "")


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    if device.type != "cpu":
        return str(device)
    return f"{device}, {counted(torch.get_num_threads(), 'thread')}"
