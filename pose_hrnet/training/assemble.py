"""The parts of a training: the network that a configuration describes, and its card."""

from __future__ import annotations

from typing import Any

from pose_hrnet.config.model import ModelConfig
from pose_hrnet.config.recipe import Config
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.models.build import PoseNetwork, build_network
from pose_hrnet.models.card import ModelCard
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
