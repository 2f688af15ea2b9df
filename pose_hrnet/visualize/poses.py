"""Poses and boxes on images.

Colours say the side: the person's left is warm, the right cool. Limbs that join the sides, boxes
and labels have a colour of the person, so that persons in a group can be told apart. All sizes
follow the person's: what would be thinner or closer than the eye can part is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pose_hrnet.keypoints.records import Float64, Image
from pose_hrnet.keypoints.skeleton import COCO17, Skeleton
from pose_hrnet.system.arguments import array_of, check_image, check_number
from pose_hrnet.system.defaults import LOWEST_SCORE
from pose_hrnet.system.text import counted, shown

Color: TypeAlias = tuple[int, int, int]

LEFT: Color = (255, 140, 0)
RIGHT: Color = (30, 144, 255)
PERSONS: tuple[Color, ...] = (
    (80, 220, 100), (240, 90, 200), (250, 225, 70),
    (70, 215, 215), (175, 125, 255), (255, 105, 95),
)  # fmt: skip
"""RGB of what joins a person's sides, in turn."""
WHITE: Color = (255, 255, 255)
BLACK: Color = (0, 0, 0)

_BITS = 4
"""Fractional bits of OpenCV's coordinates: small persons are not drawn on whole pixels."""
_FAR = 2**15
"""Pixels: a box or a limb may end far outside the image, where OpenCV's integers do."""
_EXTENT_PER_WIDTH = 110.0
"""A limb is as wide as a standing person is high, divided by this."""
_THINNEST, _THICKEST = 1.3, 10.0
_SHORTEST_LIMB = 4.0
"""Pixels; a shorter one is a blot."""
_LENGTH_PER_WIDTH = 5.0
"""No limb is wider than its length divided by this: those of a face leave the face to be seen."""
_SMALLEST_JOINT = 0.9
"""Pixels of radius."""


class _Style(NamedTuple):
    """How one person is drawn.

    Attributes:
        width: Of limbs, pixels.
        colors: Of the K keypoints.
        own: The person's own colour.
    """

    width: float
    colors: Sequence[Color]
    own: Color


def draw_poses(
    image: Image,
    keypoints_image: ArrayLike,
    keypoint_scores: ArrayLike,
    *,
    skeleton: Skeleton = COCO17,
    min_score: float = LOWEST_SCORE,
    thickness: float | None = None,
    boxes_xyxy: ArrayLike | None = None,
    labels: Sequence[str] | Sequence[int] | None = None,
) -> Image:
    """Draw skeletons: limbs coloured by side and faded by score, the largest persons first.

    Args:
        image: ``(H, W, 3)`` RGB; left unchanged.
        keypoints_image: ``(N, K, 2)`` image pixels.
        keypoint_scores: ``(N, K)``; a limb is as opaque as the lower score of its ends.
        skeleton: Limbs, and which keypoint is whose side.
        min_score: Keypoints below it are not drawn.
        thickness: Width of the limbs in pixels; by the size of each person if None.
        boxes_xyxy: ``(N, 4)`` image pixels, drawn in each person's colour.
        labels: N words, above the box or the highest keypoint; or N numbers, as of tracks, whose
            colours stay with them, and of which those below 0 are not written.

    Returns:
        A new ``(H, W, 3)`` image.

    Raises:
        ValueError: If an argument has another shape, or there are not N labels or boxes.
    """
    check_image(image)
    canvas: Image = np.array(image, order="C")
    count, named = skeleton.num_keypoints, f"of skeleton {skeleton.name}"
    points = array_of(f"keypoints_image {named}", keypoints_image, (None, count, 2))
    scores = array_of(f"keypoint_scores {named}", keypoint_scores, (len(points), count))
    boxes = None if boxes_xyxy is None else array_of("boxes_xyxy", boxes_xyxy, (len(points), 4))
    if labels is not None and (isinstance(labels, str) or len(labels) != len(points)):
        raise ValueError(
            f"labels is {shown(labels)}; expected a list with one for each of "
            f"{counted(len(points), 'person')}"
        )
    check_number("min_score", min_score)
    if thickness is not None:
        check_number("thickness", thickness, 0)
    extents = np.array([_extent(p[s >= min_score]) for p, s in zip(points, scores, strict=True)])
    for person in np.argsort(-extents, kind="stable"):
        label = None if labels is None else labels[person]
        own = PERSONS[(label if isinstance(label, int) else person) % len(PERSONS)]
        width = thickness or float(
            np.clip(extents[person] / _EXTENT_PER_WIDTH, _THINNEST, _THICKEST)
        )
        if boxes is not None:
            _outline(canvas, boxes[person], own, width)
        style = _Style(width, side_colors(skeleton, own), own)
        seen = scores[person] >= min_score
        _draw_limbs(canvas, points[person], scores[person], seen, skeleton, style)
        _draw_joints(canvas, points[person], scores[person], seen, style)
        if isinstance(label, str) or (label is not None and label >= 0):
            corner = points[person][seen].min(axis=0) if seen.any() else None
            if boxes is not None:
                corner = boxes[person, :2]
            if corner is not None:
                _label(canvas, str(label), corner, own)
    return canvas


def draw_boxes(image: Image, boxes_xyxy: ArrayLike) -> Image:
    """Outline ``(N, 4)`` boxes in white on a copy of an image.

    Raises:
        ValueError: If an argument has another shape.
    """
    check_image(image)
    canvas: Image = np.array(image, order="C")
    for box in array_of("boxes_xyxy", boxes_xyxy, (None, 4)):
        _outline(canvas, box, WHITE, 1)
    return canvas


def side_colors(skeleton: Skeleton, own: Color) -> list[Color]:
    """Of the K keypoints: those of the sides, and the person's own between."""
    colors = [own] * skeleton.num_keypoints
    for left, right in skeleton.flip_pairs:
        colors[left], colors[right] = LEFT, RIGHT
    return colors


def _extent(points: Float64) -> float:
    """The longer side of what the points span, pixels."""
    return float(np.ptp(points, axis=0).max()) if len(points) > 1 else 0.0


def _opacity(scores: Float64) -> Float64:
    opaque: Float64 = np.clip(0.25 + 0.75 * scores, 0, 1)
    return opaque


def _draw_limbs(
    canvas: Image,
    points: Float64,
    scores: Float64,
    seen: NDArray[np.bool_],
    skeleton: Skeleton,
    style: _Style,
) -> None:
    """All limbs of a person: first their dark rims, which part them from what is behind."""
    links = np.array(skeleton.links, np.intp).reshape(-1, 2)
    links = links[seen[links].all(axis=1)]
    lengths = np.linalg.norm(points[links[:, 0]] - points[links[:, 1]], axis=1)
    links, lengths = links[lengths >= _SHORTEST_LIMB], lengths[lengths >= _SHORTEST_LIMB]
    sides = [(style.colors[a], style.colors[b]) for a, b in links.tolist()]
    colors = [one if one == other else style.own for one, other in sides]
    widths = np.minimum(style.width, np.maximum(lengths / _LENGTH_PER_WIDTH, _THINNEST))
    opacities = _opacity(scores[links].min(axis=1, initial=np.inf))
    rims = _bars(points[links], widths + np.maximum(1.0, 0.5 * widths))
    _fill(canvas, rims, [BLACK] * len(links), 0.45 * opacities)
    _fill(canvas, _bars(points[links], widths), colors, opacities)


def _draw_joints(
    canvas: Image, points: Float64, scores: Float64, seen: NDArray[np.bool_], style: _Style
) -> None:
    """Dots with a white rim, smaller where others are near, and none where they would touch."""
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    distances[:, ~seen] = np.inf
    np.fill_diagonal(distances, np.inf)
    radii = np.minimum(0.7 * style.width + 0.8, 0.3 * distances.min(axis=1))
    shown = np.flatnonzero(seen & (radii >= _SMALLEST_JOINT))
    radii = radii[shown]
    both = np.stack([radii + 0.35 * np.minimum(radii, style.width), radii], axis=1).ravel()
    dots = points[shown].repeat(2, axis=0)[:, None] + both[:, None, None] * _CIRCLE
    colors = [color for k in shown.tolist() for color in (WHITE, style.colors[k])]
    _fill(canvas, dots, colors, _opacity(scores[shown]).repeat(2))


def _circle(start: float, turn: float, count: int) -> Float64:
    angles = start + np.arange(count) * turn
    points: Float64 = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return points


_CIRCLE = _circle(0.0, 2 * np.pi / 24, 24)
_CAP = _circle(-np.pi / 2, np.pi / 6, 7)
"""Half a circle around (1, 0)."""


def _bars(ends: Float64, widths: Float64) -> Float64:
    """``(N, 14, 2)`` outlines of bars with round ends, from ``(N, 2, 2)`` ends and widths."""
    along = ends[:, 1] - ends[:, 0]
    along = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    cap = _CAP[:, :1] * along[:, None] + _CAP[:, 1:] * across[:, None]
    cap = cap * widths[:, None, None] / 2
    return np.concatenate([ends[:, 1:] + cap, ends[:, :1] - cap], axis=1)


def _fill(canvas: Image, outlines: Float64, colors: Sequence[Color], opacities: Float64) -> None:
    """Blend convex shapes into the canvas, one after the other.

    Args:
        canvas: ``(H, W, 3)``, drawn on.
        outlines: ``(N, P, 2)`` pixels around them.
        colors: Of the N shapes.
        opacities: ``(N,)``.
    """
    outlines = outlines.clip(-_FAR, _FAR)
    low = np.maximum(np.floor(outlines.min(axis=1)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(outlines.max(axis=1)).astype(int) + 2, canvas.shape[1::-1])
    fixed = np.round((outlines - low[:, None]) * (1 << _BITS)).astype(np.int32)
    corners = np.concatenate([low, high], axis=1).tolist()
    each = zip(corners, fixed, colors, opacities.tolist(), strict=True)
    for (left, top, right, bottom), outline, color, opacity in each:
        if left < right and top < bottom:
            patch = canvas[top:bottom, left:right]
            drawn = patch.copy()
            cv2.fillConvexPoly(drawn, outline, color, cv2.LINE_AA, _BITS)
            patch[:] = cv2.addWeighted(drawn, opacity, patch, 1 - opacity, 0)


def _outline(canvas: Image, box_xyxy: Float64, color: Color, width: float) -> None:
    left, top, right, bottom = np.clip(np.round(box_xyxy), -_FAR, _FAR).astype(int).tolist()
    cv2.rectangle(canvas, (left, top), (right, bottom), color, max(1, round(0.4 * width)))


def _label(canvas: Image, text: str, corner: Float64, color: Color) -> None:
    """Black on the person's colour, inside the image."""
    scale = float(np.clip(max(canvas.shape[:2]) / 1500, 0.4, 1.2))
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    room = np.array([canvas.shape[1] - width - 4, canvas.shape[0] - below - 2])
    x, y = (
        np.clip(corner.round(), [0, height + 4], np.maximum(room, [0, height + 4]))
        .astype(int)
        .tolist()
    )
    cv2.rectangle(canvas, (x, y - height - 4), (x + width + 4, y + below), color, cv2.FILLED)
    cv2.putText(
        canvas, text, (x + 2, y - 1), cv2.FONT_HERSHEY_SIMPLEX, scale, BLACK, 1, cv2.LINE_AA
    )


__all__ = ["LEFT", "PERSONS", "RIGHT", "draw_boxes", "draw_poses", "side_colors"]
