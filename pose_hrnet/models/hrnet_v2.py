"""HRNet's representation for other tasks than pose: V2 for segmentation, V2p for detection.

Sun et al.: High-Resolution Representations for Labeling Pixels and Regions, arXiv:1904.04514.

    V1    the finest stream                                        pose: `HRNet`
    V2    all streams, upsampled to stride 4 and concatenated      segmentation: `HRNetV2`
    V2p   V2, reduced to fewer channels and average-pooled         detection: `HRNetV2p`

The parameters of `HRNetV2` have the official names, so `pose_hrnet.models.weights.load.initialise`
fills them from the official ImageNet checkpoints. Between streams it upsamples to the nearest
neighbour, as the official ImageNet and pose networks do; the official segmentation network has the
same parameters and interpolates bilinearly there, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from pose_hrnet.models.hrnet import HRNetBackbone, concatenate_streams
from pose_hrnet.models.layers import initialise_convolution


class HRNetV2(HRNetBackbone):
    """Images to the V2 representation, dense features at stride 4.

    >>> import torch
    >>> backbone = HRNetV2(width=8, stage_modules=(1, 1, 1), branch_blocks=1)
    >>> segment = torch.nn.Sequential(backbone, torch.nn.Conv2d(backbone.out_channels, 21, 1))
    >>> segment(torch.zeros(2, 3, 64, 96, dtype=torch.uint8)).shape
    torch.Size([2, 21, 16, 24])

    Args:
        width: Channels of the stride-4 stream (official: 18, 32, 40 or 48).
        stem_width: Channels of the two stem convolutions.
        stem_blocks: Bottleneck blocks of `layer1`.
        stage_modules: Multi-resolution modules in stages 2, 3 and 4.
        branch_blocks: Residual blocks per stream and module.

    Attributes:
        out_channels: 15 times `width`.

    Raises:
        ValueError: If a size is not a positive number, or not three stages are given.
    """

    def __init__(
        self,
        width: int = 32,
        *,
        stem_width: int = 64,
        stem_blocks: int = 4,
        stage_modules: Sequence[int] = (1, 4, 3),
        branch_blocks: int = 4,
    ) -> None:
        super().__init__(
            width,
            stem_width=stem_width,
            stem_blocks=stem_blocks,
            stage_modules=stage_modules,
            branch_blocks=branch_blocks,
            outputs=4,
        )
        self.out_channels = 15 * width
        self.apply(initialise_convolution)

    def forward(self, images: Tensor) -> Tensor:
        """Give the V2 representation.

        Args:
            images: ``(B, 3, H, W)`` RGB, H and W multiples of 4: uint8, or floating and then
                already normalised with `mean` and `std`.

        Returns:
            ``(B, 15 * width, H/4, W/4)``.

        Raises:
            ValueError: If shape or type of the images are others.
        """
        return concatenate_streams(self.streams(images))


class HRNetV2p(nn.Module):
    """Images to a feature pyramid, as detectors take them.

    >>> import torch
    >>> backbone = HRNetV2(width=8, stage_modules=(1, 1, 1), branch_blocks=1)
    >>> pyramid = HRNetV2p(backbone, out_channels=32)
    >>> [tuple(level.shape) for level in pyramid(torch.zeros(1, 3, 64, 96, dtype=torch.uint8))]
    [(1, 32, 16, 24), (1, 32, 8, 12), (1, 32, 4, 6), (1, 32, 2, 3)]

    Args:
        backbone: Gives the V2 representation; give it its pretrained weights first, or later.
        out_channels: Channels of every level (official: 256).
        levels: Levels of the pyramid, at strides 4, 8, 16, ... (official detectors: 4 or 5).

    Raises:
        ValueError: If a number is not positive.
    """

    def __init__(self, backbone: HRNetV2, *, out_channels: int = 256, levels: int = 4) -> None:
        super().__init__()
        if out_channels < 1 or levels < 1:
            raise ValueError(
                f"HRNetV2p got {out_channels} channels and {levels} levels; give at least 1"
            )
        self.backbone = backbone
        self.reduction_conv = nn.Conv2d(backbone.out_channels, out_channels, 1)
        self.fpn_convs = nn.ModuleList(
            nn.Conv2d(out_channels, out_channels, 3, padding=1) for _ in range(levels)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Give the levels of the pyramid, finest first.

        Args:
            images: ``(B, 3, H, W)`` as `HRNetV2.forward` takes them; H and W are at least the
                stride of the coarsest level.

        Returns:
            ``(B, out_channels, H / 2**(i + 2), W / 2**(i + 2))``, rounded down, per level i.

        Raises:
            ValueError: If shape or type of the images are others.
        """
        coarsest = 2 ** (len(self.fpn_convs) + 1)
        if min(images.shape[-2:]) < coarsest:
            raise ValueError(
                f"HRNetV2p got images of shape {tuple(images.shape)}; its coarsest level has "
                f"stride {coarsest}, give larger images, or ask for fewer levels"
            )
        finest = self.reduction_conv(self.backbone(images))
        return [
            conv(avg_pool2d(finest, 2**level) if level else finest)
            for level, conv in enumerate(self.fpn_convs)
        ]
