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

from pose_hrnet.models.backbones import start_like_torchvision
from pose_hrnet.models.layers import conv_bn

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
