"""DeepLab V2, V3 and V3+: a dilated ResNet, and convolutions of several spreads side by side.

    V2    four 3x3 convolutions, their scores added             Chen et al., PAMI 2018 (ASPP)
    V3    torchvision's ASPP, with the mean of the whole crop   Chen et al., arXiv:1706.05587
    V3+   the same, and layer1's features beside them           Chen et al., ECCV 2018

Of V2's dense CRF, and of the rates on crops, which are smaller than the papers' images, see
docs/networks.md.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pose_hrnet.models.backbones import ResNetNetwork
from pose_hrnet.models.layers import (
    PooledBatchNorm,
    at_heatmap_size,
    conv_bn,
    heatmap_layer,
    raised,
)

V2_RATES = (6, 12, 18, 24)
V3_RATES = (12, 24, 36)
"""Cells between the taps of the ASPP's convolutions, at stride 8."""
LOW_CHANNELS = 48
"""To which V3+ reduces layer1's, at the official width."""


class DeepLabV2(ResNetNetwork):
    """DeepLab V2.

    Args:
        depth: Layers of the ResNet (paper: 101).
        width: Channels of its first stage.
        num_keypoints: Heatmaps per crop.

    Raises:
        ValueError: If the depth is unknown, or a number not positive or too large.
    """

    name = "deeplab_v2"
    title = "DeepLab V2"
    stride = 8

    def __init__(self, depth: int = 101, width: int = 64, num_keypoints: int = 17) -> None:
        super().__init__(depth, width, num_keypoints, dilated=True)
        self.head = nn.ModuleList(
            nn.Conv2d(self.out_channels, num_keypoints, 3, padding=rate, dilation=rate)
            for rate in V2_RATES
        )
        for layer in self.head.children():
            nn.init.normal_(layer.get_parameter("weight"), std=0.01)

    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint; shapes and errors as of `HeatmapNetwork.forward`."""
        features = self.stages(images)[-1]
        scores = torch.stack([layer(features) for layer in self.head]).sum(dim=0)
        return at_heatmap_size(scores, images, self.stride)


class DeepLabV3(ResNetNetwork):
    """DeepLab V3, torchvision's.

    Args:
        depth: Layers of the ResNet: 50, 101 or 152.
        width: Channels of its first stage; the ASPP has 4 times as many.
        num_keypoints: Heatmaps per crop.

    Raises:
        ValueError: If the depth is unknown, or a number not positive or too large.
    """

    name = "deeplab_v3"
    title = "DeepLab V3"
    stride = 8

    def __init__(self, depth: int = 50, width: int = 64, num_keypoints: int = 17) -> None:
        super().__init__(depth, width, num_keypoints, dilated=True)
        wide = 4 * width
        self.head = nn.Sequential(
            _aspp(self.out_channels, wide),
            *conv_bn(wide, wide, 3, 1, nn.ReLU(inplace=True)),
        )
        self.final_layer = heatmap_layer(wide, num_keypoints)

    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint; shapes and errors as of `HeatmapNetwork.forward`."""
        heatmaps = self.final_layer(self.head(self.stages(images)[-1]))
        return at_heatmap_size(heatmaps, images, self.stride)


class DeepLabV3Plus(ResNetNetwork):
    """DeepLab V3+: torchvision's ASPP, raised to layer1's resolution, with its features beside.

    Args:
        depth: Layers of the ResNet: 50, 101 or 152.
        width: Channels of its first stage; ASPP and decoder have 4 times as many.
        num_keypoints: Heatmaps per crop.

    Raises:
        ValueError: If the depth is unknown, or a number not positive or too large.
    """

    name = "deeplab_v3plus"
    title = "DeepLab V3+"

    def __init__(self, depth: int = 50, width: int = 64, num_keypoints: int = 17) -> None:
        super().__init__(depth, width, num_keypoints, dilated=True)
        wide, low = 4 * width, max(LOW_CHANNELS * width // 64, 1)
        self.head = nn.ModuleDict(
            {
                "aspp": _aspp(self.out_channels, wide),
                "low": conv_bn(4 * width, low, 1, 1, nn.ReLU(inplace=True)),
                "decoder": nn.Sequential(
                    conv_bn(wide + low, wide, 3, 1, nn.ReLU(inplace=True)),
                    conv_bn(wide, wide, 3, 1, nn.ReLU(inplace=True)),
                ),
            }
        )
        self.final_layer = heatmap_layer(wide, num_keypoints)

    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint; shapes and errors as of `HeatmapNetwork.forward`."""
        layer1, _, _, layer4 = self.stages(images)
        low, high = self.head["low"](layer1), self.head["aspp"](layer4)
        both = torch.cat([low, raised(high, 2, low.shape[2:])], dim=1)
        heatmaps: Tensor = self.final_layer(self.head["decoder"](both))
        return heatmaps


def _aspp(ins: int, outs: int) -> nn.Module:
    from torchvision.models.segmentation.deeplabv3 import ASPP

    aspp = ASPP(ins, V3_RATES, outs)
    aspp.convs[-1][2] = PooledBatchNorm(outs)
    whole: nn.Module = aspp
    return whole
