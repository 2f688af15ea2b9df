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
from torch.nn.functional import max_pool2d, relu

from pose_hrnet.models.backbones import RESNETS
from pose_hrnet.models.network import HeatmapNetwork, Shapes, children_of, rows_of

DECONV_CHANNELS = 256
"""Of each deconvolution."""


class SimpleBaseline(HeatmapNetwork):
    """A ResNet with three deconvolutions and a heatmap head.

    The ResNet's weights start as torchvision's, those behind it as in the official code:
    normal with standard deviation 0.001, batch norms at identity.

    Args:
        depth: Layers of the ResNet: 50, 101 or 152 in the paper; 18 and 34 are for CPUs.
        num_keypoints: Heatmaps per crop.

    Raises:
        ValueError: If there is no ResNet of this depth, or no keypoint.
    """

    backbone: ClassVar[str] = "ResNet"

    def __init__(self, depth: int = 50, num_keypoints: int = 17) -> None:
        super().__init__()
        if depth not in RESNETS:
            raise ValueError(
                f"SimpleBaseline got depth {depth}; give one of {', '.join(map(str, RESNETS))}"
            )
        if num_keypoints < 1:
            raise ValueError(f"SimpleBaseline got num_keypoints {num_keypoints}; give 1 or more")
        # Here, because torchvision takes a second and 165 MB, which no HRNet needs.
        from torchvision.models import resnet

        self._architecture = {"name": "resnet", "depth": depth, "num_keypoints": num_keypoints}
        bottlenecks, blocks = RESNETS[depth]
        block = resnet.Bottleneck if bottlenecks else resnet.BasicBlock
        backbone = resnet.ResNet(block, list(blocks))
        self.conv1, self.bn1 = backbone.conv1, backbone.bn1
        self.layer1, self.layer2 = backbone.layer1, backbone.layer2
        self.layer3, self.layer4 = backbone.layer3, backbone.layer4
        channels = backbone.fc.in_features
        self.deconv_layers = nn.Sequential(
            *_deconvolution(channels, DECONV_CHANNELS),
            *_deconvolution(DECONV_CHANNELS, DECONV_CHANNELS),
            *_deconvolution(DECONV_CHANNELS, DECONV_CHANNELS),
        )
        self.final_layer = nn.Conv2d(DECONV_CHANNELS, num_keypoints, 1)
        nn.init.normal_(self.final_layer.weight, std=0.001)
        assert self.final_layer.bias is not None  # for mypy; nn.Conv2d makes one by default
        nn.init.zeros_(self.final_layer.bias)

    @property
    def label(self) -> str:
        """``SimpleBaseline-50``."""
        return f"SimpleBaseline-{self._architecture['depth']}"

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
        return {"name": "resnet", "depth": depth, "num_keypoints": keypoints}

    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint; shapes and errors as of `HeatmapNetwork.forward`."""
        x = self.normalised(images)
        x = relu(self.bn1(self.conv1(x)), inplace=True)
        x = max_pool2d(x, 3, stride=2, padding=1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        heatmaps: Tensor = self.final_layer(self.deconv_layers(x))
        # They reach beyond an image whose side 32 does not divide.
        return heatmaps[..., : images.shape[2] // 4, : images.shape[3] // 4]


def _deconvolution(in_channels: int, out_channels: int) -> list[nn.Module]:
    """Twice the resolution: a 4x4 transposed convolution, batch norm and ReLU."""
    deconv = nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1, bias=False)
    nn.init.normal_(deconv.weight, std=0.001)
    return [deconv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]
