"""A moving average of a network's weights, which scores better than the weights it follows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


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
