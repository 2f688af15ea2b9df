"""The optimiser, its learning rate over the steps, and the moving average of the weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pose_hrnet.config.training import OptimizerConfig


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Adam, AdamW or Nesterov SGD over all parameters."""
    parameters, decay = list(model.parameters()), config.weight_decay
    # Fused: one pass over all parameters instead of a dozen small operations for each. It can also
    # be told on the device not to change them.
    if config.name == "sgd":
        sgd = torch.optim.SGD(
            parameters, lr=config.lr, momentum=0.9, nesterov=True, weight_decay=decay, fused=True
        )
        # If its first update is left out, PyTorch takes unset memory for the momentum.
        for parameter in parameters:
            sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return sgd
    optimizer = torch.optim.AdamW if config.name == "adamw" else torch.optim.Adam
    return optimizer(parameters, lr=config.lr, weight_decay=decay, fused=True)


def rate_schedule(
    config: OptimizerConfig, steps_per_epoch: int, epochs: int, minutes: float | None = None
) -> Callable[[int, float], float]:
    """The learning rate by the number of finished steps, and the seconds spent on them.

    Args:
        config: The schedule.
        steps_per_epoch: Optimiser steps.
        epochs: Of the whole run.
        minutes: If given, the run also ends after so much time, and the schedule is stretched over
            it, but is not behind the epochs: it comes to its end with whichever ends the run. The
            warm-up counts steps all the same. None: the seconds decide nothing.
    """
    total = steps_per_epoch * epochs

    def rate(step: int, seconds: float) -> float:
        done = step if minutes is None else max(seconds / (60 * minutes) * total, step)
        warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
        if config.schedule == "cosine":
            return config.lr * warmup * 0.5 * (1 + math.cos(math.pi * min(done / total, 1.0)))
        passed = sum(done >= epoch * steps_per_epoch for epoch in config.step_epochs)
        return config.lr * warmup * config.step_factor**passed

    return rate


def scaled_rate(config: OptimizerConfig, crops_per_step: int) -> float:
    """The learning rate for the crops of one optimiser step.

    ``lr * crops_per_step / lr_batch``: the linear rule of Goyal et al., "Accurate, Large Minibatch
    SGD" (2017).

    Args:
        config: `lr`, and `lr_batch`, the crops that it is meant for; None: `lr` as it stands.
        crops_per_step: Batch size times accumulated batches times processes.
    """
    if config.lr_batch is None:
        return config.lr
    return config.lr * crops_per_step / config.lr_batch


class MovingAverage:
    """Exponential moving average of everything in a state dict that is a floating number.

    After update n, counted from 0, ``average += (1 - d_n) (weights - average)`` with
    ``d_n = min(decay, (1 + n) / (10 + n))``: the short memory of the first updates forgets the
    random weights that it starts with (Polyak and Juditsky 1992; the warm-up is TensorFlow's
    ``ExponentialMovingAverage``).

    The running statistics of batch norms are averaged as the weights are: those of the latest
    weights would not belong to the average. Whole numbers, their count of batches, are copied.

    Args:
        model: Whose weights to follow; the average starts with a copy of them.
        decay: Between 0 and 1: the average looks back about ``1 / (1 - decay)`` updates.

    Attributes:
        updates: How many there have been.
    """

    # Not `torch.optim.swa_utils.AveragedModel`, which lists and groups all tensors at each update:
    # for HRNet's 1,754 that takes 17 ms of a core, this 0.7. It also copies the weights at its
    # first update, where this averages, and hands over the count of updates as a tensor on the
    # device, whose value the decay of the warm-up would have to wait for.

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        # The live tensors: optimisers and batch norms write into them, they are never replaced.
        self._followed = model.state_dict()
        self._average = {name: value.clone() for name, value in self._followed.items()}
        floating = [name for name, value in self._average.items() if value.is_floating_point()]
        self._pairs = (
            [self._average[name] for name in floating],
            [self._followed[name] for name in floating],
        )

    @torch.no_grad()
    def update(self) -> None:
        """Follow the weights as they are now."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        # A few operations for all tensors at once, and no wait for the device.
        torch._foreach_lerp_(*self._pairs, 1 - decay)
        self.updates += 1

    def weights(self) -> dict[str, Tensor]:
        """The average, by the names of the model's state dict; not copied."""
        return {
            name: average if average.is_floating_point() else self._followed[name]
            for name, average in self._average.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` takes; not copied."""
        return {"weights": self.weights(), "updates": self.updates}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any] | None) -> None:
        """Go on from a saved average; None: from the model's present weights."""
        saved = self._followed if state is None else state["weights"]
        for name, average in self._average.items():
            average.copy_(saved[name])
        self.updates = 0 if state is None else state["updates"]
