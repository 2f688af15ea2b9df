"""A person cut out of an image, with what is annotated, what was predicted, and the errors."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pose_hrnet.keypoints.records import Float64, Image
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.system.arguments import array_of, check_image
from pose_hrnet.system.text import shown

Color = tuple[int, int, int]

TRUTH: Color = (74, 222, 128)
"""RGB of what is annotated."""
FOUND: Color = (255, 255, 255)
"""RGB of what was predicted."""
ERRORS: Mapping[str, Color] = {
    "jitter": (230, 159, 0), "inversion": (197, 90, 148), "swap": (47, 127, 193),
    "miss": (208, 69, 27),
}  # fmt: skip
"""RGB of the ring around a keypoint, by its kind of error."""
TILE_WH = (256, 320)
_PADDING = 1.25
_MOST = 3.0
"""A keypoint farther out than so many times the person's extent does not widen the cut."""
_BITS = 4


def draw_person(
    image: Image,
    skeleton: Skeleton,
    *,
    truth: ArrayLike | None,
    found: ArrayLike | None,
    box_xywh: ArrayLike | None = None,
    kinds: list[str | None] | None = None,
    widen: bool = True,
) -> Image:
    """Cut a person out and draw both skeletons, with rings and lines at errors.

    Args:
        image: ``(H, W, 3)`` RGB.
        skeleton: Limbs.
        truth: ``(K, 3)`` x, y (image pixels), visibility; None: nobody is annotated here.
        found: ``(K, 2)`` image pixels; None: nobody was found.
        box_xywh: ``(4,)`` image pixels, of the annotated person.
        kinds: K names of `ERRORS`, or None where there is no error.
        widen: Show what was predicted outside of the annotated person, too, if it is near.

    Returns:
        ``(320, 256, 3)`` RGB; grey beyond the image.

    Raises:
        ValueError: If an argument has another shape, a kind of error is unknown, or there is
            nobody to draw.
    """
    check_image(image)
    count = skeleton.num_keypoints
    places = None if truth is None else array_of("truth", truth, (count, 3))
    points = None if found is None else array_of("found", found, (count, 2))
    seen = None if places is None else places[:, 2] > 0
    box = None if box_xywh is None else array_of("box_xywh", box_xywh, (4,))
    if places is None and points is None and box is None:
        raise ValueError("there is nobody to draw; give truth, found or box_xywh")
    if unknown := {*(kinds or ())} - {*ERRORS, None}:
        raise ValueError(f"kinds has {shown(unknown.pop())}; use {', '.join(ERRORS)} or None")
    affine = _cut(_region(places, box, points if widen or places is None else None))
    canvas = np.asarray(
        cv2.warpAffine(
            image,
            affine,
            TILE_WH,
            flags=cv2.INTER_AREA if affine[0, 0] < 1 else cv2.INTER_LINEAR,
            borderValue=(128, 128, 128),
        ),
        np.uint8,
    )
    if places is not None and seen is not None:
        places = _moved(places[:, :2], affine)
        _skeleton(canvas, places, seen, skeleton, TRUTH)
    if points is not None:
        points = _moved(points, affine)
        _skeleton(canvas, points, np.ones(len(points), np.bool_), skeleton, FOUND)
    if points is not None and places is not None:
        for k, kind in enumerate(kinds or ()):
            if kind is not None:
                _line(canvas, points[k], places[k], ERRORS[kind], 1)
                cv2.circle(canvas, _fixed(points[k]), 5 << _BITS, (0, 0, 0), 3, cv2.LINE_AA, _BITS)
                cv2.circle(
                    canvas, _fixed(points[k]), 5 << _BITS, ERRORS[kind], 2, cv2.LINE_AA, _BITS
                )
    return canvas


def _region(truth: Float64 | None, box: Float64 | None, found: Float64 | None) -> Float64:
    """``(P, 2)`` what a cut shows: the annotated person, and predicted keypoints that are near."""
    labelled = np.empty((0, 2)) if truth is None else truth[truth[:, 2] > 0, :2]
    if box is not None:
        labelled = np.vstack([labelled, box[:2], box[:2] + box[2:]])
    if found is None:
        return labelled
    if not len(labelled):
        return found
    low, high = labelled.min(axis=0), labelled.max(axis=0)
    reach = (_MOST - 1) / 2 * max(float((high - low).max()), 10.0)
    return np.concatenate([labelled, found.clip(low - reach, high + reach)])


def _cut(region: Float64) -> Float64:
    """``(2, 3)`` map of image pixels to those of the tile, without distortion."""
    low, high = region.min(axis=0), region.max(axis=0)
    size = np.maximum(high - low, 8.0) * _PADDING
    scale = float((np.array(TILE_WH) / size).min())
    offset = np.array(TILE_WH) / 2 - scale * (low + high) / 2
    return np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])


def _moved(points: Float64, affine: Float64) -> Float64:
    return np.asarray(points @ affine[:, :2].T + affine[:, 2])


def _skeleton(
    canvas: Image, points: Float64, seen: NDArray[np.bool_], skeleton: Skeleton, color: Color
) -> None:
    limbs = [(a, b) for a, b in skeleton.links if seen[a] and seen[b]]
    for a, b in limbs:
        _line(canvas, points[a], points[b], (0, 0, 0), 4)
    for a, b in limbs:
        _line(canvas, points[a], points[b], color, 2)
    for k in np.flatnonzero(seen).tolist():
        cv2.circle(canvas, _fixed(points[k]), 3 << _BITS, (0, 0, 0), -1, cv2.LINE_AA, _BITS)
        cv2.circle(canvas, _fixed(points[k]), 2 << _BITS, color, -1, cv2.LINE_AA, _BITS)


def _line(canvas: Image, a: Float64, b: Float64, color: Color, width: int) -> None:
    cv2.line(canvas, _fixed(a), _fixed(b), color, width, cv2.LINE_AA, _BITS)


def _fixed(point: Float64) -> tuple[int, int]:
    """Pixels as OpenCV's fixed point; a keypoint may lie far outside, where its integers end."""
    x, y = np.clip(point * (1 << _BITS), -(1 << 18), 1 << 18).round().astype(int).tolist()
    return x, y
