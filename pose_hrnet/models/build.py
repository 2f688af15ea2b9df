"""The network that an architecture, as a checkpoint or a configuration names it, stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from pose_hrnet.models.hrnet import HRNet
from pose_hrnet.models.network import IMAGENET_MEAN, IMAGENET_STD
from pose_hrnet.models.simple_baseline import SimpleBaseline

PoseNetwork: TypeAlias = HRNet | SimpleBaseline
"""Crops to heatmaps at stride 4; has `architecture`, and `mean` and `std` inside."""


def build_network(
    architecture: Mapping[str, Any],
    *,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> PoseNetwork:
    """A freshly initialised network; inverse of its `architecture`.

    Args:
        architecture: ``name``, which is ``hrnet`` (`HRNet`; the default, because older checkpoints
            lack the key) or ``resnet`` (`SimpleBaseline`), and the arguments of that class.
        mean: Per-channel mean of RGB values between 0 and 1.
        std: Per-channel standard deviation of RGB values between 0 and 1.

    Raises:
        ValueError: If the name is unknown, or the network does not take an argument or its value.
    """
    arguments = dict(architecture)
    name = arguments.pop("name", "hrnet")
    try:
        if name == "hrnet":
            return HRNet(**arguments, mean=mean, std=std)
        if name == "resnet":
            return SimpleBaseline(**arguments, mean=mean, std=std)
    except TypeError as error:
        raise ValueError(
            f"network {name!r} does not take the architecture {arguments} ({error}); "
            "it may come from a newer pose_hrnet"
        ) from error
    raise ValueError(
        f"network {name!r} is unknown; use 'hrnet' or 'resnet' (it may come from a newer "
        "pose_hrnet)"
    )
