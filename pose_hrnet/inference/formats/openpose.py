"""Poses in OpenPose's JSON: a file an image, which Pose2Sim and others read.

Layout: https://github.com/CMU-Perceptual-Computing-Lab/openpose, doc/02_output.md: version 1.3,
``people`` with ``pose_keypoints_2d``, x, y and confidence of each keypoint; 0 0 0 where there is
none. The file of ``a.jpg`` is ``a_keypoints.json``.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from pose_hrnet.keypoints.records import Float64, Poses
from pose_hrnet.keypoints.skeleton import Skeleton
from pose_hrnet.system.files import few_digits

Order: TypeAlias = Literal["own", "body25"]

BODY25 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder",
    "left_elbow", "left_wrist", "mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip",
    "left_knee", "left_ankle", "right_eye", "left_eye", "right_ear", "left_ear", "left_big_toe",
    "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel",
)  # fmt: skip
"""OpenPose's BODY_25, in its order."""
_MIDDLES = {"neck": ("left_shoulder", "right_shoulder"), "mid_hip": ("left_hip", "right_hip")}
"""Keypoints that may be made of two others: their middle, with the smaller score."""
_EMPTY = (
    "face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d",
    "pose_keypoints_3d", "face_keypoints_3d", "hand_left_keypoints_3d", "hand_right_keypoints_3d",
)  # fmt: skip


def openpose_people(poses: Poses, skeleton: Skeleton, order: Order = "own") -> dict[str, Any]:
    """The content of an image's file.

    Args:
        poses: Of one image.
        skeleton: Whose keypoints they have.
        order: ``own``: the skeleton's, as Pose2Sim's COCO_17 and other models expect; or
            ``body25``: OpenPose's 25 keypoints.

    Raises:
        ValueError: If BODY_25 is asked for, and the skeleton has none of its keypoints.
    """
    points, scores = few_digits(poses.keypoints_image), few_digits(poses.keypoint_scores)
    triples: Float64 = np.concatenate([points, scores[..., None]], axis=2)
    if order == "body25":
        triples = _in_body25(triples, skeleton)
    ids = [-1] * len(poses) if poses.track_ids is None else poses.track_ids.tolist()
    people = [
        {"person_id": [number], "pose_keypoints_2d": row.ravel().tolist()}
        | {name: [] for name in _EMPTY}
        for number, row in zip(ids, triples, strict=True)
    ]
    return {"version": 1.3, "people": people}


def _in_body25(triples: Float64, skeleton: Skeleton) -> Float64:
    """``(N, K, 3)`` -> ``(N, 25, 3)``."""
    place = {name: k for k, name in enumerate(skeleton.keypoint_names)}
    check_body25(skeleton)
    result = np.zeros((len(triples), len(BODY25), 3))
    for k, name in enumerate(BODY25):
        if name in place:
            result[:, k] = triples[:, place[name]]
        elif name in _MIDDLES and all(side in place for side in _MIDDLES[name]):
            left, right = (triples[:, place[side]] for side in _MIDDLES[name])
            result[:, k, :2] = (left[:, :2] + right[:, :2]) / 2
            result[:, k, 2] = np.minimum(left[:, 2], right[:, 2])
    return result


def check_body25(skeleton: Skeleton) -> None:
    """Refuse a skeleton that BODY_25 has nothing of.

    Raises:
        ValueError: If it has none of the keypoints.
    """
    if not {*skeleton.keypoint_names} & {*BODY25}:
        raise ValueError(
            f"the model's keypoints ({skeleton.name}) are none of OpenPose's BODY_25; use "
            "--format openpose, which writes them in their own order"
        )
