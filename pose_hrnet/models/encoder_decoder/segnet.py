"""SegNet: VGG16 and its mirror image, which unpools to where the maxima of the way down were.

Badrinarayanan, Kendall, Cipolla: SegNet: A Deep Convolutional Encoder-Decoder Architecture for
Image Segmentation, PAMI 2017. Encoder and decoder have 13 convolutions each, with batch norm.
"""

from __future__ import annotations

from torch import Tensor

from pose_hrnet.models.backbones import VGGNetwork
from pose_hrnet.models.encoder_decoder.unpooling import (
    MIRRORED_VGG,
    PoolWithPlaces,
    Unpool,
    mirrored_stages,
)
from pose_hrnet.models.layers import at_heatmap_size, heatmap_layer, padded_to


class SegNet(VGGNetwork):
    """SegNet. Where 32 does not divide a side of the crop, its mean colour is set around it.

    Args:
        width: Channels of the VGG's first stage.
        num_keypoints: Heatmaps per crop.

    Raises:
        ValueError: If a number is not positive or too large.
    """

    stride = 1

    def __init__(self, width: int = 64, num_keypoints: int = 17) -> None:
        super().__init__(width, num_keypoints)
        self._architecture = {"name": "segnet", "width": width, "num_keypoints": num_keypoints}
        self.pool, self.unpool = PoolWithPlaces(), Unpool()
        # The paper's last convolution gives the classes; here it is `final_layer`.
        self.decoder = mirrored_stages(width, (*MIRRORED_VGG[:-1], (1, (1,))))
        self.final_layer = heatmap_layer(width, num_keypoints, 3)

    @property
    def label(self) -> str:
        """``SegNet``."""
        return "SegNet"

    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint; shapes and errors as of `HeatmapNetwork.forward`."""
        x, places = padded_to(self.normalised(images), 32), []
        for stage in self.stages():
            for layer in stage:
                x = layer(x)
            x, place = self.pool(x)
            places.append(place)
        for layers, place in zip(self.decoder, reversed(places), strict=True):
            x = layers(self.unpool(x, place))
        heatmaps = self.final_layer(x)[..., : images.shape[2], : images.shape[3]]
        return at_heatmap_size(heatmaps, images)
