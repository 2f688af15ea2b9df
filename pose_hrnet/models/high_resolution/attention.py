"""HRNet with polarised self-attention (PSA) in every block.

Liu, Liu, Fan, Huang: Polarized Self-Attention: Towards High-quality Pixel-wise Regression,
arXiv:2107.00782. Two weightings by a sigmoid, of which each keeps one dimension whole and
collapses the other by attention:

    channels   values (C/2, H W) times softmax over H W of one query, (C/2), to C weights
    space      the mean of queries, (C/2), times values (C/2, H W), softmax over H W: H W weights

Names and the softmax of the spatial branch are those of the official code, where conv_up has a
bottleneck with layer norm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from torch import Tensor, nn

from pose_hrnet.models.hrnet import BasicBlock, Bottleneck, HRNet
from pose_hrnet.models.network import Shapes

Attention: TypeAlias = Literal["parallel", "sequential"]


class PolarisedAttention(nn.Module):
    """``(B, C, H, W)`` -> ``(B, C, H, W)``, weighted along channels and along space.

    Args:
        channels: C, at least 4.
        sequential: Weigh along space what was weighed along channels; else both weigh the
            input, and are added.
    """

    def __init__(self, channels: int, *, sequential: bool) -> None:
        super().__init__()
        half, quarter = channels // 2, channels // 4
        self.sequential = sequential
        self.conv_q_right = nn.Conv2d(channels, 1, 1, bias=False)
        self.conv_v_right = nn.Conv2d(channels, half, 1, bias=False)
        self.conv_up = nn.Sequential(
            nn.Conv2d(half, quarter, 1),
            nn.LayerNorm([quarter, 1, 1]),
            nn.ReLU(inplace=True),
            nn.Conv2d(quarter, channels, 1),
        )
        self.conv_q_left = nn.Conv2d(channels, half, 1, bias=False)
        self.conv_v_left = nn.Conv2d(channels, half, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same shape."""
        by_channel = x * self.channel_weights(x)
        if self.sequential:
            return by_channel * self.space_weights(by_channel)
        return by_channel + x * self.space_weights(x)

    def channel_weights(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, C, 1, 1)``, from 0 to 1."""
        attention = self.conv_q_right(x).flatten(2).softmax(dim=2)
        values = self.conv_v_right(x).flatten(2)
        collapsed = values @ attention.transpose(1, 2)
        weights: Tensor = self.conv_up(collapsed[..., None]).sigmoid()
        return weights

    def space_weights(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, 1, H, W)``, from 0 to 1."""
        attention = self.conv_q_left(x).mean(dim=(2, 3))[:, None]
        values = self.conv_v_left(x).flatten(2).softmax(dim=2)
        weights: Tensor = (attention @ values).sigmoid()
        return weights.view(-1, 1, *x.shape[2:])


class HRNetPSA(HRNet):
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
        if attention not in ("parallel", "sequential") or width % 4 or stem_width % 4:
            raise ValueError(
                f"HRNetPSA got attention {attention!r}, width {width} and stem_width "
                f"{stem_width}; give parallel or sequential, and multiples of 4"
            )
        super().__init__(
            width,
            num_keypoints,
            stem_width=stem_width,
            stem_blocks=stem_blocks,
            stage_modules=stage_modules,
            branch_blocks=branch_blocks,
        )
        del self._architecture["head"]
        self._architecture |= {"name": "hrnet_psa", "attention": attention}
        for block in [m for m in self.modules() if isinstance(m, BasicBlock | Bottleneck)]:
            channels = block.conv2.out_channels
            block.deattn = PolarisedAttention(channels, sequential=attention == "sequential")

    @property
    def label(self) -> str:
        """``HRNet-W48 PSA(p)``."""
        attention = self._architecture["attention"][0]
        return f"HRNet-W{self._architecture['width']} PSA({attention})"

    @classmethod
    def recognises(cls, shapes: Shapes) -> dict[str, Any] | None:
        """By the attention in the first block of stage 2; see `HeatmapNetwork`.

        What the two attentions learn has the same shapes; the parallel one is assumed.
        """
        if "stage2.0.branches.0.0.deattn.conv_q_right.weight" not in shapes:
            return None
        plain = super().recognises(shapes)
        assert plain is not None  # the block is an HRNet's
        del plain["head"]
        return {**plain, "name": "hrnet_psa", "attention": "parallel"}
