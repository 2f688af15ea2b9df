"""What HRNet is built of: residual blocks, and modules that exchange between resolutions.

A stream is the feature map of one resolution, ``(B, C, H, W)``; lists of them are finest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import relu


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = relu(self.bn1(self.conv1(x)), inplace=True)
        return relu(self.bn2(self.conv2(y)) + x, inplace=True)


class Bottleneck(nn.Module):
    """1x1, 3x3 and widening 1x1 convolutions around a shortcut."""

    expansion = 4

    def __init__(self, in_channels: int, planes: int) -> None:
        super().__init__()
        out_channels = planes * self.expansion
        self.conv1 = nn.Conv2d(in_channels, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        widens = in_channels != out_channels
        self.downsample = conv_bn(in_channels, out_channels, 1) if widens else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = relu(self.bn1(self.conv1(x)), inplace=True)
        y = relu(self.bn2(self.conv2(y)), inplace=True)
        return relu(self.bn3(self.conv3(y)) + self.downsample(x), inplace=True)


class MultiResolutionModule(nn.Module):
    """Residual blocks on every stream, then an exchange: each output sums all the streams.

    Args:
        channels: Channels of the streams, finest first.
        blocks: Residual blocks per stream.
        outputs: How many of the streams, finest first, come out.
    """

    def __init__(self, channels: Sequence[int], blocks: int, outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(c) for _ in range(blocks))) for c in channels
        )
        sources = range(len(channels))
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_fuse_layer(channels, source, target) for source in sources)
            for target in range(outputs)
        )

    def forward(self, streams: list[Tensor]) -> list[Tensor]:
        streams = each(self.branches, streams)
        fused = []
        for layers, target in zip(self.fuse_layers, streams, strict=False):
            height, width = target.shape[2:]
            # An upsampled stream may reach beyond an image whose side 32 does not divide.
            terms = (x[..., :height, :width] for x in each(layers, streams))
            # Added finest first, as the official code does, so that the rounding is the same.
            fused.append(relu(reduce(torch.add, terms), inplace=True))
        return fused


def conv_bn(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, *after: nn.Module
) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), *after)


def conv_bn_relu(in_channels: int, out_channels: int) -> list[nn.Module]:
    """A 1x1 convolution with a bias, as heads have them, batch norm and ReLU."""
    conv = nn.Conv2d(in_channels, out_channels, 1)
    return [conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]


def _fuse_layer(channels: Sequence[int], source: int, target: int) -> nn.Module:
    """Bring stream `source` to the resolution and channels of stream `target`."""
    c_source, c_target = channels[source], channels[target]
    if source == target:
        return nn.Identity()
    if source > target:
        upsample = nn.Upsample(scale_factor=2 ** (source - target), mode="nearest")
        return conv_bn(c_source, c_target, 1, 1, upsample)
    halvings = [
        conv_bn(c_source, c_source, 3, 2, nn.ReLU(inplace=True))
        for _ in range(target - source - 1)
    ]
    return nn.Sequential(*halvings, conv_bn(c_source, c_target, 3, 2))


def stage(
    channels: Sequence[int], modules: int, blocks: int, outputs: int | None = None
) -> nn.Sequential:
    """Modules in a row; the last one gives `outputs` streams, all of them by default."""
    every = len(channels)
    counts = [every] * (modules - 1) + [outputs or every]
    return nn.Sequential(*(MultiResolutionModule(channels, blocks, n) for n in counts))


def transition(before: Sequence[int], after: Sequence[int]) -> nn.ModuleList:
    """Layers that adapt the streams' channels and open one stream of half the resolution."""
    kept = [
        nn.Identity() if old == new else conv_bn(old, new, 3, 1, nn.ReLU(inplace=True))
        for old, new in zip(before, after, strict=False)
    ]
    opened = nn.Sequential(conv_bn(before[-1], after[-1], 3, 2, nn.ReLU(inplace=True)))
    return nn.ModuleList([*kept, opened])


def branch_out(transition: nn.ModuleList, streams: list[Tensor]) -> list[Tensor]:
    """Apply a transition; the opened stream comes from the coarsest one there is."""
    return each(transition, [*streams, streams[-1]])


def each(layers: Any, streams: list[Tensor]) -> list[Tensor]:
    """Apply each layer of a ModuleList (mypy takes a nested one for a Module) to its stream."""
    return [layer(x) for layer, x in zip(layers, streams, strict=True)]
