"""SimCC: keypoints as two classifications, one along x and one along y, instead of a heatmap.

SimCC (Li et al., ECCV 2022) and RTMPose (Jiang et al., 2023): each pixel of the input is split
into `split_ratio` bins, and a network gives a vector over the bins of x and one over those of y.
Networks of this kind are run here, and not trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.system.choices import Alignment, CodecName
from pose_hrnet.system.text import format_size


@dataclass(frozen=True)
class SimccCodec:
    """How both vectors of a keypoint are read, as MMPose reads them.

    They travel side by side, ``(B, K, bins of x + bins of y)``. A keypoint stands at the highest
    bin of each, over the split ratio; its score is the smaller one of both maxima. Where that is
    not positive, it stands at ``-1 / split_ratio`` in both.

    Attributes:
        input_wh: Network input size in pixels.
        split_ratio: Bins per pixel.
        name: Of the codec.

    Raises:
        ValueError: If a side is no whole number of bins.
    """

    input_wh: tuple[int, int]
    split_ratio: float = 2.0
    name: Literal["simcc"] = "simcc"

    def __post_init__(self) -> None:
        bins = [side * self.split_ratio for side in self.input_wh]
        if any(each < 1 or each != int(each) for each in bins):
            raise ValueError(
                f"input {format_size(self.input_wh)} (height x width) and split ratio "
                f"{self.split_ratio:g} make no whole number of bins; correct them in the card"
            )

    def __str__(self) -> str:
        """In words: ``simcc, 2 bins per pixel, 256x192 -> 384 + 512``."""
        columns, rows = self.bins_wh
        return (
            f"simcc, {self.split_ratio:g} bins per pixel, {format_size(self.input_wh)} -> "
            f"{columns} + {rows}"
        )

    @property
    def bins_wh(self) -> tuple[int, int]:
        """Bins of x and of y."""
        width, height = self.input_wh
        return int(width * self.split_ratio), int(height * self.split_ratio)

    @property
    def alignment(self) -> Alignment:
        """How boxes are cropped: as MMPose's ``TopdownAffine`` without UDP."""
        return "official"

    @property
    def flip_shift(self) -> int:
        """Bins by which `flip_back` moves: none, as in MMPose."""
        return 0

    def as_codec(self, name: CodecName) -> SimccCodec:
        """Refused: vectors are no heatmaps.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            f"a SimCC model gives no heatmaps, which codec {name} could read; leave it out"
        )

    def decode(self, vectors: Tensor, *, refine: bool = True) -> tuple[Tensor, Tensor]:
        """Locate each keypoint.

        Args:
            vectors: ``(B, K, bins of x + bins of y)``.
            refine: Changes nothing; there is no step beyond the highest bin.

        Returns:
            ``keypoints_input`` ``(B, K, 2)`` float32 input pixels, and ``scores`` ``(B, K)``.
        """
        (x, column), (y, row) = (part.max(dim=-1) for part in self._parts(vectors.float()))
        scores = torch.minimum(x, y)
        bins = torch.stack([column, row], dim=-1).float()
        bins = torch.where((scores > 0)[..., None], bins, torch.full_like(bins, -1.0))
        return bins / self.split_ratio, scores

    def flip_back(
        self, flipped: Tensor, flip_index: Sequence[int], *, shift: int | None = None
    ) -> Tensor:
        """Undo a horizontal flip of the crops on their vectors, as MMPose's ``flip_vectors``.

        Args:
            flipped: ``(B, K, bins of x + bins of y)`` of the mirrored crops.
            flip_index: K indices that exchange left and right keypoints.
            shift: None or 0.

        Raises:
            ValueError: If another shift is asked for.
        """
        if shift:
            raise ValueError(f"SimCC models are flipped without a shift, but {shift} is given")
        columns, rows = self._parts(flipped[:, list(flip_index)])
        return torch.cat([columns.flip(-1), rows], dim=-1)

    def _parts(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        columns, rows = torch.split(vectors, list(self.bins_wh), dim=-1)
        return columns, rows

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for reports."""
        return {**asdict(self), "input_wh": list(self.input_wh)}


Codec: TypeAlias = HeatmapCodec | SimccCodec
"""How the outputs of any model are read."""


def codec_of(values: dict[str, Any]) -> Codec:
    """Inverse of the `to_dict` of either codec."""
    if values["name"] == "simcc":
        return SimccCodec(**{**values, "input_wh": tuple(values["input_wh"])})
    return HeatmapCodec.from_dict(values)
