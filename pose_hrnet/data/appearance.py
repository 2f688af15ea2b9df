"""Random changes of how a crop looks; its keypoints stay where they are.

Colours and sharpness as cameras and files change them, and parts hidden ("information dropping",
AID, Huang et al., 2020, which made long trainings of pose networks better, RTMPose's among them).
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional

from pose_hrnet.config import AugmentConfig

HIGHEST_JPEG_QUALITY = 95


def change_appearance(
    pixels: NDArray[np.uint8], settings: AugmentConfig, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Change a crop at random: colours, grey, blur, JPEG, black rectangles, a grid of squares.

    Args:
        pixels: ``(H, W, 3)`` RGB; left unchanged.
        settings: Chances and amounts.
        rng: The sample's generator. Every number is drawn whether or not it is used, so that
            one setting does not change the numbers of another.

    Returns:
        ``(H, W, 3)`` RGB.
    """
    colors, gray, blurred, compressed, hidden, gridded = rng.random(6)
    amounts, order = rng.uniform(-1, 1, size=4), rng.permutation(4)
    blur, quality = rng.uniform(0.25, 1), rng.random()
    grid = rng.random(3)
    # Last, because the number of numbers depends on a setting.
    hole_count = 1 + int(rng.integers(settings.dropout_holes))
    holes = rng.random((settings.dropout_holes, 4))[:hole_count]

    image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
    if colors < settings.photometric_probability:
        image = _change_colors(image, amounts, order, settings)
    if gray < settings.grayscale_probability:
        image = functional.rgb_to_grayscale(image, num_output_channels=3)
    if blurred < settings.blur_probability:
        image = _blur(image, blur * settings.blur_sigma)
    if compressed < settings.jpeg_probability:
        lowest = settings.jpeg_quality
        image = _compress(image, round(lowest + quality * (HIGHEST_JPEG_QUALITY - lowest)))
    if hidden < settings.dropout_probability:
        image = _drop_holes(image, holes, settings.dropout_size)
    if gridded < settings.grid_mask_probability:
        image = _mask_grid(image, grid, settings.grid_mask_period, settings.grid_mask_square)
    return np.ascontiguousarray(image.numpy().transpose(1, 2, 0))


def _change_colors(
    image: Tensor, amounts: NDArray[np.floating], order: NDArray[np.integer], limit: AugmentConfig
) -> Tensor:
    """The four changes of ``(3, H, W)`` by a share in -1 to 1 of their limits, in this order."""
    for change in order:
        share = float(amounts[change])
        if change == 0:
            image = functional.adjust_brightness(image, 1 + share * limit.brightness)
        elif change == 1:
            image = functional.adjust_contrast(image, 1 + share * limit.contrast)
        elif change == 2:
            image = functional.adjust_saturation(image, 1 + share * limit.saturation)
        else:
            image = functional.adjust_hue(image, share * limit.hue)
    return image


def _blur(image: Tensor, sigma: float) -> Tensor:
    """A Gaussian blur of ``(3, H, W)``, cut at three standard deviations."""
    size = 2 * math.ceil(3 * sigma) + 1
    blurred: Tensor = functional.gaussian_blur(image, [size, size], [sigma, sigma])
    return blurred


def _compress(image: Tensor, quality: int) -> Tensor:
    """``(3, H, W)`` as JPEG gives it back; by OpenCV, because torchvision gives its codecs up."""
    bgr = np.ascontiguousarray(image.numpy()[::-1].transpose(1, 2, 0))
    _, file = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR))
    return torch.from_numpy(np.ascontiguousarray(decoded.transpose(2, 0, 1)[::-1]))


def _drop_holes(
    image: Tensor, holes: NDArray[np.floating], size_range: tuple[float, float]
) -> Tensor:
    """Blacken rectangles that lie inside ``(3, H, W)`` (coarse dropout).

    Args:
        image: Left unchanged.
        holes: ``(N, 4)`` in 0 to 1: x and y in the room that is left, width and height in range.
        size_range: Smallest and largest side as a share of the image's.
    """
    image_wh = np.array([image.shape[2], image.shape[1]])
    low, high = size_range
    sizes = np.rint((low + holes[:, 2:] * (high - low)) * image_wh).astype(int).clip(1)
    corners = np.floor(holes[:, :2] * (image_wh - sizes + 1)).astype(int)
    for (x, y), (width, height) in zip(corners.tolist(), sizes.tolist(), strict=True):
        image = functional.erase(image, y, x, height, width, torch.zeros(3, 1, 1))
    return image


def _mask_grid(
    image: Tensor, numbers: NDArray[np.floating], period_range: tuple[float, float], square: float
) -> Tensor:
    """Blacken squares that repeat in x and in y (GridMask, Chen et al., 2020; not rotated).

    Args:
        image: ``(3, H, W)``.
        numbers: Three in 0 to 1: the period in its range, and where the grid starts in x and y.
        period_range: Of the distance of the squares, as a share of the image's shorter side.
        square: Side of a square as a share of the period.
    """
    height, width = image.shape[1:]
    low, high = period_range
    period = max(2, round((low + float(numbers[0]) * (high - low)) * min(height, width)))
    side = min(max(1, round(square * period)), period - 1)
    start_x, start_y = np.floor(numbers[1:] * period)
    columns = torch.from_numpy((np.arange(width) + start_x) % period < side)
    rows = torch.from_numpy((np.arange(height) + start_y) % period < side)
    return image.masked_fill(rows[:, None] & columns, 0)
