"""The card that a checkpoint of another toolkit would carry, and where each setting is from.

What is given wins over what the file says, that over what its name says, and the last resort are
the defaults of the toolkit that made it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar, get_args

from torch import Tensor

from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.geometry import BOX_PADDING
from pose_hrnet.keypoints.skeleton import Skeleton, official_skeleton
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.network import IMAGENET_MEAN, IMAGENET_STD
from pose_hrnet.models.weights.layouts import Layout
from pose_hrnet.models.weights.mmpose import FileSettings, Triple
from pose_hrnet.system.choices import CodecName, ColourOrder
from pose_hrnet.system.text import format_size

FROM_FILE = "the file"
FROM_NAME = "the file's name"
GIVEN = "given"
ASSUMED = "assumed"

# Height x width, as in pose_hrnet_w32_256x192.pth.
_SIZE_IN_NAME = re.compile(r"(?<!\d)(\d{2,4})x(\d{2,4})(?!\d)")
# As in hrnet_w32_coco_256x192_udp-aba0be42_20210220.pth.
_CODEC_IN_NAME = re.compile(r"(?<![a-z])(dark|udp)(?![a-z])", re.IGNORECASE)

_FIRST = (
    "conv1.weight",
    "features.0.weight",
    "stem.conv1.conv.weight",
    "embeddings.patch_embeddings.projection.weight",
)
"""The convolution on pixels: of HRNet and ResNets, VGG16, Lite-HRNet, ViTPose."""

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Setting:
    """One thing that decoding needs.

    Attributes:
        name: Such as ``input size``.
        value: In words.
        origin: ``the file``, ``the file's name``, ``given``, or ``assumed`` and why.
    """

    name: str
    value: str
    origin: str

    @property
    def guessed(self) -> bool:
        """Whether neither the file nor the caller says so."""
        return self.origin not in (FROM_FILE, GIVEN)

    def __str__(self) -> str:
        return f"{self.name} {self.value} ({self.origin})"


@dataclass(frozen=True)
class Overrides:
    """What the caller knows better than the file; None where it does not.

    Attributes:
        skeleton: The keypoints.
        input_wh: Input size in pixels.
        codec: How heatmaps are encoded and decoded.
        sigma: Standard deviation of the Gaussian in cells.
        blur_kernel: Width of the blur before decoding in cells.
        colour: Channel order of the crops that the network was trained on.
    """

    skeleton: Skeleton | None = None
    input_wh: tuple[int, int] | None = None
    codec: CodecName | None = None
    sigma: float | None = None
    blur_kernel: int | None = None
    colour: ColourOrder | None = None

    def over(self, card: ModelCard) -> ModelCard:
        """The card of a file of ours with what is given in place of what it says.

        Raises:
            ValueError: If another channel order is given than the card says.
        """
        if self.colour not in (None, card.colour):
            raise ValueError(
                f"the card in the file says that the network takes {card.colour}, but "
                f"{self.colour} is asked for; leave that out"
            )
        wanted = {
            "name": self.codec,
            "input_wh": self.input_wh,
            "sigma": self.sigma,
            "blur_kernel": self.blur_kernel,
        }
        changes: dict[str, Any] = {k: v for k, v in wanted.items() if v is not None}
        if self.codec is not None:  # what was unusual about the other codec is void
            changes["own_flip_shift"] = None
        codec = replace(card.codec, **changes)
        return replace(card, skeleton=self.skeleton or card.skeleton, codec=codec)


class _Choices:
    """Settings as they are chosen, each with its origin."""

    def __init__(self, recipe: str) -> None:
        self.recipe = recipe
        """Where defaults are from."""
        self.settings: list[Setting] = []

    def choose(
        self,
        name: str,
        *candidates: tuple[_Value | None, str],
        default: _Value,
        show: Callable[[_Value], str] = str,
    ) -> _Value:
        """The first candidate that is there, or else the recipe's default."""
        there = ((value, origin) for value, origin in candidates if value is not None)
        value, origin = next(there, (default, self.recipe))
        self.settings.append(Setting(name, show(value), origin))
        return value


def foreign_card(
    layout: Layout, said: FileSettings, file_name: str, overrides: Overrides
) -> tuple[ModelCard, tuple[Setting, ...]]:
    """Compose the card of a pose checkpoint that carries none.

    Args:
        layout: Of a network with a heatmap head.
        said: What an MMPose file says; nothing for others.
        file_name: Read for input size and codec where the file does not say.
        overrides: Taken instead of what the file says.

    Returns:
        The card, and where its settings are from. It is right for the weights once `rgb_weights`
        has been over them.

    Raises:
        ValueError: If the heatmaps cannot be decoded here, or a skeleton must be given.
    """
    if said.undecodable is not None and overrides.codec is None:
        raise ValueError(
            f"the file's configuration names the {said.undecodable}, which is not decoded here; "
            "give a model with MSRAHeatmap or a Gaussian UDPHeatmap"
        )
    choices = _Choices(_recipes(layout))
    skeleton = _skeleton(choices, layout.architecture["num_keypoints"], said, overrides)
    plain: CodecName = "udp" if layout.toolkit == "Hugging Face" else "gaussian"
    codec = _codec(choices, said, file_name, overrides, plain)
    order, origin = channel_order(layout, said, overrides.colour)
    told = "BGR, its weights turned to RGB" if order == "BGR" else order
    choices.settings.append(Setting("colour", told, origin))
    # The official code subtracts the mean of red from blue where it reads BGR.
    turns_usual = order == "BGR" and layout.toolkit == "official"

    def of_rgb(values: Triple, turns: bool) -> Triple:
        return values[::-1] if turns else values

    mean, std = (
        choices.choose(
            name,
            (listed and of_rgb(listed, order == "BGR"), FROM_FILE),
            default=of_rgb(usual, turns_usual),
        )
        for name, listed, usual in (
            ("mean", said.mean, IMAGENET_MEAN),
            ("std", said.std, IMAGENET_STD),
        )
    )
    padding = choices.choose("box padding", (said.box_padding, FROM_FILE), default=BOX_PADDING)
    if said.unnormalised:
        choices.settings.append(Setting("normalisation", "none, values 0 to 255", FROM_FILE))
    card = ModelCard(layout.architecture, skeleton, codec, mean, std, box_padding=padding)
    return card, tuple(choices.settings)


def channel_order(
    layout: Layout, said: FileSettings, given: ColourOrder | None
) -> tuple[ColourOrder, str]:
    """The channel order that a network was trained on, and who says so.

    Files of the official code and of MMPose without a configuration do not say it. Every ResNet
    of the official pose code was trained on BGR (``COLOR_RGB: false`` in its YAMLs; before there
    was that key, images were taken as OpenCV reads them), every HRNet of it on RGB, as the
    published models of MMPose and all backbones of ImageNet's classes were.

    Args:
        layout: Of the file.
        said: What its configuration says.
        given: What the caller knows better.
    """
    if given is not None:
        return given, GIVEN
    if said.bgr is not None:
        return ("BGR" if said.bgr else "RGB"), FROM_FILE
    bgr = (
        layout.toolkit == "official"
        and layout.predicts
        and layout.architecture["name"] == "resnet"
    )
    return ("BGR" if bgr else "RGB"), _recipes(layout)


def rgb_weights(tensors: Mapping[str, Tensor], order: ColourOrder) -> dict[str, Tensor]:
    """The weights for RGB input of a network that was trained on `order`."""
    first = next((name for name in _FIRST if name in tensors), None)
    if order == "RGB" or first is None:
        return dict(tensors)
    return {**tensors, first: tensors[first].flip(1)}


def _recipes(layout: Layout) -> str:
    makers = {"official": "official", "Hugging Face": "ViTPose"}
    return f"{ASSUMED}, as in the {makers.get(layout.toolkit, 'published MMPose')} recipes"


def _codec(
    choices: _Choices,
    said: FileSettings,
    file_name: str,
    overrides: Overrides,
    plain: CodecName,
) -> HeatmapCodec:
    input_wh = choices.choose(
        "input size",
        (overrides.input_wh, GIVEN),
        (said.input_wh, FROM_FILE),
        (_size_in(file_name), FROM_NAME),
        default=(192, 256),
        show=format_size,
    )
    name = choices.choose(
        "codec",
        (overrides.codec, GIVEN),
        (said.codec, FROM_FILE),
        (_codec_in(file_name), FROM_NAME),
        default=plain,
    )
    # The recipes: sigma 2 and kernel 11 at 256x192 and 256x256, 3 and 17 at 384x288.
    sigma, kernel = (3.0, 17) if input_wh[1] >= 384 else (2.0, 11)
    sigma = choices.choose(
        "sigma", (overrides.sigma, GIVEN), (said.sigma, FROM_FILE), default=sigma
    )
    if name != "gaussian":  # which does not blur, but may be compared with those that do
        kernel = choices.choose(
            "blur kernel",
            (overrides.blur_kernel, GIVEN),
            (said.blur_kernel, FROM_FILE),
            default=kernel,
        )
    codec = HeatmapCodec(name, input_wh, sigma, blur_kernel=kernel)
    shift = said.flip_shift if name == said.codec else None  # another codec has its own
    shift = choices.choose("flip shift", (shift, FROM_FILE), default=codec.flip_shift)
    return codec if shift == codec.flip_shift else replace(codec, own_flip_shift=shift)


def _skeleton(choices: _Choices, count: int, said: FileSettings, overrides: Overrides) -> Skeleton:
    found = said.skeleton
    if found is not None and found.num_keypoints != count:
        found = None  # of a data set, a part of whose keypoints was used
    known = official_skeleton(count)
    default = overrides.skeleton or found or known
    if default is None:
        raise ValueError(
            f"found {count} keypoints, which are not COCO's 17, MPII's 16 or CrowdPose's 14, "
            "and no names for them; "
            "pass skeleton= (pose-hrnet weights convert --annotations)"
        )
    return choices.choose(
        "keypoints",
        (overrides.skeleton, GIVEN),
        (found, FROM_FILE),
        (known, f"{ASSUMED} from their number"),
        default=default,
        show=lambda skeleton: f"{skeleton.num_keypoints}, {skeleton.name}",
    )


def _size_in(file_name: str) -> tuple[int, int] | None:
    found = _SIZE_IN_NAME.search(file_name)
    if found is None or any(int(side) % 32 for side in found.groups()):  # as published sizes are
        return None
    return int(found[2]), int(found[1])


def _codec_in(file_name: str) -> CodecName | None:
    found = _CODEC_IN_NAME.search(file_name)
    return next((n for n in get_args(CodecName) if found and n == found[1].lower()), None)
