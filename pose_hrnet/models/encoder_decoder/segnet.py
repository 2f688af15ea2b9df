"""SegNet: VGG16 and its mirror image, which unpools to where the maxima of the way down were.

Badrinarayanan, Kendall, Cipolla: SegNet: A Deep Convolutional Encoder-Decoder Architecture for
Image Segmentation, PAMI 2017. Encoder and decoder have 13 convolutions each, with batch norm.
"""

from __future__ import annotations

from torch import Tensor

from pose_hrnet.models.encoder_decoder.unpooling import MIRRORED_VGG, MirroredVGGNetwork
from pose_hrnet.models.layers import at_heatmap_size, heatmap_layer


class SegNet(MirroredVGGNetwork):
    """SegNet.

    Args:
        width: Channels of the VGG's first stage.
        num_keypoints: Heatmaps per crop.

    Raises:
        ValueError: If a number is not positive or too large.
    """

    name = "segnet"
    title = "SegNet"

    def __init__(self, width: int = 64, num_keypoints: int = 17) -> None:
        # The paper's last convolution gives the classes; here it is `final_layer`.
        super().__init__(width, num_keypoints, (*MIRRORED_VGG[:-1], (1, (1,))))
        self.final_layer = heatmap_layer(width, num_keypoints, 3)

    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint; shapes and errors as of `HeatmapNetwork.forward`."""
        x = self.decoded(*self.encoded(images))
        heatmaps = self.final_layer(x)[..., : images.shape[2], : images.shape[3]]
        return at_heatmap_size(heatmaps, images, self.stride)
