"""SimpleBaseline: a ResNet, and three deconvolutions that bring its features back to stride 4.

Xiao, Wu, Wei: Simple Baselines for Human Pose Estimation and Tracking, ECCV 2018. The network
HRNet is compared with: it goes down to stride 32 and up again, where HRNet stays at stride 4.

    1/4 .. 1/32   conv1, layer1 - layer2 - layer3 - layer4
    1/16 .. 1/4                                      deconv_layers - final_layer - heatmaps

The ResNet is torchvision's; names, shapes and order of the parameters are those of the official
code, so that official checkpoints load as they are.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from pose_hrnet.models.backbones import RESNETS, ResNetNetwork
from pose_hrnet.models.network import Shapes, children_of, rows_of


class SimpleBaseline(ResNetNetwork):
    """A ResNet with three deconvolutions and a heatmap head.

    The ResNet's weights start as torchvision's, those behind it as in the official code:
    normal with standard deviation 0.001, batch norms at identity.

    Args:
        depth: Layers of the ResNet: 50, 101 or 152 in the paper; 18 and 34 are for CPUs.
        num_keypoints: Heatmaps per crop.
        width: Channels of the first stage (official: 64); each deconvolution has 4 times as many.

    Raises:
        ValueError: If there is no ResNet of this depth, a number is not positive, or the width
            too large.
    """

    backbone: ClassVar[str] = "ResNet"
    name: ClassVar[str] = "resnet"
    title: ClassVar[str] = "SimpleBaseline"
    depths: ClassVar[tuple[int, ...]] = tuple(RESNETS)

    def __init__(self, depth: int = 50, num_keypoints: int = 17, *, width: int = 64) -> None:
        super().__init__(depth, width, num_keypoints, dilated=False)
        channels = 4 * width
        self.deconv_layers = nn.Sequential(
            *_deconvolution(self.out_channels, channels),
            *_deconvolution(channels, channels),
            *_deconvolution(channels, channels),
        )
        self.final_layer = nn.Conv2d(channels, num_keypoints, 1)
        nn.init.normal_(self.final_layer.weight, std=0.001)
        assert self.final_layer.bias is not None  # for mypy; nn.Conv2d makes one by default
        nn.init.zeros_(self.final_layer.bias)

    @property
    def label(self) -> str:
        """``SimpleBaseline-50``."""
        return f"{self.title}-{self._architecture['depth']}"

    @classmethod
    def recognises(cls, shapes: Shapes) -> dict[str, Any] | None:
        """By a ResNet's layer4, and the depth by its blocks; see `HeatmapNetwork`."""
        if "layer4.0.conv1.weight" not in shapes:
            return None
        blocks = tuple(children_of(shapes, f"layer{i}.") for i in (1, 2, 3, 4))
        found = ("layer1.0.conv3.weight" in shapes, blocks)
        depth = next((depth for depth, known in RESNETS.items() if known == found), None)
        if depth is None:
            raise ValueError(
                f"this is a ResNet with {', '.join(map(str, blocks))} blocks, which is none of "
                f"depth {', '.join(map(str, RESNETS))}; give weights of one of these"
            )
        deconvolved = "deconv_layers.0.weight" in shapes
        keypoints = rows_of(shapes, "final_layer.weight") if deconvolved else 0
        width = rows_of(shapes, "conv1.weight")
        return {"name": cls.name, "depth": depth, "width": width, "num_keypoints": keypoints}

    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint; shapes and errors as of `HeatmapNetwork.forward`."""
        heatmaps: Tensor = self.final_layer(self.deconv_layers(self.stages(images)[-1]))
        # They reach beyond an image whose side 32 does not divide.
        return heatmaps[..., : images.shape[2] // 4, : images.shape[3] // 4]


def _deconvolution(in_channels: int, out_channels: int) -> list[nn.Module]:
    """Twice the resolution: a 4x4 transposed convolution, batch norm and ReLU."""
    deconv = nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1, bias=False)
    nn.init.normal_(deconv.weight, std=0.001)
    return [deconv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]
