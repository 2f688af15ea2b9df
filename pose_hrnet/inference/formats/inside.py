"""What of poses is inside their image: boxes, and the keypoints that are labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pose_hrnet.keypoints.records import Float64, Poses


def clipped_boxes(poses: Poses, size_wh: tuple[int, int]) -> Float64:
    """``(N, 4)`` left, top, right, bottom in image pixels, none outside of the image.

    Args:
        poses: N poses.
        size_wh: Width and height of the image.
    """
    limits = np.array([*size_wh, *size_wh], np.float64)
    clipped: Float64 = np.clip(poses.boxes_xyxy.astype(np.float64), 0.0, limits)
    return clipped


def are_labels(poses: Poses, size_wh: tuple[int, int], min_score: float) -> NDArray[np.bool_]:
    """``(N, K)``: which keypoints stand in the image and score so much.

    Args:
        poses: N poses.
        size_wh: Width and height of the image.
        min_score: Of this score and above.
    """
    points = poses.keypoints_image
    inside = ((points >= 0) & (points <= np.array(size_wh) - 1)).all(axis=2)
    labels: NDArray[np.bool_] = (poses.keypoint_scores >= min_score) & inside
    return labels
