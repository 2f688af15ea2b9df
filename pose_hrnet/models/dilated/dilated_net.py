"""DilatedNet: VGG16 without its last two poolings, and a context module behind its scores.

Yu, Koltun: Multi-Scale Context Aggregation by Dilated Convolutions, ICLR 2016. The context module
is the basic one: eight convolutions on the scores, seven 3x3 ones whose taps lie 1, 1, 2, 4, 8, 16
and 1 cells apart, each started as the identity. The paper mirrors images at their border, where
here, as in every other network, zeros stand.
"""

from __future__ import annotations

from torch import Tensor, nn

from pose_hrnet.models.dilated.vgg import DilatedVGGNetwork
from pose_hrnet.models.layers import at_heatmap_size

CONTEXT = (1, 1, 2, 4, 8, 16, 1)
"""Dilations of the context module's 3x3 convolutions."""


class DilatedNet(DilatedVGGNetwork):
    """DilatedNet with the basic context module, at stride 8.

    Args:
        width: Channels of the VGG's first stage; fc6 and fc7 have 64 times as many.
        num_keypoints: Heatmaps per crop.

    Raises:
        ValueError: If a number is not positive or too large.
    """

    name = "dilated_net"
    title = "DilatedNet"

    def __init__(self, width: int = 64, num_keypoints: int = 17) -> None:
        super().__init__(width, num_keypoints)
        full = 64 * width
        self.head = nn.Sequential(
            nn.Conv2d(8 * width, full, 7, padding=12, dilation=4), nn.ReLU(inplace=True),
            nn.Dropout2d(), nn.Conv2d(full, full, 1), nn.ReLU(inplace=True), nn.Dropout2d(),
            nn.Conv2d(full, num_keypoints, 1),
        )  # fmt: skip
        layers: list[nn.Module] = []
        for dilation in CONTEXT:
            conv = nn.Conv2d(num_keypoints, num_keypoints, 3, padding=dilation, dilation=dilation)
            layers += [conv, nn.ReLU()]
        self.context = nn.Sequential(*layers)
        self.final_layer = nn.Conv2d(num_keypoints, num_keypoints, 1)
        for layer in (*layers[::2], self.final_layer):
            assert isinstance(layer, nn.Conv2d)  # for mypy
            nn.init.dirac_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint; shapes and errors as of `HeatmapNetwork.forward`."""
        scores = self.head(self.dilated_features(images))
        return at_heatmap_size(self.final_layer(self.context(scores)), images)
