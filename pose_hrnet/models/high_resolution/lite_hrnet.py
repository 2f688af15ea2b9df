"""Lite-HRNet: HRNet whose 1x1 convolutions are replaced by weights from all channels and streams.

Yu et al.: Lite-HRNet: A Lightweight High-Resolution Network, CVPR 2021. Half of the channels of
every stream pass a block by; the other half are weighed per channel, first by what all streams
show at the coarsest resolution, then, behind a 3x3 convolution of each channel, by their own mean;
and both halves are shuffled.

Names and numbers of the parameters are those of the official code and of MMPose, whose checkpoints
load as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, channel_shuffle, interpolate, relu

from pose_hrnet.models.hrnet import each
from pose_hrnet.models.layers import heatmap_layer, initialise_convolution
from pose_hrnet.models.network import (
    HeatmapNetwork,
    Shapes,
    check_values,
    children_of,
    rows_of,
)

MODULES = {18: (2, 4, 2), 30: (3, 8, 3)}
"""Depth -> exchange modules of its three stages, each of two blocks."""
STEM = 32
"""Channels behind the stem."""
REDUCED = 8
"""Times fewer channels between the two convolutions that weigh across resolutions."""


class Conv(nn.Module):
    """A convolution that keeps the size (over the stride), batch norm unless told not to."""

    def __init__(
        self, ins: int, outs: int, kernel: int = 1, stride: int = 1, groups: int = 1,
        *, norm: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.conv = nn.Conv2d(ins, outs, kernel, stride, kernel // 2, groups=groups, bias=not norm)
        self.bn = nn.BatchNorm2d(outs) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """``(B, ins, H, W)`` to ``(B, outs, H/stride, W/stride)``."""
        y: Tensor = self.bn(self.conv(x))
        return y


class Stem(nn.Module):
    """Images ``(B, 3, H, W)`` to ``(B, 32, H/4, W/4)``."""

    def __init__(self) -> None:
        super().__init__()
        half = STEM // 2
        self.conv1 = Conv(3, STEM, 3, 2)
        self.branch1 = nn.Sequential(Conv(half, half, 3, 2, half), Conv(half, half), nn.ReLU())
        self.expand_conv = Conv(half, STEM)
        self.depthwise_conv = Conv(STEM, STEM, 3, 2, STEM)
        self.linear_conv = Conv(STEM, half)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, 3, H, W)`` to ``(B, 32, H/4, W/4)``."""
        first, second = relu(self.conv1(x)).chunk(2, dim=1)
        second = self.depthwise_conv(relu(self.expand_conv(second)))
        second = relu(self.linear_conv(second))
        return channel_shuffle(torch.cat([self.branch1(first), second], dim=1), 2)


class CrossResolutionWeighting(nn.Module):
    """Weights of all channels of all streams, from all of them at the coarsest resolution."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        total = sum(channels)
        self.channels = list(channels)
        self.conv1 = Conv(total, max(total // REDUCED, 1))
        self.conv2 = Conv(max(total // REDUCED, 1), total)

    def forward(self, streams: list[Tensor]) -> list[Tensor]:
        """Streams ``(B, C_i, H_i, W_i)``, finest first, to the same shapes."""
        size = (streams[-1].shape[2], streams[-1].shape[3])
        small = [adaptive_avg_pool2d(x, size) for x in streams[:-1]] + [streams[-1]]
        weights = self.conv2(relu(self.conv1(torch.cat(small, dim=1)))).sigmoid()
        pairs = zip(streams, weights.split(self.channels, dim=1), strict=True)
        return [x * interpolate(weight, x.shape[2:], mode="nearest") for x, weight in pairs]


class SpatialWeighting(nn.Module):
    """Weights of a stream's channels, from their means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = Conv(channels, max(channels // 4, 1), norm=False)
        self.conv2 = Conv(max(channels // 4, 1), channels, norm=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same shape."""
        means = x.mean(dim=(2, 3), keepdim=True)
        weights: Tensor = self.conv2(relu(self.conv1(means))).sigmoid()
        return x * weights


class ConditionalChannelWeighting(nn.Module):
    """A block on all streams."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        halves = [c // 2 for c in channels]
        self.cross_resolution_weighting = CrossResolutionWeighting(halves)
        self.depthwise_convs = nn.ModuleList(Conv(c, c, 3, groups=c) for c in halves)
        self.spatial_weighting = nn.ModuleList(SpatialWeighting(c) for c in halves)

    def forward(self, streams: list[Tensor]) -> list[Tensor]:
        """Streams ``(B, C_i, H_i, W_i)``, finest first, to the same shapes."""
        kept, others = zip(*(x.chunk(2, dim=1) for x in streams), strict=True)
        weighed = self.cross_resolution_weighting(list(others))
        weighed = each(self.spatial_weighting, each(self.depthwise_convs, weighed))
        pairs = zip(kept, weighed, strict=True)
        return [channel_shuffle(torch.cat(pair, dim=1), 2) for pair in pairs]


class LiteModule(nn.Module):
    """Two blocks, then an exchange: each stream becomes a sum of all of them.

    As the official code sums in place, and as its weights have learnt, the finest stream counts
    twice in every sum; and the coarser streams receive it as it is behind its own sum, before
    the ReLU, in place of what left the blocks.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(ConditionalChannelWeighting(channels) for _ in range(2)))
        streams = range(len(channels))
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_fuse_layer(channels, source, target) for source in streams)
            for target in streams
        )

    def forward(self, streams: list[Tensor]) -> list[Tensor]:
        """Streams ``(B, C_i, H_i, W_i)``, finest first, to the same shapes."""
        streams = self.layers(streams)
        finest = self._sum(0, streams)
        streams = [finest, *streams[1:]]
        coarser = [self._sum(target, streams) for target in range(1, len(streams))]
        return [relu(x) for x in (finest, *coarser)]

    def _sum(self, target: int, streams: list[Tensor]) -> Tensor:
        """All streams ``(B, C_i, H_i, W_i)``, the first twice, in the shape of one of them."""
        height, width = streams[target].shape[2:]
        # An upsampled stream may reach beyond an image whose side 32 does not divide.
        terms = [x[..., :height, :width] for x in each(self.fuse_layers[target], streams)]
        return reduce(torch.add, [terms[0], *terms])


class IterativeHead(nn.Module):
    """Streams to the finest one: from the coarsest on, each is raised and added to the next."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        down = list(reversed(channels))
        self.projects = nn.ModuleList(
            nn.ModuleDict(
                {"depthwise_conv": Conv(a, a, 3, groups=a), "pointwise_conv": Conv(a, b)}
            )
            for a, b in zip(down, [*down[1:], down[-1]], strict=True)
        )

    def forward(self, streams: list[Tensor]) -> Tensor:
        """Streams ``(B, C_i, H_i, W_i)``, finest first, to ``(B, C_0, H_0, W_0)``."""
        raised: Tensor | None = None
        for project, stream in zip(self.projects, reversed(streams), strict=True):
            if raised is not None:
                size = stream.shape[2:]
                raised = interpolate(raised, size, mode="bilinear", align_corners=True)
                stream = stream + raised
            assert isinstance(project, nn.ModuleDict)  # for mypy
            raised = relu(project["pointwise_conv"](project["depthwise_conv"](stream)))
        assert raised is not None
        return raised


class LiteHRNet(HeatmapNetwork):
    """Lite-HRNet-18 and -30.

    Args:
        depth: 18 or 30.
        width: Channels of the stride-4 stream (official: 40), even.
        num_keypoints: Heatmaps per crop.

    Raises:
        ValueError: If the depth is unknown, or a number not positive or too large.
    """

    backbone = "LiteHRNet"

    def __init__(self, depth: int = 18, width: int = 40, num_keypoints: int = 17) -> None:
        super().__init__()
        even = 2 <= width <= 512 and width % 2 == 0
        check_values(
            "LiteHRNet",
            ("depth", depth, depth in MODULES, f"one of {', '.join(map(str, MODULES))}"),
            ("width", width, even, "an even number up to 512"),
            ("num_keypoints", num_keypoints, num_keypoints >= 1, "at least 1"),
        )
        self._architecture = {
            "name": "lite_hrnet", "depth": depth, "width": width, "num_keypoints": num_keypoints
        }  # fmt: skip
        self.stem = Stem()
        before: list[int] = [STEM]
        for number, modules in enumerate(MODULES[depth]):
            channels = [width * 2**i for i in range(number + 2)]
            self.register_module(f"transition{number}", _transition(before, channels))
            stage = nn.Sequential(*(LiteModule(channels) for _ in range(modules)))
            self.register_module(f"stage{number}", stage)
            before = channels
        self.head_layer = IterativeHead(before)
        self.apply(initialise_convolution)
        self.final_layer = heatmap_layer(width, num_keypoints)

    @property
    def label(self) -> str:
        """``Lite-HRNet-18``."""
        return f"Lite-HRNet-{self._architecture['depth']}"

    @classmethod
    def recognises(cls, shapes: Shapes) -> dict[str, Any] | None:
        """By the stem, and the depth by the modules of stage 0; see `HeatmapNetwork`."""
        if "stem.expand_conv.conv.weight" not in shapes:
            return None
        modules = tuple(children_of(shapes, f"stage{number}.") for number in range(3))
        depth = next((depth for depth, known in MODULES.items() if known == modules), None)
        if depth is None:
            raise ValueError(
                f"this is a Lite-HRNet with {', '.join(map(str, modules))} modules, which is none "
                f"of depth {', '.join(map(str, MODULES))}; give weights of one of these"
            )
        return {
            "name": "lite_hrnet",
            "depth": depth,
            "width": rows_of(shapes, "transition0.0.2.weight"),
            "num_keypoints": rows_of(shapes, "final_layer.weight"),
        }

    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint; shapes and errors as of `HeatmapNetwork.forward`."""
        streams: list[Tensor] = [self.stem(self.normalised(images))]
        for number in range(3):
            opened = each(self.get_submodule(f"transition{number}"), [*streams, streams[-1]])
            streams = self.get_submodule(f"stage{number}")(opened)
        heatmaps: Tensor = self.final_layer(self.head_layer(streams))
        return heatmaps


def _separable(ins: int, outs: int, stride: int) -> list[nn.Module]:
    """A 3x3 convolution of each channel, then a 1x1 one, each with batch norm."""
    spatial = nn.Conv2d(ins, ins, 3, stride, 1, groups=ins, bias=False)
    mixing = nn.Conv2d(ins, outs, 1, bias=False)
    return [spatial, nn.BatchNorm2d(ins), mixing, nn.BatchNorm2d(outs)]


def _fuse_layer(channels: Sequence[int], source: int, target: int) -> nn.Module:
    """Bring stream `source` to the resolution and channels of stream `target`."""
    c_source, c_target = channels[source], channels[target]
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(
            nn.Conv2d(c_source, c_target, 1, bias=False),
            nn.BatchNorm2d(c_target),
            nn.Upsample(scale_factor=2 ** (source - target), mode="nearest"),
        )
    halvings = [
        nn.Sequential(*_separable(c_source, c_source, 2), nn.ReLU())
        for _ in range(target - source - 1)
    ]
    return nn.Sequential(*halvings, nn.Sequential(*_separable(c_source, c_target, 2)))


def _transition(before: Sequence[int], after: Sequence[int]) -> nn.ModuleList:
    """Layers that adapt the streams' channels and open one stream of half the resolution."""
    kept = [
        nn.Identity() if old == new else nn.Sequential(*_separable(old, new, 1), nn.ReLU())
        for old, new in zip(before, after, strict=False)
    ]
    opened = nn.Sequential(nn.Sequential(*_separable(before[-1], after[-1], 2), nn.ReLU()))
    return nn.ModuleList([*kept, opened])
