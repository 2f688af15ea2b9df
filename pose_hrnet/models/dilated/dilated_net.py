"""DilatedNet: VGG16 without its last two poolings, and a context module behind its scores.

Yu, Koltun: Multi-Scale Context Aggregation by Dilated Convolutions, ICLR 2016. The context module
is the basic one: eight convolutions on the scores, seven 3x3 ones whose taps lie 1, 1, 2, 4, 8, 16
and 1 cells apart, and one 1x1, started as the identity.

Two things are other than in the paper. It cuts scores at 0 behind each of the seven; where the
score of a keypoint is negative in all of a crop, nothing of it is left then, and no gradient
leads back. Here each convolution takes what is positive of the scores, and is added to them as
they are. And it mirrors images at their border, where here, as in every other network, zeros
stand.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import relu

from pose_hrnet.models.dilated.vgg import DilatedVGGNetwork
from pose_hrnet.models.layers import at_heatmap_size

CONTEXT = (1, 1, 2, 4, 8, 16, 1)
"""Dilations of the context module's 3x3 convolutions."""


class DilatedNet(DilatedVGGNetwork):
    """DilatedNet with the basic context module, at stride 8.

    Args:
        width: Channels of the VGG's first stage; fc6 and fc7 have 64 times as many.
        num_keypoints: Heatmaps per crop.

    Raises:
        ValueError: If a number is not positive or too large.
    """

    name = "dilated_net"
    title = "DilatedNet"

    def __init__(self, width: int = 64, num_keypoints: int = 17) -> None:
        super().__init__(width, num_keypoints)
        full = 64 * width
        self.head = nn.Sequential(
            nn.Conv2d(8 * width, full, 7, padding=12, dilation=4), nn.ReLU(inplace=True),
            nn.Dropout2d(), nn.Conv2d(full, full, 1), nn.ReLU(inplace=True), nn.Dropout2d(),
            nn.Conv2d(full, num_keypoints, 1),
        )  # fmt: skip
        self.context = nn.ModuleList(
            nn.Conv2d(num_keypoints, num_keypoints, 3, padding=spread, dilation=spread)
            for spread in CONTEXT
        )
        self.final_layer = nn.Conv2d(num_keypoints, num_keypoints, 1)
        for layer in (*self.context.children(), self.final_layer):
            nn.init.zeros_(layer.get_parameter("weight"))
            nn.init.zeros_(layer.get_parameter("bias"))
        nn.init.dirac_(self.final_layer.weight)

    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint; shapes and errors as of `HeatmapNetwork.forward`."""
        scores = self.in_context(self.head(self.dilated_features(images)))
        return at_heatmap_size(self.final_layer(scores), images, self.stride)

    def in_context(self, scores: Tensor) -> Tensor:
        """Scores that were told of those around them: ``(B, K, h, w)`` to the same shape."""
        for layer in self.context:
            scores = scores + layer(relu(scores))
        return scores
