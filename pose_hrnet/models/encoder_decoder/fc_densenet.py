"""FC-DenseNet (Tiramisu): dense blocks down to 1/32 and up again, with skips between.

Jegou, Drozdzal, Vazquez, Romero, Bengio: The One Hundred Layers Tiramisu: Fully Convolutional
DenseNets for Semantic Segmentation, CVPR Workshops 2017.

Each layer of a dense block sees all that came before it. On the way down a block's input goes on
beside its new features; on the way up the new ones alone are raised, so that they stay few.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pose_hrnet.models.layers import at_heatmap_size, halved, heatmap_layer
from pose_hrnet.models.network import HeatmapNetwork, check_values

BLOCKS = {56: (4, 4, 4, 4, 4, 4), 67: (5, 5, 5, 5, 5, 5), 103: (4, 5, 7, 10, 12, 15)}
"""Depth -> layers of the dense blocks on the way down, and of the one at its end."""
STEM = 48
"""Channels of the first convolution."""
DROPOUT = 0.2
MOST_GROWTH = 128
"""Of a layer; the paper has 12 and 16."""


class DenseBlock(nn.Module):
    """Layers of which each sees the input and all layers before: ``(B, C, H, W)`` in."""

    def __init__(self, ins: int, layers: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            _layer(ins + i * growth, growth, kernel=3) for i in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the new features, ``(B, layers * growth, H, W)``."""
        seen = [x]
        for layer in self.layers:
            seen.append(layer(torch.cat(seen, dim=1)))
        return torch.cat(seen[1:], dim=1)


class FCDenseNet(HeatmapNetwork):
    """FC-DenseNet-56, -67 and -103.

    Args:
        depth: Convolutions: 56, 67 or 103.
        growth: Channels of each dense layer (paper: 12, 16, 16).
        num_keypoints: Heatmaps per crop.

    Raises:
        ValueError: If the depth is unknown, or a number not positive or too large.
    """

    stride = 1

    def __init__(self, depth: int = 103, growth: int = 16, num_keypoints: int = 17) -> None:
        super().__init__()
        check_values(
            "FCDenseNet",
            ("depth", depth, depth in BLOCKS, f"one of {', '.join(map(str, BLOCKS))}"),
            ("growth", growth, 1 <= growth <= MOST_GROWTH, f"1 to {MOST_GROWTH}"),
            ("num_keypoints", num_keypoints, num_keypoints >= 1, "at least 1"),
        )
        self._architecture = {
            "name": "fc_densenet", "depth": depth, "growth": growth, "num_keypoints": num_keypoints
        }  # fmt: skip
        *on_the_way, at_the_end = BLOCKS[depth]
        self.stem = nn.Conv2d(3, STEM, 3, padding=1)
        self.down, self.transitions = nn.ModuleList(), nn.ModuleList()
        channels, skips = STEM, []
        for layers in on_the_way:
            self.down.append(DenseBlock(channels, layers, growth))
            channels += layers * growth
            skips.append(channels)
            self.transitions.append(_layer(channels, channels, kernel=1))
        self.bottom = DenseBlock(channels, at_the_end, growth)
        self.raise_, self.up = nn.ModuleList(), nn.ModuleList()
        new = at_the_end * growth
        for layers, skip in zip(reversed(on_the_way), reversed(skips), strict=True):
            self.raise_.append(
                nn.ConvTranspose2d(new, new, 3, stride=2, padding=1, output_padding=1)
            )
            channels = new + skip
            self.up.append(DenseBlock(channels, layers, growth))
            new = layers * growth
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
        # The last block's input is seen, too.
        self.final_layer = heatmap_layer(channels + new, num_keypoints)

    @property
    def label(self) -> str:
        """``FC-DenseNet-103``."""
        return f"FC-DenseNet-{self._architecture['depth']}"

    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint; shapes and errors as of `HeatmapNetwork.forward`."""
        x, skips = self.stem(self.normalised(images)), []
        for block, transition in zip(self.down, self.transitions, strict=True):
            skips.append(torch.cat([x, block(x)], dim=1))
            x = halved(transition(skips[-1]))
        new = self.bottom(x)
        for raising, block, skip in zip(self.raise_, self.up, reversed(skips), strict=True):
            # What is raised may reach beyond a side that is odd.
            raised = raising(new)[..., : skip.shape[2], : skip.shape[3]]
            x = torch.cat([skip, raised], dim=1)
            new = block(x)
        x = at_heatmap_size(torch.cat([x, new], dim=1), images, self.stride)
        heatmaps: Tensor = self.final_layer(x)
        return heatmaps


def _layer(ins: int, outs: int, *, kernel: int) -> nn.Sequential:
    conv = nn.Conv2d(ins, outs, kernel, padding=kernel // 2)
    return nn.Sequential(nn.BatchNorm2d(ins), nn.ReLU(), conv, nn.Dropout(DROPOUT))
