"""Layers that networks are made of, and how the official code starts them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

MOST_BLOCKS = 1000
"""Of an HRNet; the official ones have 108."""
MOST_PARAMETERS = 300_000_000
"""Of an HRNet; the official W48 has 64 million."""


def conv_bn(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, *after: nn.Module
) -> nn.Sequential:
    """A convolution that keeps the size (over the stride), batch norm, and what comes after."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), *after)


def conv_bn_relu(in_channels: int, out_channels: int) -> list[nn.Module]:
    """A 1x1 convolution with a bias, as heads have them, batch norm and ReLU."""
    conv = nn.Conv2d(in_channels, out_channels, 1)
    return [conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]


def initialise_convolution(module: nn.Module) -> None:
    """Start a convolution as the official code does; leave other modules as they are."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, std=0.001)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def check_hrnet_sizes(
    width: int,
    stem_width: int,
    stem_blocks: int,
    stage_modules: Sequence[int],
    branch_blocks: int,
) -> None:
    """Refuse what is no HRNet, or one too large to be built; arguments as of `HRNet`.

    Raises:
        ValueError: If a size is no whole number above 0, or blocks or parameters are too many.
    """
    if not isinstance(stage_modules, list | tuple) or len(stage_modules) != 3:
        raise ValueError(
            f"HRNet got stage_modules {stage_modules}; give one number per stage, 2 to 4"
        )
    given = (
        f"HRNet got width {width}, stem_width {stem_width}, stem_blocks {stem_blocks}, "
        f"stage_modules {list(stage_modules)} and branch_blocks {branch_blocks}"
    )
    sizes = (width, stem_width, stem_blocks, *stage_modules, branch_blocks)
    if any(type(size) is not int or size < 1 for size in sizes):
        raise ValueError(f"{given}; give whole numbers of at least 1")
    blocks, parameters = stem_blocks, 17 * stem_blocks * stem_width**2
    for branches, modules in zip((2, 3, 4), stage_modules, strict=True):
        blocks += branches * modules * branch_blocks
        squares = sum((width * 2**branch) ** 2 for branch in range(branches))
        parameters += 18 * squares * modules * branch_blocks  # two 3x3 convolutions a block
    if blocks > MOST_BLOCKS or parameters > MOST_PARAMETERS:
        raise ValueError(
            f"{given}, which makes {blocks:,} blocks of about {parameters / 1e6:,.0f} million "
            f"parameters; at most {MOST_BLOCKS:,} and {MOST_PARAMETERS / 1e6:,.0f} million are "
            "built"
        )
