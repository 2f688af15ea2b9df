"""The pixel convention, and the one coordinate change of the package: image <-> network input.

The integer coordinate is the centre of a pixel; the centre of the top-left pixel is (0, 0).
A horizontal flip of an image of width W therefore maps x to W - 1 - x.

Two alignments of a box with the network input exist, and a codec's name picks one for crop,
encode, decode and flip together:

*official* (HRNet, CVPR 2019): the width w of the padded box maps to the input width W, so that the
    scale is W / w in both directions and the box centre lands on (W / 2, H / 2).
*udp* (Huang et al., CVPR 2020): distances between pixel centres map to each other, w to W - 1
    and h to H - 1, so that the box centre lands on the input's, ((W - 1) / 2, (H - 1) / 2).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pose_hrnet.system.choices import Alignment

Array: TypeAlias = NDArray[np.float64]

BOX_PADDING = 1.25
"""Official factor by which the person box grows on each side's axis before it is cropped."""


def fit_aspect(sizes_wh: ArrayLike, input_wh: tuple[float, float]) -> Array:
    """Grow the shorter side of each size until it has the aspect ratio of the input.

    Args:
        sizes_wh: ``(..., 2)`` widths and heights.
        input_wh: Width and height whose ratio is wanted.

    Returns:
        ``(..., 2)`` sizes that contain the given ones.
    """
    sizes = np.asarray(sizes_wh, dtype=np.float64)
    aspect = input_wh[0] / input_wh[1]
    width = np.maximum(sizes[..., 0], sizes[..., 1] * aspect)
    return np.stack([width, width / aspect], axis=-1)


def crop_regions(
    boxes_xywh: ArrayLike, input_wh: tuple[int, int], *, padding: float = BOX_PADDING
) -> tuple[Array, Array]:
    """Centre and size of the image region that is cropped for each box.

    Args:
        boxes_xywh: ``(N, 4)`` image pixels.
        input_wh: Network input size.
        padding: Factor on the size once its aspect ratio fits.

    Returns:
        ``centers_image`` ``(N, 2)`` and ``sizes_wh`` ``(N, 2)``, image pixels.
    """
    boxes = np.asarray(boxes_xywh, dtype=np.float64)
    return boxes[:, :2] + boxes[:, 2:] / 2, fit_aspect(boxes[:, 2:], input_wh) * padding


def crop_affines(
    centers_image: ArrayLike,
    sizes_wh: ArrayLike,
    input_wh: tuple[int, int],
    *,
    rotations_deg: ArrayLike = 0.0,
    alignment: Alignment = "official",
) -> Array:
    """Affine maps from image pixels to input pixels.

    A region turned by ``rotation`` is cropped upright: the image direction (sin r, -cos r) becomes
    "up" in the crop, as in the official code.

    Args:
        centers_image: ``(N, 2)`` region centres.
        sizes_wh: ``(N, 2)`` region sizes in image pixels.
        input_wh: Network input size (W, H).
        rotations_deg: ``(N,)`` or one angle for all.
        alignment: See the module docstring.

    Returns:
        ``(N, 2, 3)`` float64 ``image_to_input``: ``p_input = A[:, :2] @ p_image + A[:, 2]``.
    """
    centers = np.asarray(centers_image, dtype=np.float64)
    sizes = np.asarray(sizes_wh, dtype=np.float64)
    target = np.asarray(input_wh, dtype=np.float64)
    if alignment == "udp":
        scales, target_center = (target - 1) / sizes, (target - 1) / 2
    else:
        scales, target_center = np.repeat(target[:1] / sizes[:, :1], 2, axis=1), target / 2
    angles = np.deg2rad(np.broadcast_to(np.asarray(rotations_deg, np.float64), len(centers)))
    cos, sin = np.cos(angles), np.sin(angles)
    rotation = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], axis=1)
    linear = scales[:, :, None] * rotation
    offset = target_center - np.einsum("nij,nj->ni", linear, centers)
    return np.concatenate([linear, offset[:, :, None]], axis=2)


def mirror_affines(affines: ArrayLike, image_widths: ArrayLike) -> Array:
    """Compose each ``image_to_input`` with a horizontal flip of the image before it.

    Args:
        affines: ``(N, 2, 3)`` maps that expect coordinates of the flipped image.
        image_widths: ``(N,)`` or one width in pixels.

    Returns:
        ``(N, 2, 3)`` maps from the image as it is: x is replaced by ``width - 1 - x``.
    """
    mirrored = np.array(affines, dtype=np.float64)
    last = np.asarray(image_widths, dtype=np.float64) - 1
    mirrored[:, :, 2] += mirrored[:, :, 0] * last.reshape(-1, 1)
    mirrored[:, :, 0] *= -1
    return mirrored


def compose(second: ArrayLike, first: ArrayLike) -> Array:
    """The ``(2, 3)`` map that applies `first`, then `second`."""
    after, before = np.asarray(second, np.float64), np.asarray(first, np.float64)
    mapped: Array = after[:, :2] @ before
    mapped[:, 2] += after[:, 2]
    return mapped


def invert(affine: ArrayLike) -> Array:
    """The inverse of a ``(2, 3)`` map."""
    matrix = np.asarray(affine, np.float64)
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def image_to_input(points_image: ArrayLike, affines: ArrayLike) -> Array:
    """Map points from image pixels to input pixels.

    Args:
        points_image: ``(N, K, 2)``.
        affines: ``(N, 2, 3)`` from `crop_affines`.

    Returns:
        ``(N, K, 2)`` input pixels.
    """
    points, matrices = np.asarray(points_image, np.float64), np.asarray(affines, np.float64)
    mapped: Array = points @ matrices[:, :, :2].swapaxes(1, 2) + matrices[:, None, :, 2]
    return mapped


def input_to_image(points_input: ArrayLike, affines: ArrayLike) -> Array:
    """Map points from input pixels back to image pixels; the inverse of `image_to_input`.

    Args:
        points_input: ``(N, K, 2)``.
        affines: ``(N, 2, 3)``, the same ``image_to_input`` maps that made the crops.

    Returns:
        ``(N, K, 2)`` image pixels.
    """
    points, matrices = np.asarray(points_input, np.float64), np.asarray(affines, np.float64)
    inverse = np.linalg.inv(matrices[:, :, :2])
    mapped: Array = (points - matrices[:, None, :, 2]) @ inverse.swapaxes(1, 2)
    return mapped


def flip_points(points: ArrayLike, widths: ArrayLike) -> Array:
    """Mirror x of ``(..., 2)`` points in images of these widths ``(...)``, or of one width."""
    points = np.asarray(points, dtype=np.float64)
    return np.stack([np.asarray(widths) - 1 - points[..., 0], points[..., 1]], axis=-1)


def xywh_to_xyxy(boxes_xywh: ArrayLike) -> Array:
    """``(..., 4)`` left, top, width, height -> left, top, right, bottom."""
    boxes = np.asarray(boxes_xywh, dtype=np.float64)
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def xyxy_to_xywh(boxes_xyxy: ArrayLike) -> Array:
    """``(..., 4)`` left, top, right, bottom -> left, top, width, height."""
    boxes = np.asarray(boxes_xyxy, dtype=np.float64)
    return np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)
