"""What every network takes: RGB crops, normalised inside from uint8."""

from __future__ import annotations

import torch
from torch import Tensor

# Of RGB values between 0 and 1, as the official weights were trained with.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

INPUT_MULTIPLE = 4
"""Height and width of the input are multiples of the heatmaps' stride. Coarser features round up:
where 32 does not divide a side, their last cells reach beyond the image."""


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
