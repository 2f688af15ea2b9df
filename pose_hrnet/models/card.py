"""`ModelCard`: what travels with weights, so that loading them needs no configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.geometry import BOX_PADDING
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.models.build import build_network
from pose_hrnet.models.network import IMAGENET_MEAN, IMAGENET_STD, INPUT_MULTIPLE, HeatmapNetwork

CARD_FORMAT = 1
"""Version of the card's layout: raised when an older reader could misread a newer card."""


@dataclass(frozen=True)
class ModelCard:
    """What a checkpoint says about its weights, so that loading needs no config file.

    Attributes:
        architecture: What `build_network` takes, as the network's `architecture` gives it.
        skeleton: The keypoints that the heatmaps stand for.
        codec: How heatmaps are encoded and decoded; holds the input size.
        mean: Per-channel mean of RGB values between 0 and 1.
        std: Per-channel standard deviation of RGB values between 0 and 1.
        colour: Channel order of the input.
        box_padding: Factor by which boxes are enlarged before cropping.

    Raises:
        ValueError: If skeleton and architecture disagree, or a value is not one that is known.
    """

    architecture: dict[str, Any]
    skeleton: Skeleton
    codec: HeatmapCodec
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    colour: Literal["RGB"] = "RGB"
    box_padding: float = BOX_PADDING

    def __post_init__(self) -> None:
        found, named = self.architecture.get("num_keypoints"), self.skeleton.num_keypoints
        if found != named:
            raise ValueError(
                f"the network has {found} keypoints, but skeleton {self.skeleton.name!r} has "
                f"{named}; give the skeleton that the network was trained for"
            )
        if any(side % INPUT_MULTIPLE for side in self.codec.input_wh):
            raise ValueError(
                f"input size {self.codec.input_wh} (width, height) does not suit the network; "
                f"give multiples of {INPUT_MULTIPLE}"
            )
        if self.colour != "RGB":
            raise ValueError(f"the card names colour order {self.colour!r}; only 'RGB' is known")

    def build(self) -> HeatmapNetwork:
        """A network of this architecture and normalisation, freshly initialised.

        Raises:
            ValueError: If the architecture has arguments that the network does not take.
        """
        return build_network(self.architecture, mean=self.mean, std=self.std)

    def to_dict(self) -> dict[str, Any]:
        """Plain values in the types of JSON, with the version of the layout."""
        return {
            "format": CARD_FORMAT,
            "architecture": self.architecture,
            "skeleton": self.skeleton.to_dict(),
            "codec": self.codec.to_dict(),
            "mean": list(self.mean),
            "std": list(self.std),
            "colour": self.colour,
            "box_padding": self.box_padding,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelCard:
        """Inverse of `to_dict`.

        Raises:
            ValueError: If the version of the layout is unknown, or the card is damaged.
        """
        version = values.get("format")
        if version != CARD_FORMAT:
            raise ValueError(
                f"the model card has format {version!r}, but this pose_hrnet reads format "
                f"{CARD_FORMAT}; use the version of pose_hrnet that wrote it, or a newer one"
            )
        try:
            return cls(
                architecture=dict(values["architecture"]),
                skeleton=Skeleton.from_dict(values["skeleton"]),
                codec=HeatmapCodec.from_dict(values["codec"]),
                mean=tuple(values["mean"]),
                std=tuple(values["std"]),
                colour=values["colour"],
                box_padding=values["box_padding"],
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the model card is damaged: {error!r}; save it again") from error
