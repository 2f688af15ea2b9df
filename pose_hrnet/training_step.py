"""One optimiser step on one batch, its optimiser, and its learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from pose_hrnet.codec import HeatmapCodec
from pose_hrnet.config import Config, OptimizerConfig
from pose_hrnet.data.crops import Crop
from pose_hrnet.device import Precision, autocast
from pose_hrnet.losses import HeatmapLoss
from pose_hrnet.records import People


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

    def __call__(self, batch: Crop | Sequence[Crop], rate: float, name: str = "") -> float:
        """Learn from a batch, or a list of one, and return its loss.

        Raises:
            FloatingPointError: If the loss is not finite, before the weights change.
        """
        if not isinstance(batch, Crop):
            (batch,) = batch
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
