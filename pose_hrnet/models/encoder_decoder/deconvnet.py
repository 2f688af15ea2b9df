"""DeconvNet: VGG16 with its fully connected layers, and its mirror image, which unpools.

Noh, Hong, Han: Learning Deconvolution Network for Semantic Segmentation, ICCV 2015. At the paper's
224x224 fc6 sees its 7x7 features whole and gives one cell; here, where crops have other sizes, it
and the deconvolution behind fc7 keep the size, with the same parameters.
"""

from __future__ import annotations

from torch import Tensor, nn

from pose_hrnet.models.backbones import start_like_torchvision
from pose_hrnet.models.encoder_decoder.unpooling import MirroredVGGNetwork
from pose_hrnet.models.layers import at_heatmap_size, conv_bn, heatmap_layer


class DeconvNet(MirroredVGGNetwork):
    """DeconvNet.

    Args:
        width: Channels of the VGG's first stage; fc6 and fc7 have 64 times as many.
        num_keypoints: Heatmaps per crop.

    Raises:
        ValueError: If a number is not positive or too large.
    """

    name = "deconvnet"
    title = "DeconvNet"

    def __init__(self, width: int = 64, num_keypoints: int = 17) -> None:
        super().__init__(width, num_keypoints)
        full = 64 * width
        self.head = nn.Sequential(
            conv_bn(8 * width, full, 7, 1, nn.ReLU(inplace=True)),  # fc6
            conv_bn(full, full, 1, 1, nn.ReLU(inplace=True)),  # fc7
            conv_bn(full, 8 * width, 7, 1, nn.ReLU(inplace=True)),  # deconv-fc6
        )
        self.head.apply(start_like_torchvision)
        self.final_layer = heatmap_layer(width, num_keypoints)

    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint; shapes and errors as of `HeatmapNetwork.forward`."""
        x, places = self.encoded(images)
        x = self.decoded(self.head(x), places)
        x = x[..., : images.shape[2], : images.shape[3]]
        x = at_heatmap_size(x, images, self.stride)
        heatmaps: Tensor = self.final_layer(x)
        return heatmaps
