"""Layers that networks are made of, and how the official code starts them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, batch_norm, interpolate, max_pool2d, pad

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


class PooledBatchNorm(nn.BatchNorm2d):
    """Batch norm behind a mean over the whole image: ``(B, C, 1, 1)`` to the same shape.

    Of one image alone, as the last batch of an epoch may be, there is no variance; it is then
    normalised by the running statistics, also in training.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same shape."""
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            return batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias)
        return super().forward(x)


def conv_bn_relu(in_channels: int, out_channels: int) -> list[nn.Module]:
    """A 1x1 convolution with a bias, as heads have them, batch norm and ReLU."""
    conv = nn.Conv2d(in_channels, out_channels, 1)
    return [conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]


def heatmap_layer(channels: int, num_keypoints: int, kernel: int = 1) -> nn.Conv2d:
    """The last convolution of a network, which starts as the official code's: next to nothing."""
    layer = nn.Conv2d(channels, num_keypoints, kernel, padding=kernel // 2)
    initialise_convolution(layer)
    return layer


def at_heatmap_size(features: Tensor, images: Tensor, stride: int) -> Tensor:
    """Features at the stride of all heatmaps, 4, whatever stride their network ends with.

    Coarser ones are interpolated bilinearly, as their papers do up to the image; of finer ones
    each cell is the mean of those within it.

    Args:
        features: ``(B, C, H/stride, W/stride)``, rounded up.
        images: ``(B, 3, H, W)``, H and W multiples of 4.
        stride: Of the features: a divisor or a multiple of 4.

    Returns:
        ``(B, C, H/4, W/4)``.
    """
    if stride < 4:
        return avg_pool2d(features, 4 // stride)
    return raised(features, stride // 4, (images.shape[2] // 4, images.shape[3] // 4))


def raised(features: Tensor, times: int, size: Sequence[int]) -> Tensor:
    """Features at a finer resolution, interpolated bilinearly.

    Where their last cells reach beyond the image, because a side was rounded up, so does what is
    interpolated; that is cut off, and so each cell stays at its place.

    Args:
        features: ``(B, C, h, w)``.
        times: How many times finer.
        size: Height and width to end with, at most `times` those of the features.

    Returns:
        ``(B, C, *size)``.
    """
    if times > 1:
        whole = (features.shape[2] * times, features.shape[3] * times)
        features = interpolate(features, whole, mode="bilinear", align_corners=False)
    return features[..., : size[0], : size[1]]


def padded_to(images: Tensor, multiple: int) -> Tensor:
    """Images with zeros, the mean colour, at the right and below, so that a number divides them.

    Args:
        images: ``(B, C, H, W)``, normalised.
        multiple: Of height and width.

    Returns:
        ``(B, C, H + y, W + x)``, y and x below `multiple`.
    """
    height, width = images.shape[2:]
    if height % multiple == 0 and width % multiple == 0:
        return images
    return pad(images, (0, -width % multiple, 0, -height % multiple))


def halved(x: Tensor) -> Tensor:
    """2x2 max pooling that rounds up: ``(B, C, H, W)`` to ``(B, C, H/2, W/2)``."""
    return max_pool2d(x, 2, ceil_mode=True)


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
