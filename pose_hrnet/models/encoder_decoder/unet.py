"""U-Net: down to 1/16, and up again with the features of the way down beside those of the way up.

Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image Segmentation, MICCAI
2015. Batch norm, which the paper came too early for, stands behind each 3x3 convolution.

    1/1    convs ------------------------------------------- convs - mean of 4x4 - heatmaps
    1/2        convs ------------------------------- convs
    1/4            convs ------------------- convs
    1/8                convs ------- convs
    1/16                       convs
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, pad

from pose_hrnet.models.backbones import check_sizes, start_like_torchvision
from pose_hrnet.models.layers import at_heatmap_size, halved, heatmap_layer
from pose_hrnet.models.network import HeatmapNetwork

Padding: TypeAlias = Literal["same", "valid"]

LEVELS = 4
"""Halvings."""
LOST = 184
"""Rows that unpadded convolutions lose: 4 at each of 9 pairs, times the stride of theirs."""


class UNet(HeatmapNetwork):
    """U-Net.

    Args:
        padding: ``same``: convolutions keep the size, and where 16 does not divide a side the
            coarser features round up. ``valid``, the paper's: they do not, and the image is
            mirrored at its border, so that the heatmaps have all of it.
        width: Channels at the finest resolution (paper: 64).
        num_keypoints: Heatmaps per crop.

    Raises:
        ValueError: If the padding is unknown, or a number not positive or too large.
    """

    stride = 1

    def __init__(
        self, padding: Padding = "same", width: int = 64, num_keypoints: int = 17
    ) -> None:
        super().__init__()
        check_sizes("UNet", width, num_keypoints)
        if padding not in ("same", "valid"):
            raise ValueError(f"UNet got padding {padding!r}; give one of same, valid")
        self._architecture = {
            "name": "unet", "padding": padding, "width": width, "num_keypoints": num_keypoints
        }  # fmt: skip
        self.valid = padding == "valid"
        around, widths = int(not self.valid), [width * 2**level for level in range(LEVELS + 1)]
        self.down = nn.ModuleList(
            _two_convolutions(ins, outs, around)
            for ins, outs in zip([3, *widths], widths, strict=False)
        )
        self.raise_ = nn.ModuleList(
            nn.ConvTranspose2d(2 * outs, outs, 2, stride=2) for outs in widths[-2::-1]
        )
        self.up = nn.ModuleList(
            _two_convolutions(2 * outs, outs, around) for outs in widths[-2::-1]
        )
        self.apply(start_like_torchvision)
        self.final_layer = heatmap_layer(width, num_keypoints)

    @property
    def label(self) -> str:
        """``U-Net``; valid convolutions are named behind it."""
        return "U-Net valid" if self.valid else "U-Net"

    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint; see `HeatmapNetwork.forward`.

        Args:
            images: ``(B, 3, H, W)`` as there; of the valid U-Net H and W are at least 96, which
                have as much to mirror as it loses.

        Returns:
            ``(B, K, H/4, W/4)``.

        Raises:
            ValueError: If shape or type of the images are others.
        """
        x = self.normalised(images)
        if self.valid:
            x = self._mirrored(x)
        ways = []
        for level, layers in enumerate(self.down):
            if level:
                ways.append(x)
                x = max_pool2d(x, 2) if self.valid else halved(x)
            x = layers(x)
        for raising, layers, way in zip(self.raise_, self.up, reversed(ways), strict=True):
            x = raising(x)
            # Either may be larger: the way down where convolutions lose its border, the way up
            # where a halving was rounded.
            size = [min(a, b) for a, b in zip(x.shape[2:], way.shape[2:], strict=True)]
            x = layers(torch.cat([_centre(way, size), x[..., : size[0], : size[1]]], dim=1))
        x = at_heatmap_size(_centre(x, images.shape[2:]), images, self.stride)
        heatmaps: Tensor = self.final_layer(x)
        return heatmaps

    def _mirrored(self, x: Tensor) -> Tensor:
        """The smallest mirrored image whose unpadded features cover the image."""
        # What comes out is 4 above a multiple of 16, as the paper's 388 is from 572.
        around = [((4 - side) % 16 + LOST) // 2 for side in x.shape[2:]]
        if any(more >= side for more, side in zip(around, x.shape[2:], strict=True)):
            raise ValueError(
                f"UNet got images of height {x.shape[2]} and width {x.shape[3]}; with valid "
                "convolutions both must be at least 96, to be mirrored at the border"
            )
        return pad(x, (around[1], around[1], around[0], around[0]), mode="reflect")


def _two_convolutions(ins: int, outs: int, padding: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for begin in (ins, outs):
        conv = nn.Conv2d(begin, outs, 3, padding=padding)
        layers += [conv, nn.BatchNorm2d(outs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _centre(x: Tensor, size: list[int] | torch.Size) -> Tensor:
    """The middle of features ``(B, C, H, W)``, of this size or as large as they are."""
    top, left = (max(have - want, 0) // 2 for have, want in zip(x.shape[2:], size, strict=True))
    return x[..., top : top + size[0], left : left + size[1]]
