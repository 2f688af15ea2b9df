"""The network that a configuration describes, and the card that travels with its weights."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pose_hrnet.config.recipe import Config, ModelConfig
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.models.build import PoseNetwork, build_network
from pose_hrnet.models.weights.load import ModelCard
from pose_hrnet.training.data import skeleton_to_learn


def build_model(config: Config) -> tuple[PoseNetwork, ModelCard]:
    """A freshly initialised network and the card that travels with its weights.

    Raises:
        FileNotFoundError: If the file that names the keypoints is missing.
        ValueError: If it does not name them.
    """
    skeleton = skeleton_to_learn(config.data)
    model = build_network(architecture_of(config.model, skeleton.num_keypoints))
    card = ModelCard(
        architecture=model.architecture,
        skeleton=skeleton,
        codec=HeatmapCodec(
            config.codec.name,
            config.codec.input_wh,
            config.codec.sigma,
            blur_kernel=config.codec.blur_kernel,
        ),
        box_padding=config.data.box_padding,
    )
    return model, card


def architecture_of(config: ModelConfig, num_keypoints: int) -> dict[str, Any]:
    """What `build_network` takes, from the configuration."""
    if config.name == "resnet":
        return {"name": config.name, "depth": config.depth, "num_keypoints": num_keypoints}
    return {
        "name": config.name,
        "head": config.head,
        "width": config.width,
        "num_keypoints": num_keypoints,
        "stem_width": config.stem_width,
        "stem_blocks": config.stem_blocks,
        "stage_modules": config.stage_modules,
        "branch_blocks": config.branch_blocks,
    }


def compiled(model: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The network as `torch.compile` makes it faster, for one size of batch.

    It shares the weights with `model`, which stays as it is: evaluation, other sizes of batch and
    state dicts use that one. The compilation itself comes with the first call.

    Raises:
        ValueError: If the compiler that this device needs is missing.
    """
    check_compiler(device)
    network: Callable[[Tensor], Tensor] = torch.compile(model, dynamic=False)
    return network


def check_compiler(device: torch.device) -> None:
    """Whether `torch.compile` finds what it needs, before minutes are spent on it.

    Raises:
        ValueError: If the compiler that this device needs is missing.
    """
    if device.type == "cuda":
        needed, found = "Triton", importlib.util.find_spec("triton") is not None
    else:
        usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
        needed = os.environ.get("CXX", usual)
        found = shutil.which(needed) is not None
    if not found:
        raise ValueError(
            f"train.compile on {device.type} needs the compiler {needed}, which is not found; "
            "install it, or set train.compile=false"
        )
