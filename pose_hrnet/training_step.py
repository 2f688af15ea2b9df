"""One optimiser step on one batch, its optimiser, and its learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

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
    """One optimiser step on one batch, or on several whose gradients are averaged."""

    model: nn.Module
    codec: HeatmapCodec
    optimizer: torch.optim.Optimizer
    loss: HeatmapLoss
    config: Config
    device: torch.device
    people: People

    def __call__(self, batches: Sequence[Crop], rate: float) -> Tensor:
        """Learn from batches and return their mean loss, on the device.

        Raises:
            FloatingPointError: If the loss is not finite, before the weights change.
        """
        self.optimizer.zero_grad(set_to_none=True)
        losses = []
        for batch in batches:
            images = batch.pixels.to(self.device, non_blocking=True).permute(0, 3, 1, 2)
            keypoints_input = batch.keypoints_input.to(self.device, non_blocking=True)
            targets, weights = self.codec.encode(keypoints_input, batch.visible.to(self.device))
            precision: Precision = self.config.train.precision
            with autocast(self.device, precision):
                heatmaps = self.model(images)
            loss = self.loss(heatmaps, targets, weights)
            if not math.isfinite(loss.item()):
                raise self._not_finite(f"the loss is {loss.item()}", batch)
            # PyTorch has not typed it.
            (loss / len(batches)).backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        if self.config.optimizer.clip_norm is not None:
            limit = self.config.optimizer.clip_norm
            norm = nn.utils.clip_grad_norm_(self.model.parameters(), limit).item()
            if not math.isfinite(norm):
                raise self._not_finite(f"the gradient norm is {norm}", batches[0])
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        return torch.stack(losses).mean()

    def check(self, place: str) -> None:
        """Nothing to do: each step has looked at its loss."""

    def state_dict(self) -> dict[str, Any]:
        """What resuming needs."""
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])

    def weights(self) -> dict[str, Tensor]:
        """The weights to score and keep."""
        return self.model.state_dict()

    def _not_finite(self, what: str, batch: Crop) -> FloatingPointError:
        ids = ", ".join(str(self.people.ids[row]) for row in torch.as_tensor(batch.row)[:8])
        return FloatingPointError(
            f"{what} (annotation ids {ids}, ...); the run stopped before this update, "
            "and resumes from its last saved epoch. Lower optimizer.lr, set optimizer.clip_norm, "
            "or use train.precision=fp32"
        )
