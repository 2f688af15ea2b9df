"""HRNetV1, the network that keeps a high-resolution stream from image to heatmap.

Sun, Xiao, Liu, Wang: Deep High-Resolution Representation Learning for Human Pose Estimation,
CVPR 2019. Streams run in parallel at strides 4, 8, 16 and 32, with 1, 2, 4 and 8 times `width`
channels; after every module each stream receives the sum of all of them:

    1/4    stem - layer1 -+- stage2 -+- stage3 -+- stage4 - final_layer - heatmaps
    1/8                   +- stage2 -+- stage3 -+- stage4
    1/16                             +- stage3 -+- stage4
    1/32                                        +- stage4

Names, shapes and order of the parameters are those of the official code, so that official
checkpoints load as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from pose_hrnet.models.inputs import IMAGENET_MEAN, IMAGENET_STD, normalised


class HRNet(nn.Module):
    """HRNetV1 with a heatmap head; the defaults are the official W32 network.

    Weights start as in the official code: convolutions normal with standard deviation 0.001,
    batch norms at identity. Smaller widths and depths are for CPUs.

    Args:
        width: Channels of the stride-4 stream; every coarser stream has twice as many.
        num_keypoints: Heatmaps per crop.
        stem_width: Channels of the two stem convolutions; `layer1` ends with four times as many.
        stem_blocks: Bottleneck blocks of `layer1`.
        stage_modules: Multi-resolution modules in stages 2, 3 and 4.
        branch_blocks: Residual blocks per stream and module.
        mean: Per-channel mean of RGB values between 0 and 1.
        std: Per-channel standard deviation of RGB values between 0 and 1.

    Raises:
        ValueError: If a size is not a positive number, or not three stages are given.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        width: int = 32,
        num_keypoints: int = 17,
        *,
        stem_width: int = 64,
        stem_blocks: int = 4,
        stage_modules: Sequence[int] = (1, 4, 3),
        branch_blocks: int = 4,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        self._architecture: dict[str, Any] = {
            "name": "hrnet",
            "width": width,
            "num_keypoints": num_keypoints,
            "stem_width": stem_width,
            "stem_blocks": stem_blocks,
            "stage_modules": list(stage_modules),
            "branch_blocks": branch_blocks,
        }
        _check_architecture(self._architecture)
        # Not persistent: the state dict stays the official one; a checkpoint's card keeps them.
        for name, value in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(value).view(3, 1, 1), persistent=False)

        channels = [width * 2**i for i in range(4)]
        # Built in the official order, which is the order of the state dict.
        self.conv1 = nn.Conv2d(3, stem_width, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem_width)
        self.conv2 = nn.Conv2d(stem_width, stem_width, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(stem_width)
        stem_out = stem_width * _Bottleneck.expansion
        self.layer1 = nn.Sequential(
            *(_Bottleneck(stem_out if i else stem_width, stem_width) for i in range(stem_blocks))
        )
        self.transition1 = _transition([stem_out], channels[:2])
        self.stage2 = _stage(channels[:2], stage_modules[0], branch_blocks)
        self.transition2 = _transition(channels[:2], channels[:3])
        self.stage3 = _stage(channels[:3], stage_modules[1], branch_blocks)
        self.transition3 = _transition(channels[:3], channels)
        self.stage4 = _stage(channels, stage_modules[2], branch_blocks, outputs=1)
        self.final_layer = nn.Conv2d(width, num_keypoints, 1)
        self.apply(_initialise)

    @property
    def architecture(self) -> dict[str, Any]:
        """What rebuilds this network, `build_network(architecture)`, in the types of JSON."""
        return {**self._architecture, "stage_modules": [*self._architecture["stage_modules"]]}

    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint.

        Args:
            images: ``(B, 3, H, W)`` RGB crops, H and W multiples of 32: uint8, or floating and
                then already normalised with `mean` and `std`.

        Returns:
            ``(B, K, H/4, W/4)`` heatmaps.

        Raises:
            ValueError: If shape or type of the images are others.
        """
        heatmaps: Tensor = self.final_layer(self.stage4(self.features(images))[0])
        return heatmaps

    def features(self, images: Tensor) -> list[Tensor]:
        """The four streams that enter stage 4, finest first.

        Args:
            images: As in `forward`.

        Returns:
            ``(B, width * 2**i, H / 2**(i + 2), W / 2**(i + 2))`` for i = 0, 1, 2, 3.

        Raises:
            ValueError: As in `forward`.
        """
        x = normalised(images, self.mean, self.std, network="HRNet")
        x = relu(self.bn1(self.conv1(x)), inplace=True)
        x = relu(self.bn2(self.conv2(x)), inplace=True)
        streams = _branch_out(self.transition1, [self.layer1(x)])
        streams = _branch_out(self.transition2, self.stage2(streams))
        return _branch_out(self.transition3, self.stage3(streams))


class _BasicBlock(nn.Module):
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


class _Bottleneck(nn.Module):
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
        self.downsample = _conv_bn(in_channels, out_channels, 1) if widens else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = relu(self.bn1(self.conv1(x)), inplace=True)
        y = relu(self.bn2(self.conv2(y)), inplace=True)
        return relu(self.bn3(self.conv3(y)) + self.downsample(x), inplace=True)


class _MultiResolutionModule(nn.Module):
    """Residual blocks on every stream, then an exchange: each output sums all the streams.

    Args:
        channels: Channels of the streams, finest first.
        blocks: Residual blocks per stream.
        outputs: How many of the streams, finest first, come out.
    """

    def __init__(self, channels: Sequence[int], blocks: int, outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(_BasicBlock(c) for _ in range(blocks))) for c in channels
        )
        sources = range(len(channels))
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_fuse_layer(channels, source, target) for source in sources)
            for target in range(outputs)
        )

    def forward(self, streams: list[Tensor]) -> list[Tensor]:
        streams = _each(self.branches, streams)
        # Added finest first, as the official code does, so that the rounding is the same.
        sums = (reduce(torch.add, _each(layers, streams)) for layers in self.fuse_layers)
        return [relu(x, inplace=True) for x in sums]


def _conv_bn(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, *after: nn.Module
) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), *after)


def _fuse_layer(channels: Sequence[int], source: int, target: int) -> nn.Module:
    """Bring stream `source` to the resolution and channels of stream `target`."""
    c_source, c_target = channels[source], channels[target]
    if source == target:
        return nn.Identity()
    if source > target:
        upsample = nn.Upsample(scale_factor=2 ** (source - target), mode="nearest")
        return _conv_bn(c_source, c_target, 1, 1, upsample)
    halvings = [
        _conv_bn(c_source, c_source, 3, 2, nn.ReLU(inplace=True))
        for _ in range(target - source - 1)
    ]
    return nn.Sequential(*halvings, _conv_bn(c_source, c_target, 3, 2))


def _stage(
    channels: Sequence[int], modules: int, blocks: int, outputs: int | None = None
) -> nn.Sequential:
    """Modules in a row; the last one gives `outputs` streams, all of them by default."""
    every = len(channels)
    counts = [every] * (modules - 1) + [outputs or every]
    return nn.Sequential(*(_MultiResolutionModule(channels, blocks, n) for n in counts))


def _transition(before: Sequence[int], after: Sequence[int]) -> nn.ModuleList:
    """Layers that adapt the streams' channels and open one stream of half the resolution."""
    kept = [
        nn.Identity() if old == new else _conv_bn(old, new, 3, 1, nn.ReLU(inplace=True))
        for old, new in zip(before, after, strict=False)
    ]
    opened = nn.Sequential(_conv_bn(before[-1], after[-1], 3, 2, nn.ReLU(inplace=True)))
    return nn.ModuleList([*kept, opened])


def _branch_out(transition: nn.ModuleList, streams: list[Tensor]) -> list[Tensor]:
    """Apply a transition; the opened stream comes from the coarsest one there is."""
    return _each(transition, [*streams, streams[-1]])


def _each(layers: Any, streams: list[Tensor]) -> list[Tensor]:
    """Apply each layer of a ModuleList (mypy takes a nested one for a Module) to its stream."""
    return [layer(x) for layer, x in zip(layers, streams, strict=True)]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, std=0.001)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _check_architecture(architecture: dict[str, Any]) -> None:
    stages = architecture["stage_modules"]
    if len(stages) != 3:
        raise ValueError(f"HRNet got stage_modules {stages}; give one number per stage, 2 to 4")
    for name, value in architecture.items():
        if name != "name" and any(v < 1 for v in (value if isinstance(value, list) else [value])):
            raise ValueError(f"HRNet got {name} {value}; give numbers of at least 1")
