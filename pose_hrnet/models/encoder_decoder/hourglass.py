"""Stacked Hourglass: down to 1/64 and up again, several times, each time with heatmaps.

Newell, Yang, Deng: Stacked Hourglass Networks for Human Pose Estimation, ECCV 2016.

    image - 7x7, stride 2 - residual - pool - residual - residual -+- hourglass - residual - 1x1 -+
                                                                   |        heatmaps - head ------+
                                                                   +--- sum with both, the next --+

An hourglass pools four times; at each resolution a residual stays as a skip, and one goes down.
Every stack's heatmaps are supervised, and the last one's are the prediction.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from pose_hrnet.models.backbones import MOST_WIDTH
from pose_hrnet.models.layers import conv_bn_relu, halved, heatmap_layer
from pose_hrnet.models.network import HeatmapNetwork, check_values

LEVELS = 4
"""How often an hourglass halves the resolution."""
MOST_STACKS = 16
"""Of a network; the paper has 8."""


class Residual(nn.Module):
    """Three convolutions, each behind batch norm and ReLU, around a shortcut.

    ``(B, C, H, W)`` -> ``(B, D, H, W)``, D the outputs, half of them between.
    """

    def __init__(self, ins: int, outs: int) -> None:
        super().__init__()
        between = outs // 2
        layers: list[nn.Module] = []
        for begin, end, kernel in ((ins, between, 1), (between, between, 3), (between, outs, 1)):
            conv = nn.Conv2d(begin, end, kernel, padding=kernel // 2)
            layers += [nn.BatchNorm2d(begin), nn.ReLU(inplace=True), conv]
        self.layers = nn.Sequential(*layers)
        self.skip = nn.Identity() if ins == outs else nn.Conv2d(ins, outs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, ins, H, W)`` to ``(B, outs, H, W)``."""
        y: Tensor = self.layers(x) + self.skip(x)
        return y


class Hourglass(nn.Module):
    """Features to features of the same size, seen at as many coarser resolutions as levels."""

    def __init__(self, width: int, levels: int = LEVELS) -> None:
        super().__init__()
        self.skip, self.down, self.up = (Residual(width, width) for _ in range(3))
        self.inner = Hourglass(width, levels - 1) if levels > 1 else Residual(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, width, H, W)`` to the same shape."""
        low = self.up(self.inner(self.down(halved(x))))
        raised = interpolate(low, scale_factor=2.0, mode="nearest")
        # It may reach beyond a side that is odd.
        skip: Tensor = self.skip(x)
        return skip + raised[..., : x.shape[2], : x.shape[3]]


class StackedHourglass(HeatmapNetwork):
    """Hourglasses in a row, each corrected by the heatmaps of the one before.

    Args:
        stacks: Hourglasses: 1, 2 or 8 in the paper.
        width: Channels of their features (paper: 256).
        num_keypoints: Heatmaps per crop.

    Raises:
        ValueError: If a number is not positive, `stacks` are too many, or 4 does not divide
            `width`.
    """

    def __init__(self, stacks: int = 8, width: int = 256, num_keypoints: int = 17) -> None:
        super().__init__()
        fits = 4 <= width <= MOST_WIDTH and width % 4 == 0
        check_values(
            "StackedHourglass",
            ("stacks", stacks, 1 <= stacks <= MOST_STACKS, f"1 to {MOST_STACKS}"),
            ("width", width, fits, f"a multiple of 4 up to {MOST_WIDTH}"),
            ("num_keypoints", num_keypoints, num_keypoints >= 1, "at least 1"),
        )
        self._architecture = {
            "name": "hourglass", "stacks": stacks, "width": width, "num_keypoints": num_keypoints
        }  # fmt: skip
        self.supervision = (1.0,) * stacks
        stem = nn.Conv2d(3, width // 4, 7, stride=2, padding=3)
        self.stem = nn.Sequential(
            stem,
            nn.BatchNorm2d(width // 4),
            nn.ReLU(inplace=True),
            Residual(width // 4, width // 2),
        )
        self.stem_end = nn.Sequential(
            Residual(width // 2, width // 2), Residual(width // 2, width)
        )
        self.hourglasses = nn.ModuleList(
            nn.Sequential(Hourglass(width), Residual(width, width), *conv_bn_relu(width, width))
            for _ in range(stacks)
        )
        between = range(stacks - 1)
        self.heads = nn.ModuleList(heatmap_layer(width, num_keypoints) for _ in between)
        self.features_on = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in between)
        self.heatmaps_on = nn.ModuleList(nn.Conv2d(num_keypoints, width, 1) for _ in between)
        self.final_layer = heatmap_layer(width, num_keypoints)

    @property
    def label(self) -> str:
        """``Hourglass-8``."""
        return f"Hourglass-{self._architecture['stacks']}"

    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint; shapes and errors as of `HeatmapNetwork.forward`."""
        x = self.stem_end(halved(self.stem(self.normalised(images))))
        heatmaps = []
        steps = zip(self.hourglasses, self.heads, self.features_on, self.heatmaps_on, strict=False)
        for hourglass, head, features_on, heatmaps_on in steps:
            features = hourglass(x)
            heatmaps.append(head(features))
            x = x + features_on(features) + heatmaps_on(heatmaps[-1])
        heatmaps.append(self.final_layer(self.hourglasses[-1](x)))
        return torch.stack(heatmaps) if self.training else heatmaps[-1]
