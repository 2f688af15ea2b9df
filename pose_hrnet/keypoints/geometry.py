"""The pixel rule, and the maps between image, reduced picture and network input.

The integer coordinate is the centre of a pixel; the centre of the top-left pixel is (0, 0).
A horizontal flip of an image of width W therefore maps x to W - 1 - x.
A picture resized by s has its pixel centres at (p + 0.5) s - 0.5 (`resampled`).

Two alignments of a box with the network input exist, and a codec's name picks one for crop,
encode, decode and flip together:

*official* (HRNet, CVPR 2019): the width w of the padded box maps to the input width W, so that the
    scale is W / w in both directions and the box centre lands on (W / 2, H / 2).
*udp* (Huang et al., CVPR 2020): distances between pixel centres map to each other, w to W - 1
    and h to H - 1, so that the box centre lands on the input's, ((W - 1) / 2, (H - 1) / 2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pose_hrnet.keypoints.records import Float64
from pose_hrnet.system.choices import Alignment

BOX_PADDING = 1.25
"""Official factor by which the person box grows on each side's axis before it is cropped."""


def fit_aspect(sizes_wh: ArrayLike, input_wh: tuple[float, float]) -> Float64:
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


@dataclass(frozen=True, eq=False)
class CropFrames:
    """N crops: the regions of the image that they show, and how its points lie in them.

    It takes input size and alignment, not a codec: a picture to look at is cropped without one.

    Attributes:
        centers_image: ``(N, 2)`` centres of the regions.
        sizes_wh: ``(N, 2)`` sizes of the regions in image pixels.
        affines: ``(N, 2, 3)`` float64 `image_to_input`:
            ``p_input = A[:, :2] @ p_image + A[:, 2]``.
    """

    centers_image: Float64
    sizes_wh: Float64
    affines: Float64

    def __len__(self) -> int:
        return len(self.affines)

    def __getitem__(self, rows: ArrayLike | slice) -> CropFrames:
        index = rows if isinstance(rows, slice) else np.asarray(rows)
        return CropFrames(self.centers_image[index], self.sizes_wh[index], self.affines[index])

    @classmethod
    def of_boxes(
        cls,
        boxes_xywh: ArrayLike,
        input_wh: tuple[int, int],
        alignment: Alignment,
        *,
        padding: float = BOX_PADDING,
    ) -> CropFrames:
        """Upright crops of boxes that are grown to the input's aspect ratio, then padded.

        Args:
            boxes_xywh: ``(N, 4)`` image pixels.
            input_wh: Network input size.
            alignment: How the region meets the input, see the module docstring; the codec's.
            padding: Factor on the size once its aspect ratio fits.
        """
        boxes = np.asarray(boxes_xywh, dtype=np.float64)
        centers, sizes = boxes[:, :2] + boxes[:, 2:] / 2, fit_aspect(boxes[:, 2:], input_wh)
        return cls.of_regions(centers, sizes * padding, input_wh, alignment)

    @classmethod
    def of_regions(
        cls,
        centers_image: ArrayLike,
        sizes_wh: ArrayLike,
        input_wh: tuple[int, int],
        alignment: Alignment,
        *,
        rotations_deg: ArrayLike = 0.0,
        mirrored: ArrayLike = False,
    ) -> CropFrames:
        """Crops of regions in the input's aspect ratio, turned and mirrored.

        A region turned by ``rotation`` is cropped upright: the image direction (sin r, -cos r)
        becomes "up" in the crop, as in the official code. A mirrored one is mirrored about its
        centre, then turned: what the same region of the mirrored image would show.

        Args:
            centers_image: ``(N, 2)`` image pixels.
            sizes_wh: ``(N, 2)`` image pixels.
            input_wh: Network input size.
            alignment: As in `of_boxes`.
            rotations_deg: ``(N,)`` or one angle for all.
            mirrored: ``(N,)`` or one answer for all.
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
        linear[np.broadcast_to(np.asarray(mirrored), len(centers)), :, 0] *= -1
        offset = target_center - np.einsum("nij,nj->ni", linear, centers)
        return cls(centers, sizes, np.concatenate([linear, offset[:, :, None]], axis=2))

    @property
    def areas(self) -> Float64:
        """``(N,)`` areas of the regions in square image pixels."""
        areas: Float64 = self.sizes_wh.prod(axis=1)
        return areas

    def to_input(self, points_image: ArrayLike) -> Float64:
        """``(N, K, 2)`` points in image pixels -> the same in input pixels."""
        return image_to_input(points_image, self.affines)

    def to_image(self, points_input: ArrayLike) -> Float64:
        """``(N, K, 2)`` points in input pixels -> the same in image pixels."""
        return input_to_image(points_input, self.affines)


def resampled(scale_xy: ArrayLike, offset_xy: ArrayLike = 0.0) -> Float64:
    """The map into a picture that is cut off at a corner and resized, as OpenCV resizes.

    A pixel of the resized picture covers 1 / scale pixels of the other, so that centres of pixels
    map as ``(p - offset + 0.5) * scale - 0.5``.

    Args:
        scale_xy: ``(2,)`` pixels of the new picture per pixel of the old, or one for both axes.
        offset_xy: ``(2,)`` pixels that are cut off left and above, or one for both axes.

    Returns:
        ``(2, 3)`` float64.
    """
    scale = np.broadcast_to(np.asarray(scale_xy, np.float64), 2)
    return np.column_stack([np.diag(scale), (0.5 - np.asarray(offset_xy)) * scale - 0.5])


def compose(second: ArrayLike, first: ArrayLike) -> Float64:
    """The ``(2, 3)`` map that applies `first`, then `second`."""
    after, before = np.asarray(second, np.float64), np.asarray(first, np.float64)
    mapped: Float64 = after[:, :2] @ before
    mapped[:, 2] += after[:, 2]
    return mapped


def invert(affine: ArrayLike) -> Float64:
    """The inverse of a ``(2, 3)`` map, ``(2, 3)``."""
    matrix = np.asarray(affine, np.float64)
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def image_to_input(points_image: ArrayLike, affines: ArrayLike) -> Float64:
    """Map points from image pixels to input pixels.

    Args:
        points_image: ``(N, K, 2)``.
        affines: ``(N, 2, 3)`` of `CropFrames`.

    Returns:
        ``(N, K, 2)`` input pixels.
    """
    points, matrices = np.asarray(points_image, np.float64), np.asarray(affines, np.float64)
    mapped: Float64 = points @ matrices[:, :, :2].swapaxes(1, 2) + matrices[:, None, :, 2]
    return mapped


def input_to_image(points_input: ArrayLike, affines: ArrayLike) -> Float64:
    """Map points from input pixels back to image pixels; the inverse of `image_to_input`.

    Args:
        points_input: ``(N, K, 2)``.
        affines: ``(N, 2, 3)``, the same ``image_to_input`` maps that made the crops.

    Returns:
        ``(N, K, 2)`` image pixels.
    """
    points, matrices = np.asarray(points_input, np.float64), np.asarray(affines, np.float64)
    inverse = np.linalg.inv(matrices[:, :, :2])
    mapped: Float64 = (points - matrices[:, None, :, 2]) @ inverse.swapaxes(1, 2)
    return mapped


def xywh_to_xyxy(boxes_xywh: ArrayLike) -> Float64:
    """``(..., 4)`` left, top, width, height -> left, top, right, bottom."""
    boxes = np.asarray(boxes_xywh, dtype=np.float64)
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def xyxy_to_xywh(boxes_xyxy: ArrayLike) -> Float64:
    """``(..., 4)`` left, top, right, bottom -> left, top, width, height."""
    boxes = np.asarray(boxes_xyxy, dtype=np.float64)
    return np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)


def iou_matrix(boxes_a: ArrayLike, boxes_b: ArrayLike) -> Float64:
    """Intersection over union of every box of `a` with every box of `b`.

    Args:
        boxes_a: ``(N, 4)`` left, top, right, bottom.
        boxes_b: ``(M, 4)``, likewise.

    Returns:
        ``(N, M)`` from 0 to 1; 0 where neither has an area.
    """
    a = np.asarray(boxes_a, np.float64)[:, None]
    b = np.asarray(boxes_b, np.float64)[None]
    overlap = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    both = overlap.clip(0).prod(axis=-1)
    areas = [(each[..., 2:] - each[..., :2]).prod(axis=-1) for each in (a, b)]
    union: Float64 = areas[0] + areas[1] - both
    shares: Float64 = np.divide(both, union, out=np.zeros_like(union), where=union > 0)
    return shares
