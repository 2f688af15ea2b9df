"""The sections ``model`` and ``codec``: the network, and what its heatmaps mean."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from pose_hrnet.config.base import BlurKernel, Cells, Section, Side
from pose_hrnet.system.choices import CodecName, Head

Width = Annotated[int, Field(gt=0, le=512)]
"""Channels."""
Blocks = Annotated[int, Field(gt=0, le=64)]
"""Of one kind in a row."""


Named = Annotated[
    str, BeforeValidator(lambda value: str(value) if isinstance(value, PurePath) else value)
]
"""A path, a name or an address, as text: a path would make one slash of the two in an address."""


class NetworkConfig(Section):
    """What every network has; the other fields are the arguments of its class."""

    name: str
    """The network."""
    pretrained: Named | None = None
    """Weights to start from: a file, a name of ``pose-hrnet weights list`` or an https address.
    ImageNet weights, as the published numbers do (``imagenet_w32``, ``imagenet_res50``), or those
    of any pose network; null: none."""

    def architecture(self, num_keypoints: int) -> dict[str, Any]:
        """What `pose_hrnet.models.build.build_network` takes."""
        return {**self.model_dump(exclude={"pretrained"}), "num_keypoints": num_keypoints}


class HRNetConfig(NetworkConfig):
    """HRNet (Sun et al., CVPR 2019)."""

    name: Literal["hrnet"] = "hrnet"
    """The network; hrnet where none is named."""
    head: Head = "v1"
    """Heatmaps from the finest branch (v1, official), or from all branches (v2)."""
    width: Width = 32
    """Channels of the highest-resolution branch (official: 32 or 48)."""
    stem_width: Width = 64
    """Channels of the stem."""
    stem_blocks: Blocks = 4
    """Bottleneck blocks behind the stem."""
    stage_modules: tuple[Blocks, Blocks, Blocks] = (1, 4, 3)
    """Exchange modules in stages 2, 3 and 4."""
    branch_blocks: Blocks = 4
    """Residual blocks per branch and module."""


class SimpleBaselineConfig(NetworkConfig):
    """SimpleBaseline (Xiao et al., ECCV 2018)."""

    name: Literal["resnet"] = "resnet"
    """The network."""
    depth: Literal[18, 34, 50, 101, 152] = 50
    """Layers of the ResNet (official: 50, 101 or 152)."""


_ONCE_SAVED_WITH: dict[str, dict[str, Any]] = {
    "hrnet": {"depth": 50},
    "resnet": {
        "head": "v1",
        "width": 32,
        "stem_width": 64,
        "stem_blocks": 4,
        "stage_modules": [1, 4, 3],
        "branch_blocks": 4,
    },
}
"""The other network's fields, with the defaults that earlier versions saved with every run."""


def _of_one_network(value: Any) -> Any:
    """The settings with their network named, and without those that runs of before saved."""
    if not isinstance(value, dict):
        return value
    value = {"name": "hrnet", **value}
    others = _ONCE_SAVED_WITH.get(str(value["name"]), {})
    if others.items() <= value.items():
        return {key: setting for key, setting in value.items() if key not in others}
    return value


ModelConfig: TypeAlias = Annotated[
    HRNetConfig | SimpleBaselineConfig,
    Field(discriminator="name"),
    BeforeValidator(_of_one_network),
]
"""The network and its sizes; each network has fields of its own, and `name` tells them apart."""


class CodecConfig(Section):
    """Heatmap encoding and decoding; also picks the crop alignment and the flip."""

    name: CodecName = "gaussian"
    """gaussian: rounded targets, quarter-cell decoding; dark and udp: sub-cell both ways."""
    input_wh: tuple[Side, Side] = (192, 256)
    """Network input width and height in pixels, multiples of 4; of 32 is best."""
    sigma: Cells = 2.0
    """Standard deviation of the target Gaussian in heatmap cells (official: 2; at 384x288 3)."""
    blur_kernel: BlurKernel = 11
    """dark, udp: odd width in cells of the blur before decoding (official: 11; at
    384x288 17); gaussian has none."""
    border_true: bool = False
    """dark, udp: decode without the bias that they and their reference implementations have within
    three cells of the border (official: false)."""

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
