"""What networks that are no HRNet stand on: torchvision's VGG16 and ResNets, of any width.

The entries have torchvision's names, so that its ImageNet weights load by them.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

from pose_hrnet.models.layers import halved
from pose_hrnet.models.network import HeatmapNetwork, Shapes, check_values, rows_of

MOST_WIDTH = 512
"""Channels of a first stage; all official ones have 64."""
RESNETS = {
    18: (False, (2, 2, 2, 2)),
    34: (False, (3, 4, 6, 3)),
    50: (True, (3, 4, 6, 3)),
    101: (True, (3, 4, 23, 3)),
    152: (True, (3, 8, 36, 3)),
}
"""Layers of a ResNet -> whether its blocks are bottlenecks, and how many each of layer1 to layer4
has (He et al., Deep Residual Learning for Image Recognition, CVPR 2016)."""


class VGGNetwork(HeatmapNetwork):
    """A network behind the 13 convolutions of VGG16, each with batch norm.

    Simonyan, Zisserman: Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR
    2015; with batch norm as torchvision's ``vgg16_bn``.

    Args:
        width: Channels of the first stage (official: 64); the others have 2, 4, 8 and 8 times as
            many.
        num_keypoints: Heatmaps per crop.

    Attributes:
        name: In `pose_hrnet.models.build`.
        title: What papers call it.

    Raises:
        ValueError: If a number is not positive, or the width too large.
    """

    backbone: ClassVar[str] = "VGG16"
    name: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, width: int, num_keypoints: int) -> None:
        super().__init__()
        check_sizes(type(self).__name__, width, num_keypoints)
        self._architecture = {"name": self.name, "width": width, "num_keypoints": num_keypoints}
        # Here, because torchvision takes a second and 165 MB, which no HRNet needs.
        from torchvision.models.vgg import make_layers

        sizes: list[str | int] = []
        for times, convolutions in ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3)):
            sizes += [times * width] * convolutions + ["M"]
        self.features = make_layers(sizes, batch_norm=True)
        self.features.apply(start_like_torchvision)

    @property
    def label(self) -> str:
        """Such as ``SegNet``."""
        return self.title

    @classmethod
    def recognises(cls, shapes: Shapes) -> dict[str, Any] | None:
        """The VGG16 alone, by its ends, to start any of its networks; see `HeatmapNetwork`."""
        width = rows_of(shapes, "features.0.weight")
        last = rows_of(shapes, "features.40.weight")
        if not width or last != 8 * width or shapes["features.0.weight"] != (width, 3, 3, 3):
            return None
        return {"name": cls.name, "width": width, "num_keypoints": 0}

    def stages(self) -> list[list[nn.Module]]:
        """The layers of each of the five resolutions, without the poolings behind them."""
        found: list[list[nn.Module]] = [[]]
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                found.append([])
            else:
                found[-1].append(layer)
        return found[:-1]

    def pooled(self, images: Tensor) -> list[Tensor]:
        """Each stage's features, pooled.

        Args:
            images: ``(B, 3, H, W)`` as `HeatmapNetwork.forward` takes them.

        Returns:
            ``(B, C_i, H / 2**(i + 1), W / 2**(i + 1))``, rounded up, for i = 0 to 4.
        """
        x, found = self.normalised(images), []
        for stage in self.stages():
            for layer in stage:
                x = layer(x)
            x = halved(x)
            found.append(x)
        return found


class ResNetNetwork(HeatmapNetwork):
    """A network behind a ResNet.

    He et al.: Deep Residual Learning for Image Recognition, CVPR 2016. Dilated, layer3 and layer4
    stay at stride 8, and their 3x3 convolutions are spread by 2 and 4, as torchvision's
    segmentation networks have them.

    Args:
        depth: One of `depths`.
        width: Channels of the first stage (official: 64).
        num_keypoints: Heatmaps per crop.
        dilated: Stay at stride 8; not of basic blocks, as in torchvision.

    Attributes:
        name: In `pose_hrnet.models.build`.
        title: What the label says before the ResNet.
        depths: Layers that it may have; but for `RESNETS` that have basic blocks, all.

    Raises:
        ValueError: If there is no ResNet of this depth, a number is not positive, or the width
            too large.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    depths: ClassVar[tuple[int, ...]] = (50, 101, 152)

    def __init__(self, depth: int, width: int, num_keypoints: int, *, dilated: bool) -> None:
        super().__init__()
        if depth not in self.depths:
            raise ValueError(
                f"{type(self).__name__} got depth {depth}; give one of "
                f"{', '.join(map(str, self.depths))}"
            )
        check_sizes(type(self).__name__, width, num_keypoints)
        self._architecture = {
            "name": self.name, "depth": depth, "width": width, "num_keypoints": num_keypoints
        }  # fmt: skip
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        from torchvision.models.resnet import BasicBlock, Bottleneck

        bottlenecks, blocks = RESNETS[depth]
        block = Bottleneck if bottlenecks else BasicBlock
        layers, channels = [], width
        # Stride and dilation of the first block, and dilation of the others.
        plain, spread = ((1, 1, 1), (2, 1, 1)), ((1, 1, 2), (1, 2, 4))
        shapes = (*plain, *(spread if dilated else (plain[1], plain[1])))
        for stage, (count, shape) in enumerate(zip(blocks, shapes, strict=True)):
            layers.append(_stage(block, channels, width * 2**stage, count, *shape))
            channels = block.expansion * width * 2**stage
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.out_channels = channels
        self.apply(start_like_torchvision)

    @property
    def label(self) -> str:
        """Such as ``PSPNet ResNet-50``."""
        return f"{self.title} ResNet-{self._architecture['depth']}"

    def stages(self, images: Tensor) -> list[Tensor]:
        """What leaves layer1 to layer4.

        Args:
            images: ``(B, 3, H, W)`` as `HeatmapNetwork.forward` takes them.

        Returns:
            ``(B, 4 * width * 2**i, h_i, w_i)``, of basic blocks without the 4, at strides 4, 8, 16
            and 32, or 4, 8, 8 and 8.
        """
        x = relu(self.bn1(self.conv1(self.normalised(images))), inplace=True)
        x, found = max_pool2d(x, 3, stride=2, padding=1), []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            found.append(x)
        return found


def _stage(
    block: Any, ins: int, planes: int, blocks: int, stride: int, first: int, dilation: int
) -> nn.Sequential:
    """A stage of a ResNet of torchvision's blocks; `first` is the dilation of its first one."""
    outs, shortcut = block.expansion * planes, None
    if stride != 1 or ins != outs:
        shortcut = nn.Sequential(nn.Conv2d(ins, outs, 1, stride, bias=False), nn.BatchNorm2d(outs))
    opened = block(ins, planes, stride, shortcut, dilation=first)
    rest = (block(outs, planes, dilation=dilation) for _ in range(blocks - 1))
    return nn.Sequential(opened, *rest)


def check_sizes(network: str, width: int, num_keypoints: int) -> None:
    """Refuse sizes that cannot be built.

    Raises:
        ValueError: If a number is not positive, or the width too large.
    """
    check_values(
        network,
        ("width", width, 1 <= width <= MOST_WIDTH, f"1 to {MOST_WIDTH}"),
        ("num_keypoints", num_keypoints, num_keypoints >= 1, "at least 1"),
    )


def start_like_torchvision(module: nn.Module) -> None:
    """Start a convolution as torchvision's VGG and ResNets do; leave other modules as they are."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
