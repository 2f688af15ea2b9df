"""FCN: scores of a classification network's last features, raised, with those of finer ones added.

Long, Shelhamer, Darrell: Fully Convolutional Networks for Semantic Segmentation, CVPR 2015.

    1/32   pool5 - fc6, fc7 as convolutions - scores -+                       32s: raised 8 times
    1/16   pool4 ----------------------------- scores + twice the size -+     16s: raised 4 times
    1/8    pool3 ----------------------------- scores ------------------+ 2x   8s: raised twice

Heatmaps end at stride 4 where the paper goes on to the image's own size. The VGG16 has batch norm,
which the paper's had not: without, it learns from ImageNet weights alone. What else is other than
in the paper stands in docs/networks.md.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from torch import Tensor, nn

from pose_hrnet.models.backbones import ResNetNetwork, VGGNetwork
from pose_hrnet.models.layers import at_heatmap_size, conv_bn, heatmap_layer, raised

Variant: TypeAlias = Literal["32s", "16s", "8s"]

_SKIPS = {"32s": 0, "16s": 1, "8s": 2}
"""How many finer features are scored, too."""


class FCN(VGGNetwork):
    """FCN-32s, -16s and -8s behind VGG16.

    Args:
        variant: The finest stride that is scored.
        width: Channels of the VGG's first stage; fc6 and fc7 have 64 times as many.
        num_keypoints: Heatmaps per crop.

    Raises:
        ValueError: If the variant is unknown, or a number not positive or too large.
    """

    name = "fcn"
    title = "FCN"

    def __init__(self, variant: Variant = "8s", width: int = 64, num_keypoints: int = 17) -> None:
        _check(variant, _SKIPS)
        super().__init__(width, num_keypoints)
        self._architecture["variant"] = variant
        self.stride = int(variant[:-1])
        full = 64 * width
        self.head = nn.Sequential(
            nn.Conv2d(8 * width, full, 7, padding=3), nn.ReLU(inplace=True), nn.Dropout2d(),
            nn.Conv2d(full, full, 1), nn.ReLU(inplace=True), nn.Dropout2d(),
        )  # fmt: skip
        self.final_layer = heatmap_layer(full, num_keypoints)
        self.skips = _skips(variant, (8 * width, 4 * width), num_keypoints)

    @property
    def label(self) -> str:
        """``FCN-8s VGG16``."""
        return f"{self.title}-{self._architecture['variant']} VGG16"

    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint; shapes and errors as of `HeatmapNetwork.forward`."""
        _, _, pool3, pool4, pool5 = self.pooled(images)
        scores = self.final_layer(self.head(pool5))
        return _heatmaps(scores, self.skips, (pool4, pool3), images, self.stride)


class FCNResNet(ResNetNetwork):
    """FCN behind a ResNet: -32s, -16s and -8s, or torchvision's, dilated to stride 8.

    Args:
        variant: The finest stride that is scored, or ``dilated``: torchvision's.
        depth: Layers of the ResNet: 50, 101 or 152.
        width: Channels of its first stage.
        num_keypoints: Heatmaps per crop.

    Raises:
        ValueError: If variant or depth is unknown, or a number not positive or too large.
    """

    name = "fcn_resnet"
    title = "FCN"

    def __init__(
        self,
        variant: Variant | Literal["dilated"] = "8s",
        depth: int = 50,
        width: int = 64,
        num_keypoints: int = 17,
    ) -> None:
        _check(variant, (*_SKIPS, "dilated"))
        super().__init__(depth, width, num_keypoints, dilated=variant == "dilated")
        self._architecture["variant"] = variant
        self.stride = 8 if variant == "dilated" else int(variant[:-1])
        # torchvision's FCNHead, without its last layer.
        self.head = nn.Sequential(
            *conv_bn(self.out_channels, self.out_channels // 4, 3, 1, nn.ReLU(inplace=True)),
            nn.Dropout(0.1),
        )
        self.final_layer = heatmap_layer(self.out_channels // 4, num_keypoints)
        self.skips = _skips(variant, (16 * width, 8 * width), num_keypoints)

    @property
    def label(self) -> str:
        """``FCN-8s ResNet-50``."""
        return f"{self.title}-{self._architecture['variant']} ResNet-{self._architecture['depth']}"

    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint; shapes and errors as of `HeatmapNetwork.forward`."""
        _, layer2, layer3, layer4 = self.stages(images)
        scores = self.final_layer(self.head(layer4))
        return _heatmaps(scores, self.skips, (layer3, layer2), images, self.stride)


def _check(variant: str, known: Any) -> None:
    if variant not in known:
        raise ValueError(f"FCN got variant {variant!r}; give one of {', '.join(known)}")


def _skips(variant: str, channels: tuple[int, int], num_keypoints: int) -> nn.ModuleList:
    """What scores finer features, the coarser first; the paper starts it at 0."""
    layers = [nn.Conv2d(c, num_keypoints, 1) for c in channels[: _SKIPS.get(variant, 0)]]
    for layer in layers:
        nn.init.zeros_(layer.weight)
        assert layer.bias is not None  # for mypy; nn.Conv2d makes one by default
        nn.init.zeros_(layer.bias)
    return nn.ModuleList(layers)


def _heatmaps(
    scores: Tensor,
    skips: nn.ModuleList,
    finer: tuple[Tensor, Tensor],
    images: Tensor,
    stride: int,
) -> Tensor:
    """Heatmaps of scores and those of finer features; `stride` is the finest ones'."""
    for skip, features in zip(skips, finer, strict=False):
        scores = raised(scores, 2, features.shape[2:]) + skip(features)
    return at_heatmap_size(scores, images, stride)
