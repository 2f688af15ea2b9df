"""The sections ``model`` and ``codec``: the network, and what its heatmaps mean."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import model_validator

from pose_hrnet.config.base import Positive, PositiveInt, Section
from pose_hrnet.system.choices import CodecName


class ModelConfig(Section):
    """The network; fields of the one that is not named stand at their defaults."""

    name: Literal["hrnet", "resnet"] = "hrnet"
    """hrnet (Sun et al., CVPR 2019), or resnet: SimpleBaseline (Xiao et al., ECCV 2018)."""
    depth: Literal[18, 34, 50, 101, 152] = 50
    """resnet: its layers (official: 50, 101 or 152)."""
    head: Literal["v1", "v2"] = "v1"
    """hrnet: heatmaps from the finest branch (v1, official), or from all branches (v2)."""
    width: PositiveInt = 32
    """hrnet: channels of the highest-resolution branch (official: 32 or 48)."""
    stem_width: PositiveInt = 64
    """hrnet: channels of the stem."""
    stem_blocks: PositiveInt = 4
    """hrnet: bottleneck blocks behind the stem."""
    stage_modules: tuple[PositiveInt, PositiveInt, PositiveInt] = (1, 4, 3)
    """hrnet: exchange modules in stages 2, 3 and 4."""
    branch_blocks: PositiveInt = 4
    """hrnet: residual blocks per branch and module."""
    pretrained: Path | None = None
    """Weights to start from: an ImageNet checkpoint, as the published numbers do (the official
    ``hrnet_w32-*.pth``, torchvision's ``resnet50-*.pth``), or any pose checkpoint; null: none."""

    @model_validator(mode="after")
    def _fields_fit_the_network(self) -> ModelConfig:
        common = {"name", "pretrained"}
        own = {"depth"} if self.name == "resnet" else set(type(self).model_fields) - {"depth"}
        for key, field in type(self).model_fields.items():
            value = getattr(self, key)
            if key not in common | own and value != field.default:
                raise ValueError(
                    f"{key} is {value}, but name is {self.name}, which has no {key}; "
                    f"leave it at {field.default}"
                )
        return self


class CodecConfig(Section):
    """Heatmap encoding and decoding; also picks the crop alignment and the flip."""

    name: CodecName = "gaussian"
    """gaussian: rounded targets, quarter-cell decoding; dark and udp: sub-cell both ways."""
    input_wh: tuple[PositiveInt, PositiveInt] = (192, 256)
    """Network input width and height in pixels, multiples of 4; of 32 is best."""
    sigma: Positive = 2.0
    """Standard deviation of the target Gaussian in heatmap cells (official: 2; at 384x288 3)."""
    blur_kernel: PositiveInt = 11
    """dark, udp: odd width in cells of the blur before decoding (official: 11; at
    384x288 17); gaussian has none."""

    @model_validator(mode="after")
    def _sides_fit_the_network(self) -> CodecConfig:
        if any(side % 4 for side in self.input_wh):
            raise ValueError(
                f"input_wh is {list(self.input_wh)}; both sides must be multiples of 4, "
                "because a heatmap cell stands for 4 x 4 pixels"
            )
        if self.blur_kernel % 2 == 0:
            raise ValueError(f"blur_kernel is {self.blur_kernel}; expected an odd number of cells")
        return self
