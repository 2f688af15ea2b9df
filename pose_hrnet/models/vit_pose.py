"""ViTPose: a plain vision transformer on patches of 16x16 pixels, and a light decoder.

Xu, Zhang, Zhang, Tao: ViTPose: Simple Vision Transformer Baselines for Human Pose Estimation,
NeurIPS 2022.

    1/16   patches - blocks of attention and MLP - layer norm -+
    1/4      classic: two deconvolutions - 1x1 - heatmaps -----+
             simple: ReLU - interpolated 4 times - 3x3 --------+

Names are those of the published files of the Hugging Face hub (``usyd-community/vitpose-base``),
less the prefixes ``backbone.`` and ``head.``; its ``head.conv`` is `final_layer`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, interpolate, scaled_dot_product_attention

from pose_hrnet.config.networks import PATCH
from pose_hrnet.models.layers import heatmap_layer
from pose_hrnet.models.network import (
    HeatmapNetwork,
    Shapes,
    check_values,
    children_of,
    rows_of,
)

Decoder: TypeAlias = Literal["classic", "simple"]

GRID = (16, 12)
"""Rows and columns of patches that position embeddings stand for, those of 256x192; for crops of
other sizes they are interpolated."""
DECONV_CHANNELS = 256
HEADS = {384: 12, 768: 12, 1024: 16, 1280: 16}
"""Width -> heads of attention of the published ViTPose-S, -B, -L and -H, which no weight tells."""
LETTERS = {384: "S", 768: "B", 1024: "L", 1280: "H"}


class SelfAttention(nn.Module):
    """Attention among patches, of several heads: ``(B, N, C)`` -> ``(B, N, C)``."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention = nn.ModuleDict(
            {name: nn.Linear(width, width) for name in ("query", "key", "value")}
        )
        self.output = nn.ModuleDict({"dense": nn.Linear(width, width)})

    def forward(self, x: Tensor) -> Tensor:
        """``(B, N, C)`` to the same shape."""
        patches, width = x.shape[1:]
        query, key, value = (
            layer(x).view(-1, patches, self.heads, width // self.heads).transpose(1, 2)
            for layer in self.attention.values()
        )
        told = scaled_dot_product_attention(query, key, value)
        y: Tensor = self.output["dense"](told.transpose(1, 2).reshape(-1, patches, width))
        return y


class Block(nn.Module):
    """Attention, then an MLP, each behind layer norm and around a shortcut: ``(B, N, C)``."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = SelfAttention(width, heads)
        self.mlp = nn.ModuleDict(
            {"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)}
        )
        self.layernorm_before = nn.LayerNorm(width, eps=1e-6)
        self.layernorm_after = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, N, C)`` to the same shape."""
        x = x + self.attention(self.layernorm_before(x))
        y: Tensor = x + self.mlp["fc2"](gelu(self.mlp["fc1"](self.layernorm_after(x))))
        return y


class PatchEmbeddings(nn.Module):
    """Images ``(B, 3, H, W)`` to patches ``(B, H/16 * W/16, C)`` that know where they are."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # Padded by 2, as the official code has it, which gives the same number of patches.
        projection = nn.Conv2d(3, width, PATCH, stride=PATCH, padding=2)
        self.patch_embeddings = nn.ModuleDict({"projection": projection})
        # The first is of the class token of the pretraining, and is added to all.
        self.position_embeddings = nn.Parameter(torch.zeros(1, GRID[0] * GRID[1] + 1, width))
        nn.init.trunc_normal_(self.position_embeddings, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, 3, H, W)`` to ``(B, H/16 * W/16, C)``."""
        patches = self.patch_embeddings["projection"](x)
        places = self.position_embeddings[:, 1:]
        if patches.shape[2:] != GRID:
            grid = places.transpose(1, 2).reshape(1, -1, *GRID)
            size = patches.shape[2:]
            grid = interpolate(grid, size, mode="bicubic", align_corners=False)
            places = grid.flatten(2).transpose(1, 2)
        y: Tensor = patches.flatten(2).transpose(1, 2) + places + self.position_embeddings[:, :1]
        return y


class ViTPose(HeatmapNetwork):
    """ViTPose; the defaults are ViTPose-B.

    Args:
        width: Channels of a patch (official: 384 for S, 768 for B, 1024 for L, 1280 for H).
        depth: Blocks (official: 12 for S and B, 24 for L, 32 for H).
        heads: Of attention, which divide `width` (official: 12 for S and B, 16 for L and H).
        decoder: ``classic`` or ``simple``.
        num_keypoints: Heatmaps per crop.

    Raises:
        ValueError: If the decoder is unknown, the heads do not divide the width, or a number is
            not positive or too large.
    """

    backbone: ClassVar[str] = "ViT"

    def __init__(
        self,
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        decoder: Decoder = "classic",
        num_keypoints: int = 17,
    ) -> None:
        super().__init__()
        divides = heads > 0 and width % heads == 0
        check_values(
            "ViTPose",
            ("width", width, 1 <= width <= 2048, "1 to 2048"),
            ("depth", depth, 1 <= depth <= 64, "1 to 64"),
            ("heads", heads, divides, f"a number that divides the width, {width}"),
            ("decoder", decoder, decoder in ("classic", "simple"), "classic or simple"),
            ("num_keypoints", num_keypoints, num_keypoints >= 1, "at least 1"),
        )
        self._architecture = {
            "name": "vitpose", "width": width, "depth": depth, "heads": heads, "decoder": decoder,
            "num_keypoints": num_keypoints,
        }  # fmt: skip
        self.embeddings = PatchEmbeddings(width)
        self.encoder = nn.ModuleDict(
            {"layer": nn.Sequential(*(Block(width, heads) for _ in range(depth)))}
        )
        self.layernorm = nn.LayerNorm(width, eps=1e-6)
        self.classic = decoder == "classic"
        if self.classic:
            self.deconv1, self.batchnorm1 = _deconvolution(width)
            self.deconv2, self.batchnorm2 = _deconvolution(DECONV_CHANNELS)
            self.final_layer = heatmap_layer(DECONV_CHANNELS, num_keypoints)
        else:
            self.final_layer = heatmap_layer(width, num_keypoints, 3)
        for layer in self.encoder.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    @property
    def label(self) -> str:
        """``ViTPose-B``; other widths by their number."""
        width = self._architecture["width"]
        simple = "" if self.classic else " simple"
        return f"ViTPose-{LETTERS.get(width, width)}{simple}"

    @classmethod
    def recognises(cls, shapes: Shapes) -> dict[str, Any] | None:
        """By the projection of the patches, of the hub's files; see `HeatmapNetwork`."""
        projection = shapes.get("embeddings.patch_embeddings.projection.weight", ())
        places = shapes.get("embeddings.position_embeddings", ())
        if not projection or not places:
            return None
        expected = (1, GRID[0] * GRID[1] + 1, projection[0])
        if projection[1:] != (3, PATCH, PATCH) or places != expected:
            raise ValueError(
                f"this is a ViT of patches {projection} and places {places}; give a ViTPose of "
                f"patches of {PATCH} pixels in crops of 256x192"
            )
        if projection[0] not in HEADS:
            known = ", ".join(f"{width} ({LETTERS[width]})" for width in HEADS)
            raise ValueError(
                f"this is a ViT of width {projection[0]}, whose heads of attention its weights do "
                f"not tell; give a ViTPose of width {known}"
            )
        return {
            "name": "vitpose",
            "width": projection[0],
            "depth": children_of(shapes, "encoder.layer."),
            "heads": HEADS[projection[0]],
            "decoder": "classic" if "deconv1.weight" in shapes else "simple",
            "num_keypoints": rows_of(shapes, "final_layer.weight"),
        }

    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint; see `HeatmapNetwork.forward`.

        Args:
            images: ``(B, 3, H, W)`` as there, H and W multiples of 16.

        Returns:
            ``(B, K, H/4, W/4)``.

        Raises:
            ValueError: If shape or type of the images are others.
        """
        x = self.normalised(images)
        rows, columns = (side // PATCH for side in x.shape[2:])
        if x.shape[2:] != (rows * PATCH, columns * PATCH):
            raise ValueError(
                f"ViTPose got images of height {x.shape[2]} and width {x.shape[3]}; both must be "
                f"multiples of {PATCH}, the sides of a patch"
            )
        x = self.layernorm(self.encoder["layer"](self.embeddings(x)))
        x = x.transpose(1, 2).reshape(-1, x.shape[2], rows, columns)
        if self.classic:
            x = self.batchnorm1(self.deconv1(x)).relu()
            x = self.batchnorm2(self.deconv2(x)).relu()
        else:
            x = interpolate(x.relu(), scale_factor=4.0, mode="bilinear", align_corners=False)
        heatmaps: Tensor = self.final_layer(x)
        return heatmaps


def _deconvolution(ins: int) -> tuple[nn.ConvTranspose2d, nn.BatchNorm2d]:
    """Twice the resolution, as SimpleBaseline."""
    deconv = nn.ConvTranspose2d(ins, DECONV_CHANNELS, 4, stride=2, padding=1, bias=False)
    nn.init.normal_(deconv.weight, std=0.001)
    return deconv, nn.BatchNorm2d(DECONV_CHANNELS)
