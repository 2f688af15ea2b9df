"""Keypoints <-> heatmaps, both ways in one class, so that target and decoder cannot disagree.

Frames: keypoints in ``_input`` pixels, heatmaps in cells. In the official alignment the centre of
cell i stands at input pixel ``stride * i``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor
from torch.nn import functional

from pose_hrnet.geometry import Alignment

CodecName: TypeAlias = Literal["gaussian", "dark"]

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

    Attributes:
        name: Which codec.
        input_wh: Network input size in pixels.
        sigma: Standard deviation in cells (official: 2 at 256x192, 3 at 384x288).
        stride: Input pixels per cell.
        blur_kernel: Odd width of dark's blur in cells (official: 11).

    Raises:
        ValueError: If the name is unknown, or the input size is not a multiple of the stride.
    """

    name: CodecName = "gaussian"
    input_wh: tuple[int, int] = (192, 256)
    sigma: float = 2.0
    stride: int = 4
    blur_kernel: int = 11

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
            or any(side <= 0 or side % self.stride for side in self.input_wh)
        ):
            raise ValueError(
                f"codec has input {self.input_wh}, stride {self.stride} and sigma {self.sigma}; "
                "expected positive numbers, and input sides that are multiples of the stride"
            )

    @property
    def alignment(self) -> Alignment:
        """How boxes are cropped for this codec (see `pose_hrnet.geometry`)."""
        return "official"

    @property
    def flip_shift(self) -> int:
        """Cells by which `flip_back` moves the flipped heatmaps unless told otherwise."""
        return FLIP_SHIFT_CELLS

    @property
    def heatmap_hw(self) -> tuple[int, int]:
        """(H, W) of the heatmaps in cells."""
        width, height = self.input_wh
        return height // self.stride, width // self.stride

    def encode(self, keypoints_input: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Draw target heatmaps.

        Args:
            keypoints_input: ``(B, K, 2)`` input pixels.
            visible: ``(B, K)``; keypoints with 0 get an empty heatmap and weight 0.

        Returns:
            ``heatmaps`` ``(B, K, H, W)`` float32 with peak 1, and ``weights`` ``(B, K)`` float32:
            1 where the keypoint is labelled and its Gaussian touches the heatmap, else 0.
        """
        height, width = self.heatmap_hw
        radius = int(3 * self.sigma)
        centers = keypoints_input.float() / self.stride
        if self.name == "gaussian":
            # Official rounding: int(x + 0.5) cuts towards zero, also left of the first cell.
            centers = torch.trunc(centers + 0.5)
        low, high = centers - radius, centers + radius + 1
        size = centers.new_tensor([width, height])
        touches = ((low < size) & (high >= 0)).all(dim=-1)
        weights = (touches & (visible > 0)).float()

        def profile(center: Tensor, length: int) -> Tensor:
            """One axis of the separable Gaussian, ``(B, K, length)``."""
            distance = torch.arange(length, device=center.device) - center[..., None]
            values = torch.exp(-(distance**2) / (2 * self.sigma**2))
            return values * (distance.abs() <= radius) if self.name == "gaussian" else values

        rows = profile(centers[..., 1], height) * weights[..., None]
        columns = profile(centers[..., 0], width)
        return rows[..., :, None] * columns[..., None, :], weights

    def decode(self, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        """Locate the keypoint of each heatmap to a fraction of a cell.

        Args:
            heatmaps: ``(B, K, H, W)``, any floating type.

        Returns:
            ``keypoints_input`` ``(B, K, 2)`` float32 input pixels and ``scores`` ``(B, K)``
            float32, the maxima. A heatmap without a positive value decodes to (0, 0).
        """
        cells, scores = self.peaks(heatmaps)
        step = self._newton_steps if self.name == "dark" else self._quarter_steps
        return (cells + step(heatmaps, cells)) * self.stride, scores

    def peaks(self, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        """Highest cell of each heatmap, ``(B, K, 2)`` as (x, y), and its value, ``(B, K)``."""
        flat = heatmaps.float().flatten(2)
        if flat.device.type == "cpu":
            # NumPy's argmax is vectorised, torch's on the CPU is not: 13 times faster at 64x48.
            index = torch.from_numpy(flat.numpy().argmax(-1))
        else:
            index = flat.argmax(-1)
        scores = flat.gather(2, index[..., None]).squeeze(2)
        width = heatmaps.shape[-1]
        cells = torch.stack([index % width, index // width], dim=-1).float()
        return cells * (scores > 0)[..., None], scores

    def _quarter_steps(self, heatmaps: Tensor, cells: Tensor) -> Tensor:
        """A quarter cell towards the higher neighbour in x and y, ``(B, K, 2)``.

        The official code leaves peaks alone whose x or y is 0, 1 or the last cell.
        """
        height, width = heatmaps.shape[-2:]
        flat = heatmaps.flatten(2)
        x, y = cells.long().unbind(-1)
        inner = (x > 1) & (x < width - 1) & (y > 1) & (y < height - 1)
        index = torch.where(inner, y * width + x, width + 1)
        offsets = index.new_tensor([1, -1, width, -width])
        right, left, below, above = (
            flat.gather(2, index[..., None] + offsets).float().unbind(-1)
        )  # fmt: skip
        steps = torch.stack([right - left, below - above], dim=-1).sign() * 0.25
        return steps * inner[..., None]

    def _newton_steps(self, heatmaps: Tensor, cells: Tensor) -> Tensor:
        """One Newton step on the logarithm of the blurred heatmap, ``(B, K, 2)``.

        Only the 5x5 cells around the peak are blurred: the official code blurs everything and
        rescales to the old maximum, which adds a constant to the logarithm and so changes neither
        gradient nor Hessian. Peaks within two cells of the border are left alone, as there.
        """
        height, width = heatmaps.shape[-2:]
        x, y = cells.long().unbind(-1)
        inner = (x > 1) & (x < width - 2) & (y > 1) & (y < height - 2)
        reach = self.blur_kernel // 2 + 2
        padded = functional.pad(heatmaps, [reach] * 4).float()
        side = torch.arange(2 * reach + 1, device=heatmaps.device)
        patch_index = (side[:, None] * padded.shape[-1] + side).flatten()
        corner = y * padded.shape[-1] + x
        patches = padded.flatten(2).gather(2, corner[..., None] + patch_index)
        blur = _blur_matrix(self.blur_kernel, heatmaps.device)
        blurred = blur @ patches.reshape(*x.shape, len(side), len(side)) @ blur.T
        log = blurred.clamp(min=1e-10).log()

        gradient_x = (log[..., 2, 3] - log[..., 2, 1]) / 2
        gradient_y = (log[..., 3, 2] - log[..., 1, 2]) / 2
        xx = (log[..., 2, 4] - 2 * log[..., 2, 2] + log[..., 2, 0]) / 4
        yy = (log[..., 4, 2] - 2 * log[..., 2, 2] + log[..., 0, 2]) / 4
        xy = (log[..., 3, 3] - log[..., 1, 3] - log[..., 3, 1] + log[..., 1, 1]) / 4
        determinant = xx * yy - xy * xy
        solvable = inner & (determinant != 0)
        step_x = xy * gradient_y - yy * gradient_x
        step_y = xy * gradient_x - xx * gradient_y
        steps = torch.stack([step_x, step_y], dim=-1)
        safe = torch.where(solvable, determinant, torch.ones_like(determinant))
        return torch.where(solvable[..., None], steps / safe[..., None], torch.zeros_like(steps))

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
        return {**asdict(self), "input_wh": list(self.input_wh)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> HeatmapCodec:
        """Inverse of `to_dict`."""
        return cls(**{**values, "input_wh": tuple(values["input_wh"])})


def _blur_matrix(kernel: int, device: torch.device) -> Tensor:
    """``(5, kernel + 4)``: row i blurs the cells i to i + kernel - 1 of a patch.

    The standard deviation follows from the width as in OpenCV, which the official code uses.
    """
    sigma = 0.3 * ((kernel - 1) * 0.5 - 1) + 0.8
    distance = torch.arange(kernel, device=device) - kernel // 2
    weights = torch.exp(-(distance**2) / (2 * sigma**2))
    weights = weights / weights.sum()
    matrix = torch.zeros(5, kernel + 4, device=device)
    for row in range(5):
        matrix[row, row : row + kernel] = weights
    return matrix
