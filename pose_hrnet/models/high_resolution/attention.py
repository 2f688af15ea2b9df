"""HRNet with polarised self-attention (PSA) in every block.

Liu, Liu, Fan, Huang: Polarized Self-Attention: Towards High-quality Pixel-wise Regression,
arXiv:2107.00782. Two weightings by a sigmoid, of which each keeps one dimension whole and
collapses the other by attention:

    channels   values (C/2, H W) times softmax over H W of one query, raised (conv_up) to C weights
    space      the mean of queries, (C/2), times values (C/2, H W): H W weights

Modules, names and initial weights are those of the official module (which the official network
for segmentation starts anew, at 0.001, as all its convolutions). PSA(p) and PSA(s) differ there in
more than their order: in conv_up, and in what the softmax over space is of. As the paper says,
attention stands behind the first 3x3 convolution of every residual block; the official code for
segmentation has none in the bottlenecks of layer1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, TypeAlias

from torch import Tensor, nn
from torch.nn.functional import relu

from pose_hrnet.models.hrnet import BasicBlock, Bottleneck, HRNet, HRNetBackbone
from pose_hrnet.models.layers import initialise_convolution
from pose_hrnet.models.network import HeatmapNetwork, Shapes, check_values

Attention: TypeAlias = Literal["parallel", "sequential"]


class PolarisedAttention(nn.Module, ABC):
    """``(B, C, H, W)`` -> ``(B, C, H, W)``, weighted along channels and along space.

    Args:
        channels: C, at least 2.
        conv_up: ``(B, C/2, 1, 1)`` to ``(B, C, 1, 1)``, before the sigmoid.
    """

    def __init__(self, channels: int, conv_up: nn.Module) -> None:
        super().__init__()
        half = channels // 2
        self.conv_q_right = nn.Conv2d(channels, 1, 1, bias=False)
        self.conv_v_right = nn.Conv2d(channels, half, 1, bias=False)
        self.conv_up = conv_up
        self.conv_q_left = nn.Conv2d(channels, half, 1, bias=False)
        self.conv_v_left = nn.Conv2d(channels, half, 1, bias=False)

    def initialise(self) -> None:
        """Start as the official module: conv_up as torch starts it, the others by kaiming."""
        for module in self.conv_up.modules():
            if isinstance(module, nn.Conv2d):
                module.reset_parameters()
        for conv in (self.conv_q_right, self.conv_v_right, self.conv_q_left, self.conv_v_left):
            nn.init.kaiming_normal_(conv.weight, mode="fan_in", nonlinearity="relu")

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same shape."""

    def channel_weights(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, C, 1, 1)``, from 0 to 1."""
        attention = self.conv_q_right(x).flatten(2).softmax(dim=2)
        values = self.conv_v_right(x).flatten(2)
        collapsed = values @ attention.transpose(1, 2)
        weights: Tensor = self.conv_up(collapsed[..., None]).sigmoid()
        return weights

    def space_queries_and_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, C, H, W)`` to the mean query ``(B, 1, C/2)`` and the values ``(B, C/2, H W)``."""
        query = self.conv_q_left(x).mean(dim=(2, 3))[:, None]
        return query, self.conv_v_left(x).flatten(2)


class ParallelAttention(PolarisedAttention):
    """PSA(p): both weigh the input, and are added."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, nn.Conv2d(channels // 2, channels, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same shape."""
        return x * self.channel_weights(x) + x * self.space_weights(x)

    def space_weights(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, 1, H, W)``, from 0 to 1: the softmax is of the product."""
        query, values = self.space_queries_and_values(x)
        weights = (query @ values).softmax(dim=2).sigmoid()
        return weights.view(-1, 1, *x.shape[2:])


class SequentialAttention(PolarisedAttention):
    """PSA(s): what was weighed along channels is weighed along space."""

    def __init__(self, channels: int) -> None:
        half = channels // 2
        few = max(half // 4, 2)  # layer norm makes one number 0, whatever it is
        bottleneck = nn.Sequential(
            nn.Conv2d(half, few, 1),
            nn.LayerNorm([few, 1, 1]),
            nn.ReLU(inplace=True),
            nn.Conv2d(few, channels, 1),
        )
        super().__init__(channels, bottleneck)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same shape."""
        by_channel = x * self.channel_weights(x)
        return by_channel * self.space_weights(by_channel)

    def space_weights(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, 1, H, W)``, from 0 to 1: the softmax is of the values."""
        query, values = self.space_queries_and_values(x)
        weights = (query @ values.softmax(dim=2)).sigmoid()
        return weights.view(-1, 1, *x.shape[2:])


MODULES = {"parallel": ParallelAttention, "sequential": SequentialAttention}
"""The module of each attention, by what settings call it."""


class AttentiveBlock(BasicBlock):
    """A basic block with attention behind its first convolution; shapes as there."""

    def __init__(self, channels: int, *, attention: Callable[[int], nn.Module]) -> None:
        super().__init__(channels)
        self.deattn = attention(channels)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, channels, H, W)`` to the same shape."""
        y = self.deattn(relu(self.bn1(self.conv1(x)), inplace=True))
        return relu(self.bn2(self.conv2(y)) + x, inplace=True)


class AttentiveBottleneck(Bottleneck):
    """A bottleneck with attention behind its 3x3 convolution; shapes as there."""

    def __init__(
        self, in_channels: int, planes: int, *, attention: Callable[[int], nn.Module]
    ) -> None:
        super().__init__(in_channels, planes)
        self.deattn = attention(planes)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, in_channels, H, W)`` to ``(B, 4 * planes, H, W)``."""
        y = relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.deattn(relu(self.bn2(self.conv2(y)), inplace=True))
        return relu(self.bn3(self.conv3(y)) + self.downsample(x), inplace=True)


class HRNetPSA(HRNetBackbone, HeatmapNetwork):
    """HRNet with polarised self-attention.

    Args:
        width: Channels of the stride-4 stream, a multiple of 4.
        num_keypoints: Heatmaps per crop.
        attention: ``parallel`` or ``sequential``: PSA(p) or PSA(s).
        stem_width: Channels of the two stem convolutions, a multiple of 4.
        stem_blocks: Bottleneck blocks of `layer1`.
        stage_modules: Multi-resolution modules in stages 2, 3 and 4.
        branch_blocks: Residual blocks per stream and module.

    Raises:
        ValueError: As of `HRNet`, or if the attention is unknown.
    """

    backbone = HRNet.backbone

    def __init__(
        self,
        width: int = 32,
        num_keypoints: int = 17,
        *,
        attention: Attention = "parallel",
        stem_width: int = 64,
        stem_blocks: int = 4,
        stage_modules: Sequence[int] = (1, 4, 3),
        branch_blocks: int = 4,
    ) -> None:
        check_values(
            "HRNetPSA",
            ("attention", attention, attention in MODULES, " or ".join(MODULES)),
            ("width", width, width % 4 == 0, "a multiple of 4"),
            ("stem_width", stem_width, stem_width % 4 == 0, "a multiple of 4"),
            ("num_keypoints", num_keypoints, num_keypoints >= 1, "at least 1"),
        )
        module = MODULES[attention]
        super().__init__(
            width,
            stem_width=stem_width,
            stem_blocks=stem_blocks,
            stage_modules=stage_modules,
            branch_blocks=branch_blocks,
            outputs=1,
            block=partial(AttentiveBlock, attention=module),
            bottleneck=partial(AttentiveBottleneck, attention=module),
        )
        self._architecture = {
            "name": "hrnet_psa", "width": width, "num_keypoints": num_keypoints,
            "attention": attention, "stem_width": stem_width, "stem_blocks": stem_blocks,
            "stage_modules": list(stage_modules), "branch_blocks": branch_blocks,
        }  # fmt: skip
        self.final_layer = nn.Conv2d(width, num_keypoints, 1)
        self.apply(initialise_convolution)
        for part in self.modules():
            if isinstance(part, PolarisedAttention):
                part.initialise()

    @property
    def label(self) -> str:
        """``HRNet-W48 PSA(p)``."""
        attention = self._architecture["attention"][0]
        return f"HRNet-W{self._architecture['width']} PSA({attention})"

    @classmethod
    def recognises(cls, shapes: Shapes) -> dict[str, Any] | None:
        """By the attention in the first block of stage 2, and which by its conv_up."""
        deattn = "stage2.0.branches.0.0.deattn."
        if deattn + "conv_q_right.weight" not in shapes:
            return None
        plain = HRNet.recognises(shapes)
        assert plain is not None  # the block is an HRNet's
        del plain["head"]
        parallel = deattn + "conv_up.weight" in shapes
        attention = "parallel" if parallel else "sequential"
        return {**plain, "name": "hrnet_psa", "attention": attention}

    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint; shapes and errors as of `HeatmapNetwork.forward`."""
        (finest,) = self.streams(images)
        heatmaps: Tensor = self.final_layer(finest)
        return heatmaps
