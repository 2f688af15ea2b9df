"""What is probably wrong with boxes and keypoints, seen over all of them: wrong units or format.

Each row by itself may be right, so nothing is left out; every command warns by these rules.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose_hrnet.keypoints.records import Float32, Float64, People

log = logging.getLogger(__name__)

BEYOND = 0.2
"""How far a box may end beyond its image, in its own sides; cut off persons do by a little."""
BEYOND_PIXELS = 2.0
"""The same in pixels, for small boxes."""


@dataclass(frozen=True, eq=False)
class Suspicion:
    """What looks wrong.

    Attributes:
        kind: What was found, short.
        rows: ``(N,)`` bool: where.
        meaning: What is probably the cause, and what to do.
    """

    kind: str
    rows: NDArray[np.bool_]
    meaning: str


def suspect_boxes(boxes_xywh: Float32 | Float64, sizes_wh: NDArray[np.integer]) -> list[Suspicion]:
    """Boxes in other units or of another format than x, y, width, height in pixels.

    Args:
        boxes_xywh: ``(N, 4)``, as they are stated.
        sizes_wh: ``(N, 2)`` of their images; 0: not known.
    """
    boxes, sizes = np.asarray(boxes_xywh, np.float64), np.asarray(sizes_wh, np.float64)
    every = np.ones(len(boxes), np.bool_)
    if not len(boxes):
        return []
    if _in_parts(boxes):
        meaning = "all box coordinates lie about 0 to 1: they look normalised; write pixels"
        return [Suspicion("box in parts of the image, not pixels", every, meaning)]
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    allowed = np.maximum(BEYOND * boxes[:, 2:], BEYOND_PIXELS)
    over = (sizes > 0) & (high > sizes + allowed)
    beyond = np.asarray((over | (low < -allowed)).any(axis=1))
    corners = boxes[:, 2:]
    fits = (low >= 0) & (corners > low) & ((sizes <= 0) | (corners <= sizes + BEYOND_PIXELS))
    if 2 * over.any(axis=1).sum() >= len(boxes) and fits.all():
        meaning = (
            "most boxes end beyond the image, and all fit as x1, y1, x2, y2; write x, y, width, "
            "height"
        )
        return [Suspicion("box looks like x1, y1, x2, y2", every, meaning)]
    small = np.asarray((boxes[:, 2:] < 1).any(axis=1))
    found = [
        Suspicion(
            "box is smaller than a pixel",
            small,
            "its crop shows nothing; is the box x, y, width, height in pixels?",
        ),
        Suspicion(
            "box ends beyond the image",
            beyond,
            "the crop shows black there; is the box x, y, width, height, and the image's size "
            "right?",
        ),
    ]
    return [each for each in found if each.rows.any()]


def _in_parts(values: NDArray[np.floating]) -> bool:
    """Whether all lie within 0 to 1, or a little outside, as persons do that the border cuts."""
    return bool(((values >= -0.5) & (values <= 1.5)).all())


def suspect_people(people: People) -> list[Suspicion]:
    """What looks wrong with boxes and labelled keypoints of persons."""
    found = suspect_boxes(people.boxes_xywh, people.images.sizes_wh[people.image_index])
    labelled = people.visibility > 0
    points = people.keypoints_image[labelled]
    if len(points) > 1 and _in_parts(points):
        meaning = "all labelled keypoints lie about 0 to 1: they look normalised; write pixels"
        kind = "keypoints in parts of the image, not pixels"
        found.append(Suspicion(kind, np.asarray(labelled.any(axis=1)), meaning))
    return found


def warn_of(owner: object, found: Iterable[Suspicion]) -> None:
    """Log what looks wrong, a line each."""
    for each in found:
        count = int(each.rows.sum())
        log.warning("%s: %s (%d of %d): %s", owner, each.kind, count, len(each.rows), each.meaning)


__all__ = ["Suspicion", "suspect_boxes", "suspect_people", "warn_of"]
