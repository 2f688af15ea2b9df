"""SimpleBaseline: a ResNet, and three deconvolutions that bring its features back to stride 4.

Xiao, Wu, Wei: Simple Baselines for Human Pose Estimation and Tracking, ECCV 2018. The network
HRNet is compared with: it goes down to stride 32 and up again, where HRNet stays at stride 4.

    1/4 .. 1/32   conv1, layer1 - layer2 - layer3 - layer4
    1/16 .. 1/4                                      deconv_layers - final_layer - heatmaps

The ResNet is torchvision's; names, shapes and order of the parameters are those of the official
code, so that official checkpoints load as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu
from torchvision.models import resnet

from pose_hrnet.models.network import IMAGENET_MEAN, IMAGENET_STD, normalised

DECONV_CHANNELS = 256
"""Of each deconvolution."""

_RESNETS = {
    18: resnet.resnet18,
    34: resnet.resnet34,
    50: resnet.resnet50,
    101: resnet.resnet101,
    152: resnet.resnet152,
}


class SimpleBaseline(nn.Module):
    """A ResNet with three deconvolutions and a heatmap head.

    The ResNet's weights start as torchvision's, those behind it as in the official code:
    normal with standard deviation 0.001, batch norms at identity.

    Args:
        depth: Layers of the ResNet: 50, 101 or 152 in the paper; 18 and 34 are for CPUs.
        num_keypoints: Heatmaps per crop.
        mean: Per-channel mean of RGB values between 0 and 1.
        std: Per-channel standard deviation of RGB values between 0 and 1.

    Raises:
        ValueError: If there is no ResNet of this depth, or no keypoint.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        depth: int = 50,
        num_keypoints: int = 17,
        *,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        if depth not in _RESNETS:
            raise ValueError(
                f"SimpleBaseline got depth {depth}; give one of {', '.join(map(str, _RESNETS))}"
            )
        if num_keypoints < 1:
            raise ValueError(f"SimpleBaseline got num_keypoints {num_keypoints}; give 1 or more")
        self._architecture = {"name": "resnet", "depth": depth, "num_keypoints": num_keypoints}
        # Not persistent: the state dict stays the official one; a checkpoint's card keeps them.
        for name, value in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(value).view(3, 1, 1), persistent=False)

        backbone = _RESNETS[depth](weights=None)
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
    def architecture(self) -> dict[str, Any]:
        """What rebuilds this network, `build_network(architecture)`, in the types of JSON."""
        return dict(self._architecture)

    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint.

        Args:
            images: ``(B, 3, H, W)`` RGB crops, H and W multiples of 4: uint8, or floating and
                then already normalised with `mean` and `std`.

        Returns:
            ``(B, K, H/4, W/4)`` heatmaps.

        Raises:
            ValueError: If shape or type of the images are others.
        """
        x = normalised(images, self.mean, self.std, network="SimpleBaseline")
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
