"""DeepLab V1 (LargeFOV): VGG16 at stride 8, and one widely spread convolution behind it.

Chen, Papandreou, Kokkinos, Murphy, Yuille: Semantic Image Segmentation with Deep Convolutional
Nets and Fully Connected CRFs, ICLR 2015; fc6 as in LargeFOV, 3x3 taps 12 cells apart. Of its dense
CRF see docs/networks.md.
"""

from __future__ import annotations

from torch import Tensor, nn

from pose_hrnet.models.dilated.vgg import DilatedVGGNetwork
from pose_hrnet.models.layers import at_heatmap_size, heatmap_layer

SPREAD = 12
"""Cells between the taps of fc6."""


class DeepLabV1(DilatedVGGNetwork):
    """DeepLab-LargeFOV.

    Args:
        width: Channels of the VGG's first stage; fc6 and fc7 have 16 times as many.
        num_keypoints: Heatmaps per crop.

    Raises:
        ValueError: If a number is not positive or too large.
    """

    name = "deeplab_v1"
    title = "DeepLab V1"

    def __init__(self, width: int = 64, num_keypoints: int = 17) -> None:
        super().__init__(width, num_keypoints)
        full = 16 * width
        self.head = nn.Sequential(
            nn.Conv2d(8 * width, full, 3, padding=SPREAD, dilation=SPREAD), nn.ReLU(inplace=True),
            nn.Dropout2d(), nn.Conv2d(full, full, 1), nn.ReLU(inplace=True), nn.Dropout2d(),
        )  # fmt: skip
        self.final_layer = heatmap_layer(full, num_keypoints)

    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint; shapes and errors as of `HeatmapNetwork.forward`."""
        features = self.head(self.dilated_features(images, smooth=True))
        return at_heatmap_size(self.final_layer(features), images, self.stride)
