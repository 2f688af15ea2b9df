"""Poses as MMPose's inferencer writes them (``pred_out_dir``): a JSON an image.

Layout: ``split_instances`` of mmpose/structures/utils.py: a list of persons, each with
``keypoints`` [[x, y], ...], ``keypoint_scores``, ``bbox`` [[left, top, right, bottom]] and
``bbox_score``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pose_hrnet.keypoints.records import Poses


def mmpose_instances(poses: Poses) -> list[dict[str, Any]]:
    """The content of an image's file."""
    columns = zip(
        poses.keypoints_image.astype(np.float64).tolist(),
        poses.keypoint_scores.astype(np.float64).tolist(),
        poses.boxes_xyxy.astype(np.float64).tolist(),
        poses.scores.astype(np.float64).tolist(),
        strict=True,
    )
    return [
        {"keypoints": points, "keypoint_scores": scores, "bbox": [box], "bbox_score": score}
        for points, scores, box, score in columns
    ]
