"""How far a network sees: the pixels that one cell of its heatmaps depends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate
from torch.overrides import TorchFunctionMode

from pose_hrnet.models.build import build_network
from pose_hrnet.models.encoder_decoder.unpooling import PoolWithPlaces, Unpool

LENGTH = 4096
"""Pixels of the strip that is looked at; what sees all of them sees any crop whole."""
BREADTH = 32
"""Its width; a U-Net of valid convolutions needs 96."""


def receptive_field(
    architecture: Mapping[str, Any], length: int = LENGTH, breadth: int = BREADTH
) -> int | None:
    """Measure the height that a cell in the middle depends on, interpolation included.

    Every weight is made positive, maxima are made means, attention is kept from choosing, and
    what has a gradient counts: so nothing cancels, and no path is closed. Widths decide nothing;
    give small ones.

    Args:
        architecture: As `build_network` takes it.
        length: Pixels of the strip.
        breadth: Its width.

    Returns:
        Pixels of the input; None if they are all of the strip.

    Raises:
        ValueError: If there is no such network.
    """
    generator = torch.Generator().manual_seed(0)
    network = build_network(architecture).eval().double()
    for module in network.modules():
        _open(module, generator)
    strip = torch.rand(1, 3, length, breadth, dtype=torch.float64, generator=generator)
    strip.requires_grad_()
    with _NothingChosen():
        heatmaps = network(strip)
    (gradient,) = torch.autograd.grad(heatmaps[0, 0, heatmaps.shape[2] // 2].sum(), strip)
    rows = gradient.abs().sum(dim=(0, 1, 3)).nonzero().flatten()
    seen = int(rows[-1] - rows[0]) + 1
    return None if seen > length - 64 else seen  # less the rest of its last cells


def _open(module: nn.Module, generator: torch.Generator) -> None:
    """Let every input of a layer count for its outputs, by positive numbers around its mean."""
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    if isinstance(bias, Tensor):
        nn.init.zeros_(bias)  # a random one below 0 closes what follows
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        assert isinstance(weight, Tensor)
        with torch.no_grad():
            weight.uniform_(0.5, 1.5, generator=generator).div_(weight[0].numel())
    elif isinstance(module, PoolWithPlaces):
        module.register_forward_hook(_mean_of_four)
    elif isinstance(module, Unpool):
        module.register_forward_hook(_repeated)


def _mean_of_four(_: nn.Module, given: tuple[Tensor], pooled: tuple[Tensor, Tensor]) -> Any:
    """In place of what `PoolWithPlaces` gives: no cell is chosen."""
    return avg_pool2d(given[0], 2), pooled[1]


def _repeated(_: nn.Module, given: tuple[Tensor, Tensor], __: Tensor) -> Tensor:
    """In place of what `Unpool` gives: no cell is left out."""
    return interpolate(given[0], scale_factor=2.0, mode="nearest")


class _NothingChosen(TorchFunctionMode):
    """Max pooling gives the mean, and softmax and sigmoid do not saturate."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name in ("softmax", "sigmoid"):
            x, *rest = args
            return func(x / x.detach().abs().max(), *rest, **(kwargs or {}))
        if name in ("max_pool2d", "_max_pool2d"):
            x, kernel, stride, padding, _, ceil_mode = _pooling(*args, **(kwargs or {}))
            return avg_pool2d(x, kernel, stride, padding, ceil_mode)
        return func(*args, **(kwargs or {}))


def _pooling(
    x: Tensor, kernel_size: int, stride: int | None = None, padding: int = 0,
    dilation: int = 1, ceil_mode: bool = False, return_indices: bool = False,
) -> tuple[Tensor, int, int | None, int, int, bool]:  # fmt: skip
    """The arguments of max pooling, in order."""
    return x, kernel_size, stride, padding, dilation, ceil_mode
