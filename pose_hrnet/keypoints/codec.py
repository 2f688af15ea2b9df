"""Keypoints <-> heatmaps, both ways in one class, so that target and decoder cannot disagree.

Frames: keypoints in ``_input`` pixels, heatmaps in cells. In the official alignment the centre of
cell i stands at input pixel ``stride * i``; in the UDP alignment the first and the last cell stand
at the first and the last pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

import torch
from torch import Tensor

from pose_hrnet.keypoints.refine import (
    border_true_steps,
    dark_steps,
    quarter_steps,
    udp_steps,
)
from pose_hrnet.system.choices import Alignment, CodecName
from pose_hrnet.system.text import format_size

FLIP_SHIFT_CELLS = 1
"""Cells by which a flipped-back heatmap moves right in the official alignment.

The flip maps input pixel p to W - 1 - p. Cell i stands at pixel ``s i`` (stride s), so cell i of
the flipped-back map, i.e. cell w - 1 - i of the flipped map with w = W / s, stands at pixel
W - 1 - s (w - 1 - i) = s i + s - 1. It is (s - 1) / s = 0.75 cells too far left; the official
code shifts by the nearest whole cell, which is worth 2 AP over no shift.
"""


@dataclass(frozen=True)
class HeatmapCodec:
    """Gaussian heatmap encoding and its sub-pixel decoding.

    ``gaussian`` (HRNet, Sun et al., CVPR 2019): the target is a Gaussian of standard deviation
    sigma centred on the *rounded* cell and cut to the square of 3 sigma around it; decoding takes
    the highest cell and steps a quarter cell towards the higher neighbour in x and in y.

    ``dark`` (DarkPose, Zhang et al., CVPR 2020): the target is centred on the exact point and not
    cut; decoding blurs, takes the logarithm, and makes one Newton step from the highest cell,
    ``p - H^-1 g`` with gradient g and Hessian H, which is exact for a Gaussian.

    ``udp`` (Huang et al., CVPR 2020): crop, heatmap and flip measure between pixel centres, so
    that a flipped heatmap needs no shift; the target is centred on the exact point and cut as
    ``gaussian``'s; decoding is DARK's step with compact derivatives.

    Attributes:
        name: Which codec.
        input_wh: Network input size in pixels.
        sigma: Standard deviation in cells (official: 2 at 256x192, 3 at 384x288).
        stride: Input pixels per cell.
        blur_kernel: Odd width of the blur of dark and udp in cells (official: 11; 17 at 384x288).
        own_flip_shift: Cells of `flip_shift` where a model was tested with others than its
            alignment asks for; None: those of the alignment.
        border_true: Decode dark and udp without their bias along the border, which the reference
            implementations have; see `pose_hrnet.keypoints.refine.border_true_steps`.

    Raises:
        ValueError: If the name is unknown, the blur kernel is not odd, sigma or stride is not
            positive, or the input size is not a multiple of the stride, of at least two cells.
    """

    name: CodecName = "gaussian"
    input_wh: tuple[int, int] = (192, 256)
    sigma: float = 2.0
    stride: int = 4
    blur_kernel: int = 11
    own_flip_shift: int | None = None
    border_true: bool = False

    def __post_init__(self) -> None:
        if self.name not in get_args(CodecName):
            raise ValueError(
                f"codec {self.name!r} is unknown; use one of {', '.join(get_args(CodecName))}"
            )
        if self.blur_kernel < 1 or self.blur_kernel % 2 == 0:
            raise ValueError(f"blur_kernel is {self.blur_kernel}; expected an odd number")
        if (
            self.sigma <= 0
            or self.stride <= 0
            or any(side <= self.stride or side % self.stride for side in self.input_wh)
        ):
            raise ValueError(
                f"codec has input {format_size(self.input_wh)} (height x width), "
                f"stride {self.stride} and sigma {self.sigma}; expected positive numbers, and "
                "input sides that are multiples of the stride, and of at least two cells"
            )

    def __str__(self) -> str:
        """In words: ``gaussian, sigma 2, 256x192 -> 64x48``, sizes as height x width."""
        blur = "" if self.name == "gaussian" else f", blur {self.blur_kernel}"
        blur += ", border-true" if self.border_true else ""
        cells_hw = self.heatmap_hw
        sizes = f"{format_size(self.input_wh)} -> {format_size(cells_hw[::-1])}"
        return f"{self.name}, sigma {self.sigma:g}{blur}, {sizes}"

    def as_codec(self, name: CodecName) -> HeatmapCodec:
        """The same heatmaps under another codec's rules, its own flip shift among them."""
        return self if name == self.name else replace(self, name=name, own_flip_shift=None)

    @property
    def alignment(self) -> Alignment:
        """How boxes are cropped for this codec (see `pose_hrnet.keypoints.geometry`)."""
        return "udp" if self.name == "udp" else "official"

    @property
    def flip_shift(self) -> int:
        """Cells by which `flip_back` moves the flipped heatmaps unless told otherwise."""
        if self.own_flip_shift is not None:
            return self.own_flip_shift
        return FLIP_SHIFT_CELLS if self.alignment == "official" else 0

    @property
    def heatmap_hw(self) -> tuple[int, int]:
        """(H, W) of the heatmaps in cells."""
        width, height = self.input_wh
        return height // self.stride, width // self.stride

    @property
    def cell_pitch_xy(self) -> tuple[float, float]:
        """Input pixels between neighbouring cells; cell (0, 0) stands at input pixel (0, 0)."""
        if self.alignment == "official":
            return self.stride, self.stride
        height, width = self.heatmap_hw
        return (self.input_wh[0] - 1) / (width - 1), (self.input_wh[1] - 1) / (height - 1)

    def _cell_pitch(self, like: Tensor) -> Tensor:
        """``(2,)`` `cell_pitch_xy` on a tensor's device."""
        return like.new_tensor(self.cell_pitch_xy, dtype=torch.float32)

    def encode(self, keypoints_input: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Draw target heatmaps.

        Args:
            keypoints_input: ``(B, K, 2)`` input pixels.
            visible: ``(B, K)``; keypoints with 0 get an empty heatmap and weight 0.

        Returns:
            ``heatmaps`` ``(B, K, H, W)`` float32 with peak 1, and ``weights`` ``(B, K)`` float32:
            1 where the keypoint is labelled and its Gaussian of 3 sigma touches the heatmap, or,
            as in the official code, ends one cell left of or above it; else 0.
        """
        height, width = self.heatmap_hw
        radius = int(3 * self.sigma)
        points = keypoints_input.float()
        points = points / _filled(points, *self.cell_pitch_xy)
        # Official rounding: int(x + 0.5) cuts towards zero, also left of the first cell.
        rounded = torch.trunc(points + 0.5)
        centers = rounded if self.name == "gaussian" else points
        # Of the square of 3 sigma: dark's is not cut, and measured from the exact point.
        middle = points if self.name == "dark" else rounded
        size = _filled(points, width, height)
        touches = ((middle - radius < size) & (middle + radius + 1 >= 0)).all(dim=-1)
        weights = (touches & (visible > 0)).float()

        def profile(axis: int, length: int) -> Tensor:
            """One axis of the separable Gaussian, ``(B, K, length)``."""
            cells = torch.arange(length, device=points.device)
            distance = cells - centers[..., axis, None]
            values = torch.exp(-(distance**2) / (2 * self.sigma**2))
            if self.name == "dark":
                return values
            return values * ((cells - middle[..., axis, None]).abs() <= radius)

        rows = profile(1, height) * weights[..., None]
        columns = profile(0, width)
        return rows[..., :, None] * columns[..., None, :], weights

    def decode(self, heatmaps: Tensor, *, refine: bool = True) -> tuple[Tensor, Tensor]:
        """Locate the keypoint of each heatmap to a fraction of a cell.

        Args:
            heatmaps: ``(B, K, H, W)``, any floating type.
            refine: Take the codec's step from the highest cell; False: that cell's centre.

        Returns:
            ``keypoints_input`` ``(B, K, 2)`` float32 input pixels and ``scores`` ``(B, K)``
            float32, the maxima. A heatmap without a positive value decodes to (0, 0).
        """
        cells, scores = self.peaks(heatmaps)
        if not refine:
            return cells * self._cell_pitch(cells), scores
        if self.name == "gaussian":
            steps = quarter_steps(heatmaps, cells)
        elif self.name == "dark":
            steps = dark_steps(heatmaps, cells, self.blur_kernel)
        elif self.name == "udp":
            steps = udp_steps(heatmaps, cells, self.blur_kernel)
        else:
            raise ValueError(f"codec {self.name!r} has no step from the highest cell; add it")
        if self.border_true and self.name != "gaussian":
            steps = border_true_steps(steps, heatmaps, cells, self.blur_kernel)
        steps = torch.where((scores > 0)[..., None], steps, torch.zeros_like(steps))
        return (cells + steps) * self._cell_pitch(cells), scores

    def peaks(self, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        """Highest cell of each heatmap, ``(B, K, 2)`` as (x, y), and its value, ``(B, K)``."""
        flat = heatmaps.float().flatten(2)
        if flat.device.type == "cpu" and not torch.compiler.is_compiling():
            # NumPy's argmax is vectorised, torch's on the CPU is not: 13 times faster at 64x48.
            # An exported graph cannot hold it.
            index = torch.from_numpy(flat.detach().numpy().argmax(-1))
        else:
            index = flat.argmax(-1)
        scores = flat.gather(2, index[..., None]).squeeze(2)
        width = heatmaps.shape[-1]
        cells = torch.stack([index % width, index // width], dim=-1).float()
        return cells * (scores > 0)[..., None], scores

    def flip_back(
        self, flipped_heatmaps: Tensor, flip_index: Sequence[int], *, shift: int | None = None
    ) -> Tensor:
        """Undo a horizontal flip of the crops on their heatmaps.

        Args:
            flipped_heatmaps: ``(B, K, H, W)`` of the mirrored crops.
            flip_index: K indices that exchange left and right keypoints.
            shift: Cells to move right; the codec's own `flip_shift` unless given.

        Returns:
            ``(B, K, H, W)`` in the frame of the crops as they were. The first columns keep their
            values under a shift, as in the official code.

        Raises:
            ValueError: If the shift is negative or as wide as the heatmap.
        """
        shift = self.flip_shift if shift is None else shift
        if not 0 <= shift < flipped_heatmaps.shape[-1]:
            raise ValueError(
                f"flip shift is {shift} cells; expected 0 to {flipped_heatmaps.shape[-1] - 1}"
            )
        restored = flipped_heatmaps.flip(-1)[:, list(flip_index)]
        if shift:
            restored = torch.cat([restored[..., :shift], restored[..., :-shift]], dim=-1)
        return restored

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as a checkpoint stores them."""
        values = {**asdict(self), "input_wh": list(self.input_wh)}
        # So that earlier versions can read it.
        if self.own_flip_shift is None:
            del values["own_flip_shift"]
        if not self.border_true:
            del values["border_true"]
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> HeatmapCodec:
        """Inverse of `to_dict`."""
        return cls(**{**values, "input_wh": tuple(values["input_wh"])})


def _filled(like: Tensor, *values: float) -> Tensor:
    """Numbers on a tensor's device, made there: to copy them would be to wait for the device."""
    return torch.stack([like.new_full((), value) for value in values])
