"""HRNet, the network that keeps a high-resolution stream from image to heatmap.

Sun, Xiao, Liu, Wang: Deep High-Resolution Representation Learning for Human Pose Estimation,
CVPR 2019. Streams run in parallel at strides 4, 8, 16 and 32, with 1, 2, 4 and 8 times `width`
channels; after every module each stream receives the sum of all of them:

    1/4    stem - layer1 -+- stage2 -+- stage3 -+- stage4 - final_layer - heatmaps
    1/8                   +- stage2 -+- stage3 -+- stage4
    1/16                             +- stage3 -+- stage4
    1/32                                        +- stage4

That is V1, which predicts from the finest stream alone. V2 (Sun et al., High-Resolution
Representations for Labeling Pixels and Regions, arXiv:1904.04514) predicts from all four; see
`pose_hrnet.models.hrnet_v2` for V2 without a pose head.

Names, shapes and order of the parameters are those of the official code, so that official
checkpoints load as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, ClassVar, TypeAlias, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from pose_hrnet.models.layers import (
    check_hrnet_sizes,
    conv_bn,
    conv_bn_relu,
    initialise_convolution,
)
from pose_hrnet.models.network import (
    HeatmapNetwork,
    PixelNetwork,
    Shapes,
    children_of,
    rows_of,
)
from pose_hrnet.system.choices import Head
from pose_hrnet.system.text import counted, few

# Two blocks of our own, though torchvision has the same ones: `import torchvision` adds 1.2 s and
# 165 MB to the 2.1 s and 509 MB of `import torch` (it pulls in torch._dynamo), and a prediction by
# an HRNet needs nothing else of it.


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut: ``(B, C, H, W)`` -> ``(B, C, H, W)``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, channels, H, W)`` to the same shape."""
        y = relu(self.bn1(self.conv1(x)), inplace=True)
        return relu(self.bn2(self.conv2(y)) + x, inplace=True)


class Bottleneck(nn.Module):
    """1x1, 3x3 and widening 1x1 convolutions around a shortcut.

    ``(B, C, H, W)`` -> ``(B, 4 P, H, W)``, P being the planes.
    """

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
        """``(B, in_channels, H, W)`` to ``(B, 4 * planes, H, W)``."""
        y = relu(self.bn1(self.conv1(x)), inplace=True)
        y = relu(self.bn2(self.conv2(y)), inplace=True)
        return relu(self.bn3(self.conv3(y)) + self.downsample(x), inplace=True)


MakeBlock: TypeAlias = Callable[[int], nn.Module]
"""Channels to a block as `BasicBlock` is one."""
MakeBottleneck: TypeAlias = Callable[[int, int], nn.Module]
"""Channels and planes to a block as `Bottleneck` is one."""


class MultiResolutionModule(nn.Module):
    """Residual blocks on every stream, then an exchange: each output sums all the streams.

    Maps streams of ``(B, C, H, W)``, each half as high and wide as the one before, to as many
    or only the first of them, alike.

    Args:
        channels: Channels of the streams, finest first.
        blocks: Residual blocks per stream.
        outputs: How many of the streams, finest first, come out.
        block: Makes a residual block.
    """

    def __init__(
        self, channels: Sequence[int], blocks: int, outputs: int, block: MakeBlock
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(block(c) for _ in range(blocks))) for c in channels
        )
        sources = range(len(channels))
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_fuse_layer(channels, source, target) for source in sources)
            for target in range(outputs)
        )

    def forward(self, streams: list[Tensor]) -> list[Tensor]:
        """Streams ``(B, C_i, H_i, W_i)``, finest first, to the first `outputs` of them."""
        streams = each(self.branches, streams)
        fused = []
        for layers, target in zip(self.fuse_layers, streams, strict=False):
            height, width = target.shape[2:]
            # An upsampled stream may reach beyond an image whose side 32 does not divide.
            terms = (x[..., :height, :width] for x in each(layers, streams))
            # Added finest first, as the official code does, so that the rounding is the same.
            fused.append(relu(reduce(torch.add, terms), inplace=True))
        return fused


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
    channels: Sequence[int],
    modules: int,
    blocks: int,
    outputs: int | None = None,
    *,
    block: MakeBlock = BasicBlock,
) -> nn.Sequential:
    """Modules in a row; the last one gives `outputs` streams, all of them by default."""
    every = len(channels)
    counts = [every] * (modules - 1) + [outputs or every]
    return nn.Sequential(*(MultiResolutionModule(channels, blocks, n, block) for n in counts))


def transition(before: Sequence[int], after: Sequence[int]) -> nn.ModuleList:
    """Layers that adapt the streams' channels and open one stream of half the resolution."""
    kept = [
        nn.Identity() if old == new else conv_bn(old, new, 3, 1, nn.ReLU(inplace=True))
        for old, new in zip(before, after, strict=False)
    ]
    opened = nn.Sequential(conv_bn(before[-1], after[-1], 3, 2, nn.ReLU(inplace=True)))
    return nn.ModuleList([*kept, opened])


def branch_out(transition: nn.ModuleList, streams: list[Tensor]) -> list[Tensor]:
    """Apply a transition to streams ``(B, C, H, W)``; the coarsest one opens the new one."""
    return each(transition, [*streams, streams[-1]])


def each(layers: Any, streams: list[Tensor]) -> list[Tensor]:
    """Apply each layer of a ModuleList (to mypy a Module) to its stream ``(B, C, H, W)``."""
    return [layer(x) for layer, x in zip(layers, streams, strict=True)]


class HRNetBackbone(PixelNetwork):
    """Stem and four stages, what all HRNets share.

    Args:
        width: Channels of the stride-4 stream; every coarser stream has twice as many.
        stem_width: Channels of the two stem convolutions; `layer1` ends with four times as many.
        stem_blocks: Bottleneck blocks of `layer1`.
        stage_modules: Multi-resolution modules in stages 2, 3 and 4.
        branch_blocks: Residual blocks per stream and module.
        outputs: Streams, finest first, that come out of stage 4.
        block: Makes a residual block of the streams.
        bottleneck: Makes a block of `layer1`.

    Raises:
        ValueError: If a size is not a positive number, or not three stages are given.
    """

    def __init__(
        self,
        width: int,
        *,
        stem_width: int,
        stem_blocks: int,
        stage_modules: Sequence[int],
        branch_blocks: int,
        outputs: int,
        block: MakeBlock = BasicBlock,
        bottleneck: MakeBottleneck = Bottleneck,
    ) -> None:
        super().__init__()
        check_hrnet_sizes(width, stem_width, stem_blocks, stage_modules, branch_blocks)
        channels = [width * 2**i for i in range(4)]
        # Built in the official order, which is the order of the state dict.
        self.conv1 = nn.Conv2d(3, stem_width, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem_width)
        self.conv2 = nn.Conv2d(stem_width, stem_width, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(stem_width)
        stem_out = stem_width * Bottleneck.expansion
        self.layer1 = nn.Sequential(
            *(bottleneck(stem_out if i else stem_width, stem_width) for i in range(stem_blocks))
        )
        self.transition1 = transition([stem_out], channels[:2])
        self.stage2 = stage(channels[:2], stage_modules[0], branch_blocks, block=block)
        self.transition2 = transition(channels[:2], channels[:3])
        self.stage3 = stage(channels[:3], stage_modules[1], branch_blocks, block=block)
        self.transition3 = transition(channels[:3], channels)
        self.stage4 = stage(channels, stage_modules[2], branch_blocks, outputs, block=block)

    def features(self, images: Tensor) -> list[Tensor]:
        """The four streams that enter stage 4, finest first.

        Args:
            images: ``(B, 3, H, W)`` RGB, H and W multiples of 4: uint8, or floating and then
                already normalised with `mean` and `std`.

        Returns:
            ``(B, width * 2**i, H / 2**(i + 2), W / 2**(i + 2))``, rounded up, for i = 0, 1, 2, 3.

        Raises:
            ValueError: If shape or type of the images are others.
        """
        x = self.normalised(images)
        x = relu(self.bn1(self.conv1(x)), inplace=True)
        x = relu(self.bn2(self.conv2(x)), inplace=True)
        streams = branch_out(self.transition1, [self.layer1(x)])
        streams = branch_out(self.transition2, self.stage2(streams))
        return branch_out(self.transition3, self.stage3(streams))

    def streams(self, images: Tensor) -> list[Tensor]:
        """The streams that leave stage 4, finest first: all four, or V1's only one.

        Args:
            images: As in `features`.

        Returns:
            As `features`.

        Raises:
            ValueError: As in `features`.
        """
        streams: list[Tensor] = self.stage4(self.features(images))
        return streams


class HRNet(HRNetBackbone, HeatmapNetwork):
    """HRNet with a heatmap head; the defaults are the official W32 pose network.

    Weights start as in the official code: convolutions normal with standard deviation 0.001,
    batch norms at identity. Smaller widths and depths are for CPUs.

    Args:
        width: Channels of the stride-4 stream; every coarser stream has twice as many.
        num_keypoints: Heatmaps per crop.
        head: ``v1``: a 1x1 convolution on the finest stream; ``v2``: all streams, upsampled and
            concatenated to 15 times `width` channels, then a 1x1 convolution of as many channels,
            batch norm, ReLU and a 1x1 convolution, as in the official facial landmark network.
        stem_width: Channels of the two stem convolutions; `layer1` ends with four times as many.
        stem_blocks: Bottleneck blocks of `layer1`.
        stage_modules: Multi-resolution modules in stages 2, 3 and 4.
        branch_blocks: Residual blocks per stream and module.

    Raises:
        ValueError: If a size is not a positive number, not three stages are given, or the head is
            unknown.
    """

    backbone: ClassVar[str] = "HRNet"

    def __init__(
        self,
        width: int = 32,
        num_keypoints: int = 17,
        *,
        head: Head = "v1",
        stem_width: int = 64,
        stem_blocks: int = 4,
        stage_modules: Sequence[int] = (1, 4, 3),
        branch_blocks: int = 4,
    ) -> None:
        super().__init__(
            width,
            stem_width=stem_width,
            stem_blocks=stem_blocks,
            stage_modules=stage_modules,
            branch_blocks=branch_blocks,
            outputs=1 if head == "v1" else 4,
        )
        if num_keypoints < 1 or head not in get_args(Head):
            raise ValueError(
                f"HRNet got {num_keypoints} keypoints and head {head!r}; "
                f"give at least 1, and one of {', '.join(get_args(Head))}"
            )
        self._architecture: dict[str, Any] = {
            "name": "hrnet",
            "head": head,
            "width": width,
            "num_keypoints": num_keypoints,
            "stem_width": stem_width,
            "stem_blocks": stem_blocks,
            "stage_modules": list(stage_modules),
            "branch_blocks": branch_blocks,
        }
        if head == "v1":
            self.final_layer = nn.Conv2d(width, num_keypoints, 1)
        else:
            self.head = nn.Sequential(
                *conv_bn_relu(15 * width, 15 * width), nn.Conv2d(15 * width, num_keypoints, 1)
            )
        self.apply(initialise_convolution)

    @property
    def label(self) -> str:
        """``HRNet-W32``; V2's head is named behind it."""
        head = self._architecture["head"]
        return f"HRNet-W{self._architecture['width']}" + ("" if head == "v1" else f" {head}")

    @classmethod
    def recognises(cls, shapes: Shapes) -> dict[str, Any] | None:
        """By the first block of stage 2, which no other network has; see `HeatmapNetwork`."""
        first = [f"stage{stage}.0.branches.0.0.conv1.weight" for stage in (2, 3, 4)]
        if first[0] not in shapes:
            return None
        needed = ["conv1.weight", "layer1.0.conv1.weight", *first]
        lacking = [name for name in needed if not rows_of(shapes, name)]
        if lacking:
            raise ValueError(
                f"this is no whole HRNet: among {counted(len(shapes), 'entry')} "
                f"({few(shapes)}) there is no convolution {lacking[0]}; get the whole file again"
            )
        v2 = rows_of(shapes, "head.3.weight")
        return {
            "name": "hrnet",
            "head": "v2" if v2 else "v1",
            "width": rows_of(shapes, first[0]),
            "num_keypoints": v2 or rows_of(shapes, "final_layer.weight"),
            "stem_width": rows_of(shapes, "conv1.weight"),
            "stem_blocks": children_of(shapes, "layer1."),
            "stage_modules": [children_of(shapes, f"stage{stage}.") for stage in (2, 3, 4)],
            "branch_blocks": children_of(shapes, "stage2.0.branches.0."),
        }

    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint; shapes and errors as of `HeatmapNetwork.forward`."""
        streams = self.streams(images)
        heatmaps: Tensor
        if len(streams) == 1:
            heatmaps = self.final_layer(streams[0])
        else:
            heatmaps = self.head(concatenate_streams(streams))
        return heatmaps


def concatenate_streams(streams: Sequence[Tensor]) -> Tensor:
    """The V2 representation: all streams, upsampled bilinearly to the finest and concatenated.

    Args:
        streams: ``(B, C_i, H_i, W_i)``, finest first, as `HRNetBackbone.streams` gives them.

    Returns:
        ``(B, sum of C_i, H_0, W_0)``: 15 times the network's width at stride 4.
    """
    finest, *coarser = streams
    size = finest.shape[2:]
    upsampled = (interpolate(x, size, mode="bilinear", align_corners=False) for x in coarser)
    return torch.cat([finest, *upsampled], dim=1)
