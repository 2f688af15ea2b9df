"""The parts of a training: the network that a configuration describes, and its card."""

from __future__ import annotations

from pose_hrnet.config.recipe import Config
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.models.build import build_network
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.network import HeatmapNetwork
from pose_hrnet.training.data import skeleton_to_learn


def build_model(config: Config) -> tuple[HeatmapNetwork, ModelCard]:
    """A freshly initialised network and the card that travels with its weights.

    Raises:
        FileNotFoundError: If the file that names the keypoints is missing.
        ValueError: If it does not name them.
    """
    skeleton = skeleton_to_learn(config.data)
    model = build_network(config.model.architecture(skeleton.num_keypoints))
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
