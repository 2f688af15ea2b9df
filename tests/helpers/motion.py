"""Persons who move as they are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pose_hrnet.keypoints.records import Float32, Poses, object_array
from pose_hrnet.keypoints.skeleton import COCO17


@dataclass(frozen=True)
class Person:
    """A person in a frame: ``(17, 2)`` keypoints, their scores, ``(4,)`` left, top, right, bottom.

    The score is of the pose.
    """

    keypoints: Float32
    keypoint_scores: Float32
    box: Float32
    score: float


STANDING = np.array(
    ((30, 14), (33, 11), (27, 11), (37, 13), (23, 13), (43, 33), (17, 33), (48, 57), (12, 57),
     (50, 80), (10, 80), (38, 85), (22, 85), (39, 118), (21, 118), (40, 150), (20, 150)),
    np.float32,
)  # fmt: skip
"""``(17, 2)`` keypoints of somebody who stands in a box of 60 by 160 pixels."""


def standing(left: float, score: float = 0.9, top: float = 40) -> Person:
    """Somebody in a box of 60 by 160 pixels."""
    corner = np.array((left, top), np.float32)
    box = np.concatenate([corner, corner + np.float32((60, 160))])
    return Person(STANDING + corner, np.full(17, score, np.float32), box, score)


def poses_at(persons: Sequence[Person]) -> Poses:
    """The persons of a frame as they are predicted."""
    boxes = np.array([person.box for person in persons], np.float32).reshape(-1, 4)
    return Poses(
        image_ids=object_array([0] * len(persons)),
        keypoints_image=np.array([p.keypoints for p in persons], np.float32).reshape(-1, 17, 2),
        keypoint_scores=np.array([p.keypoint_scores for p in persons], np.float32).reshape(-1, 17),
        boxes_xyxy=boxes,
        scores=np.array([person.score for person in persons], np.float32),
        areas=(boxes[:, 2:] - boxes[:, :2]).prod(axis=1),
        skeleton=COCO17,
    )
