"""The network that an architecture, as a checkpoint or a configuration names it, stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pose_hrnet.config.skeleton import MOST_KEYPOINTS
from pose_hrnet.models.dilated.deeplab import DeepLabV2, DeepLabV3, DeepLabV3Plus
from pose_hrnet.models.dilated.deeplab_v1 import DeepLabV1
from pose_hrnet.models.dilated.dilated_net import DilatedNet
from pose_hrnet.models.dilated.pspnet import PSPNet
from pose_hrnet.models.encoder_decoder.deconvnet import DeconvNet
from pose_hrnet.models.encoder_decoder.fc_densenet import FCDenseNet
from pose_hrnet.models.encoder_decoder.fcn import FCN, FCNResNet
from pose_hrnet.models.encoder_decoder.hourglass import StackedHourglass
from pose_hrnet.models.encoder_decoder.segnet import SegNet
from pose_hrnet.models.encoder_decoder.unet import UNet
from pose_hrnet.models.high_resolution.attention import HRNetPSA
from pose_hrnet.models.high_resolution.context import HRNetOCR
from pose_hrnet.models.high_resolution.lite_hrnet import LiteHRNet
from pose_hrnet.models.hrnet import HRNet
from pose_hrnet.models.network import IMAGENET_MEAN, IMAGENET_STD, HeatmapNetwork
from pose_hrnet.models.simple_baseline import SimpleBaseline
from pose_hrnet.models.vit_pose import ViTPose
from pose_hrnet.system.text import one_line, shown

LARGEST_NUMBER = 1_000_000
"""In an architecture."""

NETWORKS: Mapping[str, type[HeatmapNetwork]] = {
    "hrnet": HRNet,
    "resnet": SimpleBaseline,
    "hrnet_psa": HRNetPSA,
    "hrnet_ocr": HRNetOCR,
    "lite_hrnet": LiteHRNet,
    "hourglass": StackedHourglass,
    "fcn": FCN,
    "fcn_resnet": FCNResNet,
    "unet": UNet,
    "deconvnet": DeconvNet,
    "segnet": SegNet,
    "fc_densenet": FCDenseNet,
    "dilated_net": DilatedNet,
    "deeplab_v1": DeepLabV1,
    "deeplab_v2": DeepLabV2,
    "deeplab_v3": DeepLabV3,
    "deeplab_v3plus": DeepLabV3Plus,
    "pspnet": PSPNet,
    "vitpose": ViTPose,
}
"""Every network, by the name that architectures and configurations give it."""


def build_network(
    architecture: Mapping[str, Any],
    *,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> HeatmapNetwork:
    """A freshly initialised network; inverse of its `architecture`.

    Args:
        architecture: ``name``, one of `NETWORKS` (by default ``hrnet``, because older checkpoints
            lack the key), and the arguments of that class.
        mean: Per-channel mean of RGB values between 0 and 1.
        std: Per-channel standard deviation of RGB values between 0 and 1.

    Raises:
        ValueError: If the name is unknown, or the network does not take an argument or its value.
    """
    arguments = dict(architecture)
    name = arguments.pop("name", "hrnet")
    if not isinstance(name, str) or name not in NETWORKS:
        raise ValueError(
            f"network {shown(name)} is unknown; use one of {', '.join(NETWORKS)} (it may come "
            "from a newer pose_hrnet)"
        )
    strange = [key for key, value in arguments.items() if not _is_plain(value)]
    if strange:
        raise ValueError(
            f"the architecture of network {name!r} has {shown(arguments[strange[0]])} for "
            f"{shown(strange[0])}; expected numbers up to {LARGEST_NUMBER:,}, names, or short "
            "lists of them"
        )
    count = arguments.get("num_keypoints", 1)
    if type(count) is not int or not 0 < count <= MOST_KEYPOINTS:
        raise ValueError(
            f"the architecture of network {name!r} has {shown(count)} for 'num_keypoints'; "
            f"expected a whole number from 1 to {MOST_KEYPOINTS:,}"
        )
    try:
        network = NETWORKS[name](**arguments)
    except TypeError as error:
        raise ValueError(
            f"network {name!r} does not take the architecture {shown(arguments, 200)} "
            f"({one_line(error)}); "
            "it may come from a newer pose_hrnet"
        ) from error
    network.normalise_with(mean, std)
    return network


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) <= 16 and all(_is_plain(each) and type(each) is int for each in value)
    if isinstance(value, int | float):
        return abs(value) <= LARGEST_NUMBER  # neither infinite nor NaN
    return value is None or (isinstance(value, str) and len(value) <= 100)
