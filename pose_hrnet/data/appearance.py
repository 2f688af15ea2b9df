"""Random changes of how a crop looks; its keypoints stay where they are.

Colours and sharpness as cameras and files change them, and parts hidden ("information dropping",
AID, Huang et al., 2020, which made long trainings of pose networks better, RTMPose's among them).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import functional

from pose_hrnet.config.training import AugmentConfig
from pose_hrnet.keypoints.records import Image

HIGHEST_JPEG_QUALITY = 95


def change_appearance(pixels: Image, settings: AugmentConfig, rng: np.random.Generator) -> Image:
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

    if colors < settings.photometric_probability:
        pixels = _change_colors(pixels, amounts, order, settings)
    if gray < settings.grayscale_probability:
        pixels = _pixels(functional.rgb_to_grayscale(_planes(pixels), num_output_channels=3))
    if blurred < settings.blur_probability:
        pixels = _uint8(cv2.GaussianBlur(pixels, (0, 0), blur * settings.blur_sigma))
    if compressed < settings.jpeg_probability:
        lowest = settings.jpeg_quality
        pixels = _compress(pixels, round(lowest + quality * (HIGHEST_JPEG_QUALITY - lowest)))
    if hidden < settings.dropout_probability:
        pixels = _drop_holes(pixels, holes, settings.dropout_size)
    if gridded < settings.grid_mask_probability:
        pixels = _mask_grid(pixels, grid, settings.grid_mask_period, settings.grid_mask_square)
    return pixels


def _change_colors(
    pixels: Image, amounts: NDArray[np.floating], order: NDArray[np.integer], limit: AugmentConfig
) -> Image:
    """The four changes by a share, in -1 to 1, of their limits, in this order."""
    for change in order:
        share = float(amounts[change])
        if change == 0:
            planes = functional.adjust_brightness(_planes(pixels), 1 + share * limit.brightness)
            pixels = _pixels(planes)
        elif change == 1:
            planes = functional.adjust_contrast(_planes(pixels), 1 + share * limit.contrast)
            pixels = _pixels(planes)
        elif change == 2:
            planes = functional.adjust_saturation(_planes(pixels), 1 + share * limit.saturation)
            pixels = _pixels(planes)
        else:
            pixels = _turn_hue(pixels, share * limit.hue)
    return pixels


def _turn_hue(pixels: Image, turn: float) -> Image:
    """Turn the hue by a share of the colour circle, to 1 / 256 of it.

    By OpenCV, as the blur is: torchvision takes 2.5 ms for it at 256x192, this 0.1.
    """
    steps = round(turn * 256)
    if steps == 0:
        return pixels
    hsv = _uint8(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV_FULL))
    hsv[..., 0] += np.uint8(steps % 256)  # wraps around
    return _uint8(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL))


def _compress(pixels: Image, quality: int) -> Image:
    """What JPEG leaves of it; by OpenCV, because torchvision is giving its codecs up."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, file = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return _uint8(cv2.cvtColor(_uint8(cv2.imdecode(file, cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB))


def _drop_holes(
    pixels: Image, holes: NDArray[np.floating], size_range: tuple[float, float]
) -> Image:
    """Blacken rectangles that lie inside the crop (coarse dropout).

    Args:
        pixels: Left unchanged.
        holes: ``(N, 4)`` in 0 to 1: x and y in the room that is left, width and height in range.
        size_range: Smallest and largest side as a share of the crop's.
    """
    crop_wh = np.array(pixels.shape[1::-1])
    low, high = size_range
    sizes = np.rint((low + holes[:, 2:] * (high - low)) * crop_wh).astype(int).clip(1)
    corners = np.floor(holes[:, :2] * (crop_wh - sizes + 1)).astype(int)
    planes, black = _planes(pixels), torch.zeros(3, 1, 1)
    for (x, y), (width, height) in zip(corners.tolist(), sizes.tolist(), strict=True):
        planes = functional.erase(planes, y, x, height, width, black)
    return _pixels(planes)


def _mask_grid(
    pixels: Image, numbers: NDArray[np.floating], period_range: tuple[float, float], square: float
) -> Image:
    """Blacken squares that repeat in x and in y (GridMask, Chen et al., 2020; not rotated).

    Args:
        pixels: Left unchanged.
        numbers: Three in 0 to 1: the period in its range, and where the grid starts in x and y.
        period_range: Of the distance of the squares, as a share of the crop's shorter side.
        square: Side of a square as a share of the period.
    """
    height, width = pixels.shape[:2]
    low, high = period_range
    period = max(2, round((low + float(numbers[0]) * (high - low)) * min(height, width)))
    side = min(max(1, round(square * period)), period - 1)
    start_x, start_y = np.floor(numbers[1:] * period)
    columns = (np.arange(width) + start_x) % period < side
    rows = (np.arange(height) + start_y) % period < side
    masked: Image = pixels.copy()
    masked[rows[:, None] & columns] = 0
    return masked


def _planes(pixels: Image) -> Tensor:
    """The crop as torchvision takes it, ``(3, H, W)``, in the same memory."""
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _pixels(planes: Tensor) -> Image:
    """Inverse of `_planes`."""
    return _uint8(np.ascontiguousarray(planes.permute(1, 2, 0).numpy()))


def _uint8(pixels: Any) -> Image:
    """Says to the type checker what OpenCV and torch keep to: the type."""
    return np.asarray(pixels, dtype=np.uint8)
