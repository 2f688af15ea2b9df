"""DeconvNet: VGG16 with its fully connected layers, and its mirror image, which unpools.

Noh, Hong, Han: Learning Deconvolution Network for Semantic Segmentation, ICCV 2015. At the paper's
224x224 fc6 sees its 7x7 features whole and gives one cell; here, where crops have other sizes, it
and the deconvolution behind fc7 keep the size, with the same parameters.
"""

from __future__ import annotations

from torch import Tensor, nn

from pose_hrnet.models.backbones import VGGNetwork, start_like_torchvision
from pose_hrnet.models.encoder_decoder.unpooling import PoolWithPlaces, Unpool, mirrored_stages
from pose_hrnet.models.layers import at_heatmap_size, conv_bn, heatmap_layer, padded_to


class DeconvNet(VGGNetwork):
    """DeconvNet. Where 32 does not divide a side of the crop, its mean colour is set around it.

    Args:
        width: Channels of the VGG's first stage; fc6 and fc7 have 64 times as many.
        num_keypoints: Heatmaps per crop.

    Raises:
        ValueError: If a number is not positive or too large.
    """

    stride = 1

    def __init__(self, width: int = 64, num_keypoints: int = 17) -> None:
        super().__init__(width, num_keypoints)
        self._architecture = {"name": "deconvnet", "width": width, "num_keypoints": num_keypoints}
        self.pool, self.unpool = PoolWithPlaces(), Unpool()
        full = 64 * width
        self.head = nn.Sequential(
            conv_bn(8 * width, full, 7, 1, nn.ReLU(inplace=True)),  # fc6
            conv_bn(full, full, 1, 1, nn.ReLU(inplace=True)),  # fc7
            conv_bn(full, 8 * width, 7, 1, nn.ReLU(inplace=True)),  # deconv-fc6
        )
        self.head.apply(start_like_torchvision)
        self.decoder = mirrored_stages(width)
        self.final_layer = heatmap_layer(width, num_keypoints)

    @property
    def label(self) -> str:
        """``DeconvNet``."""
        return "DeconvNet"

    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint; shapes and errors as of `HeatmapNetwork.forward`."""
        x, places = padded_to(self.normalised(images), 32), []
        for stage in self.stages():
            for layer in stage:
                x = layer(x)
            x, place = self.pool(x)
            places.append(place)
        x = self.head(x)
        for layers, place in zip(self.decoder, reversed(places), strict=True):
            x = layers(self.unpool(x, place))
        x = at_heatmap_size(x[..., : images.shape[2], : images.shape[3]], images)
        heatmaps: Tensor = self.final_layer(x)
        return heatmaps
