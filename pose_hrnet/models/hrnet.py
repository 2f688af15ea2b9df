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

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from pose_hrnet.models.hrnet_blocks import Bottleneck, branch_out, conv_bn_relu, stage, transition
from pose_hrnet.models.network import IMAGENET_MEAN, IMAGENET_STD, normalised

Head: TypeAlias = Literal["v1", "v2"]


class HRNetBackbone(nn.Module):
    """Stem and four stages, what all HRNets share.

    Args:
        width: Channels of the stride-4 stream; every coarser stream has twice as many.
        stem_width: Channels of the two stem convolutions; `layer1` ends with four times as many.
        stem_blocks: Bottleneck blocks of `layer1`.
        stage_modules: Multi-resolution modules in stages 2, 3 and 4.
        branch_blocks: Residual blocks per stream and module.
        outputs: Streams, finest first, that come out of stage 4.
        mean: Per-channel mean of RGB values between 0 and 1.
        std: Per-channel standard deviation of RGB values between 0 and 1.

    Raises:
        ValueError: If a size is not a positive number, or not three stages are given.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        width: int,
        *,
        stem_width: int,
        stem_blocks: int,
        stage_modules: Sequence[int],
        branch_blocks: int,
        outputs: int,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        if len(stage_modules) != 3:
            raise ValueError(
                f"HRNet got stage_modules {list(stage_modules)}; give one number per stage, 2 to 4"
            )
        sizes = (width, stem_width, stem_blocks, *stage_modules, branch_blocks)
        if min(sizes) < 1:
            raise ValueError(
                f"HRNet got width {width}, stem_width {stem_width}, stem_blocks {stem_blocks}, "
                f"stage_modules {list(stage_modules)} and branch_blocks {branch_blocks}; "
                "give numbers of at least 1"
            )
        # Not persistent: the state dict stays the official one; a checkpoint's card keeps them.
        for name, value in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(value).view(3, 1, 1), persistent=False)

        channels = [width * 2**i for i in range(4)]
        # Built in the official order, which is the order of the state dict.
        self.conv1 = nn.Conv2d(3, stem_width, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem_width)
        self.conv2 = nn.Conv2d(stem_width, stem_width, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(stem_width)
        stem_out = stem_width * Bottleneck.expansion
        self.layer1 = nn.Sequential(
            *(Bottleneck(stem_out if i else stem_width, stem_width) for i in range(stem_blocks))
        )
        self.transition1 = transition([stem_out], channels[:2])
        self.stage2 = stage(channels[:2], stage_modules[0], branch_blocks)
        self.transition2 = transition(channels[:2], channels[:3])
        self.stage3 = stage(channels[:3], stage_modules[1], branch_blocks)
        self.transition3 = transition(channels[:3], channels)
        self.stage4 = stage(channels, stage_modules[2], branch_blocks, outputs=outputs)

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
        x = normalised(images, self.mean, self.std, network="HRNet")
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


class HRNet(HRNetBackbone):
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
        mean: Per-channel mean of RGB values between 0 and 1.
        std: Per-channel standard deviation of RGB values between 0 and 1.

    Raises:
        ValueError: If a size is not a positive number, not three stages are given, or the head is
            unknown.
    """

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
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__(
            width,
            stem_width=stem_width,
            stem_blocks=stem_blocks,
            stage_modules=stage_modules,
            branch_blocks=branch_blocks,
            outputs=1 if head == "v1" else 4,
            mean=mean,
            std=std,
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
    def architecture(self) -> dict[str, Any]:
        """What rebuilds this network, `build_network(architecture)`, in the types of JSON."""
        return {**self._architecture, "stage_modules": [*self._architecture["stage_modules"]]}

    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint.

        Args:
            images: ``(B, 3, H, W)`` RGB crops, H and W multiples of 4: uint8, or floating and
                then already normalised with `mean` and `std`.

        Returns:
            ``(B, K, H/4, W/4)`` heatmaps.

        Raises:
            ValueError: If shape or type of the images are others.
        """
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


def initialise_convolution(module: nn.Module) -> None:
    """Start a convolution as the official code does; leave other modules as they are."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, std=0.001)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
