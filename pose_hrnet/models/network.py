"""What every network is: RGB crops in, normalised inside, heatmaps out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from pose_hrnet.system.text import shown

# Of RGB values between 0 and 1, as the official weights were trained with.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

INPUT_MULTIPLE = 4
"""Height and width of the input are multiples of the heatmaps' stride. Coarser features round up:
where 32 does not divide a side, their last cells reach beyond the image."""

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]
"""Names of a state dict and the shapes of its tensors."""


class PixelNetwork(nn.Module):
    """A network that takes RGB pixels as they are, uint8, and normalises them inside.

    Attributes:
        mean: ``(3, 1, 1)`` of RGB values between 0 and 1.
        std: ``(3, 1, 1)`` of RGB values between 0 and 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.normalise_with(IMAGENET_MEAN, IMAGENET_STD)

    def normalise_with(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Take other numbers than ImageNet's, which every network starts with.

        Args:
            mean: Per-channel mean of RGB values between 0 and 1.
            std: Per-channel standard deviation of RGB values between 0 and 1.
        """
        # Not persistent: the state dict stays the official one; a checkpoint's card keeps them.
        for name, value in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(value).view(3, 1, 1), persistent=False)

    def normalised(self, images: Tensor) -> Tensor:
        """What the first layer takes.

        Args:
            images: ``(B, 3, H, W)`` RGB, H and W multiples of 4: uint8, or floating and then
                already normalised.

        Returns:
            ``(B, 3, H, W)``, floating.

        Raises:
            ValueError: If shape or type of the images are others.
        """
        return normalised(images, self.mean, self.std, network=type(self).__name__)


class HeatmapNetwork(PixelNetwork, ABC):
    """Crops to one heatmap per keypoint, at a quarter of their size.

    A new network is a subclass whose constructor takes what `architecture` gives, one class of
    settings in `pose_hrnet.config.networks`, and one entry in `pose_hrnet.models.build`.

    Attributes:
        supervision: What the loss of each output counts in training, the last of them 1; more
            than one number where the network is supervised on its way, as `forward` says.
        stride: Input pixels per cell of the finest features behind which heatmaps are; those of
            others than 4 are brought to it (`pose_hrnet.models.layers.at_heatmap_size`).
    """

    backbone: ClassVar[str] = ""
    """What files of the backbone alone are called, where `recognises` finds them."""
    supervision: tuple[float, ...] = (1.0,)
    stride: int = 4
    _architecture: dict[str, Any]
    """Set by the constructor: its name in `pose_hrnet.models.build`, and its arguments."""

    @property
    def architecture(self) -> dict[str, Any]:
        """What rebuilds this network, `build_network(architecture)`, in the types of JSON."""
        return deepcopy(self._architecture)

    @property
    @abstractmethod
    def label(self) -> str:
        """The network as papers call it, such as ``HRNet-W32``."""

    @classmethod
    def recognises(cls, shapes: Shapes) -> dict[str, Any] | None:
        """The architecture of a state dict that comes without one.

        Args:
            shapes: Every entry, by our names. Entries of other heads may be among them.

        Returns:
            What `build_network` takes, with ``num_keypoints`` 0 if there is no heatmap head; None
            if it is another network. None by default: nobody else writes files of the network.

        Raises:
            ValueError: If it is this network, but not whole, or of a size that is not known.
        """
        return None

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Regress one heatmap per keypoint.

        Args:
            images: ``(B, 3, H, W)`` RGB crops, H and W multiples of 4: uint8, or floating and
                then already normalised with `mean` and `std`.

        Returns:
            ``(B, K, H/4, W/4)`` heatmaps; in training mode, of a network that is supervised on
            its way, those of every output, the last one's last: ``(S, B, K, H/4, W/4)``, S as
            many as `supervision` has numbers.

        Raises:
            ValueError: If shape or type of the images are others.
        """


def normalised(images: Tensor, mean: Tensor, std: Tensor, *, network: str) -> Tensor:
    """Check crops, and normalise them if they are uint8.

    Args:
        images: ``(B, 3, H, W)`` RGB, H and W multiples of 4: uint8, or floating and then already
            normalised.
        mean: ``(3, 1, 1)`` of RGB values between 0 and 1.
        std: ``(3, 1, 1)`` of RGB values between 0 and 1.
        network: Named in errors.

    Returns:
        ``(B, 3, H, W)``, floating.

    Raises:
        ValueError: If shape or type of the images are others.
    """
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(
            f"{network} got images of shape {tuple(images.shape)}; give RGB crops (B, 3, H, W)"
        )
    height, width = images.shape[2:]
    if height % INPUT_MULTIPLE or width % INPUT_MULTIPLE:
        raise ValueError(
            f"{network} got images of height {height} and width {width}; "
            f"both must be multiples of {INPUT_MULTIPLE}"
        )
    if images.dtype == torch.uint8:
        return (images.to(mean.dtype) / 255 - mean) / std
    if not images.is_floating_point():
        raise ValueError(
            f"{network} got images of type {images.dtype}; give uint8 RGB, or normalised floats"
        )
    return images


def rows_of(shapes: Shapes, name: str) -> int:
    """Channels that come out of the convolution of this name; 0 without it."""
    shape = shapes.get(name, ())
    return shape[0] if len(shape) == 4 else 0


def children_of(names: Iterable[str], prefix: str) -> int:
    """How many modules there are right behind a prefix."""
    return len({n.removeprefix(prefix).split(".")[0] for n in names if n.startswith(prefix)})


def check_values(network: str, *checks: tuple[str, object, bool, str]) -> None:
    """Refuse the first value that a network cannot be built with.

    Args:
        network: Named in the error.
        *checks: Of each argument its name, its value, whether that is sound, and what would be.

    Raises:
        ValueError: If one is not sound.
    """
    for name, value, sound, expected in checks:
        if not sound:
            raise ValueError(f"{network} got {name} {shown(value)}; give {expected}")
