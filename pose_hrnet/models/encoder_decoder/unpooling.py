"""Max pooling that remembers where each maximum was, and the unpooling that puts it back there.

Zeiler, Taylor, Fergus: Adaptive Deconvolutional Networks for Mid and High Level Feature Learning,
ICCV 2011; DeconvNet and SegNet go up by it. What torch's own functions compute, in operations that
every export has.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from pose_hrnet.models.backbones import VGGNetwork, start_like_torchvision
from pose_hrnet.models.layers import conv_bn, padded_to

MIRRORED_VGG = ((8, (8, 8, 8)), (8, (8, 8, 4)), (4, (4, 4, 2)), (2, (2, 1)), (1, (1, 1)))
"""Of each stage of the way up, in widths: the channels that enter, and of each convolution."""


class PoolWithPlaces(nn.Module):
    """2x2 max pooling of features of even height and width."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Halve the resolution.

        Args:
            x: ``(B, C, H, W)``.

        Returns:
            The maxima and which of its 4 cells each was, ``(B, C, H/2, W/2)`` both.
        """
        channels, height, width = x.shape[1:]
        cells = pixel_unshuffle(x, 2).view(-1, channels, 4, height // 2, width // 2)
        values, places = cells.max(dim=2)
        return values, places


class Unpool(nn.Module):
    """The inverse: each value at its place, and 0 elsewhere."""

    def forward(self, values: Tensor, places: Tensor) -> Tensor:
        """Double the resolution.

        Args:
            values: ``(B, C, h, w)``.
            places: ``(B, C, h, w)`` as `PoolWithPlaces` gives them.

        Returns:
            ``(B, C, 2h, 2w)``.
        """
        channels, height, width = values.shape[1:]
        cell = torch.arange(4, device=values.device).view(4, 1, 1)
        cells = values[:, :, None] * (places[:, :, None] == cell).to(values.dtype)
        return pixel_shuffle(cells.view(-1, 4 * channels, height, width), 2)


def mirrored_stages(
    width: int, plan: Sequence[tuple[int, Sequence[int]]] = MIRRORED_VGG
) -> nn.ModuleList:
    """The convolutions of the way up, with batch norm and ReLU.

    Transposed convolutions of stride 1, as DeconvNet has them, are convolutions.

    Args:
        width: Channels of the finest stage.
        plan: As `MIRRORED_VGG`.
    """
    stages = nn.ModuleList()
    for ins, outs in plan:
        pairs = zip((ins, *outs), outs, strict=False)
        stages.append(
            nn.Sequential(
                *(conv_bn(a * width, b * width, 3, 1, nn.ReLU(inplace=True)) for a, b in pairs)
            )
        )
    return stages.apply(start_like_torchvision)


class MirroredVGGNetwork(VGGNetwork):
    """VGG16 and a mirror image of it, at the crop's own resolution; as of `VGGNetwork`.

    Where 32 does not divide a side of the crop, its mean colour is set around it.

    Args:
        width: Channels of the VGG's first stage.
        num_keypoints: Heatmaps per crop.
        plan: Of the way up, as `MIRRORED_VGG`.

    Raises:
        ValueError: If a number is not positive or too large.
    """

    stride = 1

    def __init__(
        self,
        width: int,
        num_keypoints: int,
        plan: Sequence[tuple[int, Sequence[int]]] = MIRRORED_VGG,
    ) -> None:
        super().__init__(width, num_keypoints)
        self.pool, self.unpool = PoolWithPlaces(), Unpool()
        self.decoder = mirrored_stages(width, plan)

    def encoded(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The way down.

        Args:
            images: ``(B, 3, H, W)`` as `HeatmapNetwork.forward` takes them.

        Returns:
            ``(B, 8 * width, H/32, W/32)``, rounded up, and the places of each pooling.
        """
        x, places = padded_to(self.normalised(images), 32), []
        for stage in self.stages():
            for layer in stage:
                x = layer(x)
            x, place = self.pool(x)
            places.append(place)
        return x, places

    def decoded(self, x: Tensor, places: Sequence[Tensor]) -> Tensor:
        """The way up.

        Args:
            x: ``(B, 8 * width, h, w)``, of the size that `encoded` gives.
            places: As `encoded` gives them.

        Returns:
            ``(B, C, 32h, 32w)``: where 32 does not divide a side of the crop, beyond its end, too.
        """
        for layers, place in zip(self.decoder, reversed(places), strict=True):
            x = layers(self.unpool(x, place))
        return x
