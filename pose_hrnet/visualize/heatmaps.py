"""Heatmaps on the crop that they are of: all keypoints in one picture, or one picture of each."""

from __future__ import annotations

import math
from typing import cast

import cv2
import numpy as np
from numpy.typing import ArrayLike

from pose_hrnet.keypoints.records import Float32, Image
from pose_hrnet.keypoints.skeleton import COCO17, Skeleton
from pose_hrnet.system.arguments import array_of, check_image
from pose_hrnet.visualize.poses import PERSONS, WHITE, draw_poses, side_colors

_TILE_HEIGHT = 256
_GAP = 6
_CAPTION = 22
_PAPER = 24
"""Grey of what is between the tiles."""


def draw_heatmaps(
    image: Image,
    heatmaps: ArrayLike,
    cell_pitch_xy: tuple[float, float],
    *,
    skeleton: Skeleton = COCO17,
) -> Image:
    """Lay heatmaps over a darkened image, each keypoint in the colour of its side.

    Args:
        image: ``(H, W, 3)`` RGB; left unchanged.
        heatmaps: ``(K, h, w)``; where they overlap, the highest shows.
        cell_pitch_xy: Image pixels between neighbouring cells; cell (0, 0) stands at pixel (0, 0).
        skeleton: Which keypoint is whose side.

    Returns:
        A new ``(H, W, 3)`` image.

    Raises:
        ValueError: If an argument has another shape.
    """
    check_image(image)
    maps = _maps(heatmaps, skeleton)
    strength = maps.max(axis=0)[..., None]
    colors = np.array(side_colors(skeleton, PERSONS[0]), np.float32)[maps.argmax(axis=0)]
    affine = np.array([[cell_pitch_xy[0], 0, 0], [0, cell_pitch_xy[1], 0]], np.float64)
    # Colours times strength, so that what is between two cells does not mix in colours of others.
    light = cv2.warpAffine(
        np.concatenate([colors * strength, strength], axis=-1), affine, image.shape[1::-1]
    )
    drawn = 0.6 * image * (1 - light[..., 3:]) + light[..., :3]
    return np.asarray(np.rint(drawn), dtype=np.uint8)


def heatmap_sheet(
    crop: Image,
    heatmaps: ArrayLike,
    cell_pitch_xy: tuple[float, float],
    keypoints_input: ArrayLike,
    keypoint_scores: ArrayLike,
    *,
    skeleton: Skeleton = COCO17,
) -> Image:
    """The heatmap of every keypoint over the crop, and first the pose, as one picture.

    Glow is the value itself, from dark at 0 to bright at 1; a ring marks the decoded keypoint, and
    under it stand its name and score.

    Args:
        crop: ``(H, W, 3)`` RGB.
        heatmaps: ``(K, h, w)``.
        cell_pitch_xy: Crop pixels between neighbouring cells; cell (0, 0) stands at pixel (0, 0).
        keypoints_input: ``(K, 2)`` pixels of the crop.
        keypoint_scores: ``(K,)``.
        skeleton: Names the keypoints.

    Returns:
        An RGB image, rows of tiles.

    Raises:
        ValueError: If an argument has another shape.
    """
    check_image(crop)
    count = skeleton.num_keypoints
    factor = _TILE_HEIGHT / len(crop)
    points = (array_of("keypoints_input", keypoints_input, (count, 2)) + 0.5) * factor - 0.5
    scores = array_of("keypoint_scores", keypoint_scores, (count,))
    picture = _resized(crop, factor)
    pose = draw_poses(picture, points[None], scores[None], skeleton=skeleton)
    tiles = [_captioned(pose, "pose", f"{scores.mean():.2f}")]
    grey: Image = np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    maps = _maps(heatmaps, skeleton)
    for name, heat, point, score in zip(
        skeleton.keypoint_names, maps, points, scores, strict=True
    ):
        tile = _glowing(grey, heat, (cell_pitch_xy[0] * factor, cell_pitch_xy[1] * factor), factor)
        cv2.circle(tile, _fixed(point), 7 << _BITS, WHITE, 1, cv2.LINE_AA, _BITS)
        tiles.append(_captioned(tile, name, f"{score:.2f}"))
    return _sheet(tiles)


def _maps(heatmaps: ArrayLike, skeleton: Skeleton) -> Float32:
    """``(K, h, w)`` of the keypoints of a skeleton, 0 to 1."""
    name, shape = f"heatmaps of skeleton {skeleton.name}", (skeleton.num_keypoints, None, None)
    return np.clip(array_of(name, heatmaps, shape), 0, 1).astype(np.float32)


_BITS = 4
"""Fractional bits of OpenCV's coordinates."""


def _fixed(point: ArrayLike) -> tuple[int, int]:
    x, y = np.round(np.asarray(point) * (1 << _BITS)).astype(int).tolist()
    return x, y


def _resized(image: Image, factor: float) -> Image:
    size = (max(1, round(image.shape[1] * factor)), _TILE_HEIGHT)
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=way), np.uint8)


def _glowing(grey: Image, heat: Float32, pitch: tuple[float, float], factor: float) -> Image:
    """A heatmap as light over a darkened picture, in the colours of embers."""
    start = (factor - 1) / 2  # where the centre of the crop's first pixel stands
    affine = np.array([[pitch[0], 0, start], [0, pitch[1], start]], np.float64)
    light = cv2.warpAffine(heat, affine, grey.shape[1::-1], flags=cv2.INTER_CUBIC)
    light = np.clip(light, 0, 1)[..., None]
    colour = cv2.applyColorMap(np.rint(255 * light).astype(np.uint8), cv2.COLORMAP_INFERNO)
    share = np.sqrt(light)  # faint heat is to be seen
    drawn = 0.45 * grey * (1 - share) + colour[..., ::-1] * share
    return np.asarray(np.rint(drawn), np.uint8)


def _captioned(tile: Image, name: str, number: str) -> Image:
    """The tile over its name, left, and a number, right."""
    bar = np.full((_CAPTION, tile.shape[1], 3), _PAPER, np.uint8)
    font, light = cv2.FONT_HERSHEY_SIMPLEX, (225, 225, 225)
    (wide, _), _ = cv2.getTextSize(number, font, 0.42, 1)
    room, words = tile.shape[1] - wide - 10, name.replace("_", " ")
    (length, _), _ = cv2.getTextSize(words, font, 0.42, 1)
    scale = 0.42 * min(1.0, room / max(length, 1))
    cv2.putText(bar, words, (2, 15), font, scale, light, 1, cv2.LINE_AA)
    cv2.putText(bar, number, (tile.shape[1] - wide - 2, 15), font, 0.42, light, 1, cv2.LINE_AA)
    return np.concatenate([tile, bar])


def _sheet(tiles: list[Image]) -> Image:
    """Rows of tiles of one size; the picture is about one and a half times as wide as high."""
    height, width = tiles[0].shape[:2]
    rows = math.ceil(len(tiles) / math.ceil(math.sqrt(1.5 * len(tiles) * height / width)))
    columns = math.ceil(len(tiles) / rows)
    size = (rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3)
    sheet = np.full(size, _PAPER, np.uint8)
    for number, tile in enumerate(tiles):
        top = _GAP + (number // columns) * (height + _GAP)
        left = _GAP + (number % columns) * (width + _GAP)
        sheet[top : top + height, left : left + width] = tile
    return cast(Image, sheet)


__all__ = ["draw_heatmaps", "heatmap_sheet"]
