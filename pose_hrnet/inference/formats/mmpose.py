"""Poses as MMPose's inferencer writes them (``pred_out_dir``): a JSON an image.

Layout: ``split_instances`` of mmpose/structures/utils.py: a list of persons, each with
``keypoints`` [[x, y], ...], ``keypoint_scores``, ``bbox`` [[left, top, right, bottom]] and
``bbox_score``.
"""

from __future__ import annotations

from typing import Any

from pose_hrnet.keypoints.records import Poses
from pose_hrnet.system.files import few_digits


def mmpose_instances(poses: Poses) -> list[dict[str, Any]]:
    """The content of an image's file."""
    columns = zip(
        few_digits(poses.keypoints_image).tolist(),
        few_digits(poses.keypoint_scores).tolist(),
        few_digits(poses.boxes_xyxy).tolist(),
        few_digits(poses.scores).tolist(),
        strict=True,
    )
    return [
        {"keypoints": points, "keypoint_scores": scores, "bbox": [box], "bbox_score": score}
        for points, scores, box, score in columns
    ]
