"""PSPNet: a dilated ResNet, and beside its features their means over regions of four sizes.

Zhao, Shi, Qi, Wang, Jia: Pyramid Scene Parsing Network, CVPR 2017. The crop is divided into 1,
2x2, 3x3 and 6x6 regions. In training, heatmaps of layer3's features are supervised, too; they
count 0.4.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from pose_hrnet.models.backbones import ResNetNetwork
from pose_hrnet.models.layers import PooledBatchNorm, at_heatmap_size, conv_bn, heatmap_layer

REGIONS = (1, 2, 3, 6)
"""In height and width."""
AUXILIARY = 0.4
"""What the loss of layer3's heatmaps counts."""


class PSPNet(ResNetNetwork):
    """PSPNet.

    Args:
        depth: Layers of the ResNet: 50, 101 or 152.
        width: Channels of its first stage.
        num_keypoints: Heatmaps per crop.

    Raises:
        ValueError: If the depth is unknown, or a number not positive or too large.
    """

    name = "pspnet"
    title = "PSPNet"
    stride = 8

    def __init__(self, depth: int = 50, width: int = 64, num_keypoints: int = 17) -> None:
        super().__init__(depth, width, num_keypoints, dilated=True)
        self.supervision = (AUXILIARY, 1.0)
        wide = self.out_channels // 4
        self.pyramid = nn.ModuleList(
            conv_bn(self.out_channels, wide, 1, 1, nn.ReLU(inplace=True)) for _ in REGIONS
        )
        self.pyramid[0].register_module("1", PooledBatchNorm(wide))
        self.head = nn.Sequential(
            conv_bn(2 * self.out_channels, wide, 3, 1, nn.ReLU(inplace=True)), nn.Dropout2d(0.1)
        )
        self.final_layer = heatmap_layer(wide, num_keypoints)
        self.auxiliary = nn.Sequential(
            conv_bn(self.out_channels // 2, wide // 2, 3, 1, nn.ReLU(inplace=True)),
            nn.Dropout2d(0.1),
            nn.Conv2d(wide // 2, num_keypoints, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint; shapes and errors as of `HeatmapNetwork.forward`."""
        _, _, layer3, layer4 = self.stages(images)
        seen = [layer4]
        for regions, layer in zip(REGIONS, self.pyramid, strict=True):
            means = layer(adaptive_avg_pool2d(layer4, regions))
            size = layer4.shape[2:]
            seen.append(interpolate(means, size, mode="bilinear", align_corners=False))
        heatmaps = self.final_layer(self.head(torch.cat(seen, dim=1)))
        if self.training:
            early = self.auxiliary(layer3)
            return torch.stack(
                [at_heatmap_size(each, images, self.stride) for each in (early, heatmaps)]
            )
        return at_heatmap_size(heatmaps, images, self.stride)
