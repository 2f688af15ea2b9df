"""The section ``codec``: what heatmaps mean."""

from __future__ import annotations

from pydantic import model_validator

from pose_hrnet.config.base import BlurKernel, Cells, Section, Side
from pose_hrnet.system.choices import CodecName


class CodecConfig(Section):
    """Heatmap encoding and decoding; also picks the crop alignment and the flip."""

    name: CodecName = "gaussian"
    """gaussian: rounded targets, quarter-cell decoding; dark and udp: sub-cell both ways."""
    input_wh: tuple[Side, Side] = (192, 256)
    """Network input width and height in pixels, multiples of 4; of 32 is best."""
    sigma: Cells = 2.0
    """Standard deviation of the target Gaussian in heatmap cells (official: 2; at 384x288 3)."""
    blur_kernel: BlurKernel = 11
    """dark, udp: odd width in cells of the blur before decoding (official: 11; at
    384x288 17); gaussian has none."""
    border_true: bool = False
    """dark, udp: decode without the bias that they and their reference implementations have within
    three cells of the border (official: false)."""

    @model_validator(mode="after")
    def _sides_fit_the_network(self) -> CodecConfig:
        if any(side % 4 for side in self.input_wh):
            raise ValueError(
                f"input_wh is {list(self.input_wh)}; both sides must be multiples of 4, "
                "because a heatmap cell stands for 4 x 4 pixels"
            )
        if self.blur_kernel % 2 == 0:
            raise ValueError(f"blur_kernel is {self.blur_kernel}; expected an odd number of cells")
        return self
