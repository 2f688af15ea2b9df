"""The section ``model``: the network, one class of settings each, and how they are told apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Annotated, Any, Literal, TypeAlias

import yaml
from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError, model_validator

from pose_hrnet.config.base import Section
from pose_hrnet.system.choices import Head

PATCH = 16
"""Pixels of a side of ViTPose's patches."""
LEAST_MIRRORED = 96
"""Pixels of a side that a U-Net of valid convolutions takes."""

Width = Annotated[int, Field(gt=0, le=512)]
"""Channels."""
MultipleOf4 = Annotated[int, Field(gt=0, le=512, multiple_of=4)]
"""Channels, of which a quarter is looked at somewhere."""
Blocks = Annotated[int, Field(gt=0, le=64)]
"""Of one kind in a row."""
ResNetDepth: TypeAlias = Literal[50, 101, 152]
"""Of those with bottlenecks."""


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

    def check_input(self, input_wh: Sequence[int]) -> None:
        """Refuse crops of a width and height that the network does not take; most take any.

        Raises:
            ValueError: If it does not.
        """


class _HRNetSizes(NetworkConfig):
    """What all HRNets have."""

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


class HRNetConfig(_HRNetSizes):
    """HRNet (Sun et al., CVPR 2019)."""

    name: Literal["hrnet"] = "hrnet"
    """The network; hrnet where none is named."""
    head: Head = "v1"
    """Heatmaps from the finest branch (v1, official), or from all branches (v2)."""


class HRNetPSAConfig(_HRNetSizes):
    """HRNet with polarised self-attention (Liu et al., arXiv:2107.00782)."""

    name: Literal["hrnet_psa"] = "hrnet_psa"
    """The network."""
    width: MultipleOf4 = 32
    """Channels of the highest-resolution branch (official: 48)."""
    stem_width: MultipleOf4 = 64
    """Channels of the stem."""
    attention: Literal["parallel", "sequential"] = "parallel"
    """Over channels and over space side by side, or one behind the other."""


class HRNetOCRConfig(_HRNetSizes):
    """HRNetV2 with object-contextual representations (Yuan et al., ECCV 2020)."""

    name: Literal["hrnet_ocr"] = "hrnet_ocr"
    """The network."""
    context_width: Annotated[int, Field(ge=2, le=512)] = 512
    """Channels of pixels and of what they are told of the keypoints (official: 512)."""


class LiteHRNetConfig(NetworkConfig):
    """Lite-HRNet (Yu et al., CVPR 2021)."""

    name: Literal["lite_hrnet"] = "lite_hrnet"
    """The network."""
    depth: Literal[18, 30] = 18
    """Layers."""
    width: Annotated[int, Field(ge=2, le=512, multiple_of=2)] = 40
    """Channels of the highest-resolution branch (official: 40)."""


class SimpleBaselineConfig(NetworkConfig):
    """SimpleBaseline (Xiao et al., ECCV 2018)."""

    name: Literal["resnet"] = "resnet"
    """The network."""
    depth: Literal[18, 34, 50, 101, 152] = 50
    """Layers of the ResNet (official: 50, 101 or 152)."""
    width: Width = 64
    """Channels of the first stage (official: 64); each deconvolution has 4 times as many."""


class HourglassConfig(NetworkConfig):
    """Stacked Hourglass (Newell et al., ECCV 2016)."""

    name: Literal["hourglass"] = "hourglass"
    """The network."""
    stacks: Annotated[int, Field(gt=0, le=16)] = 8
    """Hourglasses, each of them supervised (official: 1, 2 or 8)."""
    width: MultipleOf4 = 256
    """Channels (official: 256)."""


class FCNConfig(NetworkConfig):
    """FCN behind VGG16 (Long et al., CVPR 2015)."""

    name: Literal["fcn"] = "fcn"
    """The network."""
    variant: Literal["32s", "16s", "8s"] = "8s"
    """The finest stride that is scored."""
    width: Width = 64
    """Channels of the first stage (official: 64)."""


class FCNResNetConfig(NetworkConfig):
    """FCN behind a ResNet."""

    name: Literal["fcn_resnet"] = "fcn_resnet"
    """The network."""
    variant: Literal["32s", "16s", "8s", "dilated"] = "8s"
    """The finest stride that is scored, or torchvision's FCN, dilated to stride 8."""
    depth: ResNetDepth = 50
    """Layers of the ResNet."""
    width: Width = 64
    """Channels of the first stage (official: 64)."""


class UNetConfig(NetworkConfig):
    """U-Net (Ronneberger et al., MICCAI 2015)."""

    name: Literal["unet"] = "unet"
    """The network."""
    padding: Literal["same", "valid"] = "same"
    """Of its convolutions; valid, the paper's, mirrors crops, whose sides are then at least 96."""
    width: Width = 64
    """Channels at the finest resolution (official: 64)."""

    def check_input(self, input_wh: Sequence[int]) -> None:
        """Valid convolutions take sides that have as much to mirror as they lose."""
        if self.padding == "valid" and min(input_wh) < LEAST_MIRRORED:
            raise ValueError(
                f"codec.input_wh is {list(input_wh)}; a unet of valid convolutions takes sides of "
                f"at least {LEAST_MIRRORED}"
            )


class DeconvNetConfig(NetworkConfig):
    """DeconvNet (Noh et al., ICCV 2015)."""

    name: Literal["deconvnet"] = "deconvnet"
    """The network."""
    width: Width = 64
    """Channels of the first stage (official: 64)."""


class SegNetConfig(NetworkConfig):
    """SegNet (Badrinarayanan et al., PAMI 2017)."""

    name: Literal["segnet"] = "segnet"
    """The network."""
    width: Width = 64
    """Channels of the first stage (official: 64)."""


class FCDenseNetConfig(NetworkConfig):
    """FC-DenseNet, or Tiramisu (Jegou et al., CVPR Workshops 2017)."""

    name: Literal["fc_densenet"] = "fc_densenet"
    """The network."""
    depth: Literal[56, 67, 103] = 103
    """Convolutions."""
    growth: Annotated[int, Field(gt=0, le=128)] = 16
    """Channels of each dense layer (official: 12, 16, 16)."""


class DilatedNetConfig(NetworkConfig):
    """DilatedNet with its basic context module (Yu and Koltun, ICLR 2016)."""

    name: Literal["dilated_net"] = "dilated_net"
    """The network."""
    width: Width = 64
    """Channels of the first stage (official: 64)."""


class DeepLabV1Config(NetworkConfig):
    """DeepLab V1, LargeFOV (Chen et al., ICLR 2015)."""

    name: Literal["deeplab_v1"] = "deeplab_v1"
    """The network."""
    width: Width = 64
    """Channels of the first stage (official: 64)."""


class _DilatedResNetConfig(NetworkConfig):
    """What networks behind a dilated ResNet have."""

    depth: ResNetDepth = 50
    """Layers of the ResNet."""
    width: Width = 64
    """Channels of the first stage (official: 64)."""


class DeepLabV2Config(_DilatedResNetConfig):
    """DeepLab V2, with ASPP (Chen et al., PAMI 2018)."""

    name: Literal["deeplab_v2"] = "deeplab_v2"
    """The network."""
    depth: ResNetDepth = 101
    """Layers of the ResNet (official: 101)."""


class DeepLabV3Config(_DilatedResNetConfig):
    """DeepLab V3, torchvision's (Chen et al., arXiv:1706.05587)."""

    name: Literal["deeplab_v3"] = "deeplab_v3"
    """The network."""


class DeepLabV3PlusConfig(_DilatedResNetConfig):
    """DeepLab V3+ (Chen et al., ECCV 2018)."""

    name: Literal["deeplab_v3plus"] = "deeplab_v3plus"
    """The network."""


class PSPNetConfig(_DilatedResNetConfig):
    """PSPNet (Zhao et al., CVPR 2017)."""

    name: Literal["pspnet"] = "pspnet"
    """The network."""


class ViTPoseConfig(NetworkConfig):
    """ViTPose (Xu et al., NeurIPS 2022); crops' sides are multiples of 16."""

    name: Literal["vitpose"] = "vitpose"
    """The network."""
    width: Annotated[int, Field(gt=0, le=2048)] = 768
    """Channels of a patch (official: 384 for S, 768 for B, 1024 for L, 1280 for H)."""
    depth: Blocks = 12
    """Blocks (official: 12 for S and B, 24 for L, 32 for H)."""
    heads: Annotated[int, Field(gt=0, le=64)] = 12
    """Of attention, which divide the width (official: 12 for S and B, 16 for L and H)."""
    decoder: Literal["classic", "simple"] = "classic"
    """Two deconvolutions, or one convolution on what is interpolated."""

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> ViTPoseConfig:
        if self.width % self.heads:
            raise ValueError(
                f"heads is {self.heads}, which does not divide width {self.width}; give a number "
                "that does"
            )
        return self

    def check_input(self, input_wh: Sequence[int]) -> None:
        """Crops are made of whole patches."""
        if any(side % PATCH for side in input_wh):
            raise ValueError(
                f"codec.input_wh is {list(input_wh)}; a vitpose takes multiples of {PATCH}, the "
                "sides of a patch"
            )


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
    HRNetConfig
    | SimpleBaselineConfig
    | HRNetPSAConfig
    | HRNetOCRConfig
    | LiteHRNetConfig
    | HourglassConfig
    | FCNConfig
    | FCNResNetConfig
    | UNetConfig
    | DeconvNetConfig
    | SegNetConfig
    | FCDenseNetConfig
    | DilatedNetConfig
    | DeepLabV1Config
    | DeepLabV2Config
    | DeepLabV3Config
    | DeepLabV3PlusConfig
    | PSPNetConfig
    | ViTPoseConfig,
    Field(discriminator="name"),
    BeforeValidator(_of_one_network),
]
"""The network and its sizes; each network has fields of its own, and `name` tells them apart."""


def settings_of(architecture: Mapping[str, Any], pretrained: PurePath) -> str | None:
    """The section ``model`` that starts a network of some weights from them, as a line of YAML.

    Args:
        architecture: As `NetworkConfig.architecture` gives it, such as a model card's.
        pretrained: The file of the weights.

    Returns:
        None if no recipe has such a network.
    """
    sizes = {key: value for key, value in architecture.items() if key != "num_keypoints"}
    sizes["pretrained"] = str(pretrained)
    try:
        network: NetworkConfig = TypeAdapter(ModelConfig).validate_python(sizes)
    except ValidationError:
        return None
    return yaml.safe_dump(
        network.model_dump(mode="json"), default_flow_style=True, sort_keys=False, width=math.inf
    ).strip()
