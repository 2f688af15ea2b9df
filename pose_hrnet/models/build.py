"""The network that an architecture, as a checkpoint or a configuration names it, stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pose_hrnet.models.hrnet import HRNet
from pose_hrnet.models.network import IMAGENET_MEAN, IMAGENET_STD, HeatmapNetwork
from pose_hrnet.models.simple_baseline import SimpleBaseline

NETWORKS: Mapping[str, type[HeatmapNetwork]] = {"hrnet": HRNet, "resnet": SimpleBaseline}
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
    if name not in NETWORKS:
        raise ValueError(
            f"network {name!r} is unknown; use one of {', '.join(NETWORKS)} (it may come from a "
            "newer pose_hrnet)"
        )
    try:
        network = NETWORKS[name](**arguments)
    except TypeError as error:
        raise ValueError(
            f"network {name!r} does not take the architecture {arguments} ({error}); "
            "it may come from a newer pose_hrnet"
        ) from error
    network.normalise_with(mean, std)
    return network
