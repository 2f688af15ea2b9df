"""HRNetV2 with object-contextual representations (OCR): each pixel is told of every keypoint.

Yuan, Chen, Wang: Object-Contextual Representations for Semantic Segmentation, ECCV 2020.

    V2 features -+- coarse heatmaps (supervised, 0.4) - times 20, softmax over space: places
                 +- 3x3 - pixels ---------------------- their mean there: one vector a keypoint
                              +- attention of pixels to keypoints - context -+
                              +----------------------------------------------+- 1x1 - heatmaps

Objects are keypoints here. The paper takes the softmax over space of scores, which have no bounds;
that of heatmaps from 0 to 1 is next to uniform, so that here they count `SHARPNESS` times.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pose_hrnet.models.hrnet import HRNetBackbone, concatenate_streams
from pose_hrnet.models.layers import conv_bn, heatmap_layer, initialise_convolution
from pose_hrnet.models.network import HeatmapNetwork, check_values

COARSE = 0.4
"""What the loss of the coarse heatmaps counts."""
DROPOUT = 0.05
SHARPNESS = 20.0
"""Of the softmax over space: of 64x48 cells, those within one sigma of a Gaussian of height 1 have
99.9 % of the weight, of one of height 0.5 92 %. Of a heatmap of zeros all weigh the same."""


class ObjectAttention(nn.Module):
    """What pixels are told of the keypoints, by how similar they are to each."""

    def __init__(self, channels: int, key_channels: int) -> None:
        super().__init__()
        relu = nn.ReLU(inplace=True)

        def twice(ins: int, outs: int) -> nn.Sequential:
            return nn.Sequential(conv_bn(ins, outs, 1, 1, relu), conv_bn(outs, outs, 1, 1, relu))

        self.f_pixel, self.f_object = (twice(channels, key_channels) for _ in range(2))
        self.f_down = conv_bn(channels, key_channels, 1, 1, relu)
        self.f_up = conv_bn(key_channels, channels, 1, 1, relu)

    def forward(self, pixels: Tensor, keypoints: Tensor) -> Tensor:
        """The context of each pixel.

        Args:
            pixels: ``(B, C, H, W)``.
            keypoints: ``(B, C, K, 1)``.

        Returns:
            ``(B, C, H, W)``.
        """
        query = self.f_pixel(pixels).flatten(2).transpose(1, 2)
        key, value = self.f_object(keypoints).flatten(2), self.f_down(keypoints).flatten(2)
        similar = (query @ key * key.shape[1] ** -0.5).softmax(dim=-1)
        told = (similar @ value.transpose(1, 2)).transpose(1, 2)
        context: Tensor = self.f_up(told.reshape(-1, value.shape[1], *pixels.shape[2:]))
        return context


class HRNetOCR(HRNetBackbone, HeatmapNetwork):
    """HRNetV2 with an OCR head.

    Args:
        width: Channels of the stride-4 stream (official: 48).
        num_keypoints: Heatmaps per crop.
        context_width: Channels of pixels and of keypoints; attention has half as many.
        stem_width: Channels of the two stem convolutions.
        stem_blocks: Bottleneck blocks of `layer1`.
        stage_modules: Multi-resolution modules in stages 2, 3 and 4.
        branch_blocks: Residual blocks per stream and module.

    Raises:
        ValueError: If a size is not a positive number, or not three stages are given.
    """

    def __init__(
        self,
        width: int = 32,
        num_keypoints: int = 17,
        *,
        context_width: int = 512,
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
        check_values(
            "HRNetOCR",
            ("num_keypoints", num_keypoints, num_keypoints >= 1, "at least 1"),
            ("context_width", context_width, 2 <= context_width <= 4096, "2 to 4096"),
        )
        self._architecture = {
            "name": "hrnet_ocr", "width": width, "num_keypoints": num_keypoints,
            "context_width": context_width, "stem_width": stem_width, "stem_blocks": stem_blocks,
            "stage_modules": list(stage_modules), "branch_blocks": branch_blocks,
        }  # fmt: skip
        self.supervision = (COARSE, 1.0)
        wide, relu = 15 * width, nn.ReLU(inplace=True)
        self.head = nn.ModuleDict(
            {
                "aux_head": nn.Sequential(
                    nn.Conv2d(wide, wide, 1), nn.BatchNorm2d(wide), relu,
                    nn.Conv2d(wide, num_keypoints, 1),
                ),
                "conv3x3_ocr": nn.Sequential(
                    nn.Conv2d(wide, context_width, 3, padding=1),
                    nn.BatchNorm2d(context_width), relu,
                ),
                "object_context_block": ObjectAttention(context_width, context_width // 2),
                "conv_bn_dropout": conv_bn(
                    2 * context_width, context_width, 1, 1, relu, nn.Dropout2d(DROPOUT)
                ),
            }
        )  # fmt: skip
        self.apply(initialise_convolution)
        self.final_layer = heatmap_layer(context_width, num_keypoints)

    @property
    def label(self) -> str:
        """``HRNetV2-W48 OCR``."""
        return f"HRNetV2-W{self._architecture['width']} OCR"

    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint; shapes and errors as of `HeatmapNetwork.forward`."""
        features = concatenate_streams(self.streams(images))
        coarse = self.head["aux_head"](features)
        pixels = self.head["conv3x3_ocr"](features)
        keypoints = gathered(pixels, coarse)
        context = self.head["object_context_block"](pixels, keypoints[..., None])
        told = self.head["conv_bn_dropout"](torch.cat([context, pixels], dim=1))
        heatmaps: Tensor = self.final_layer(told)
        return torch.stack([coarse, heatmaps]) if self.training else heatmaps


def gathered(pixels: Tensor, heatmaps: Tensor) -> Tensor:
    """One vector a keypoint: the mean of the pixels where its heatmap is high.

    Args:
        pixels: ``(B, C, H, W)``.
        heatmaps: ``(B, K, H, W)``, about 1 at the keypoint and 0 elsewhere.

    Returns:
        ``(B, C, K)``.
    """
    places = (SHARPNESS * heatmaps.flatten(2)).softmax(dim=2)
    return pixels.flatten(2) @ places.transpose(1, 2)
