"""The training loop, in reading order: set up, then per epoch learn, evaluate, save, report."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn
from torch.utils.data import DataLoader

from pose_hrnet.codec import HeatmapCodec
from pose_hrnet.config import Config, ModelConfig, OptimizerConfig
from pose_hrnet.data.crops import Crop, crop_loader, end_workers
from pose_hrnet.device import Precision, autocast, pick_device
from pose_hrnet.evaluate import evaluate, load_evaluation_set
from pose_hrnet.files import write_text
from pose_hrnet.losses import HeatmapLoss, build_loss
from pose_hrnet.metrics.main_number import main_number
from pose_hrnet.models.build import PoseNetwork, build_network
from pose_hrnet.models.weights import ModelCard, initialise, save_model
from pose_hrnet.progress import SILENT, Bar, Progress
from pose_hrnet.records import People
from pose_hrnet.run_folder import Progressed, Report, load_run, save_run
from pose_hrnet.training_data import (
    check_first_images,
    skeleton_to_learn,
    training_crops,
    training_data,
)

log = logging.getLogger(__name__)


def train(
    config: Config,
    output: Path,
    *,
    resume: bool = False,
    device: str = "auto",
    progress: Progress = SILENT,
) -> Path:
    """Train a model; see `pose_hrnet.run_folder` for what it leaves in `output`.

    Args:
        config: Everything that decides the run.
        output: Folder of the run.
        resume: Continue the run that the folder holds, if it holds one.
        device: ``auto``, ``cpu``, ``cuda`` ...
        progress: Watches.

    Returns:
        Path of the best checkpoint.

    Raises:
        ValueError: If the folder holds a run and `resume` is off, or that run was started with
            other settings; if the data is malformed; if the pretrained weights do not fit.
        FloatingPointError: If a loss is not finite; the weights are those before that step.
    """
    where = pick_device(device)
    last, best = output / "last.pt", output / "best.safetensors"
    torch.manual_seed(config.train.seed)
    model, card = build_model(config)
    loss = build_loss(
        config.loss.name,
        card.skeleton,
        top_k=config.loss.top_k,
        keypoint_weights=config.loss.keypoint_weights,
        device=where,
    )
    data = training_data(config, card)
    people = data.people
    loader = crop_loader(
        training_crops(config, card, data),
        batch_size=config.train.batch_size,
        workers=config.data.workers,
        sampler=data.sampler,
        pin_memory=where.type == "cuda",
    )
    # Read now, so that a fault shows before the first epoch and not behind it.
    held_out = load_evaluation_set(
        config.data.val, card.skeleton, min_box_score=config.test.min_box_score
    )
    check_first_images(config.data.val, held_out.people)
    saved = load_run(last, config, people, resume)
    if config.model.pretrained is not None and saved is None:
        report = initialise(model, config.model.pretrained, card.skeleton.keypoint_names)
        log.info("%s", report.summary())
    model.to(where)
    if config.train.channels_last:
        model.to(memory_format=torch.channels_last)
    optimizer = build_optimizer(model, config.optimizer)
    rate = rate_schedule(config.optimizer, len(loader), config.train.epochs)
    done = Progressed()
    if saved is not None:
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        torch.set_rng_state(saved["rng"])
        done = Progressed.from_dict(saved["progressed"])
        log.info("resumed after epoch %d of %d", done.epoch, config.train.epochs)
    elif resume:
        log.info("%s holds no run to resume; a new one starts", output)

    output.mkdir(parents=True, exist_ok=True)
    write_text(output / "config.yaml", yaml.safe_dump(config.model_dump(mode="json")))
    run_report = Report(output, done.epoch)
    step = TrainingStep(model, card.codec, optimizer, loss, config, where, people)

    try:
        while True:
            if _evaluation_is_due(done, config):
                scores = _score(model, card, config, where, progress)
                done.lines[-1] |= scores
                score = scores[main_number(scores) or "AP"]
                if score > done.best_score or not best.exists():
                    done.best_score = score
                    save_model(best, model.state_dict(), card)
                save_run(last, model, optimizer, card, config, people, done)
            if done.lines:
                run_report.show(done.lines)
            if done.epoch >= config.train.epochs:
                break
            data.sampler.epoch = done.epoch
            title = f"epoch {done.epoch + 1}/{config.train.epochs}"
            with progress.task(title, total=len(people), unit="samples") as bar:
                line = learn_epoch(step, loader, rate, done, bar)
            done.epoch += 1
            done.lines.append({"epoch": done.epoch, "step": done.step, **line})
            save_run(last, model, optimizer, card, config, people, done)
    except KeyboardInterrupt:
        log.info("saved up to epoch %d; the same command with --resume goes on", done.epoch)
        raise
    finally:
        end_workers(loader)
        run_report.close()
    return best


def _evaluation_is_due(done: Progressed, config: Config) -> bool:
    """Whether the last finished epoch is one to evaluate, and is not evaluated yet."""
    ends = done.epoch >= config.train.epochs or done.epoch % config.train.evaluate_every == 0
    return bool(done.lines) and ends and main_number(done.lines[-1]) is None


def build_model(config: Config) -> tuple[PoseNetwork, ModelCard]:
    """A freshly initialised network and the card that travels with its weights.

    Raises:
        FileNotFoundError: If the file that names the keypoints is missing.
        ValueError: If it does not name them.
    """
    skeleton = skeleton_to_learn(config.data)
    model = build_network(architecture_of(config.model, skeleton.num_keypoints))
    card = ModelCard(
        architecture=model.architecture,
        skeleton=skeleton,
        codec=HeatmapCodec(
            config.codec.name,
            config.codec.input_wh,
            config.codec.sigma,
            blur_kernel=config.codec.blur_kernel,
        ),
        box_padding=config.data.box_padding,
    )
    return model, card


def architecture_of(config: ModelConfig, num_keypoints: int) -> dict[str, Any]:
    """What `build_network` takes, from the configuration."""
    if config.name == "resnet":
        return {"name": config.name, "depth": config.depth, "num_keypoints": num_keypoints}
    return {
        "name": config.name,
        "head": config.head,
        "width": config.width,
        "num_keypoints": num_keypoints,
        "stem_width": config.stem_width,
        "stem_blocks": config.stem_blocks,
        "stage_modules": config.stage_modules,
        "branch_blocks": config.branch_blocks,
    }


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Adam, AdamW or Nesterov SGD over all parameters."""
    parameters, decay = model.parameters(), config.weight_decay
    if config.name == "sgd":
        return torch.optim.SGD(
            parameters, lr=config.lr, momentum=0.9, nesterov=True, weight_decay=decay
        )
    optimizer = torch.optim.AdamW if config.name == "adamw" else torch.optim.Adam
    # Fused: one pass over all parameters instead of a dozen small operations for each.
    return optimizer(parameters, lr=config.lr, weight_decay=decay, fused=True)


def rate_schedule(
    config: OptimizerConfig, steps_per_epoch: int, epochs: int
) -> Callable[[int], float]:
    """The learning rate as a function of the number of finished steps, and of nothing else."""
    total = steps_per_epoch * epochs

    def rate(step: int) -> float:
        warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
        if config.schedule == "cosine":
            return config.lr * warmup * 0.5 * (1 + math.cos(math.pi * min(step / total, 1.0)))
        passed = sum(step >= epoch * steps_per_epoch for epoch in config.step_epochs)
        return config.lr * warmup * config.step_factor**passed

    return rate


@dataclass(frozen=True)
class TrainingStep:
    """One optimiser step on one batch."""

    model: nn.Module
    codec: HeatmapCodec
    optimizer: torch.optim.Optimizer
    loss: HeatmapLoss
    config: Config
    device: torch.device
    people: People

    def __call__(self, batch: Crop, rate: float, name: str) -> float:
        """Learn from a batch and return its loss.

        Raises:
            FloatingPointError: If the loss is not finite, before the weights change.
        """
        images = batch.pixels.to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        keypoints_input = batch.keypoints_input.to(self.device, non_blocking=True)
        targets, weights = self.codec.encode(keypoints_input, batch.visible.to(self.device))
        precision: Precision = self.config.train.precision
        with autocast(self.device, precision):
            heatmaps = self.model(images)
        loss = self.loss(heatmaps, targets, weights)
        value = loss.item()
        if not math.isfinite(value):
            raise self._not_finite(f"the loss is {value}", batch, name)
        self.optimizer.zero_grad(set_to_none=True)
        # PyTorch has not typed it.
        loss.backward()  # type: ignore[no-untyped-call]
        if self.config.optimizer.clip_norm is not None:
            limit = self.config.optimizer.clip_norm
            norm = nn.utils.clip_grad_norm_(self.model.parameters(), limit).item()
            if not math.isfinite(norm):
                raise self._not_finite(f"the gradient norm is {norm}", batch, name)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        return value

    def _not_finite(self, what: str, batch: Crop, name: str) -> FloatingPointError:
        ids = ", ".join(str(self.people.ids[row]) for row in torch.as_tensor(batch.row)[:8])
        return FloatingPointError(
            f"{what} in {name} (annotation ids {ids}, ...); the run stopped before this update, "
            "and resumes from its last saved epoch. Lower optimizer.lr, set optimizer.clip_norm, "
            "or use train.precision=fp32"
        )


def learn_epoch(
    step: TrainingStep,
    loader: DataLoader[Crop],
    rate: Callable[[int], float],
    done: Progressed,
    bar: Bar,
) -> dict[str, Any]:
    """One pass over the training persons; counts steps in `done` and returns the epoch's line."""
    step.model.train()
    began = time.perf_counter()
    waited, total_loss, samples, unreadable = 0.0, 0.0, 0, 0
    for number, (batch, seconds) in enumerate(_timed(loader)):
        waited += seconds
        name = f"epoch {done.epoch + 1}, batch {number}"
        loss = step(batch, rate(done.step), name)
        size = len(batch.pixels)
        total_loss += loss * size
        samples += size
        unreadable += size - int(torch.as_tensor(batch.readable).sum())
        done.step += 1
        share = waited / (time.perf_counter() - began)
        bar.advance(size, note=f"loss {total_loss / samples:.2e}, waiting for data {share:.0%}")
    seconds = time.perf_counter() - began
    return {
        "loss": total_loss / samples,
        "lr": rate(done.step - 1),
        "seconds": round(seconds, 2),
        "samples_per_second": round(samples / seconds, 1),
        "data_wait": round(waited / seconds, 4),
        "unreadable": unreadable,
    }


def _timed(loader: DataLoader[Crop]) -> Iterator[tuple[Crop, float]]:
    """Batches, each with the seconds that were spent waiting for it."""
    batches = iter(loader)
    while True:
        began = time.perf_counter()
        batch = next(batches, None)
        if batch is None:
            return
        yield batch, time.perf_counter() - began


def _score(
    model: PoseNetwork, card: ModelCard, config: Config, device: torch.device, progress: Progress
) -> dict[str, float]:
    """The metric's numbers on the validation set, in the training's arithmetic."""
    evaluation = evaluate(
        model,
        card,
        config.data.val,
        config.test,
        device=device,
        precision=config.train.precision,
        workers=config.data.workers,
        progress=progress,
    )
    return dict(evaluation.scores.values)
