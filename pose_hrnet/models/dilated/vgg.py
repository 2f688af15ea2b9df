"""VGG16 at stride 8: its last two poolings do not halve, and its last stage is spread by 2."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from pose_hrnet.models.backbones import VGGNetwork
from pose_hrnet.models.layers import halved


class DilatedVGGNetwork(VGGNetwork):
    """A network behind VGG16 at stride 8; arguments and errors as of `VGGNetwork`."""

    stride = 8

    def __init__(self, width: int, num_keypoints: int) -> None:
        super().__init__(width, num_keypoints)
        for layer in self.stages()[-1]:
            if isinstance(layer, nn.Conv2d):
                layer.dilation = layer.padding = (2, 2)

    def dilated_features(self, images: Tensor, *, smooth: bool = False) -> Tensor:
        """What leaves the last convolution.

        Args:
            images: ``(B, 3, H, W)`` as `HeatmapNetwork.forward` takes them.
            smooth: Pool over 3x3 cells, also where nothing is halved, as DeepLab does; else the
                last two poolings are left out, as in DilatedNet.

        Returns:
            ``(B, 8 * width, H/8, W/8)``, rounded up.
        """
        x = self.normalised(images)
        for number, stage in enumerate(self.stages()):
            for layer in stage:
                x = layer(x)
            if number < 3:
                x = max_pool2d(x, 3, stride=2, padding=1) if smooth else halved(x)
            elif smooth:
                x = max_pool2d(x, 3, stride=1, padding=1)
        return x
